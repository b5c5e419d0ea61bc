"""The load flow of two buses against its closed form, v = (1 + sqrt(1 - 4 z s)) / 2."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.grid.flow.certificate import certify
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.load_flow import load_flow
from tests.grid.flow.feeders import two_bus


@pytest.mark.parametrize("zs", [0.1, 0.2, 0.24, 0.2499])
def test_the_fixed_point_is_the_closed_form_up_to_the_nose(zs: float) -> None:
    flow = load_flow(two_bus(zs), tolerance=1e-8, most=1000)
    assert flow.status == "converged"
    assert abs(flow["b.1"] - (1 + np.sqrt(1 - 4 * zs)) / 2) < 2e-8


def test_newton_takes_over_where_the_fixed_point_is_too_slow() -> None:
    flow = two_bus(0.2499).load_flow()
    assert flow.status == "newton"
    assert abs(flow["b.1"] - 0.51) < 1e-6
    assert load_flow(two_bus(0.2499), most=1000).iterations > 200


def test_beyond_the_nose_there_is_no_solution_and_no_number() -> None:
    flow = two_bus(0.26).load_flow()
    assert flow.status == "failed"
    assert not flow.converged
    assert flow.worst == "b"
    assert np.isnan(flow["b.1"])
    assert np.isnan(flow.power)
    assert "1 failed" in repr(flow)


@pytest.mark.parametrize(("zs", "holds"), [(0.1, True), (0.2499, True), (0.2501, False), (0.26, False)])
def test_the_condition_is_tight(zs: float, holds: bool) -> None:
    certificate = two_bus(zs).load_flow().certificate
    assert certificate.xi == pytest.approx(zs, rel=1e-6)
    assert bool(certificate.holds) is holds
    if holds:
        assert certificate.radius == pytest.approx((1 - np.sqrt(1 - 4 * zs)) / 2, abs=1e-4)


def test_around_a_known_solution_the_condition_is_about_what_is_new() -> None:
    """At w = (1 + sqrt(1 - 4 * 0.1)) / 2 it is (w - 0.1 / w)^2 > 4 (s - 0.1): s < 0.25 again, here exactly."""
    form, w = form_of(two_bus(0.1)), (1 + np.sqrt(0.6)) / 2
    known = (np.array([w + 0j]), np.array([0.1 + 0j]))
    certificate = certify(form, np.array([[0.1], [0.2499], [0.2501]], dtype=complex), known)
    assert certificate.holds.tolist() == [True, True, False]
    assert certificate.radius[0] == pytest.approx(0.0, abs=1e-8)


def test_an_impedance_needs_no_iteration_and_a_current_drops_what_it_says() -> None:
    flow = two_bus(0.5, zip_p=(1.0, 0.0, 0.0), zip_q=(1.0, 0.0, 0.0)).load_flow()
    assert flow.iterations == 1
    assert abs(flow["b.1"] - 1 / 1.5) < 1e-8
    assert abs(two_bus(0.3, zip_p=(0.0, 1.0, 0.0), zip_q=(0.0, 1.0, 0.0)).load_flow()["b.1"] - 0.7) < 1e-8


def test_below_its_limit_a_load_is_the_impedance_of_the_edge() -> None:
    """Constant power of 0.2 W would draw v to 0.7236 V; from 0.9 V down it is 0.2 / 0.81 S."""
    flow = two_bus(0.2, v_min=0.9).load_flow()
    assert abs(flow["b.1"] - 1 / (1 + 0.2 / 0.81)) < 1e-8


def test_power_and_losses_are_those_of_the_current() -> None:
    flow = two_bus(0.2).load_flow(tolerance=1e-12)
    v = (1 + np.sqrt(0.2)) / 2
    assert flow.power == pytest.approx(1 - v, abs=1e-7)
    assert flow.losses == pytest.approx((1 - v) ** 2, abs=1e-7)
    assert flow.currents["line"][:, 0] == pytest.approx([1 - v, v - 1], abs=1e-7)
