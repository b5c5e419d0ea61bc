"""The map of a sweep against dense KKT systems, one a block."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.ir.separable import Separable
from gridmodel_solvers.oracles.response import Response
from tests.solvers.build import Floats, separable, stack


def response_problem(kind: str, shared_rows: bool, shared_C: bool, seed: int) -> tuple[Separable, Floats]:
    rng = np.random.default_rng(seed)
    size, n, m, k = 5, 4, 6, 2
    rows = np.array([1, 4]) if shared_rows else np.array([[0, 1], [1, 2], [2, 5], [0, 5], [3, 4]])
    C = rng.normal(size=(k, n)) if shared_C else rng.normal(size=(size, k, n))
    A = {"plain": None, "shared": rng.normal(size=(2, n)), "sparse": rng.normal(size=(size, 2, n))}[kind]
    b = None if A is None else rng.normal(size=(size, 2))
    D = rng.uniform(0.5, 2, (1, n) if kind == "shared" else (size, n))
    made = stack(np.ones(n), np.zeros((size, n)), C, rows, A=A, b=b)
    return separable([made], np.zeros(m), np.zeros(m)), np.broadcast_to(D, (size, n)).ravel().copy()


def mixed_problem(seed: int) -> tuple[Separable, Floats]:
    """All kinds of stacks in one problem."""
    parts = [
        response_problem(kind, k % 2 == 0, k == 1, seed + k)
        for k, kind in enumerate(("plain", "sparse", "shared", "sparse"))
    ]
    stacks = [part.stacks[0] for part, _ in parts]
    return separable(stacks, np.zeros(6), np.zeros(6)), np.concatenate([D for _, D in parts])


def dense_answers(problem: Separable, D: Floats, t: Floats) -> tuple[Floats, Floats]:
    """x and nu of every block from its own KKT system, and the dense map's part C M C'."""
    x, nus = np.empty_like(t), []
    for s, start in zip(problem.stacks, problem.offsets, strict=False):
        m = s.A.shape[0]
        for i in range(s.size):
            at = slice(start + i * s.columns, start + (i + 1) * s.columns)
            A = s.A.dense(i)
            kkt = np.block([[np.diag(1 / D[at]), A.T], [A, np.zeros((m, m))]])
            found = np.linalg.solve(kkt, np.concatenate([t[at], s.b[i]]))
            x[at] = found[: s.columns]
            nus.append(found[s.columns :])
    return x, np.concatenate(nus)


CASES = [
    *[(kind, rows, C) for kind in ("plain", "shared", "sparse") for rows in (True, False) for C in (True, False)], None,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_the_response_is_the_blocks_own_optimum(case, seed):
    problem, D = mixed_problem(seed) if case is None else response_problem(*case, seed)
    response, rng = Response(problem, D), np.random.default_rng(seed)
    t, mu = rng.normal(size=len(D)), rng.normal(size=6)
    x, nu = dense_answers(problem, D, t)
    found = response.apply(t)
    np.testing.assert_allclose(found, x, atol=1e-9)
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in response.multipliers(t)]), nu, atol=1e-9)
    # Prices shift the answer by M C'mu, and the coupling rows by the Schur matrix.
    priced, _ = dense_answers(problem, D, t - problem.matrix.T @ mu)
    response.shift(found, mu)
    np.testing.assert_allclose(found, priced, atol=1e-9)
    schur = response.schur()
    assert schur.shape == (6, 6)
    np.testing.assert_allclose(schur @ mu, problem.matrix @ (x - priced), atol=1e-9)


def test_the_response_with_equations_that_follow_from_others():
    A = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    x = np.random.default_rng(0).normal(size=(4, 3))
    for D in (np.ones(12), np.random.default_rng(1).uniform(0.5, 2, 12)):
        problem = separable([stack(np.ones(3), np.zeros((4, 3)), [[1.0, 0, 0]], [0], A=A, b=x @ A.T)], 0.0, 0.0)
        independent = separable(
            [stack(np.ones(3), np.zeros((4, 3)), [[1.0, 0, 0]], [0], A=A[1:], b=x @ A[1:].T)], 0.0, 0.0
        )
        t = np.random.default_rng(2).normal(size=12)
        np.testing.assert_allclose(Response(problem, D).apply(t), dense_answers(independent, D, t)[0], atol=1e-8)
