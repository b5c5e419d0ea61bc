"""Stacks of semidefinite blocks as triangles: the same program, answers and duals of the stack as it was declared."""

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.constraints.psd import PSD

from gridmodel.verify.ladder import solve_program
from gridmodel.verify.triangles import as_triangles


def stacked(seed: int) -> tuple[cp.Problem, PSD]:
    """The nearest stack of two blocks of order 3 to a random one, by the sum of squares."""
    rng = np.random.default_rng(seed)
    x = cp.Variable(18)
    target = rng.normal(size=(2, 3, 3))
    target = target + target.transpose(0, 2, 1)
    block = cp.reshape(x, (2, 3, 3), order="F")
    cone = PSD(block)
    symmetric = [x[k + 2 * (i + 3 * j)] == x[k + 2 * (j + 3 * i)] for k in range(2) for i in range(3) for j in range(i)]
    away = x - target.ravel(order="F")
    return cp.Problem(cp.Minimize(cp.sum_squares(away) / 2), [cone, *symmetric]), cone


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_the_projection_and_the_dual_what_it_cuts_off(seed: int) -> None:
    problem, cone = stacked(seed)
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(2, 3, 3))
    values, vectors = np.linalg.eigh(target + target.transpose(0, 2, 1))
    nearest = (vectors * np.maximum(values, 0)[:, None]) @ vectors.transpose(0, 2, 1)
    cut = (vectors * np.maximum(-values, 0)[:, None]) @ vectors.transpose(0, 2, 1)
    assert as_triangles(problem)[1] == {cone.id: (2, 3, 3)}
    assert solve_program(problem).status == "optimal"
    assert np.asarray(cone.args[0].value) == pytest.approx(nearest, abs=1e-6)
    # the cost's gradient is X - target, which the cone's dual balances
    assert np.asarray(cone.dual_value) == pytest.approx(cut, abs=1e-6)


def test_other_blocks_stay_as_they_are() -> None:
    x = cp.Variable(8)
    by_rows = PSD(cp.reshape(x, (2, 2, 2), order="C"))
    single = PSD(cp.reshape(x[:4], (2, 2), order="F"))
    problem = cp.Problem(cp.Minimize(cp.sum(x)), [by_rows, single])
    assert as_triangles(problem) == (problem, {})
