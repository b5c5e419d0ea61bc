"""Fleets: parameters by row and shared, named limits, rows that are tied together, numbers that are none."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.errors import CurvatureError, DataError, SeparabilityError
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.fleets import lower_fleet
from gridmodel.passes.lower import lower
from tests.passes.assembled import assert_compiled_right


def fleet_of(size: int = 3, columns: int = 3) -> tuple[Model, AbstractParty, cp.Variable]:
    model = Model()
    fleet = model.fleet("f", size)
    x = fleet.variable("x", columns, bounds=(-2, 2))
    fleet.minimize(cp.sum_squares(x - 0.3))
    return model, fleet, x


@pytest.mark.parametrize("columns", [2, 3])
def test_parameters_by_row_and_shared(columns):
    """With as many columns as agents, shapes alone do not tell a shared vector from one entry an agent."""
    model, fleet, x = fleet_of(3, columns)
    s = fleet.variable("s", bounds=(-1, 1))
    own, table = fleet.parameter("own", value=0.2), fleet.parameter("table", columns, value=0.5)
    price = fleet.parameter("price", columns, shared=True, value=1.0)
    factor = fleet.parameter("factor", shared=True, value=2.0, nonneg=True)
    floor = fleet.parameter("floor", 3, shared=True, value=-0.5)
    fleet.minimize(cp.sum(x @ price) + factor * cp.sum_squares(s - own) + cp.sum(cp.multiply(table, x)))
    fleet.subject_to(x <= table + 1, s >= floor, cp.sum(x, axis=1) >= own - factor, x / (1 + 0.0) <= price + 3)
    fleet.subject_to(s * 1.0 <= factor / 2)
    level = cp.Parameter(columns, name="level", value=np.ones(columns))
    model.couple(cp.sum(x, axis=0) <= level, name="limit")
    lowering = lower(model)
    assert lower_fleet(fleet) is not None
    assert_compiled_right(model, lowering=lowering)
    rng = np.random.default_rng(0)
    for parameter in (own, table, price, floor, level):
        parameter.value = 0.4 * rng.normal(size=parameter.shape)
    factor.value = 0.7
    assert_compiled_right(model, lowering=lowering)


def test_division_by_parameters():
    model, fleet, x = fleet_of()
    width, scale = (
        fleet.parameter("width", value=[1.0, 2.0, 4.0], pos=True),
        fleet.parameter("scale", shared=True, value=2),
    )
    s = fleet.variable("s", bounds=(-1, 1))
    fleet.minimize(cp.sum(cp.square(s - 1)))
    fleet.subject_to(s / width <= 0.3, cp.sum(x, axis=1) / scale <= 0.2)
    model.couple(cp.sum(x) <= 2, name="limit")
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    width.value, scale.value = [3.0, 0.5, 1.0], 0.5
    assert_compiled_right(model, lowering=lowering)


def test_parameters_of_a_fleet_as_a_whole():
    model, fleet, x = fleet_of()
    p = fleet.parameter("p", value=[0.1, 0.2, 0.3])
    fleet.subject_to(*[cp.sum(x[i]) <= p[i] for i in range(3)])
    model.couple(cp.sum(x) >= -1, name="floor")
    lowering = lower(model)
    assert lower_fleet(fleet) is None
    assert_compiled_right(model, lowering=lowering)
    p.value = [0.5, -0.2, 1.0]
    assert_compiled_right(model, lowering=lowering)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_named_limits(whole, split, monkeypatch):
    """Multipliers come back in the shape of the user's constraint, also where agents lie along its second axis."""
    if whole:
        monkeypatch.setattr("gridmodel.passes.lower.lower_fleet", lambda fleet: None)
    model, fleet, x = fleet_of(4, 3)
    s = fleet.variable("s", bounds=(-1, 1))
    fleet.minimize(0.1 * cp.sum_squares(s))
    target = np.linspace(-0.4, 0.3, 12).reshape(4, 3)
    fleet.subject_to(x <= 0.2 + target, name="table")
    fleet.subject_to(s == cp.sum(x, axis=1), name="sum")
    fleet.subject_to(x.T[1:] >= 0.5 * x.T[:1] - 0.1, name="across")
    fleet.subject_to(s <= 0.3, s >= -2, name="twice")
    fleet.subject_to(cp.norm(x, 2, axis=1) <= 0.4, name="reach")
    if split:  # a coupling of two rows puts the fleet's rows into several stacks
        model.couple(x[0, 0] == x[2, 1] - 0.4, name="pair")
    model.couple(cp.sum(x, axis=0) >= -0.2, name="floor")
    lowered = assert_compiled_right(model)
    assert (len(lowered.separable.stacks) > 1) == split
    named = set(lower(model).duals(lowered, [np.zeros(stack.b.shape) for stack in lowered.separable.stacks]))
    assert named == {"f.table", "f.sum", "f.across", "f.twice[0]", "f.twice[1]", "f.reach"}


def test_a_named_limit_of_some_rows():
    model, fleet, x = fleet_of(4, 3)
    fleet.subject_to(x[1:3, :2] <= 0.1, name="inner")
    fleet.subject_to(x[0] >= 0.4, name="first")
    model.couple(cp.sum(x) >= 3, name="sum")
    lowered = assert_compiled_right(model)
    zeros = [np.zeros(stack.b.shape) for stack in lowered.separable.stacks]
    assert {key: dual.shape for key, dual in lower(model).duals(lowered, zeros).items()} == {
        "f.inner": (2, 2),
        "f.first": (3,),
    }


TIED = {
    "neighbouring rows": lambda x: x[1:, 0] >= x[:-1, 0],
    "a sum of all": lambda x: cp.sum(x) <= 1,
    "a norm of all": lambda x: cp.norm(x[:, 0]) <= 1,
    "sums of columns": lambda x: cp.sum(x, axis=0) == 0,
    "weights": lambda x: np.array([1.0, 2.0, 3.0]) @ x <= 1,
    "differences down": lambda x: cp.diff(x, axis=0) <= 1,
    "transposed": lambda x: cp.cumsum(x.T, axis=1) <= 1,
    "its own transpose": lambda x: x == x.T,
    "a row for all": lambda x: x <= cp.multiply(np.ones((3, 1)), x[:1]),
    "flat": lambda x: cp.reshape(x, (9,), order="C")[:8] <= cp.reshape(x, (9,), order="F")[1:],
}


@pytest.mark.parametrize("case", TIED)
def test_rows_that_are_tied_are_named(case):
    model, fleet, x = fleet_of()
    fleet.subject_to(cp.sum(x, axis=1) <= 5)
    fleet.subject_to(TIED[case](x), name="knot")
    with pytest.raises(SeparabilityError, match=r"f: knot at test_fleets.py:\d+ ties rows 0, 1.* of the fleet.*couple"):
        lower(model).evaluate()


def test_a_cost_that_ties_rows_is_named():
    model, fleet, x = fleet_of()
    fleet.minimize(cp.norm(x[:, 0]))
    with pytest.raises(
        SeparabilityError, match=r"f: the cost at test_fleets.py:\d+ ties rows 0, 1, 2 .*model.minimize"
    ):
        lower(model).evaluate()


def test_a_cost_that_is_not_convex_is_named():
    model, fleet, x = fleet_of()
    fleet.minimize(cp.sum(cp.sqrt(x + 3)))
    with pytest.raises(CurvatureError, match=r"cost of f at test_fleets.py:\d+ is concave"):
        lower(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_constants_that_are_no_numbers_are_named(value):
    model, fleet, x = fleet_of()
    fleet.subject_to(x[:, 0] <= np.array([1.0, value, 2.0]))
    with pytest.raises(DataError, match=r"f: the constraint at test_fleets.py:\d+"):
        lower(model)


def test_a_division_by_zero_is_named():
    model, fleet, x = fleet_of()
    fleet.minimize(cp.sum(cp.square(x) / np.array([[1.0], [2.0], [0.0]])))
    with pytest.raises(DataError, match=r"f: the cost at test_fleets.py:\d+ holds a division by zero"):
        lower(model)


def test_a_division_by_a_parameter_that_is_zero_names_the_row():
    model, fleet, x = fleet_of()
    width = fleet.parameter("width", value=[1.0, 2.0, 0.0])
    fleet.subject_to(cp.sum(x, axis=1) / width <= 1)
    with pytest.raises(DataError, match=r"f\[2\]: .*division by zero"):
        lower(model).evaluate()


def test_a_parameter_without_a_value_is_named():
    model, fleet, x = fleet_of()
    fleet.minimize(cp.sum(cp.multiply(fleet.parameter("p"), x[:, 0])))
    with pytest.raises(DataError, match=r"parameter f\.p of f has no value"):
        lower(model).evaluate()


def test_one_row_is_compiled_however_many_agents():
    """The size of what cvxpy sees does not grow with the fleet; what it gives does not depend on it."""
    models = []
    for size in (3, 3000):
        model, fleet, x = fleet_of(size, 2)
        weight = np.linspace(1, 2, size)
        fleet.subject_to(cp.sum(x, axis=1) <= weight)
        fleet.minimize(weight @ cp.sum(cp.abs(x), axis=1))
        model.couple(cp.sum(x, axis=0) == 0.1 * size, name="sum")
        models.append(lower(model))
    small, large = models
    assert large.templates[0].canonical.width == small.templates[0].canonical.width
    assert large.joint is not None
    assert large.joint.canonical.width == 2
    done = large.evaluate().separable
    np.testing.assert_allclose(done.stacks[0].b[[0, -1]], small.evaluate().separable.stacks[0].b[[0, -1]])
    assert done.matrix.shape == (2, 3000 * done.stacks[0].columns)
    np.testing.assert_array_equal(done.participants, [3000, 3000])
