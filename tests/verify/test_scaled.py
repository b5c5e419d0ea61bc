"""Conic programs in odd units: the ladder finds their optimum, and never takes one for another."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.verify.ladder import solve_program
from gridmodel.verify.scaled import ConicProgram, Rung


def ball(money: float, length: float) -> tuple[cp.Problem, cp.Variable]:
    """The point of a ball of radius 2 around (1, 0, 0) with the least sum; in units of money and length."""
    x = cp.Variable(3, bounds=[np.full(3, -10 * length), np.full(3, 10 * length)])
    centre = np.array([1.0, 0.0, 0.0]) * length
    return cp.Problem(cp.Minimize(money * cp.sum(x) / length), [cp.norm(x - centre) <= 2 * length]), x


@pytest.mark.parametrize("money", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e4])
def test_units_do_not_matter(money: float, length: float):
    problem, x = ball(money, length)
    outcome = solve_program(problem)
    assert outcome.status == "optimal"
    best = np.array([1.0, 0.0, 0.0]) - 2 / np.sqrt(3)
    assert x.value / length == pytest.approx(best, abs=1e-5)
    assert problem.value / money == pytest.approx(best.sum(), abs=1e-6)
    radius = problem.constraints[0].dual_value * length / money
    assert radius == pytest.approx(np.sqrt(3), rel=1e-5)  # the value falls by sqrt(3) a unit of the radius


def test_costs_that_cancel_are_solved_to_what_is_left():
    x = cp.Variable(2, bounds=[np.full(2, -1e4), np.full(2, 1e4)])
    cost = 1e4 * x[0] - 1e4 * x[1] + cp.norm(x - np.array([3.0, 3.0]))
    problem = cp.Problem(cp.Minimize(cost), [x[0] == x[1], cp.norm(x) <= 2.0])
    assert solve_program(problem).status == "optimal"
    assert problem.value == pytest.approx(3 * np.sqrt(2) - 2, abs=1e-6)


def test_a_semidefinite_program_has_its_eigenvalue():
    matrix = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, 1.0], [0.0, 1.0, 4.0]])
    for unit in (1e-4, 1.0, 1e4):
        t = cp.Variable()
        problem = cp.Problem(cp.Maximize(t), [unit * matrix - t * np.eye(3) >> 0])
        assert solve_program(problem).status == "optimal"
        assert problem.value == pytest.approx(unit * np.linalg.eigvalsh(matrix)[0], rel=1e-6)


def test_what_has_no_optimum_is_told_apart():
    x = cp.Variable(2)
    assert solve_program(cp.Problem(cp.Minimize(x[0]), [cp.norm(x) <= 1, x[1] >= 2])).status == "infeasible"
    assert solve_program(cp.Problem(cp.Minimize(x[0]), [cp.norm(x[1]) <= 1])).status == "unbounded"
    X = cp.Variable((2, 2), symmetric=True)
    assert solve_program(cp.Problem(cp.Minimize(0), [X >> 0, X[0, 0] == 1e3, X[1, 1] == -1e3])).status == "infeasible"


def test_columns_and_cones_come_to_size_one():
    problem, _ = ball(1e5, 1e3)
    data, _, _ = problem.get_problem_data(cp.CLARABEL)
    program = ConicProgram.build(data)
    scaled = np.abs(program.row[:, None] * program.A.toarray() * program.column)
    cone = data["dims"].zero + data["dims"].nonneg
    assert scaled.max() == pytest.approx(1.0)
    assert np.ptp(program.row[cone:]) == 0.0  # one factor for the cone, which stays a cone
    found = program.solve(Rung(100.0, False), program.size, 1e-8, 1e-6)
    assert found.within(1e-6)
