"""Exchange ADMM against closed forms and one central solve."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.errors import NotApplicableError
from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Separable
from gridmodel_solvers.exchange import Exchange
from gridmodel_solvers.oracles.interface import LocalProblem
from tests.solvers.build import central, dispatch, dispatch_cost, separable, stack
from tests.solvers.runs import agreement, optimal, properties, random_model, run, two_bus


@pytest.mark.parametrize("algorithm", [Exchange(), Exchange(relaxation=1.0), Exchange(memory=10)], ids=str)
def test_dispatch(algorithm: Exchange) -> None:
    problem = dispatch()
    seen, rounds = run(algorithm, problem, 1e-8, 100)
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-6)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-6)
    assert dispatch_cost(problem.cost(list(seen.x))) == pytest.approx(3.601, abs=1e-6)
    assert rounds <= 60


def test_one_round_is_the_textbook_formula() -> None:
    """x_i = prox(x_i - (mean - d/n) - u), u += mean - d/n, written out for quadratics without bounds."""
    curvature, centre, demand, n = np.array([1.0, 2.0, 4.0]), np.array([1.0, -1.0, 2.0]), 3.0, 3
    made = stack(curvature[:, None], (-curvature * centre)[:, None], [[1.0]], [0], labels=["a", "b", "c"])
    problem = separable([made], demand, demand)
    algorithm = Exchange(rho=1.0, relaxation=1.0)
    state = algorithm.init(problem, None, 1e-6)
    rho = state.setup.rho[0]
    x, u = np.full(n, 0.0), 0.0
    for _ in range(5):
        state = algorithm.step(state)
        pull = x - (x.mean() - demand / n) - u
        x = (curvature * centre + rho * pull) / (curvature + rho)
        u = u + x.mean() - demand / n
        seen = algorithm.observe(state)
        np.testing.assert_allclose(seen.x[0].ravel(), x, atol=1e-10)
        np.testing.assert_allclose(seen.mu, [rho * u], atol=1e-10)


@pytest.mark.parametrize(("line", "prices"), [(60.0, (10.0, 30.0)), (150.0, (10.0, 10.0))])
@pytest.mark.parametrize("edge", [False, True])
def test_two_bus_prices(line: float, prices: tuple[float, float], edge: bool) -> None:
    problem = two_bus(line)
    seen, _ = run(Exchange(edge=edge), problem, 1e-6, 500)
    np.testing.assert_allclose(-seen.mu, prices, atol=1e-3)
    flow = min(line, 100.0)
    np.testing.assert_allclose([part.item() for part in seen.x], [flow, 100 - flow, flow], atol=1e-2)


def test_resource_row_has_the_price_of_its_limit() -> None:
    # Three buyers 1/2 (x - 2)^2 under a limit of 3: each takes 1, and one more unit is worth 1.
    problem = separable([stack([[1.0]] * 3, [[-2.0]] * 3, [[1.0]], [0])], -np.inf, 3.0)
    seen, _ = run(Exchange(), problem, 1e-7)
    np.testing.assert_allclose(seen.x[0], np.ones((3, 1)), atol=1e-5)
    np.testing.assert_allclose(seen.mu, [1.0], atol=1e-5)
    slack, _ = run(Exchange(), separable(problem.stacks, -np.inf, 7.0), 1e-7)
    np.testing.assert_allclose(slack.x[0], np.full((3, 1), 2.0), atol=1e-5)
    np.testing.assert_allclose(slack.mu, [0.0], atol=1e-5)


@given(seed=st.integers(0, 10**6), memory=st.sampled_from([0, 10]))
@settings(max_examples=40, deadline=None)
def test_random_models_reach_the_central_optimum(seed: int, memory: int) -> None:
    # Without curvature, only the accelerated form is quick enough to be held to a number of rounds.
    problem = random_model(seed, curved=memory == 0)
    seen, _ = run(Exchange(memory=memory), problem, 1e-6, 5000)
    truth = central(problem)
    assert problem.cost(list(seen.x)) == pytest.approx(truth.value, rel=1e-4, abs=1e-4)
    optimal(problem, seen, 1e-3)


def test_rounds_do_not_depend_on_units() -> None:
    def scaled(column: float, row: float, cost: float) -> int:
        beta = np.array([3.0, 2.0, 2.0])
        P, q = cost / beta[:, None] / column**2, cost / beta[:, None] / column
        made = stack(P, q, [[row / column]], [0], 0.0, np.array([[2.1], [1.0], [5.0]]) * column)
        return run(Exchange(), separable([made], 4.1 * row, 4.1 * row), 1e-6)[1]

    units = [(1, 1, 1), (1e3, 1, 1), (1, 1e3, 1), (1, 1, 1e4), (1e-3, 1e2, 1e-2)]
    assert len({scaled(*unit) for unit in units}) == 1


def test_conic_agents() -> None:
    # Each agent pays its distance to a point of the plane (a second-order cone); their first coordinates add up.
    G = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])
    h = np.array([[0, -1.0, 0], [0, 0, -2.0]])
    cost = [[0.1, 0.2, 1.0], [0.3, -0.1, 1.0]]
    far = stack([0.1, 0.1, 0.0], cost, [[1.0, 0, 0]], [0], G=G, h=h, cones=Cones(soc=(3,)))
    near = stack([[1.0]], [[0.5]], [[1.0]], [0], -1, 5)
    problem = separable([far, near], 4.0, 4.0)
    seen, _ = run(Exchange(), problem, 1e-6)
    truth = central(problem)
    assert problem.cost(list(seen.x)) == pytest.approx(truth.value, abs=1e-5)
    np.testing.assert_allclose(seen.mu, truth.mu, atol=1e-4)
    optimal(problem, seen, 1e-4)


def test_edge_form_settles_rows_of_two() -> None:
    problem = agreement([1.0, 2.0, 4.0], [0.0, 3.0, 6.0], [(0, 1), (1, 2)])
    seen, _ = run(Exchange(edge=True), problem, 1e-8)
    np.testing.assert_allclose([part.item() for part in seen.x], [30 / 7] * 3, atol=1e-6)
    optimal(problem, seen, 1e-6)


def test_edge_form_refuses_a_row_of_three() -> None:
    with pytest.raises(NotApplicableError, match="ties 3 together"):
        Exchange(edge=True).init(dispatch(), None, 1e-4)
    assert not Exchange(edge=True).verdict(properties(most_participants=3)).applies


def test_infeasible_agent_is_named() -> None:
    made = stack([1.0, 1.0], np.zeros((2, 2)), [[1.0, 0]], [0], 0, 1, [[1.0, 1.0]], [[1], [3]], labels=["good", "bad"])
    algorithm = Exchange()
    with pytest.raises(LocalProblem, match="no point satisfies the limits of bad"):
        algorithm.step(algorithm.init(separable([made], 0.5, 0.5), None, 1e-4))


def test_warm_start_is_there_at_once() -> None:
    problem = random_model(11)
    seen, cold = run(Exchange(), problem, 1e-7, 3000)
    _, rounds = run(Exchange(), problem, 1e-6, 3000, warm=seen)
    assert rounds <= 2 < cold


def test_what_was_observed_stays() -> None:
    algorithm = Exchange(memory=5)
    problem = random_model(3)
    state = algorithm.step(algorithm.init(problem, None, 1e-6))
    seen = algorithm.observe(state)
    kept = copy.deepcopy(seen)
    for _ in range(15):
        state = algorithm.step(state)
    np.testing.assert_array_equal(seen.mu, kept.mu)
    for now, then in zip([*seen.x, *seen.nu], [*kept.x, *kept.nu], strict=True):
        np.testing.assert_array_equal(now, then)


def test_new_penalties_keep_point_and_multipliers() -> None:
    # Starting penalties far off (a cost that dwarfs the one that counts) make the rounds change them.
    made = stack([1.0, 1e4], [[0.0, 1.0], [1.0, -1.0]], [[1.0, 0.0]], [0], -1, 3)
    algorithm = Exchange()
    state = algorithm.init(separable([made], 1.0, 1.0), None, 1e-6)
    penalties = set()
    for _ in range(60):
        state = algorithm.step(state)
        np.testing.assert_allclose(state.setup.rho * (state.v - state.z), state.dual, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(state.z.sum(), 1.0, atol=1e-9)
        penalties.add(float(state.setup.rho[0]))
    assert len(penalties) > 1


def test_traffic() -> None:
    assert (Exchange().traffic(dispatch()).messages, Exchange().traffic(dispatch()).numbers) == (6, 6)
    path: Separable = agreement([1.0] * 3, [0.0] * 3, [(0, 1), (1, 2)])
    edge = Exchange(edge=True).traffic(path)
    assert (edge.messages, edge.numbers) == (4, 4)
