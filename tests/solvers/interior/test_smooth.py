"""Models that are not convex: the answers found on paper, from any units of the rows."""

import numpy as np
import pytest

from gridmodel.ir.result import Status
from gridmodel.runtime.loop import Limits
from gridmodel.runtime.smooth_run import run_smooth
from gridmodel_solvers.interior.local import solve_local
from gridmodel_solvers.interior.method import Interior
from tests.solvers.interior.nonconvex import block, problem

LIMITS = Limits(tolerance=1e-8, max_rounds=80)
FREE = np.sqrt(3 / 1.2)
EDGE = np.sqrt((4.05 + np.sqrt(4.05**2 - 16)) / 2)


@pytest.mark.parametrize(("upper", "most", "t"), [(4.0, 20.0, FREE), (1.5, 20.0, 2.0), (4.0, 4.05, EDGE)])
def test_the_point_found_on_paper(upper: float, most: float, t: float) -> None:
    outcome = run_smooth(problem(upper, most), Interior(), LIMITS)
    assert outcome.status is Status.SOLVED
    assert outcome.rounds <= 25
    found = outcome.judgement.iterate
    assert outcome.judgement.value == pytest.approx(1.2 * t + 3 / t, rel=1e-7)
    assert found.x[0][0] == pytest.approx([t, 1 / t], abs=1e-4)
    assert found.x[1][0] == pytest.approx([t, 2 / t], abs=1e-4)
    assert all((zeta >= 0).all() for zeta in found.zeta)
    assert (found.zeta[1][0, 0] > 1e-2) == (most < 5)


def test_multipliers_are_the_slope_of_the_optimal_cost() -> None:
    found = run_smooth(problem(1.5), Interior(), LIMITS).judgement.iterate
    # cost = 3.6 / upper + upper, and the Lagrangian is f + mu'(C x - y)
    assert -found.mu[1] == pytest.approx(1 - 3.6 / 1.5**2, rel=1e-5)


def test_rounds_do_not_depend_on_the_units_of_rows() -> None:
    rounds = {run_smooth(problem(1.5, units=units), Interior(), LIMITS).rounds for units in (1.0, 1e-4, 1e4)}
    assert len(rounds) == 1


def test_a_start_at_the_answer_needs_fewer_rounds() -> None:
    cold = run_smooth(problem(1.5), Interior(), LIMITS)
    warm = run_smooth(problem(1.5), Interior(), LIMITS, warm=cold.judgement.iterate)
    assert warm.status is Status.SOLVED
    assert warm.rounds < cold.rounds
    assert warm.judgement.value == pytest.approx(cold.judgement.value, rel=1e-7)


def test_without_a_feasible_point_the_algorithm_says_that_it_is_stuck() -> None:
    algorithm = Interior()
    state = algorithm.init(problem(0.3), None, 1e-6)  # needs t >= 10, beyond its bound
    for _ in range(300):
        state = algorithm.step(state)
        if algorithm.stuck(state):
            break
    assert algorithm.stuck(state)


def test_one_block_with_prices_and_a_penalty() -> None:
    alone = block("a", [1.0, 2.0], 1.0, 20.0)
    price, weight, target = np.array([0.4, -0.3]), np.array([3.0, 5.0]), np.array([2.0, 0.1])
    found = solve_local(alone, price, weight, target)
    assert found.error < 1e-8

    def value(t: float) -> float:
        x = np.array([t, 1 / t])
        away = x - target
        return float(x @ [1.0, 2.0] + price @ x + 0.5 * away @ (weight * away))

    grid = np.linspace(0.25, 4.4, 200_001)
    best = grid[np.argmin([value(t) for t in grid])]
    assert found.x == pytest.approx([best, 1 / best], abs=1e-4)
    near = solve_local(alone, price + 0.01, weight, target, warm=found)
    assert near.error < 1e-8
    assert near.rounds < found.rounds
