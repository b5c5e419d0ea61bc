"""The load flow with volt-var droops against closed forms, OpenDSS and finite differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.grid.elements import Generator, Terminal, VoltVar
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow import batched
from gridmodel.grid.flow.batched import Batched
from gridmodel.grid.flow.differentiable import TorchLoadFlow
from gridmodel.grid.flow.droop import loop_gain
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.linear import linear_flow
from tests.grid.flow.feeders import random_feeder, two_bus

torch.set_num_threads(1)

CURVE = VoltVar(0.99, 0.02, 0.5)


def inverter(name: str, bus: str, node: int, s: complex = 0j, **rest: Any) -> Generator:
    fields: dict[str, Any] = {"s_max": 0.1e6, "kind": "pv", "droop": CURVE} | rest
    return Generator(name, Terminal(bus, (node, 0)), 1, "wye", s, 1000.0, **fields)


def drooping(seed: int, limits: bool = False, s_max: float = 0.04e6) -> Feeder:
    """A random feeder with inverters at two thirds of its phases, one of them of another curve and without power."""
    net = random_feeder(seed, limits=limits)
    units = [inverter(f"pv{k}.{n}", f"b{k}", n, complex(2e4 * n), s_max=s_max) for k in range(1, 6) for n in (1, 2)]
    units.append(inverter("other", "b3", 1, droop=VoltVar(1.0, 0.02, 0.3), s_max=s_max))
    return replace(net, generators=(*net.generators, *units))


def at_end(gain: float, droop: VoltVar = CURVE, s: complex = 0j) -> Feeder:
    """Two buses, 1j ohm, and an inverter whose droop has the loop gain share * s_max * x / width."""
    unit = Generator("pv", Terminal("b", (1, 0)), 1, "wye", s, 1.0, gain * droop.width / droop.share, droop=droop)
    return replace(two_bus(0j, 1j), generators=(unit,))


@pytest.mark.parametrize("gain", [0.3, 1.5, 4.0, 20.0])
def test_two_buses_are_the_closed_form_whatever_the_gain(gain: float) -> None:
    """Without active power v is real: v = 1 - q(v) / v, with q = gain (v - c) between the corners."""
    net = at_end(gain)
    v = (1 - gain + np.sqrt((1 - gain) ** 2 + 4 * gain * CURVE.center)) / 2
    flow = net.load_flow()
    assert abs(v - CURVE.center) < CURVE.width
    assert flow.status == "converged"
    assert abs(flow["b.1"] - v) < 1e-8
    zero = torch.zeros((1, 1), dtype=torch.complex128)
    assert abs(TorchLoadFlow(net)(zero).v[0, 1].item() - v) < 1e-8
    assert loop_gain(net).plain == pytest.approx(gain / v, rel=0.1)


@pytest.mark.parametrize(("center", "q"), [(1.2, -0.1), (0.8, 0.1)])
def test_beyond_its_corners_a_droop_is_constant(center: float, q: float) -> None:
    net = at_end(0.1 / 0.04, VoltVar(center, 0.04, 0.5))
    v = (1 + np.sqrt(1 - 4 * q)) / 2
    assert abs(net.load_flow()["b.1"] - v) < 1e-8
    assert abs(TorchLoadFlow(net)(torch.zeros((1, 1), dtype=torch.complex128)).v[0, 1].item() - v) < 1e-8
    drawn = net.load_flow().drawn
    assert drawn == pytest.approx(1j * q, abs=1e-7)


def test_a_gain_above_one_is_no_obstacle_and_one_near_its_end_is_noted() -> None:
    net = drooping(1)
    gain = loop_gain(net)
    assert gain.plain > 1.0
    assert gain.used < 0.8
    assert TorchLoadFlow(net).notes == ()
    assert gain.note == ""
    flow = TorchLoadFlow(at_end(40.0))
    assert "loop gain is 0.98 at nominal power" in flow.notes[0]
    assert TorchLoadFlow(two_bus(0.1)).gain is None


def test_batches_are_their_scenarios_one_by_one_in_all_ways_of_solving() -> None:
    """Torch, numpy in both precisions, and Newton, which solves without any splitting, agree."""
    from gridmodel.grid.flow.newton import newton

    net = drooping(2)
    s = powers(net, 6)
    flow = net.load_flow(s, tolerance=1e-12)
    assert (flow.status == "converged").all()
    own = TorchLoadFlow(net, tolerance=1e-12)
    v, converged = own(torch.tensor(s))
    assert bool(converged.all())
    assert np.abs(v.numpy() - flow.v).max() < 1e-11
    assert np.abs(own(torch.tensor(s, dtype=torch.complex64)).v.numpy() - flow.v).max() < 1e-6
    assert np.abs(net.load_flow(s, dtype=np.complex64).v - flow.v).max() < 2e-6
    for k, row in enumerate(s):
        assert np.abs(net.load_flow(row, tolerance=1e-12).v - flow.v[k]).max() < 1e-11
        assert np.abs(own(torch.tensor(row[None])).v.numpy() - flow.v[k]).max() < 1e-11
    form = form_of(net)
    points = newton(form, form.injections.at_ports(flow.s), 1e-12)
    assert np.abs(form.nodes(points.i) / net.base - flow.v).max() < 1e-10


def powers(net: Feeder, count: int) -> NDArray[np.complex128]:
    """Loads in VA from light to heavy, so that droops lie between and beyond their corners."""
    factors = np.linspace(0.1, 1.6, count)[:, None] * np.random.default_rng(0).uniform(0.8, 1.2, (1, len(net.loads)))
    return np.asarray(factors * np.array([load.s for load in net.loads]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [False, True])
def test_gradient_is_that_of_finite_differences_between_and_beyond_the_corners(seed: int, limits: bool) -> None:
    net = drooping(seed + 1, limits)
    rng = np.random.default_rng(seed)
    s, g = powers(net, 4), np.array([unit.s for unit in net.generators])[None] * rng.uniform(0.5, 2, (4, 1))
    x, y = torch.tensor(s, requires_grad=True), torch.tensor(g, requires_grad=True)
    v, converged = TorchLoadFlow(net, tolerance=1e-13)(x, y)
    assert bool(converged.all())
    u = v.detach().abs().numpy()[:, [net.position[f"b{k}.{n}"] for k in range(1, 6) for n in (1, 2)]]
    beyond = np.abs(u - CURVE.center) > CURVE.width
    assert beyond.any()
    assert not beyond.all()
    w = rng.normal(size=v.shape)
    (torch.tensor(w) * v.abs()).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    moves = [rng.normal(size=one.shape) + 1j * rng.normal(size=one.shape) for one in (s, g)]
    mine = sum((one.grad.numpy().conj() * move).real.sum(axis=1) for one, move in zip((x, y), moves, strict=True))

    def value(h: float) -> NDArray[Any]:
        flow = net.load_flow(s + h * moves[0], g + h * moves[1], tolerance=1e-14)
        return np.asarray((w * np.abs(flow.v)).sum(axis=1))

    truth = (value(3.0) - value(-3.0)) / 6.0
    assert np.abs(mine - truth).max() < 1e-6 * np.abs(truth).max()


def test_injected_and_chosen_nodes_are_the_same_load_flow() -> None:
    net = drooping(1)
    chosen = ("b5.2", "b1.1")
    p = torch.rand((3, len(net.generators)), dtype=torch.float64, requires_grad=True)
    few = TorchLoadFlow(net, nodes=chosen).injected(p * 1e4)
    (1.0 * few.v.abs()).sum().backward()
    z = (p.detach() * 1e4 + 0j).requires_grad_()
    all_ = TorchLoadFlow(net)(None, z)
    wanted = all_.v[:, [net.position[name] for name in chosen]]
    wanted.abs().sum().backward()
    assert torch.allclose(few.v, wanted, atol=1e-10)
    assert p.grad is not None
    assert z.grad is not None
    assert torch.allclose(p.grad, 1e4 * z.grad.real, rtol=1e-6, atol=1e-9)
    with pytest.raises(gm.ModelError, match=r"no node 'b9\.1'"):
        TorchLoadFlow(net, nodes=["b9.1"])
    with pytest.raises(gm.ModelError, match="expected real tensors in W"):
        TorchLoadFlow(net).injected(z)


def gradients(net: Feeder) -> list[NDArray[Any]]:
    """By the generators' active powers, by loads that all scenarios share, and the voltages."""
    p = torch.tensor(np.random.default_rng(0).uniform(0, 2e4, (6, len(net.generators))), requires_grad=True)
    loads = torch.tensor(powers(net, 6)[:1], requires_grad=True)
    v, converged = TorchLoadFlow(net, tolerance=1e-12).injected(p, None, loads)
    assert bool(converged.all())
    v.abs().pow(2).sum().backward()
    assert p.grad is not None
    assert loads.grad is not None
    return [p.grad.numpy(), loads.grad.numpy(), v.detach().numpy()]


@pytest.mark.parametrize("way", ["chunks and late rows", "voltages in numpy", "adjoint in numpy"])
def test_every_way_to_the_gradient_ends_at_the_same(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = drooping(2)
    usual = gradients(net)
    iterate, adjoint = Batched._iterate, Batched._adjoint
    if way == "chunks and late rows":
        monkeypatch.setattr(batched, "_CHUNK", 4)
        monkeypatch.setattr(batched, "_FIRST", 4)
    elif way == "voltages in numpy":
        monkeypatch.setattr(Batched, "_iterate", lambda *x: (*(y := iterate(*x))[:1], torch.zeros_like(y[1])))
    else:
        monkeypatch.setattr(Batched, "_adjoint", lambda *x: (0 * (y := adjoint(*x))[0], torch.zeros_like(y[1])))
    for mine, other in zip(usual, gradients(net), strict=True):
        assert np.abs(mine - other).max() < 1e-10 * np.abs(mine).max()


def test_a_failed_scenario_is_no_number_and_has_no_gradient() -> None:
    net = drooping(1)
    s = np.array([load.s for load in net.loads])
    numpy_flow = net.load_flow(np.array([s, 40 * s]))
    assert numpy_flow.status.tolist() == ["converged", "failed"]
    assert np.isnan(numpy_flow.v[1]).all()
    x = torch.tensor(np.array([s, 40 * s]), requires_grad=True)
    v, converged = TorchLoadFlow(net)(x)
    assert converged.tolist() == [True, False]
    assert bool(torch.isnan(v[1].real).all())
    v.abs().sum().backward()
    assert x.grad is not None
    assert bool((x.grad[1] == 0).all())
    alone = torch.tensor(s[None], requires_grad=True)
    TorchLoadFlow(net)(alone).v.abs().sum().backward()
    assert alone.grad is not None
    assert torch.allclose(x.grad[0], alone.grad[0], rtol=1e-6)


def test_ports_of_one_curve_merge_and_their_ratings_add() -> None:
    net = random_feeder(1)
    before = form_of(net).injections.size
    units = [inverter("a", "b1", 1), inverter("b", "b1", 1, s_max=0.3e6), inverter("c", "b1", 1, droop=None)]
    other = inverter("d", "b1", 1, droop=VoltVar(1.0, 0.02, 0.5))
    merged = form_of(replace(net, generators=(*net.generators, *units))).injections
    assert merged.size == before + 1
    assert merged.merged.droop[:, 2].max() == pytest.approx(0.5 * 0.4e6)
    assert form_of(replace(net, generators=(*net.generators, *units, other))).injections.size == before + 2


@pytest.mark.parametrize("kind", ["taylor", "fixed-point"])
def test_linear_models_know_what_the_droops_do(kind: Any) -> None:
    net = drooping(1)
    model = linear_flow(net, kind, of=[0])
    ends = [np.abs(net.load_flow({net.loads[0].name: net.loads[0].s + h}, tolerance=1e-13).v) for h in (100.0, -100.0)]
    truth = (ends[0] - ends[1]) / 200.0
    assert np.abs(model.magnitude_by[0][:, 0] - truth).max() < (1e-6 if kind == "taylor" else 0.1) * np.abs(truth).max()


def test_a_droop_needs_a_rating_and_a_width_and_survives_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pv x: a volt-var droop needs the inverter's rating, but s_max is inf"):
        inverter("x", "b", 1, s_max=np.inf)
    with pytest.raises(ModelError, match="expected a finite center, width > 0"):
        VoltVar(width=0.0)
    net = drooping(1)
    gm.write_network(net, tmp_path / "net.json")
    back = gm.read_network(tmp_path / "net.json")
    assert isinstance(back, Feeder)
    assert [unit.droop for unit in back.generators] == [unit.droop for unit in net.generators]


# A line of 1 and 1.5 km with two one-phase inverters; OpenDSS with InvControl in mode voltvar, the curve (0.5, 1),
# (0.96, 1), (1.035, -1), (1.5, -1), refreactivepower=varmax and changes below 1e-7: V to ground of b.1, b.2, b.3, c.1,
# c.2, c.3 at (pmpp, irradiance, load) of (500, 1, 300), (500, 0.2, 900) and (560, 1, 10).
LINE = """clear
new circuit.c bus1=a basekv=4.16 pu=1.0 phases=3 r1=0.0001 x1=0.0001 r0=0.0001 x0=0.0001
new linecode.lc nphases=3 rmatrix=(0.3 | 0.1 0.31 | 0.1 0.1 0.32) xmatrix=(0.9 | 0.4 0.95 | 0.35 0.4 0.92) units=km
~ cmatrix=(0 | 0 0 | 0 0 0)
new line.l1 bus1=a bus2=b linecode=lc length=1 units=km
new line.l2 bus1=b bus2=c linecode=lc length=1.5 units=km
new load.d1 bus1=b phases=3 kv=4.16 kw={load} kvar={third} vminpu=0.5 vmaxpu=2
new load.d2 bus1=c.1 phases=1 kv=2.4 kw={fourth} kvar={eighth} vminpu=0.5 vmaxpu=2
new pvsystem.p1 bus1=c.2 phases=1 kv=2.4017771 kva=600 pmpp={pmpp} irradiance={irradiance} %cutin=0 %cutout=0
~ vminpu=0.5 vmaxpu=2
new pvsystem.p2 bus1=b.3 phases=1 kv=2.4017771 kva=400 pmpp={half} irradiance={irradiance} %cutin=0 %cutout=0
~ vminpu=0.5 vmaxpu=2
set voltagebases=[4.16]
calcvoltagebases
"""
OPENDSS = {
    (500.0, 1.0, 300.0): [
        2401.355609 - 71.41772j, -1074.038888 - 2156.625745j, -1208.54559 + 2038.774897j,
        2488.040684 - 147.896737j, -799.988387 - 2300.543612j, -1099.253145 + 1981.299365j,
    ],
    (500.0, 0.2, 900.0): [
        2267.823233 - 120.593986j, -1224.502892 - 2041.275973j, -1161.93674 + 2060.410686j,
        2172.522519 - 227.267164j, -1199.442621 - 2104.107409j, -1177.011455 + 2015.252297j,
    ],
    (560.0, 1.0, 10.0): [
        2448.509611 - 40.07621j, -1035.623553 - 2182.975604j, -1224.750151 + 2037.598155j,
        2583.779607 - 90.559751j, -714.753482 - 2326.250225j, -1088.768741 + 1987.742792j,
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", OPENDSS)
def test_voltages_are_those_of_opendss(case: tuple[float, float, float], tmp_path: Path) -> None:
    pmpp, irradiance, load = case
    text = LINE.format(pmpp=pmpp, half=pmpp / 2, irradiance=irradiance, load=load, third=load / 3, fourth=load / 4,
                       eighth=load / 8)  # fmt: skip
    (tmp_path / "line.dss").write_text(text)
    net = gm.read_network(tmp_path / "line.dss")
    assert isinstance(net, Feeder)
    net = replace(net, generators=tuple(replace(unit, droop=VoltVar()) for unit in net.generators))
    flow = net.load_flow()
    assert flow.status == "converged"
    at = [net.position[f"{bus}.{k}"] for bus in "bc" for k in (1, 2, 3)]
    assert np.abs(flow.volts[at] - np.array(OPENDSS[case])).max() / 2401.7771 < 1e-6
    s = torch.tensor([[unit.s for unit in net.generators]], dtype=torch.complex128)
    assert np.abs(TorchLoadFlow(net)(None, s).v[0].numpy() - flow.v).max() < 1e-8
    assert np.abs(TorchLoadFlow(net)(None, s.to(torch.complex64)).v[0].numpy() - flow.v).max() < 1e-6


def test_no_certificate_is_claimed_with_droops() -> None:
    with pytest.raises(ModelError, match="volt-var"):
        _ = drooping(1).load_flow().certificate
