"""The rewriting of rows: what is left of a block, and that it says the same."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.ir.stack import Stack
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.lower import Lowered, lower
from tests.passes.assembled import assert_compiled_right


def one(shape: int = 2, **options) -> tuple[Model, AbstractParty, cp.Variable]:
    model = Model()
    agent = model.agent("a")
    x = agent.variable("x", shape, **options)
    agent.minimize(cp.sum_squares(x - 3))
    return model, agent, x


def stack_of(model: Model) -> Stack:
    """The model's only stack, after checking what it says."""
    (stack,) = assert_compiled_right(model).separable.stacks
    return stack


def test_rows_with_one_variable_become_bounds():
    model, agent, x = one(bounds=(-5, 5))
    agent.subject_to(2 * x <= np.array([4.0, 20.0]), -x[0] <= 1, x[1] >= 0.5, 4 * x[1] == 2)
    stack = stack_of(model)
    assert stack.A.shape == (0, 2)
    np.testing.assert_allclose(stack.lower, [[-1.0, 0.5]])
    np.testing.assert_allclose(stack.upper, [[2.0, 0.5]])


def test_rows_with_one_variable_in_a_fleet_where_some_factors_are_zero():
    model = Model()
    fleet = model.fleet("f", 4)
    x = fleet.variable("x", bounds=(-5, 5))
    fleet.minimize(cp.sum_squares(x - 3))
    fleet.subject_to(cp.multiply(np.array([1.0, 0.0, 2.0, -1.0]), x) <= np.array([1.0, 0.0, 1.0, 2.0]))
    stack = stack_of(model)
    assert stack.A.shape == (0, 1)
    np.testing.assert_allclose(stack.upper[:, 0], [1.0, 5.0, 0.5, 5.0])
    np.testing.assert_allclose(stack.lower[:, 0], [-5.0, -5.0, -5.0, -2.0])


def test_the_structure_does_not_depend_on_a_parameter_that_is_zero():
    model, agent, x = one()
    w = agent.parameter("w", value=1.0)
    agent.subject_to(w * x[0] <= 1, w * x[1] + x[0] == 0.5)
    lowering = lower(model)
    before = lowering.evaluate().separable.stacks[0]
    w.value = 0.0
    after = assert_compiled_right(model, lowering=lowering).separable.stacks[0]
    assert (before.A.shape, before.A.nnz, before.q.shape) == (after.A.shape, after.A.nnz, after.q.shape)


def test_named_limits_stay_rows():
    model, agent, x = one(bounds=(-5, 5))
    agent.subject_to(x[0] <= 1, name="cap")
    agent.subject_to(x[1] == 2, name="fixed")
    stack = stack_of(model)
    assert stack.A.shape == (2, 3)
    np.testing.assert_allclose(stack.upper, [[5.0, 5.0, np.inf]])


def test_inequalities_get_slack_columns():
    model, agent, x = one()
    agent.subject_to(x[0] + 2 * x[1] <= 4)
    stack = stack_of(model)
    np.testing.assert_allclose(stack.A.dense(), [[-1.0, -2.0, -1.0]])
    np.testing.assert_allclose(stack.b, [[-4.0]])
    np.testing.assert_allclose((stack.lower[0, 2], stack.upper[0, 2]), (0.0, np.inf))
    assert len(set(stack.group)) == 2


def test_auxiliaries_of_quadratic_costs_are_substituted():
    model = Model()
    fleet = model.fleet("f", 3)
    x = fleet.variable("x", bounds=(0, 5))
    weight, shift = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, -1.0])
    fleet.minimize(cp.multiply(weight, cp.square(2 * x - shift)))
    stack = stack_of(model)
    assert (stack.columns, stack.A.shape[0], stack.P.diagonal_only) == (1, 0, True)
    np.testing.assert_allclose(stack.P.data[:, 0], 8 * weight)
    np.testing.assert_allclose(stack.q[:, 0], -4 * weight * shift)
    np.testing.assert_allclose(stack.offset, weight * shift**2)


def test_numbers_that_were_named_to_keep_parameters_apart_are_numbers_again():
    model = Model()
    agent = model.agent("a")
    x = agent.variable("x", bounds=(-5, 5))
    w, c = agent.parameter("w", value=2.0, nonneg=True), agent.parameter("c", value=1.0)
    agent.minimize(w * cp.maximum(x - c, c - 2 * x, c))
    agent.minimize(w * (cp.square(x - c) + cp.abs(c)))
    lowering = lower(model)
    before = assert_compiled_right(model, lowering=lowering).separable.stacks[0]
    assert not ((before.lower == before.upper).all(axis=0)).any()
    w.value, c.value = 0.5, -3.0
    assert_compiled_right(model, lowering=lowering)


FALSE = {
    "crossed": (lambda x, one: [x[0] <= 1, x[0] >= 2], "at least 2 and at most 1"),
    "against a bound": (lambda x, one: [x[1] == 7], "at least 7 and at most 5"),
    "without variables": (lambda x, one: [0 * x[0] >= one], "without variables"),
    "a factor of zero": (lambda x, one: [(one - 1) * x[0] + one <= 0], "without variables"),
}


@pytest.mark.parametrize("case", FALSE)
def test_limits_that_cannot_hold_are_conflicts(case):
    model, agent, x = one(bounds=(-5, 5))
    model.agent("other").variable("y")
    statements, reason = FALSE[case]
    agent.subject_to(*statements(x, agent.parameter("one", value=1.0)))
    (conflict,) = lower(model).evaluate().conflicts
    assert conflict.block == 0
    assert reason in conflict.reason


def test_conflicts_name_the_row_of_a_fleet():
    model = Model()
    fleet = model.fleet("f", 4)
    x = fleet.variable("x", bounds=(0, 1))
    fleet.subject_to(x >= np.array([0.5, 0.2, 1.5, 1.0]))
    lowered: Lowered = lower(model).evaluate()
    assert [lowered.names[conflict.block] for conflict in lowered.conflicts] == ["f[2]"]


def test_a_form_becomes_diagonal():
    model, agent, x = one(5)
    root = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0], [2.0, 0.0, 1.0]])
    agent.minimize(cp.quad_form(x[:3], root @ root.T))
    stack = stack_of(model)
    assert stack.P.diagonal_only
    # Columns 3 and 4 have a diagonal cost of their own and stay as they are.
    assert stack.columns == 5 + 3
    assert stack.A.shape[0] == 3
    np.testing.assert_allclose(stack.P.dense()[3:5, 3:5], 2 * np.eye(2))


def test_forms_that_do_not_meet_are_diagonalised_apart():
    model, agent, x = one(4)
    agent.minimize(cp.square(x[0] + x[1]) + 2 * cp.quad_form(x[2:], np.array([[2.0, 1.0], [1.0, 2.0]])))
    A = stack_of(model).A.dense()
    forms = A[:, :4] != 0
    assert not (forms[:, :2].any(axis=1) & forms[:, 2:].any(axis=1)).any()


def test_a_form_of_low_rank_adds_as_many_columns():
    model = Model()
    agent = model.agent("a")
    x = agent.variable("x", 6, bounds=(-1, 2))
    agent.minimize(cp.quad_form(x, np.ones((6, 6)), assume_PSD=True) - x[0])
    (stack,) = assert_compiled_right(model, values=False).separable.stacks
    assert stack.columns == 7


def test_forms_that_differ_between_agents_are_diagonalised_in_one_batch():
    model = Model()
    rng = np.random.default_rng(0)
    for k in range(4):
        root = rng.normal(size=(3, 3))
        agent = model.agent(f"a{k}")
        x = agent.variable("x", 3, bounds=(-2, 2))
        agent.minimize(cp.quad_form(x - k, root @ root.T + np.eye(3)))
    model.couple(sum(agent["x"] for agent in model.agents) == 1, name="sum")
    stack = stack_of(model)
    assert (stack.size, stack.columns) == (4, 6)


def test_blocks_with_cones_keep_their_form():
    model, agent, x = one(3)
    agent.minimize(cp.quad_form(x, np.eye(3) + 0.5))
    agent.subject_to(cp.norm(x) <= 1)
    stack = stack_of(model)
    assert not stack.P.diagonal_only
    assert stack.cones.soc == (4,)
