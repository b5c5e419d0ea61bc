"""Every oracle on random stacks: optimality conditions, agreement with each other, and blocks without an optimum."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.augment import augment
from gridmodel_solvers.oracles.batched_qp import BatchedQP
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.closed_form import ClosedForm
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.oracles.osqp_blocks import OsqpBlocks
from tests.solvers.build import stack

Floats = NDArray[np.float64]
Maker = Callable[[Stack], Oracle]

QP_ORACLES: dict[str, Maker] = {
    "batched": lambda s: BatchedQP(s, 1e-8),
    "osqp": lambda s: OsqpBlocks(s, 1e-9),
    "clarabel": lambda s: ClarabelBlocks(s, 1e-10),
}
# Closer to the apex than this, an exponential cone is judged by its limit, where exp(x / y) says nothing.
_EDGE = 1e-7
ALL_CONES = Cones(nonneg=1, soc=(3,), psd=(2,), exp=1, pow3d=(0.3,))


def box_stack(seed: int) -> Stack:
    """Blocks of separable columns, some without curvature; those have two bounds."""
    rng = np.random.default_rng(seed)
    size, n = rng.integers(1, 5), rng.integers(1, 5)
    P = rng.uniform(0.2, 3, (size, n)) * (rng.random(n) < 0.7)
    lower, upper = -rng.uniform(0, 2, (size, n)), rng.uniform(0, 2, (size, n))
    free = (rng.random(n) < 0.5) & (P > 0).all(axis=0)
    return stack(
        P,
        rng.normal(size=(size, n)),
        rng.normal(size=(1, n)),
        [0],
        np.where(free, -np.inf, lower),
        np.where(free, np.inf, upper),
    )


def qp_stack(seed: int, shared: bool) -> Stack:
    """Blocks with equations, a feasible point each, and curvature or two bounds on every column."""
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 5)), int(rng.integers(2, 7))
    m = int(rng.integers(1, n))
    many = 1 if shared else size
    A = rng.normal(size=(many, m, n)) * (rng.random((m, n)) < 0.8)
    P = np.broadcast_to(rng.uniform(0.3, 2, (many, n)) * (rng.random(n) < 0.6), (size, n))
    x = rng.normal(size=(size, n))
    b = np.einsum("imn,in->im", np.broadcast_to(A, (size, m, n)), x)
    lower, upper = x - rng.uniform(0, 1, (size, n)), x + rng.uniform(0, 1, (size, n))
    free = (rng.random(n) < 0.3) & (P > 0).all(axis=0)
    q = rng.normal(size=(size, n))
    return stack(P, q, np.eye(1, n), [0], np.where(free, -np.inf, lower), np.where(free, np.inf, upper), A, b)


def conic_stack(seed: int) -> Stack:
    """Blocks with every kind of cone around an interior point."""
    rng = np.random.default_rng(seed)
    size, n = int(rng.integers(1, 3)), int(rng.integers(3, 6))
    inside = np.array([1, 2, 0.3, -0.2, 1, 0.1, 1.5, 0.2, 1, 2, 1, 1.5, 0.3])
    G = rng.normal(size=(size, len(inside), n))
    x = rng.normal(size=(size, n))
    h = inside - np.einsum("igk,ik->ig", G, x)
    A = rng.normal(size=(1, n))
    q = rng.normal(size=(size, n))
    return stack(rng.uniform(0.5, 2, (size, n)), q, np.eye(1, n), [0], x - 3, x + 3, A, x @ A.T, G, h, ALL_CONES)


def stationarity(s: Stack, q: Floats, answer: OracleAnswer) -> float:
    """max |x - clip(x - grad, lower, upper)| with the gradient of the Lagrangian."""
    grad = s.P.dot(answer.x) + q + s.A.tdot(answer.nu) - s.G.tdot(answer.zeta)
    return float(np.abs(answer.x - np.clip(answer.x - grad, s.lower, s.upper)).max())


def infeasibility(s: Stack, answer: OracleAnswer) -> float:
    """Largest violation of an equation or a bound."""
    x = answer.x
    return max(float(np.abs(s.A.dot(x) - s.b).max(initial=0)), float((s.lower - x).max()), float((x - s.upper).max()))


def cone_margins(values: Floats, dual: bool) -> list[float]:
    """How far each part of ALL_CONES lies inside its cone, or its dual cone."""
    r2 = np.sqrt(2.0)
    line, soc, psd, exp, power = np.split(values, [1, 4, 7, 10])
    matrix = np.array([[psd[0], psd[1] / r2], [psd[1] / r2, psd[2]]])
    a, (x, y, z) = 0.3, exp
    if dual:
        inside_exp = np.e * z + x * np.exp(y / x) if x < -_EDGE else min(y, z)
        inside_power = (power[0] / a) ** a * (power[1] / (1 - a)) ** (1 - a) - abs(power[2])
    else:
        inside_exp = z - y * np.exp(x / y) if y > _EDGE else min(-x, z)
        inside_power = power[0] ** a * power[1] ** (1 - a) - abs(power[2])
    return [float(line[0]), soc[0] - np.linalg.norm(soc[1:]), np.linalg.eigvalsh(matrix)[0], inside_exp, inside_power]


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_closed_form_is_optimal_and_agrees(seed: int) -> None:
    s = box_stack(seed)
    oracle = ClosedForm(s)
    for q in (s.q, -2 * s.q):
        answer = oracle.solve(q)
        assert stationarity(s, q, answer) < 1e-12
        assert infeasibility(s, answer) <= 0
        np.testing.assert_allclose(answer.x, ClarabelBlocks(s).solve(q).x, atol=2e-6)


@pytest.mark.parametrize("name", QP_ORACLES)
@given(seed=st.integers(0, 10**6), shared=st.booleans())
@settings(max_examples=40, deadline=None)
def test_quadratic_blocks_are_optimal(name: str, seed: int, shared: bool) -> None:
    s = qp_stack(seed, shared)
    oracle = QP_ORACLES[name](s)
    for q in (s.q, 0.9 * s.q, -3 * s.q):
        answer = oracle.solve(q)
        assert stationarity(s, q, answer) < 1e-5
        assert infeasibility(s, answer) < 1e-6


@given(seed=st.integers(0, 10**6), shared=st.booleans())
@settings(max_examples=40, deadline=None)
def test_quadratic_oracles_agree_in_cost(seed: int, shared: bool) -> None:
    s = qp_stack(seed, shared)
    costs = [s.cost(make(s).solve(s.q).x) for make in QP_ORACLES.values()]
    np.testing.assert_allclose(costs[0], costs[2], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(costs[1], costs[2], atol=1e-5, rtol=1e-5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_conic_blocks_are_optimal(seed: int) -> None:
    s = conic_stack(seed)
    oracle = ClarabelBlocks(s)
    for q in (s.q, s.q[:, ::-1] * 1.5):
        answer = oracle.solve(q)
        slack = s.G.dot(answer.x) + s.h
        assert stationarity(s, q, answer) < 1e-5
        assert infeasibility(s, answer) < 1e-6
        for row, multiplier in zip(slack, answer.zeta, strict=True):
            assert min(cone_margins(row, dual=False)) > -1e-6
            # Zero is on the boundary of every dual cone; powers there need the sign to be right.
            assert min(cone_margins(np.where(np.abs(multiplier) < 1e-12, 0, multiplier), dual=True)) > -1e-5
            assert abs(row @ multiplier) < 1e-5


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tied", [False, True], ids=["diagonal", "columns"])
def test_augmented_stack_has_the_proximal_optimum(seed: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    s = qp_stack(seed, shared=bool(seed % 2))
    n = s.columns
    C = rng.normal(size=(2, n)) if tied else np.vstack([2 * np.eye(1, n), -0.5 * np.eye(1, n, 1)])
    diagonals = np.broadcast_to(s.P.diagonal(), s.q.shape)
    A = np.stack([s.A.dense(i) for i in range(s.size)])
    s = stack(diagonals, s.q, C, [0, 1], s.lower, s.upper, A, s.b)
    weight, price, target = rng.uniform(0.5, 2, 2), rng.normal(size=(s.size, 2)), rng.normal(size=(s.size, 2))
    made = augment(s, weight)
    assert made.direct is not tied
    answer = made.cut(choose(made.stack, 1e-9).solve(made.linear(price, target)))
    # The gradient of f + g'Cx + 1/2 |Cx - w|^2_weight, written out.
    pull = s.C.tdot(price + weight * (s.C.dot(answer.x) - target))
    assert stationarity(s, s.q + pull, answer) < 1e-6
    assert infeasibility(s, answer) < 1e-7


@pytest.mark.parametrize("name", QP_ORACLES)
def test_infeasible_block_is_named(name: str) -> None:
    s = stack([1.0, 1.0], np.zeros((2, 2)), [[1.0, 0]], [0], 0, 1, [[1.0, 1.0]], [[1.5], [2.5]], labels=["good", "bad"])
    with pytest.raises(LocalProblem, match="bad") as caught:
        QP_ORACLES[name](s).solve(s.q)
    assert (caught.value.kind, caught.value.label) == ("infeasible", "bad")


@pytest.mark.parametrize("name", ["closed", *QP_ORACLES])
def test_unbounded_block_is_named(name: str) -> None:
    upper = np.array([[1.0, 1.0], [1.0, np.inf]])
    tie = {} if name == "closed" else {"A": [[1.0, 0.0]], "b": [0.5]}
    s = stack([1.0, 0.0], [[0, -1.0], [0, -1.0]], [[1.0, 0]], [0], 0, upper, labels=["good", "bad"], **tie)
    make = {"closed": ClosedForm, **QP_ORACLES}[name]
    with pytest.raises(LocalProblem) as caught:
        make(s).solve(s.q)
    assert (caught.value.kind, caught.value.label) == ("unbounded", "bad")


def test_choice_by_structure() -> None:
    assert isinstance(choose(box_stack(1), 1e-6), ClosedForm)
    assert isinstance(choose(conic_stack(1), 1e-6), ClarabelBlocks)
    few = qp_stack(1, shared=True)
    assert isinstance(choose(few, 1e-6), OsqpBlocks)
    assert isinstance(choose(few.take(np.zeros(20, dtype=np.intp)), 1e-6), BatchedQP)


def test_batch_solves_fifty_blocks_warm() -> None:
    s = qp_stack(5, shared=True).take(np.zeros(50, dtype=np.intp))
    rng = np.random.default_rng(0)
    oracle, exact = BatchedQP(s, 1e-8), ClarabelBlocks(s, 1e-10)
    for _ in range(3):
        q = s.q + 0.2 * rng.normal(size=s.q.shape)
        answer, truth = oracle.solve(q), exact.solve(q)
        np.testing.assert_allclose(s.C.dot(answer.x), s.C.dot(truth.x), atol=1e-6)
        assert stationarity(s, q, answer) < 1e-6
