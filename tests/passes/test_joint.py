"""Couplings and costs over several agents: sums over fleets, parameters, numbers that are none."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.errors import CurvatureError, DataError, ModelError
from gridmodel.ir.separable import Separable
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.lower import lower
from gridmodel.passes.sums import SumFinder
from tests.passes.assembled import assert_compiled_right

C = np.array([1.0, 0.5, 2.0])
W = np.array([[1.0, 0.5, 2.0, -1.0], [0.3, 1.0, -0.5, 1.0]])


def community() -> tuple[Model, AbstractParty, AbstractParty, AbstractParty]:
    """Two fleets of one shape and an agent."""
    model = Model()
    parties: list[AbstractParty] = []
    for k, name in enumerate(("left", "right")):
        fleet = model.fleet(name, 4)
        x = fleet.variable("x", 3, bounds=(-2, 2))
        fleet.minimize(cp.sum_squares(x - 0.2 * k) + cp.sum(cp.abs(x)) / 10)
        parties.append(fleet)
    agent = model.agent("agent")
    z = agent.variable("z", 3)
    agent.minimize(cp.sum_squares(z - 1))
    return model, *parties, agent


def _twice(model: Model, total: cp.Expression, z: cp.Variable) -> None:
    model.couple(total + z[0] == 0.3)
    model.minimize(cp.square(total - 2))


# Couplings and how many of their sums are taken from one row.
SUMS = {
    "of columns": (lambda m, x, y, z: m.couple(cp.sum(x, axis=0) + z == 1, name="c"), 1),
    "of all": (lambda m, x, y, z: m.couple(cp.sum(x) + cp.sum(cp.multiply(W.T[:, :1], y)) <= -1, name="c"), 2),
    "of both fleets": (lambda m, x, y, z: m.couple(cp.sum(x - 1, axis=0) == cp.sum(2 * y + 3, axis=0) + z), 2),
    "one sum twice": (lambda m, x, y, z: _twice(m, cp.sum(x), z), 1),
    "weights": (lambda m, x, y, z: m.couple(W[0] @ x == 0.3 * z, name="c"), 1),
    "a matrix of weights": (lambda m, x, y, z: m.couple(W @ x <= -0.3, name="c"), 1),
    "weights of scalars": (lambda m, x, y, z: m.couple(W @ x[:, 0] + W @ cp.sum(y, axis=1) == 0.4, name="c"), 2),
    "weights behind": (lambda m, x, y, z: m.couple(x.T @ W.T + y.T @ W.T >= 0.2, name="c"), 2),
    "behind a vector": (lambda m, x, y, z: m.couple(x[:, 1] @ W[0] + x.T @ W[1] == 0.2, name="c"), 2),
    "within an atom": (lambda m, x, y, z: m.couple(cp.norm(cp.sum(x, axis=0) - z) <= 0.1, name="c"), 1),
    "within a cone": (lambda m, x, y, z: m.couple(cp.SOC(z[0] - 0.5, cp.sum(x, axis=0) - 2), name="c"), 1),
    "in a cost": (lambda m, x, y, z: m.minimize(cp.sum_squares(cp.sum(x, axis=0) + z) + C @ cp.sum(y, axis=0)), 2),
    "in a linear cost": (lambda m, x, y, z: m.minimize(cp.sum(x @ W[0, :3]) + cp.sum(y + 2)), 2),
    "beside a row": (lambda m, x, y, z: m.couple(cp.sum(x, axis=0) + x[1] + y[0] == 0.5, name="c"), 1),
    "and a row elsewhere": (lambda m, x, y, z: [m.couple(cp.sum(x) == 0.5), m.couple(x[0, 0] == x[1, 1] + 1)], 1),
    "and a cone of rows": (lambda m, x, y, z: [m.couple(cp.sum(x) == 0.5), m.couple(cp.norm(x[:, 0]) <= 0.1)], 1),
    "of slices": (lambda m, x, y, z: m.couple(cp.sum(x[:, 1:], axis=0) - cp.sum(x[:, :-1], axis=0) == 0.5), 2),
    "keepdims": (lambda m, x, y, z: m.couple(cp.sum(x, axis=0, keepdims=True) <= -0.1, name="c"), 1),
    "not of all rows": (lambda m, x, y, z: m.couple(cp.sum(x[1:], axis=0) == -0.1, name="c"), 0),
    "not affine": (lambda m, x, y, z: m.couple(cp.sum(cp.square(x)) <= 0.1, name="c"), 0),
    "rows only": (lambda m, x, y, z: m.couple(cp.sum(x, axis=1) == 0.1 * cp.sum(z), name="c"), 0),
}  # fmt: skip


@pytest.mark.parametrize("case", SUMS)
def test_sums_over_fleets(case, monkeypatch):
    """Taken from one row, they give what cvxpy gives for the whole fleet, entry by entry where no row is added."""
    model, left, right, agent = community()
    declare, count = SUMS[case]
    declare(model, left["x"], right["x"], agent["z"])
    lowering = lower(model)
    assert lowering.joint is not None
    assert sum(len(part.variables) for part in lowering.joint.sums) == count
    quick = assert_compiled_right(model, lowering=lowering).separable
    monkeypatch.setattr(SumFinder, "replaced", lambda self, item: item)
    slow = assert_compiled_right(model).separable
    if quick.matrix.shape == slow.matrix.shape and quick.couplings.size == sum(
        len(i.rows) for i in quick.couplings.infos
    ):
        np.testing.assert_allclose(dense_by_label(quick), dense_by_label(slow), atol=1e-12)
        np.testing.assert_allclose(quick.couplings.upper, slow.couplings.upper, atol=1e-12)


def dense_by_label(problem: Separable) -> np.ndarray:
    """The coupling matrix with its columns sorted by agent."""
    parts = []
    dense = problem.matrix.toarray()
    for stack, start in zip(problem.stacks, problem.offsets, strict=False):
        n = stack.columns
        parts += [(label, dense[:, start + i * n : start + (i + 1) * n]) for i, label in enumerate(stack.labels)]
    return np.hstack([part for _, part in sorted(parts, key=lambda item: item[0])])


def test_parameters_in_couplings():
    model, left, right, agent = community()
    limit = agent.parameter("limit", 3, value=0.5)
    weight = left.parameter("weight", value=1.0)
    price = agent.parameter("price", value=2.0, nonneg=True)
    target = agent.parameter("target", value=1.0)
    model.couple(cp.sum(left["x"], axis=0) + cp.sum(right["x"], axis=0) <= limit, name="limit")
    model.couple(cp.sum(cp.multiply(weight, left["x"][:, 0] + weight)) + agent["z"][0] == 0.3, name="weighted")
    model.minimize(price * cp.square(cp.sum(right["x"]) - target))
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    rng = np.random.default_rng(0)
    for _ in range(2):
        limit.value, weight.value = 0.3 * rng.normal(size=3), 0.4 * rng.normal(size=4)
        price.value, target.value = 0.5, float(rng.normal())
        again = assert_compiled_right(model, lowering=lowering).separable
        fresh = lower(model).evaluate().separable
        np.testing.assert_array_equal(again.matrix.toarray(), fresh.matrix.toarray())
        for one, other in zip(again.stacks, fresh.stacks, strict=True):
            for name in ("q", "offset", "b", "lower", "upper", "h", "rows"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            for name in ("P", "A", "G", "C"):
                np.testing.assert_array_equal(getattr(one, name).data, getattr(other, name).data)


def test_products_of_parameters_in_a_coupling():
    model, left, _, agent = community()
    p, q = agent.parameter("p", value=2.0), agent.parameter("q", value=-0.5)
    model.couple(cp.sum(left["x"]) + p * (agent["z"][0] + q) <= 0.3, name="c")
    lowering = lower(model)
    assert_compiled_right(model, lowering=lowering)
    p.value, q.value = -1.0, 2.0
    assert_compiled_right(model, lowering=lowering)


def test_a_coupling_that_is_not_convex_is_named():
    model, left, _, _ = community()
    model.couple(cp.norm(left["x"][0]) >= 1, name="ring")
    with pytest.raises(CurvatureError, match=r"coupling 'ring' at test_joint.py:\d+ is not convex"):
        lower(model)


def test_a_model_cost_that_is_not_convex_is_named():
    model, left, _, _ = community()
    model.minimize(-cp.square(cp.sum(left["x"])))
    with pytest.raises(CurvatureError, match=r"model's cost at test_joint.py:\d+ is concave"):
        lower(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_constants_that_are_no_numbers_are_named(value):
    model, left, _, _ = community()
    model.couple(cp.sum(left["x"], axis=0) <= np.array([1.0, value, 2.0]), name="limit")
    with pytest.raises(DataError, match=r"coupling 'limit' at test_joint.py:\d+"):
        lower(model)


def test_a_parameter_without_a_value_is_named():
    model, left, _, agent = community()
    model.couple(cp.sum(left["x"]) <= agent.parameter("p"), name="limit")
    with pytest.raises(DataError, match=r"parameter agent\.p of the couplings has no value"):
        lower(model).evaluate()


@pytest.mark.parametrize("inside", [False, True])
def test_a_division_by_zero_in_a_coupling(inside):
    model, left, _, _ = community()
    model.couple(cp.sum(left["x"] / 0.0) <= 1 if inside else cp.sum(left["x"]) / 0.0 <= 1, name="limit")
    with pytest.raises(DataError, match=r"coupling 'limit' at test_joint.py:\d+ holds a division by zero"):
        lower(model)


def test_a_parameter_of_a_kind_that_cannot_be_read():
    model, _, _, agent = community()
    matrix = cp.Parameter((3, 3), symmetric=True, name="S", value=np.eye(3))
    model.couple(matrix @ agent["z"] <= 1, name="limit")
    with pytest.raises(ModelError, match="parameter S of the couplings: the attribute 'symmetric'"):
        lower(model)
