"""Dual decomposition against closed forms and one central solve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.properties import BlockFacts
from gridmodel_solvers.dual_decomposition import DualDecomposition
from gridmodel_solvers.oracles.interface import LocalProblem
from tests.solvers.build import central, dispatch, dispatch_cost, separable, stack
from tests.solvers.runs import optimal, properties, random_model, run, two_bus

VARIANTS = [DualDecomposition(), DualDecomposition(accelerated=False), DualDecomposition(step_size=0.25)]


@pytest.mark.parametrize("algorithm", VARIANTS, ids=str)
def test_dispatch(algorithm: DualDecomposition) -> None:
    problem = dispatch()
    seen, rounds = run(algorithm, problem, 1e-8, 100)
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-6)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-6)
    assert dispatch_cost(problem.cost(list(seen.x))) == pytest.approx(3.601, abs=1e-6)
    assert rounds <= 60


def test_rounds_do_not_depend_on_units() -> None:
    def scaled(row: float, cost: float) -> int:
        beta = np.array([3.0, 2.0, 2.0])
        made = stack(cost / beta[:, None], cost / beta[:, None], [[row]], [0], 0.0, [[2.1], [1.0], [5.0]])
        return run(DualDecomposition(), separable([made], 4.1 * row, 4.1 * row), 1e-6)[1]

    assert len({scaled(row, cost) for row, cost in [(1, 1), (1e3, 1), (1e-3, 1), (1, 1e4), (1e-2, 1e-3)]}) == 1


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_random_models_reach_the_central_optimum(seed: int) -> None:
    problem = random_model(seed)
    seen, _ = run(DualDecomposition(), problem, 1e-7, 5000)
    truth = central(problem)
    assert problem.cost(list(seen.x)) == pytest.approx(truth.value, rel=1e-5, abs=1e-5)
    optimal(problem, seen, 1e-4)


def test_acceleration_pays_where_rows_are_nearly_alike() -> None:
    # Two rows whose sums differ by one small agent: prices apart are hard to tell.
    both = stack([[1.0]] * 4, [[-1.0], [-2.0], [0.5], [-3.0]], [[1.0], [1.0]], [0, 1])
    one = stack([[50.0]], [[0.0]], [[1.0]], [1])
    problem = separable([both, one], [5.0, 5.1], [5.0, 5.1])
    _, plain = run(DualDecomposition(accelerated=False), problem, 1e-6, 20000)
    _, quick = run(DualDecomposition(), problem, 1e-6, 20000)
    assert quick < plain / 4


def test_warm_start_is_there_at_once() -> None:
    problem = random_model(7)
    seen, cold = run(DualDecomposition(), problem, 1e-7, 5000)
    _, rounds = run(DualDecomposition(), problem, 1e-6, 5000, warm=seen)
    assert rounds <= 2 < cold


def test_step_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ModelError, match=r"2/L = 0\.285714.*1/L = 0\.142857"):
        DualDecomposition(step_size=0.3).init(dispatch(), None, 1e-4)


def test_linear_costs_are_refused_with_the_agent() -> None:
    with pytest.raises(NotApplicableError, match="response of cheap to prices jumps"):
        DualDecomposition().init(two_bus(60.0), None, 1e-4)


def test_infeasible_agent_is_named() -> None:
    made = stack([1.0, 1.0], np.zeros((2, 2)), [[1.0, 0]], [0], 0, 1, [[1.0, 1.0]], [[1], [3]], labels=["good", "bad"])
    algorithm = DualDecomposition()
    with pytest.raises(LocalProblem, match="bad"):
        algorithm.step(algorithm.init(separable([made], 0.5, 0.5), None, 1e-4))


def test_verdicts() -> None:
    dual = DualDecomposition()
    assert dual.verdict(properties()).applies
    assert dual.verdict(properties(coordinator=False)).applies
    jumping = BlockFacts(1, "home", "LP", 3, 1, "none", True, (0.0, 0.0), None)
    refused = dual.verdict(properties(step_norm=None, blocks=(jumping,)))
    assert not refused.applies
    assert "the response of home to prices jumps" in refused.reason
    assert not dual.verdict(properties(coordinator=False, most_participants=3)).applies
    strangers = dual.verdict(properties(coordinator=False, strangers=(("a", "b"),)))
    assert not strangers.applies
    assert "a and b" in strangers.reason


def test_traffic_is_two_messages_an_agent() -> None:
    traffic = DualDecomposition().traffic(dispatch())
    assert (traffic.messages, traffic.numbers, traffic.bytes) == (6, 6, 48)
