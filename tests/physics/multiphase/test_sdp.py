"""The semidefinite branch flow: closed form, the exact problem by Ipopt, the load flow, areas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.grid.elements import Generator, Terminal
from gridmodel.ir.result import Result
from gridmodel.physics.multiphase.nonlinear import nonlinear_optimum
from gridmodel.physics.multiphase.opf import feeder_model
from gridmodel.physics.multiphase.recover import Recovery, dispatched, feeder_prices, recover
from tests.physics.multiphase.feeders import OPTIONS, shipped, small, two_bus


def _from_load_flow(result: Result, found: Recovery) -> float:
    """The largest distance of the recovered port voltages from those of the feeder's load flow, pu."""
    flow = dispatched(result).load_flow()
    assert flow.converged
    v = dict(zip(flow.nodes, flow.v, strict=True))
    worst = 0.0
    for frame, own in zip(found.plan.frames, found.v, strict=True):
        if not frame.bus.startswith("source "):
            true = frame.D @ np.array([v[f"{frame.bus}.{node}"] for node in frame.nodes])
            worst = max(worst, float(np.abs(true - own).max()))
    return worst


@pytest.mark.parametrize("phases", [1, 3])
def test_two_buses_equal_the_closed_form(phases: int) -> None:
    """v + z conj(s) / v = 1 in |v|^2: 0.89440973, from the root of a quadratic."""
    z, s = 0.1 + 0.2j, 0.3 + 0.1j
    b = 1.0 - 2.0 * (np.conj(z) * s).real
    square = (b + np.sqrt(b**2 - 4.0 * abs(z) ** 2 * abs(s) ** 2)) / 2.0
    slack = s.real + z.real * abs(s) ** 2 / square
    result = gm.solve(feeder_model(two_bus(phases), v_min=0.8, v_max=1.1, price=1.0), "central")
    assert result.value == pytest.approx(phases * slack, abs=1e-7)
    assert slack == pytest.approx(0.311180, abs=1e-6)
    found = recover(result)
    assert found.magnitudes()["b.1"] == pytest.approx(0.945732, abs=1e-6)
    assert found.largest_rank < 1e-6


def test_the_oracles_eigenvalues() -> None:
    """V over both buses of the oracle has the eigenvalues 0 and 1.894."""
    found = recover(gm.solve(feeder_model(two_bus(), v_min=0.8, v_max=1.1), "central"))
    v = np.concatenate(found.v)
    assert np.linalg.eigvalsh(np.outer(v, v.conj())) == pytest.approx([0.0, 1.894], abs=5e-4)


@pytest.mark.parametrize("objective", ["cost", "loss"])
@pytest.mark.parametrize("number", [13, 37])
def test_equal_to_the_exact_problem(number: int, objective: Any) -> None:
    model = feeder_model(shipped(number), objective=objective, **OPTIONS[number])
    result = gm.solve(model, "central")
    witness = nonlinear_optimum(model)
    assert witness.status == "stationary"
    assert result.value == pytest.approx(witness.value, rel=1e-5)
    assert recover(result).largest_rank < 1e-5


def test_ieee123_equals_the_exact_problem() -> None:
    model = feeder_model(shipped(123), **OPTIONS[123])
    assert gm.solve(model, "central").value == pytest.approx(nonlinear_optimum(model).value, rel=1e-5)


def test_prices_are_the_rise_of_the_cost() -> None:
    """Against finite differences of the exact problem, at a port to ground and for reactive power."""
    feeder = small()
    base = gm.solve(feeder_model(feeder, v_min=0.9), "central")
    price = feeder_prices(base)["n3.2"]
    for k, unit in enumerate((1.0, 1j)):
        values = []
        for step in (-1e3, 1e3):
            more = tuple(replace(d, s=d.s + step * unit) if d.name == "d32" else d for d in feeder.loads)
            values.append(nonlinear_optimum(feeder_model(replace(feeder, loads=more), v_min=0.9)).value)
        assert price[k] == pytest.approx((values[1] - values[0]) / 2e-3, abs=2e-3 * 100.0)


@pytest.mark.parametrize("number", [13, 37])
def test_recovered_voltages_equal_the_load_flow(number: int) -> None:
    """Powers between conductors are split as at the voltages found before; each time they settle twelvefold."""
    feeder, around = shipped(number), None
    options = {"negligible": 0.0, **OPTIONS[number]} if number == 37 else OPTIONS[number]
    left = []
    for _ in range(5):
        result = gm.solve(feeder_model(feeder, around=around, **options), "central")
        found = recover(result)
        around = found.v
        left.append(found.largest_mismatch)
    assert left[0] > 1e-3
    assert left[-1] < 1e-5
    # what "negligible" leaves out of IEEE 13: the source and the substation, 2e-4 pu at 1.2 pu of power
    assert _from_load_flow(result, found) < (1e-5 if number == 37 else 1e-3)


def test_exact_pairs_bound_the_exact_problem_from_below() -> None:
    """Blocks of their own for what lies between conductors: a relaxation, tight here where currents are bounded."""
    model = feeder_model(small(), v_min=0.9, delta="exact")
    value, witness = gm.solve(model, "central").value, nonlinear_optimum(model).value
    assert value <= witness * (1 + 1e-7)
    assert value == pytest.approx(witness, rel=1e-6)


@pytest.mark.parametrize("objective", ["cost", "loss"])
def test_areas_have_the_optimum_of_the_whole(objective: Any) -> None:
    feeder = shipped(37)
    whole = gm.solve(feeder_model(feeder, objective=objective, **OPTIONS[37]), "central")
    parts = gm.solve(feeder_model(feeder, areas=5, objective=objective, **OPTIONS[37]), "central")
    assert parts.value == pytest.approx(whole.value, rel=1e-6)
    assert recover(parts).magnitudes() == pytest.approx(recover(whole).magnitudes(), abs=1e-4)


def test_limits_hold_and_cost() -> None:
    """A substation limit and a line rating below what the optimum takes raise the cost, and hold."""
    feeder = small()
    free = gm.solve(feeder_model(feeder, v_min=0.9), "central")
    given = float(np.sum(free["area1"]["substation"][:3]))
    dear = replace(feeder, generators=tuple(replace(unit, cost=0.2) for unit in feeder.generators))
    idle = gm.solve(feeder_model(dear, v_min=0.9), "central")
    held = gm.solve(feeder_model(dear, v_min=0.9, substation_p=(0.0, given + 0.05)), "central")
    assert float(np.sum(held["area1"]["substation"][:3])) <= given + 0.05 + 1e-6
    assert held.value > idle.value + 1.0
    current = np.abs(recover(idle).i[0])
    amperes = 0.97 * current.max() * 1e6 / 2400.0
    rated = replace(dear, lines=(replace(dear.lines[0], rating=amperes), *dear.lines[1:]))
    limited = gm.solve(feeder_model(rated, v_min=0.9), "central")
    assert np.abs(recover(limited).i[0]).max() == pytest.approx(0.97 * current.max(), rel=1e-4)
    assert limited.value > idle.value + 0.01


def test_generators_stay_on_their_disc() -> None:
    """Where |p + j q| <= s_max binds, q / p is the ratio of their prices at the port."""
    unit = Generator("pv", Terminal("b", (1, 0)), 1, "wye", 0j, 1000.0, s_max=1e5, p_max=1e5, cost=0.0)
    feeder = replace(two_bus(), generators=(unit,))
    result = gm.solve(feeder_model(feeder, v_min=0.8, v_max=1.1), "central")
    p, q = float(result["area1"]["p"][0]), float(result["area1"]["q"][0])
    assert np.hypot(p, q) == pytest.approx(0.1, abs=1e-6)
    price = feeder_prices(result)["b.1"]
    assert price[1] > 1.0
    assert q / p == pytest.approx(price[1] / price[0], rel=1e-2)
