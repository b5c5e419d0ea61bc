"""The linear equations beside the semidefinite ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.physics.multiphase.opf import feeder_model
from gridmodel.physics.multiphase.recover import recover
from tests.physics.multiphase.feeders import OPTIONS, shipped, small, two_bus


def test_two_buses_equal_the_formula() -> None:
    """|v|^2 = 1 - 2 (r p + x q), without losses."""
    result = gm.solve(feeder_model(two_bus(), "lindistflow", v_min=0.8, v_max=1.1, price=1.0), "central")
    assert result.value == pytest.approx(0.3, abs=1e-7)
    assert 1.0 + result["area1"]["voltage"][0] == pytest.approx(1.0 - 2.0 * (0.1 * 0.3 + 0.2 * 0.1), abs=1e-7)


@pytest.mark.parametrize("number", [13, 37])
def test_close_to_the_semidefinite_answer(number: int) -> None:
    """Without losses the cost is a few percent low; voltages are within a hundredth."""
    feeder = shipped(number)
    exact = gm.solve(feeder_model(feeder, **OPTIONS[number]), "central")
    p, q = exact["area1"]["p"], exact["area1"]["q"]
    fixed = tuple(
        replace(unit, p_min=1e6 * a, p_max=1e6 * a, attributes={"q_min": 1e6 * b, "q_max": 1e6 * b})
        for unit, a, b in zip(feeder.generators, p, q, strict=True)
    )
    wide = {**OPTIONS[number], "v_min": 0.8, "v_max": 1.2}
    linear = feeder_model(replace(feeder, generators=fixed), "lindistflow", **wide)
    result = gm.solve(linear, "central")
    assert result.value < exact.value
    assert result.value == pytest.approx(exact.value, rel=0.05)
    plan, at = linear.layout.plan, 0
    true = recover(exact).magnitudes()
    for bus, frame in enumerate(plan.frames):
        if bus not in plan.stiff:
            d = frame.size
            square = plan.still(bus)[:d] + result["area1"]["voltage"][at : at + d]
            at += plan.moving(bus)
            assert np.sqrt(square) == pytest.approx([true[label] for label in frame.labels], abs=0.012)


def test_losses_are_a_quadratic_of_the_flow() -> None:
    """|s|^2 r at the nominal voltage."""
    result = gm.solve(feeder_model(two_bus(), "lindistflow", objective="loss", v_min=0.8, v_max=1.1), "central")
    assert result.value == pytest.approx(1000.0 * 0.1 * (0.3**2 + 0.1**2), rel=1e-6)


def test_areas_have_the_optimum_of_the_whole() -> None:
    whole, parts = (gm.solve(feeder_model(small(), "lindistflow", k, v_min=0.9), "central").value for k in (1, 3))
    assert parts == pytest.approx(whole, rel=1e-6)
