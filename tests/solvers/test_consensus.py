"""Consensus ADMM: its rates in closed form, its limit, and prices of the rows."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.errors import NotApplicableError
from gridmodel_solvers.consensus import Consensus, all_agreements
from tests.solvers.build import dispatch, separable, stack
from tests.solvers.runs import agreement, optimal, properties, run

PATH = [(0, 1), (1, 2), (2, 3)]
RING = [*PATH, (3, 0)]


@pytest.mark.parametrize("rho", [0.5, 2.0, 8.0])
def test_mean_and_disagreement_contract_as_in_theory(rho: float) -> None:
    q, centre = 2.0, np.array([1.0, -2.0, 4.0, 0.5])
    algorithm = Consensus(rho=rho, relaxation=1.0)
    state = algorithm.init(agreement([q] * 4, centre, PATH), None, 1e-6)
    # The first round starts from multipliers that are not yet the iteration's own.
    errors, spreads = [], []
    for _ in range(6):
        state = algorithm.step(state)
        errors.append(state.z[0] - centre.mean())
        spreads.append(np.linalg.norm([x.x.item() - state.z[0] for x in state.answers]))
    np.testing.assert_allclose(np.divide(errors[2:], errors[1:-1]), rho / (q + rho), rtol=1e-6)
    np.testing.assert_allclose(np.divide(spreads[2:], spreads[1:-1]), q / (q + rho), rtol=1e-6)


@pytest.mark.parametrize("edges", [PATH, RING, [(0, 1), (0, 2), (0, 3)]], ids=["path", "ring", "star"])
@pytest.mark.parametrize("algorithm", [Consensus(), Consensus(memory=5), Consensus(rho=3.0)], ids=str)
def test_limit_is_the_weighted_mean_and_prices_fit(edges: list[tuple[int, int]], algorithm: Consensus) -> None:
    q, centre = np.array([1.0, 2.0, 4.0, 0.5]), np.array([1.0, -2.0, 4.0, 0.5])
    problem = agreement(q, centre, edges)
    seen, _ = run(algorithm, problem, 1e-8)
    mean = (q * centre).sum() / q.sum()
    np.testing.assert_allclose([x.item() for x in seen.x], np.full(4, mean), atol=1e-6)
    optimal(problem, seen, 1e-6)


def test_two_groups_in_one_stack_and_a_weighted_row() -> None:
    # Two agents with two columns each; rows 3 x_p - 3 x_q = 0 for both columns.
    ends = [stack([1.0, 2.0], [[-1.0 * s, -2.0 * s]], s * 3 * np.eye(2), [0, 1]) for s in (1.0, -1.0)]
    problem = separable(ends, np.zeros(2), np.zeros(2))
    seen, _ = run(Consensus(), problem, 1e-8)
    np.testing.assert_allclose(seen.x[0], [[0.0, 0.0]], atol=1e-7)
    np.testing.assert_allclose(seen.mu, [1 / 3, 2 / 3], atol=1e-7)
    optimal(problem, seen, 1e-6)


def test_warm_start_is_there_at_once() -> None:
    problem = agreement([1.0, 2.0, 4.0, 0.5], [1.0, -2.0, 4.0, 0.5], PATH)
    seen, cold = run(Consensus(), problem, 1e-8)
    _, rounds = run(Consensus(), problem, 1e-6, warm=seen)
    assert rounds <= 2 < cold


def test_rows_that_are_no_agreements_are_refused() -> None:
    assert all_agreements(agreement([1.0] * 2, [0.0] * 2, [(0, 1)]))
    assert not all_agreements(dispatch())
    pair = agreement([1.0] * 2, [0.0] * 2, [(0, 1)])
    assert not all_agreements(separable(pair.stacks, [1.0], [1.0]))
    with pytest.raises(NotApplicableError, match="form='exchange'"):
        Consensus().init(dispatch(), None, 1e-4)
    assert not Consensus().verdict(properties(all_agreement=False)).applies
    assert not Consensus().verdict(properties(all_agreement=True, coordinator=False)).applies
    assert Consensus().verdict(properties(all_agreement=True)).applies


def test_traffic_counts_copies_both_ways() -> None:
    traffic = Consensus().traffic(agreement([1.0] * 4, [0.0] * 4, PATH))
    assert (traffic.messages, traffic.numbers) == (8, 8)
