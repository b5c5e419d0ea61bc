"""The response of blocks to prices against finite differences of their own optimum, and where it does not exist."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.ir.separable import Separable
from gridmodel.runtime.curvature import response, response_norm, step_norm
from gridmodel_solvers.oracles.osqp_blocks import OsqpBlocks
from tests.solvers.build import Floats, dispatch, separable, stack
from tests.solvers.runs import random_model, two_bus


def test_dispatch_has_the_sum_of_betas() -> None:
    assert step_norm(dispatch()) == pytest.approx(7.0, rel=1e-8)
    assert response_norm(dispatch().stacks[0]) == pytest.approx(3.0, rel=1e-8)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("free_column", [True, False])
def test_response_is_the_derivative_where_no_bound_is_active(shared: bool, free_column: bool) -> None:
    rng = np.random.default_rng(3)
    size, n, k = 3, 5, 2
    many = 1 if shared else size
    A, C = rng.normal(size=(many, 2, n)), rng.normal(size=(k, n))
    P = np.broadcast_to(rng.uniform(0.5, 2, (many, n)), (size, n)).copy()
    if free_column:
        P[:, 2] = 0.0  # two equations leave no direction that moves it alone
    s = stack(P, rng.normal(size=(size, n)), C, [0, 1], A=A if many > 1 else A[0], b=rng.normal(size=(size, 2)))
    found = response(s)
    assert found is not None
    oracle = OsqpBlocks(s)
    start = s.C.dot(oracle.solve(s.q).x)
    step = 1e-2
    for j in range(k):
        moved = s.C.dot(oracle.solve(s.q + step * s.C.dense()[j]).x)
        expected = -(moved - start) / step
        np.testing.assert_allclose(np.broadcast_to(found, (size, k, k))[:, :, j], expected, rtol=1e-5, atol=1e-6)


def test_a_jump_has_no_norm() -> None:
    assert step_norm(two_bus(60.0)) is None
    loose = stack([1.0, 0.0], [[0.0, 1.0]], [[1.0, 1.0]], [0], 0, 1)
    assert response_norm(loose) is None


def test_equal_bounds_do_not_react() -> None:
    fixed = stack([1.0, 0.0], [[0.0, 1.0]], [[1.0, 1.0]], [0], [[0.0, 0.5]], [[1.0, 0.5]])
    assert response_norm(fixed) == pytest.approx(1.0)


def test_curvature_off_the_couplings_is_not_asked_for() -> None:
    beside = stack([1.0, 0.0], [[0.0, 1.0]], [[2.0, 0.0]], [0], 0, 1)
    assert response_norm(beside) == pytest.approx(4.0)


@pytest.mark.parametrize("seed", range(8))
def test_norm_bounds_how_fast_the_residual_moves(seed: int) -> None:
    problem = random_model(seed)
    norm = step_norm(problem)
    assert norm is not None
    rng = np.random.default_rng(seed)
    for _ in range(3):
        one, two = rng.normal(size=(2, problem.couplings.size))
        moved = np.linalg.norm(residual_at(problem, one) - residual_at(problem, two))
        assert moved <= norm * np.linalg.norm(one - two) * (1 + 1e-6)


def test_equal_blocks_count_as_often_as_they_are() -> None:
    one = stack([2.0], [[0.0]], [[1.0]], [0])
    many = one.take(np.zeros(500, dtype=np.intp))
    assert step_norm(separable([many], 0.0, 0.0)) == pytest.approx(250.0)


def residual_at(problem: Separable, mu: Floats) -> Floats:
    answers = [OsqpBlocks(s).solve(s.q + s.C.tdot(mu[s.rows])).x for s in problem.stacks]
    return problem.coupling_value(answers)
