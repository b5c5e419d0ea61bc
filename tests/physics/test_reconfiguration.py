"""Reconfiguration against load flows, the central optimum and a two-line network solved by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import DataError, ModelError, UnknownNameError
from gridmodel.grid.elements import Bus, Generator, Line, Load, Source, Terminal, VoltVar
from gridmodel.grid.feeder import Feeder
from gridmodel.physics.reconfiguration import reconfiguration
from gridmodel.sweep import loops, sweep

FEEDERS = Path(__file__).parents[2] / "models" / "data" / "feeders"
SHIPPED = ["13Bus/IEEE13Nodeckt.dss", "37Bus/ieee37.dss", "123Bus/IEEE123Master.dss"]


def shipped(name: str) -> Feeder:
    net = gm.read_network(FEEDERS / name)
    assert isinstance(net, Feeder)
    return net


def two_ways(power: complex = 60e3, r: tuple[float, float] = (0.1, 0.3), rating: float = np.inf) -> Feeder:
    """A one-phase load behind two lines of resistance r in parallel, 1 kV."""
    a, b = Terminal("a", (1,)), Terminal("b", (1,))
    none = np.zeros((1, 1), dtype=np.complex128)
    lines = tuple(
        Line(f"l{k}", a, b, np.array([[one]], dtype=np.complex128), none, rating=rating if k == 0 else np.inf)
        for k, one in enumerate(r)
    )
    return Feeder(
        "two", 60.0, (Bus("a", (1,), 1000.0), Bus("b", (1,), 1000.0)),
        (Source("s", a, np.array([1000.0 + 0j]), np.array([[1e-6j]])),), lines,
        loads=(Load("d", Terminal("b", (1, 0)), 1, "wye", power, 1000.0),),
    )  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_a_tree_has_the_currents_and_losses_of_its_load_flow(name: str) -> None:
    feeder = shipped(name)
    flow = feeder.load_flow()
    model = reconfiguration(feeder, voltages="load flow")
    result = gm.solve(model, "central")
    assert result.value == pytest.approx(float(flow.losses.real) / 1000, rel=1e-5)
    currents: dict[str, np.ndarray] = {}
    for agent, own in model.layout.carriers.items():
        xi = result[agent]["xi"]
        ends = np.cumsum([one.size for one in own])[:-1]
        currents.update(zip([one.name for one in own], np.split(xi[0] + 1j * xi[1], ends), strict=True))
    for line in feeder.lines:
        at = np.array([feeder.position[f"{line.start.bus}.{number}"] for number in line.start.nodes])
        series = flow.currents[line.name][0] - line.y / 2 @ flow.volts[at]
        np.testing.assert_allclose(currents[f"line {line.name}"], series, atol=2e-3)


def test_every_line_alone_has_the_same_optimum() -> None:
    feeder = shipped(SHIPPED[0])
    values = [gm.solve(reconfiguration(feeder, agents=agents), "central").value for agents in ("sections", "lines")]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_two_lines_share_by_resistance_and_the_weight_opens_the_worse() -> None:
    result = gm.solve(reconfiguration(two_ways()), "central")
    np.testing.assert_allclose([result[f"line l{k}"]["xi"][0, 0] for k in (0, 1)], [45.0, 15.0], atol=1e-4)
    assert result.value == pytest.approx((0.1 * 45**2 + 0.3 * 15**2) / 1000, rel=1e-6)
    # |x| + |60 - x|: the weight on l1 alone moves x until 2 r0 x - 2 r1 (60 - x) = 1000 w, up to x = 60
    weighted = gm.solve(reconfiguration(two_ways(), {"l1": 0.004}), "central")
    assert weighted["line l1"]["xi"][0, 0] == pytest.approx(15 - 0.004 * 1000 / 0.8, abs=1e-4)
    alone = gm.solve(reconfiguration(two_ways(), {"l1": 0.02}), "central")
    assert alone["line l1"]["xi"][0, 0] == pytest.approx(0.0, abs=1e-4)


def test_ratings_and_prices() -> None:
    result = gm.solve(reconfiguration(two_ways(rating=30.0)), "central")
    np.testing.assert_allclose([result[f"line l{k}"]["xi"][0, 0] for k in (0, 1)], [30.0, 30.0], atol=1e-3)
    # the next ampere flows through l1
    assert result.price["current b"][0] == pytest.approx(2 * 0.3 * 30 / 1000, rel=1e-3)


def test_a_generator_moves_within_its_limits() -> None:
    unit = Generator("g", Terminal("b", (1, 0)), 1, "wye", 0j, 1000.0, p_max=20e3,
                     attributes={"q_min": -5e3, "q_max": 5e3})  # fmt: skip
    feeder = replace(two_ways(60e3 + 3e3j), generators=(unit,))
    result = gm.solve(reconfiguration(feeder), "central")
    np.testing.assert_allclose(result["generator g"]["power"], [20.0, 3.0], atol=1e-3)
    fixed = replace(feeder, generators=(replace(unit, s=20e3 + 3e3j, p_max=np.inf, attributes={}),))
    assert gm.solve(reconfiguration(fixed), "central").value == pytest.approx(result.value, rel=1e-6)


def test_a_new_weight_needs_no_compile() -> None:
    model = reconfiguration(two_ways(), {"l1": 0.0})
    plan = gm.compile(model, "admm")
    plan.solve()
    model["line l1"].parameters["weight"].value = 0.004
    again = plan.solve(tolerance=1e-6)
    assert again["line l1"]["xi"][0, 0] == pytest.approx(10.0, abs=1e-2)


def test_errors_name_what_is_wrong() -> None:
    feeder = two_ways()
    with pytest.raises(UnknownNameError, match="no line 'l7'"):
        reconfiguration(feeder, switchable=["l7"])
    with pytest.raises(UnknownNameError, match="not switchable"):
        reconfiguration(feeder, {"l0": 1.0}, switchable=["l1"])
    with pytest.raises(ModelError, match="at least 0 in kW/A"):
        reconfiguration(feeder, -1.0)
    with pytest.raises(ModelError, match="voltages="):
        reconfiguration(feeder, voltages="none")  # type: ignore[arg-type]
    far = Load("far", Terminal("c", (1, 0)), 1, "wye", 1e3 + 0j, 1000.0)
    apart = replace(feeder, buses=(*feeder.buses, Bus("c", (1,), 1000.0)), loads=(*feeder.loads, far))
    with pytest.raises(ModelError, match=r"load far at c.1.0 is on an island"):
        reconfiguration(apart)
    bad = replace(feeder.lines[0], z=-feeder.lines[0].z)
    with pytest.raises(ModelError, match="l0 has the resistance matrix"):
        reconfiguration(replace(feeder, lines=(bad, feeder.lines[1])))
    unit = Generator("pv", Terminal("b", (1, 0)), 1, "wye", 0j, 1000.0, 1e4, kind="pv", droop=VoltVar())
    with pytest.raises(ModelError, match="pv pv with a volt-var droop: reconfiguration chooses reactive power"):
        reconfiguration(replace(feeder, generators=(unit,)))


def test_sweep_opens_the_worse_of_two_lines() -> None:
    feeder = two_ways()
    found = sweep(feeder, [0.0, 1.0])
    assert [one.kind for one in found] == ["meshed", "radial"]
    assert found.best().opened == ("l1",)
    assert loops(feeder) == 1
    assert loops(found.network(found.best())) == 0
    assert found.best().losses == pytest.approx(float(found.network(found.best()).load_flow().losses.real) / 1000)


def test_banks_of_one_phase_units_are_no_loop() -> None:
    assert loops(shipped(SHIPPED[2])) == 0


def test_sweep_in_words_sorts_its_weights() -> None:
    lines = str(sweep(two_ways(), [1.0, 0.0, 1.0])).splitlines()
    assert lines[0] == "two: 2 lines that may be opened, voltages within 0.95 to 1.05 pu"
    assert [line.split()[:4] for line in lines[2:]] == [["0", "2", "1", "meshed"], ["1", "1", "0", "radial"]]
    assert lines[3].endswith("l1")
    assert len({line.index("0.99") for line in lines[2:]}) == 1


def test_the_line_that_carries_all_holds_its_rating() -> None:
    found = sweep(two_ways(rating=50.0), [1.0])
    assert found.best().opened == ("l0",)


@pytest.mark.parametrize("polish", [False, True])
def test_a_small_load_keeps_its_line(polish: bool) -> None:
    feeder = two_ways()
    c = Terminal("c", (1,))
    spur = Line("l2", Terminal("b", (1,)), c, np.array([[0.1 + 0j]]), np.zeros((1, 1), dtype=np.complex128))
    small = Load("small", Terminal("c", (1, 0)), 1, "wye", 10 + 0j, 1000.0)
    feeder = replace(feeder, buses=(*feeder.buses, Bus("c", (1,), 1000.0)), lines=(*feeder.lines, spur),
                     loads=(*feeder.loads, small))  # fmt: skip
    assert sweep(feeder, [5.0], polish=polish).best().closed == ("l0", "l2")


def test_a_radial_feeder_stays_as_it_is() -> None:
    feeder = two_ways()
    found = sweep(replace(feeder, lines=feeder.lines[:1]), [0.0, 100.0])
    assert [(one.kind, one.opened) for one in found] == [("radial", ()), ("radial", ())]
    with pytest.raises(ModelError, match="only to radial; try smaller weights"):
        found.best("meshed")


@pytest.mark.parametrize(
    ("weights", "said"),
    [([-1.0], "got -1.0"), ([0.0, np.nan], "got nan"), ([np.inf], "got inf"), ([], "got none"), ("abc", "got 'abc'")],
)
def test_weights_that_are_none(weights: object, said: str) -> None:
    with pytest.raises(DataError, match=f"weights: {said}, expected .*in kW a closed line"):
        sweep(two_ways(), weights)  # type: ignore[arg-type]


def test_only_feeders_are_swept() -> None:
    with pytest.raises(ModelError, match="takes a multiphase Feeder, got Network"):
        sweep(gm.read_network(FEEDERS.parent / "pglib_opf_case14_ieee.m"), [1.0])  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="no line 'sw9'"):
        sweep(two_ways(), [1.0], switchable=["sw9"])
