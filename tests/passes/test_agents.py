"""Agents that differ only in their numbers share one canonicalised representative."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp

from gridmodel.errors import CurvatureError, DataError
from gridmodel.language.model import Model
from gridmodel.passes.lower import lower
from tests.passes.assembled import assert_compiled_right


def many(build, values) -> Model:
    """Agents with a variable x of shape (2,) and the statements that ``build`` declares, tied by the sum of all x."""
    model = Model()
    for k, value in enumerate(values):
        agent = model.agent(f"a{k}")
        build(agent, agent.variable("x", 2, bounds=(-5, 5)), value)
    model.couple(sum(agent["x"] for agent in model.agents) == 1, name="sum")
    return model


def shared_by(model: Model) -> list[int]:
    """How many agents each template stands for, after checking what it gives."""
    assert_compiled_right(model)
    return sorted(len(template.parties) for template in lower(model).templates)


A, B = np.array([1.0, 2.0]), np.array([[2.0, 0.5], [0.5, 1.0]])

SHARED = {
    "shift": (lambda a, x, v: a.minimize(cp.sum_squares(x - v)), (1.0, -2.0, 0.0)),
    "weight": (lambda a, x, v: a.minimize(v * cp.sum_squares(x - 1)), (1.0, 2.0, 5.0)),
    "weight of zero": (lambda a, x, v: a.minimize(v * cp.sum(x) + cp.sum_squares(x)), (1.0, 0.0, 2.0)),
    "vector": (lambda a, x, v: a.minimize(cp.sum_squares(x - v * A) + (v * A) @ x), (1.0, 2.0, -1.0)),
    "weight and shift": (
        lambda a, x, v: a.minimize(cp.square(x[0] - v) * (v / 2) + cp.sum_squares(x)),
        (1.0, 2.0, 3.0),
    ),
    "division": (lambda a, x, v: a.minimize(cp.sum(cp.square(x - v)) / (2 * v) + cp.sum(x / (v * A))), (1.0, 2.0, 0.5)),
    "matrix": (lambda a, x, v: a.minimize(cp.sum_squares((v * B) @ x - 1)), (1.0, 2.0, 0.5)),
    "limits": (
        lambda a, x, v: (a.minimize(cp.sum_squares(x - 2)), a.subject_to(v * x <= v + 1, cp.sum(x) >= v - 1)),
        (1.0, 2.0, 0.5),
    ),
    "a zero in some": (
        lambda a, x, v: (a.minimize(cp.sum_squares(x - 2)), a.subject_to((v * A) @ x <= 1, v * x[0] <= 1)),
        (0.0, 1.0, 2.0),
    ),
    "sign of a limit's side": (
        lambda a, x, v: (a.minimize(cp.sum_squares(x)), a.subject_to(cp.sum(x) >= v, 2 * x >= -4 * v - 5)),
        (-1.0, 0.0, 1.0),
    ),
    "shift in a norm": (lambda a, x, v: a.minimize(cp.norm(x - v * A) + 0.1 * cp.sum_squares(x)), (1.0, 2.0, 0.5)),
    "equal constants": (lambda a, x, v: a.minimize(cp.quad_form(x - v, B)), (1.0, 1.0, 1.0)),
}


@pytest.mark.parametrize("case", SHARED)
def test_one_representative_for_all(case):
    build, values = SHARED[case]
    assert shared_by(many(build, values)) == [len(values)]


APART = {
    "exponents": (lambda a, x, v: a.minimize(cp.sum(cp.power(x + 6, v)) - 20 * cp.sum(x)), (2.0, 3.0, 3.0), [1, 2]),
    "matrices of a form": (lambda a, x, v: a.minimize(cp.quad_form(x - 1, v * B)), (1.0, 2.0, 2.0), [1, 2]),
    "signs that decide": (
        lambda a, x, v: a.minimize(cp.sum(v * cp.square(x) if v > 0 else v * x)),
        (1.0, 2.0, -1.0),
        [1, 2],
    ),
    "slices": (lambda a, x, v: a.minimize(cp.sum_squares(x) + x[v]), (0, 1, 1), [1, 2]),
    "product of products": (
        lambda a, x, v: a.minimize(v * (2 * v * cp.square(x[0] - v) + cp.square(x[1]))),
        (1.0, 2.0, 3.0),
        [1, 1, 1],
    ),
    "shapes": (lambda a, x, v: (a.minimize(cp.sum_squares(x)), a.variable("y", v)), (1, 2, 2), [1, 2]),
    "sparse constants": (
        lambda a, x, v: a.minimize(cp.sum_squares(cp.Constant(sp.csr_array(v * B)) @ x - 1)),
        (1.0, 2.0, 2.0),
        [1, 2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", APART)
def test_what_one_representative_cannot_hold_is_split(case):
    build, values, counts = APART[case]
    assert shared_by(many(build, values)) == counts


def test_blocks_of_one_pattern_make_one_stack():
    """Representatives that differ, as of quadratic forms, still give one batch of matrices."""
    model = many(APART["matrices of a form"][0], (1.0, 2.0, 3.0))
    assert [stack.size for stack in assert_compiled_right(model).separable.stacks] == [3]


def test_parameters_are_read_for_each_agent():
    def build(agent, x, value):
        p = agent.parameter("p", 2, value=value * A)
        w = agent.parameter("w", value=1.0, nonneg=True)
        agent.minimize(w * cp.sum_squares(x - p) + cp.sum(cp.multiply(p + 1, x)))
        agent.subject_to(cp.sum(x) <= p[0] + w)

    model = many(build, (1.0, 2.0, -1.0))
    assert shared_by(model) == [3]
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    model["a1"]["p"].value = -A
    model["a2"]["w"].value = 3.0
    assert_compiled_right(model, lowering=lowering)


def test_a_parameter_inside_an_atom():
    model = Model()
    agent = model.agent("a")
    x = agent.variable("x", bounds=(-5, 5))
    knee = agent.parameter("knee", value=0.5, nonneg=True)
    agent.minimize(cp.huber(x - 3, knee) + 0.3 * x)
    other = model.agent("b").variable("y", bounds=(0, 1))
    model["b"].minimize(cp.square(other))
    model.couple(x + other == 1, name="sum")
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    knee.value = 2.0
    assert_compiled_right(model, lowering=lowering)


def test_products_of_parameters_are_one_parameter():
    model = Model()
    agent = model.agent("a")
    x = agent.variable("x", bounds=(-5, 5))
    p, q = agent.parameter("p", value=2.0), agent.parameter("q", value=3.0)
    agent.minimize(cp.square(x) + p * q * x)
    model.couple(x >= -2, name="floor")
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    q.value = -1.5
    assert_compiled_right(model, lowering=lowering)


def test_a_cost_that_is_not_convex_is_named():
    model = many(lambda a, x, v: a.minimize(v * cp.sum(cp.sqrt(x))), (1.0, 2.0))
    with pytest.raises(CurvatureError, match=r"cost of a0 at test_agents.py:\d+ is concave"):
        lower(model)


def test_a_form_that_is_not_convex_in_one_agent_is_named():
    model = many(lambda a, x, v: a.minimize(cp.quad_form(x, v * B)), (1.0, 2.0, -1.0))
    with pytest.raises(CurvatureError, match="cost of a2"):
        lower(model)


def test_a_limit_that_is_not_convex_is_named():
    model = many(lambda a, x, v: a.subject_to(cp.square(x[0]) >= v, name="floor"), (1.0, 2.0))
    with pytest.raises(CurvatureError, match=r"floor at test_agents.py:\d+ of a0"):
        lower(model)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_constants_that_are_no_numbers_are_named(value):
    model = many(lambda a, x, v: a.subject_to(x[0] + x[1] <= v), (1.0, value, 2.0))
    with pytest.raises(DataError, match=r"a1: the constraint at test_agents.py:\d+"):
        lower(model)


def test_a_division_by_zero_names_the_agent():
    model = many(lambda a, x, v: a.minimize(cp.sum_squares(x) / v), (1.0, 0.0, 2.0))
    with pytest.raises(DataError, match=r"a1: the cost at test_agents.py:\d+ holds a division by zero"):
        lower(model)


def test_a_division_by_a_parameter_that_is_zero_names_the_agent():
    model = many(lambda a, x, v: a.minimize(cp.sum_squares(x) / a.parameter("v", value=v, nonneg=True)), (1.0, 2.0))
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    model["a1"]["v"].value = 0.0
    with pytest.raises(DataError, match=r"a1: .*test_agents.py:\d+ give NaN or infinity.*division by zero"):
        lowering.evaluate()


def test_a_parameter_without_a_value_is_named():
    model = many(lambda a, x, v: a.minimize(cp.sum_squares(x - a.parameter("p"))), (1.0, 2.0))
    model["a0"]["p"].value = 1.0
    lowering = lower(model)
    with pytest.raises(DataError, match=r"parameter a1\.p of a1 has no value"):
        lowering.evaluate()
    model["a1"]["p"].value = np.inf
    with pytest.raises(DataError, match=r"parameter a1\.p of a1 gives NaN or infinity"):
        lowering.evaluate()
