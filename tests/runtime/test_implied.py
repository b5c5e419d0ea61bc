"""Implied bounds contain all feasible points, and are exact where rows are chained."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridmodel.ir.separable import Separable
from gridmodel.runtime.implied import implied_bounds
from tests.solvers.build import INF, Floats, separable, stack
from tests.strategies import EXAMPLES


def random_rows(seed: int) -> Separable:
    """Sparse equations and coupling rows through a point; half of the columns miss a bound."""
    rng = np.random.default_rng(seed)
    n, size, m = int(rng.integers(3, 6)), int(rng.integers(1, 4)), 2
    x = rng.normal(size=(size, n))
    A = rng.normal(size=(2, n)) * (rng.random((2, n)) < 0.5)
    C = rng.normal(size=(m, n)) * (rng.random((m, n)) < 0.4)
    lower = np.where(rng.random((size, n)) < 0.5, x - rng.uniform(0, 1, (size, n)), -INF)
    upper = np.where(rng.random((size, n)) < 0.5, x + rng.uniform(0, 1, (size, n)), INF)
    made = stack(np.zeros(n), np.zeros((size, n)), C, np.arange(m), lower, upper, A, x @ A.T)
    total = made.C.dot(x).sum(axis=0)
    room = np.where(rng.random(m) < 0.5, 0.0, 0.3)
    return separable([made], np.where(rng.random(m) < 0.3, -INF, total - room), total + room)


def true_range(problem: Separable) -> tuple[Floats, Floats]:
    """The least and largest value of each column over all feasible points, by linear programs."""
    made, y = problem.stacks[0], problem.couplings
    C, same = problem.matrix.toarray(), problem.couplings.equality
    above, below = ~same, ~same & np.isfinite(y.lower)
    inequalities = np.vstack([C[above], -C[below]]), np.concatenate([y.upper[above], -y.lower[below]])
    equations = np.vstack([made.A.diagonal_blocks.toarray(), C[same]]), np.concatenate([made.b.ravel(), y.upper[same]])
    bounds = list(zip(made.lower.ravel(), made.upper.ravel(), strict=True))
    sides = []
    for sign in (1.0, -1.0):
        side = np.empty(len(bounds))
        for j in range(len(bounds)):
            c = sign * np.eye(len(bounds))[j]
            found = linprog(c, *inequalities, *equations, bounds=bounds, options={"presolve": False})
            assert found.status in (0, 3)
            side[j] = sign * found.fun if found.status == 0 else -sign * INF
        sides.append(side)
    return sides[0], sides[1]


def test_no_feasible_point_is_cut_off():
    filled = 0

    @settings(EXAMPLES, max_examples=60)
    @given(st.integers(0, 2**32 - 1))
    def run(seed: int) -> None:
        nonlocal filled
        problem = random_rows(seed)
        lower, upper = implied_bounds(problem)
        low, high = true_range(problem)
        scale = 1e-7 * (1 + np.where(np.isfinite(low), np.abs(low), 0) + np.where(np.isfinite(high), np.abs(high), 0))
        assert (lower <= low + scale).all()
        assert (upper >= high - scale).all()
        made = problem.stacks[0]
        filled += int((np.isfinite(lower) & np.isinf(made.lower.ravel())).sum())
        for new, old in ((lower, made.lower.ravel()), (upper, made.upper.ravel())):
            np.testing.assert_array_equal(new[np.isfinite(old)], old[np.isfinite(old)])

    run()
    assert filled >= 60


def test_a_chain_of_equations_hands_bounds_on():
    """x0 in [1, 2], x1 = 2 x0, x2 = 5 - x1, and the coupling row x2 + x3 <= 4 from one side."""
    A = [[2.0, -1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    made = stack(
        np.zeros(4), [[0.0] * 4], [[0.0, 0.0, 1.0, 1.0]], [0], [1, -INF, -INF, -INF], [2, INF, INF, INF], A, [0.0, 5.0]
    )
    lower, upper = implied_bounds(separable([made], -INF, 4.0))
    np.testing.assert_allclose(lower, [1, 2, 1, -INF])
    np.testing.assert_allclose(upper, [2, 4, 3, 3])


def test_agents_bound_each_other_through_a_coupling():
    """Three agents add up to 10; two lie in [0, 3] and [1, 2], so that the third lies in [5, 9]."""
    lower, upper = [[0.0], [1.0], [-INF]], [[3.0], [2.0], [INF]]
    made = stack([0.0], np.zeros((3, 1)), [[1.0]], [0], lower, upper)
    found = implied_bounds(separable([made], 10.0, 10.0))
    np.testing.assert_allclose(found[0], [0, 1, 5])
    np.testing.assert_allclose(found[1], [3, 2, 9])


@pytest.mark.parametrize("both", [True, False])
def test_two_unknowns_in_a_row_stay_unknown(both):
    upper = [[INF], [INF]] if both else [[INF], [1.0]]
    made = stack([0.0], np.zeros((2, 1)), [[1.0]], [0], -INF, upper)
    lower, high = implied_bounds(separable([made], 0.0, 0.0))
    assert np.isinf(high[0])
    assert lower[0] == (-INF if both else -1.0)
