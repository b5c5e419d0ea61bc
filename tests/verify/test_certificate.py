"""Certificates completed by the centralized optimum, and all algorithms side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.ir.result import Status
from gridmodel.verify.central import solve_central
from gridmodel.verify.certificate import complete
from gridmodel_solvers.admm import ADMM
from tests.small import dispatch, homes


@pytest.mark.parametrize("method", ["admm", "dual", ADMM(form="exchange")])
def test_verify_completes_the_certificate(method):
    model = homes()
    total = float(model["home"]["energy"].value.sum())
    model["plant"]["cap"].value = total + 0.1  # a cap that binds exactly has no unique price
    result = gm.solve(model, method, tolerance=1e-6)
    assert result.certificate.central_value is None
    done = gm.verify(result)
    assert result.certificate is done
    central = solve_central(model)
    assert done.central_value == pytest.approx(central.value, rel=1e-7)
    assert done.central_status == "optimal"
    assert abs(done.central_gap) <= 1e-6
    assert done.variable_error <= 1e-3
    # Named limits of the agent and of the fleet are compared with the central duals, in the user's shapes.
    assert set(done.price_errors) == {"balance", "home.energy", "home.ramp", "plant.cap"}
    assert result.price["home.ramp"].shape == (6, 3)
    assert result.price["home.energy"].shape == (6,)
    for name, error in done.price_errors.items():
        assert error == pytest.approx(float(np.abs(result.price[name] - central.price[name]).max()), abs=1e-6)
        np.testing.assert_allclose(result.dual[name], central.dual[name], atol=1e-3)
    assert np.abs(central.price["home.ramp"]).max() > 0.1
    assert done.price_error == max(done.price_errors.values()) <= 1e-3
    assert done.price_error_relative <= done.price_error
    assert result.seconds.verify > 0
    assert "central optimum" in str(done)


def test_verify_turns_solved_into_certified_and_back():
    result = gm.solve(dispatch(), "admm")
    unproven = replace(
        result, status=Status.SOLVED, certificate=replace(result.certificate, lower_bound=None, gap=None)
    )
    assert not unproven.certificate.holds
    gm.verify(unproven)
    assert unproven.status is Status.CERTIFIED
    assert unproven.message == Status.CERTIFIED.sentence
    wrong = replace(result, value=1.1 * result.value)
    gm.verify(wrong)
    assert wrong.status is Status.SOLVED
    assert wrong.certificate.central_gap == pytest.approx(0.1, rel=1e-2)


def test_verify_needs_a_model():
    with pytest.raises(ModelError, match="no model"):
        gm.verify(replace(gm.solve(dispatch(), "admm"), model=None))


def test_verify_says_what_the_central_solver_found_where_there_is_no_optimum():
    result = gm.solve(dispatch(9.0), "admm", verify=True)
    assert result.certificate is None
    done = gm.verify(result)
    assert (done.central_status, done.central_value) == ("infeasible", None)
    assert result.status is Status.INFEASIBLE


def test_relative_price_errors_compare_prices_of_one_unit():
    """An error of 0.1 in a price of 1 of its own unit is 10 %, though another unit's price is 1000."""
    result = gm.solve(dispatch(), "admm", tolerance=1e-8)
    central = solve_central(result.model)
    moved = replace(result, price={"balance": 1.02 + 0.102, "far": 1000.0}, units={"balance": "kW", "far": "kvar"})
    other = replace(central, price={"balance": 1.02, "far": 1000.0})
    assert complete(result.certificate, moved, other).price_error_relative == pytest.approx(0.1)
    alike = replace(moved, units={"balance": "kW", "far": "kW"})
    assert complete(result.certificate, alike, other).price_error_relative == pytest.approx(0.102 / 1000)


def test_compare_runs_all_that_apply():
    found = gm.compare(homes(), tolerance=1e-5)
    assert next(iter(found.results)) == "central"
    assert {"admm", "dual"} <= set(found.results)
    for name, result in found.results.items():
        assert result.status is Status.CERTIFIED, name
        assert abs(result.certificate.central_gap) <= 1e-5
    text = str(found)
    assert all(name in text for name in found.results)


def test_compare_says_why_others_do_not_apply():
    model = dispatch()
    model["g3"].costs.clear()
    model["g3"].minimize(model["g3"]["p"])
    found = gm.compare(model)
    assert "dual" in found.refused
    assert "g3" in found.refused["dual"]
    assert f"does not apply: {found.refused['dual']}" in str(found)
