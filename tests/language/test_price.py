"""The sign of a price, held to finite differences of the optimum for every form of a constraint."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.zero import Zero

from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.verify.central import solve_central

STEP = 1e-3
WISH = np.array([1.0, 2.0])

# What is raised by d is the side without variables, or the side that the rule names where both hold variables. The
# wishes are x = 1, 2 and y = 3, 5, so that every constraint below binds.
SCALAR = {
    "x == c": lambda x, y, d: x + y == 5.1 + d,
    "c == x": lambda x, y, d: 5.1 + d == x + y,
    "x <= c": lambda x, y, d: x + y <= 2 + d,
    "x >= c": lambda x, y, d: x + y >= 7 + d,
    "c <= x": lambda x, y, d: 7 + d <= x + y,
    "c >= x": lambda x, y, d: 2 + d >= x + y,
    "x - c == 0": lambda x, y, d: x + y - 5.1 == 0 + d,
    "x == y": lambda x, y, d: x + 1 == y + d,
    "x >= y": lambda x, y, d: x >= y + d,
    "y <= x": lambda x, y, d: y + d <= x,
    "nonlinear": lambda x, y, d: cp.square(x) + cp.square(y) <= 3 + d,
    "NonNeg": lambda x, y, d: NonNeg(x + y - 7 - d),
    "NonPos": lambda x, y, d: NonPos(x + y - 2 - d),
    "Zero": lambda x, y, d: Zero(x + y - 5.1 - d),
}
FORMS = ["x == c", "c == x", "x <= c", "x >= c", "c <= x", "c >= x", "x - c == 0", "x == y", "x >= y", "y <= x"]


def two_agents(form, shift, shape=()) -> Model:
    model = Model()
    x, y = (model.agent(name).variable("p", shape) for name in "ab")
    model["a"].minimize(0.5 * cp.sum_squares(x - (WISH if shape else 1.0)))
    model["b"].minimize(cp.sum_squares(y - (WISH + 2 if shape else 3.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy would rather not see NonPos
        model.couple(SCALAR[form](x, y, shift), name="c")
    return model


def slope(make, step=STEP) -> float:
    up, down = solve_central(make(step), 1e-10), solve_central(make(-step), 1e-10)
    return (up.value - down.value) / (2 * step)


@pytest.mark.parametrize("form", SCALAR)
def test_a_scalar_price_is_the_slope_of_the_optimum(form):
    central = solve_central(two_agents(form, 0.0), 1e-10)
    expected = slope(lambda d: two_agents(form, d))
    assert abs(expected) > 0.1
    assert central.price["c"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_vectors_price_has_one_entry_a_row(form):
    central = solve_central(two_agents(form, np.zeros(2), (2,)), 1e-10)
    expected = [slope(lambda d, e=e: two_agents(form, d * e, (2,))) for e in np.eye(2)]
    assert central.price["c"].shape == (2,)
    assert np.abs(expected).max() > 0.1
    assert central.price["c"] == pytest.approx(expected, abs=1e-5)


def fleet(shift, form="cap") -> Model:
    model = Model()
    homes = model.fleet("home", 3)
    p = homes.variable("p", 2, bounds=(0, 4))
    homes.minimize(cp.sum(cp.square(p - np.array([[1.0, 2], [2, 3], [3, 1]])), axis=1))
    total = cp.sum(p, axis=0)
    cap = total <= np.array([4.0, 5.0]) + shift
    model.couple(cap if form == "cap" else total == np.array([7.0, 7.0]) + shift, name="c")
    return model


@pytest.mark.parametrize("form", ["cap", "balance"])
def test_a_fleets_price(form):
    central = solve_central(fleet(np.zeros(2), form), 1e-10)
    expected = [slope(lambda d, e=e: fleet(d * e, form)) for e in np.eye(2)]
    assert central.price["c"] == pytest.approx(expected, abs=1e-5)
    assert (central.price["c"] < 0).all() == (form == "cap")


def limited(shift) -> Model:
    """One agent, p nearest to 1 within p >= 3 (named twice) and a fleet whose rows have limits of their own."""
    model = Model()
    p = model.agent("g").variable("p")
    model["g"].minimize(cp.square(p - 1))
    model["g"].subject_to(p >= 3 + shift[0], name="least")
    homes = model.fleet("home", 2)
    q = homes.variable("q", 2)
    homes.minimize(cp.sum_squares(q))
    homes.subject_to(cp.sum(q, axis=1) == np.array([1.0, 4.0]) + shift[1:], name="energy")
    homes.subject_to(q <= 10, q >= -10, name="reach")
    return model


def test_named_limits_have_prices_by_the_same_rule():
    central = solve_central(limited(np.zeros(3)), 1e-10)
    expected = [slope(lambda d, e=e: limited(d * e)) for e in np.eye(3)]
    assert expected == pytest.approx([4, 1, 4], abs=1e-6)
    assert central.price["g.least"] == pytest.approx(4, abs=1e-6)
    assert central.price["home.energy"] == pytest.approx([1, 4], abs=1e-6)
    assert central.price["home.reach[0]"] == pytest.approx(np.zeros((2, 2)), abs=1e-6)
    assert set(central.price) == {"g.least", "home.energy", "home.reach[0]", "home.reach[1]"}


def test_the_dual_keeps_cvxpys_sign():
    central = solve_central(two_agents("x == c", 0.0))
    assert central.dual["c"] == -central.price["c"]


def test_a_cone_has_a_dual_and_no_price():
    model = Model()
    x, y = (model.agent(name).variable("p") for name in "ab")
    model["a"].minimize(cp.square(x - 3))
    model["b"].minimize(cp.square(y - 4))
    cone = cp.SOC(cp.Constant(1.0), cp.hstack([x, y]))
    model.couple(cone, name="disc")
    central = solve_central(model)
    assert price_sign(cone) is None
    assert "disc" not in central.price
    # The optimum (0.6, 0.8) costs 16; its slope by the radius is -2 * 4, the dual of the cone's height.
    assert central.value == pytest.approx(16, abs=1e-6)
    assert float(np.squeeze(central.dual["disc"][0])) == pytest.approx(8, abs=1e-5)
