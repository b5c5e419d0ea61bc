"""Iterates and resting points against the forms of the papers, written out with dense matrices."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gridmodel_solvers.agreement.dgd import DGD
from gridmodel_solvers.agreement.diffusion import Diffusion
from gridmodel_solvers.agreement.exact_diffusion import ExactDiffusion
from gridmodel_solvers.agreement.extra import EXTRA
from gridmodel_solvers.agreement.gradient_tracking import GradientTracking
from tests.solvers.agreement.small_graphs import known, matrix, shown_after
from tests.solvers.reference import agreeing, links_of

GRAPHS = [nx.path_graph(4), nx.star_graph(5), nx.cycle_graph(5), nx.complete_graph(4)]
ETA, ROUNDS = 0.05, 30


def path_of(algorithm, problem, rounds=ROUNDS):
    state, seen = algorithm.init(problem, None, 1e-9), []
    for _ in range(rounds):
        state = algorithm.step(state)
        seen.append(algorithm.shown(state))
    return np.array(seen)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_extra_is_the_two_step_form(graph, dense):
    made = known(graph, dense=dense)
    W, one = matrix(made.problem.links), np.eye(graph.number_of_nodes())
    old = np.zeros_like(made.c)
    new = W @ old - ETA * made.gradient(old)
    expected = [new]
    for _ in range(ROUNDS - 1):
        step = ETA * (made.gradient(new) - made.gradient(old))
        old, new = new, (one + W) @ new - (one + W) / 2 @ old - step
        expected.append(new)
    np.testing.assert_allclose(path_of(EXTRA(eta=ETA, damping=1.0), made.problem), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_exact_diffusion_is_adapt_correct_combine(graph, dense):
    made = known(graph, dense=dense)
    mean = (np.eye(graph.number_of_nodes()) + matrix(made.problem.links)) / 2
    x = before = np.zeros_like(made.c)
    expected = []
    for _ in range(ROUNDS):
        psi = x - ETA * made.gradient(x)
        phi = psi + x - before
        before, x = psi, mean @ phi
        expected.append(x)
    np.testing.assert_allclose(
        path_of(ExactDiffusion(eta=ETA, damping=1.0), made.problem), expected, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("graph", GRAPHS)
def test_gradient_tracking_is_diging(graph):
    made = known(graph)
    W = matrix(made.problem.links)
    x = np.zeros_like(made.c)
    y = made.gradient(x)
    expected = []
    for _ in range(ROUNDS):
        after = W @ x - ETA * y
        y = W @ y + made.gradient(after) - made.gradient(x)
        x = after
        expected.append(x)
    found = path_of(GradientTracking(eta=ETA, damping=1.0), made.problem)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def boxed(graph):
    """Quadratics with bounds of their own, whose prox is a clipped mean."""
    rng = np.random.default_rng(5)
    size = graph.number_of_nodes()
    h, c = rng.uniform(0.5, 3, (size, 2)), rng.normal(0, 2, (size, 2))
    low, high = -rng.uniform(0.5, 1.5, (size, 2)), rng.uniform(0.5, 1.5, (size, 2))
    problem = agreeing(h, c, links_of(nx.relabel_nodes(graph, str)), lower=low, upper=high)
    return problem, lambda v, eta: np.clip((h * c + v / eta) / (h + 1 / eta), low, high)


@pytest.mark.parametrize("graph", GRAPHS)
def test_extra_with_limits_is_p_extra(graph):
    problem, prox = boxed(graph)
    W = matrix(problem.links)
    half = (np.eye(len(W)) + W) / 2
    eta, old = 0.7, np.zeros((len(W), 2))
    z = W @ old
    x = prox(z, eta)
    expected = [x]
    for _ in range(ROUNDS - 1):
        z = W @ x + z - half @ old
        old, x = x, prox(z, eta)
        expected.append(x)
    np.testing.assert_allclose(path_of(EXTRA(eta=eta, damping=1.0), problem), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("graph", GRAPHS)
def test_exact_diffusion_with_limits_is_nids(graph):
    problem, prox = boxed(graph)
    W = matrix(problem.links)
    half = (np.eye(len(W)) + W) / 2
    eta, old = 0.7, np.zeros((len(W), 2))
    z = half @ old
    x = prox(z, eta)
    expected = [x]
    for _ in range(ROUNDS - 1):
        z = z - x + half @ (2 * x - old)
        old, x = x, prox(z, eta)
        expected.append(x)
    np.testing.assert_allclose(path_of(ExactDiffusion(eta=eta, damping=1.0), problem), expected, rtol=0, atol=1e-8)


def row_stochastic(graph):
    """Uniform weights over a node and its neighbours: rows sum to one, columns do not."""
    A = nx.to_numpy_array(graph) + np.eye(graph.number_of_nodes())
    return A / A.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("own", [False, True], ids=["metropolis", "row-stochastic"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_dgd_rests_where_the_formula_says(graph, own):
    made = known(graph)
    W = row_stochastic(graph) if own else matrix(made.problem.links)
    found = shown_after(DGD(eta=0.1, weights=W if own else "metropolis"), made.problem, 3000)
    for k in range(2):
        H, c = np.diag(made.h[:, k]), made.c[:, k]
        expected = np.linalg.solve(np.eye(len(W)) - W + 0.1 * H, 0.1 * H @ c)
        np.testing.assert_allclose(found[:, k], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("own", [False, True], ids=["metropolis", "row-stochastic"])
@pytest.mark.parametrize("order", ["atc", "cta"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_diffusion_rests_where_the_formula_says(graph, order, own):
    made = known(graph)
    A = row_stochastic(graph) if own else matrix(made.problem.links)
    algorithm = Diffusion(eta=0.1, order=order, weights=A if own else "metropolis")
    found = shown_after(algorithm, made.problem, 3000)
    one = np.eye(len(A))
    for k in range(2):
        H, c = np.diag(made.h[:, k]), made.c[:, k]
        if order == "atc":
            expected = np.linalg.solve(one - A @ (one - 0.1 * H), 0.1 * A @ H @ c)
        else:
            expected = np.linalg.solve(one - (one - 0.1 * H) @ A, 0.1 * H @ c)
        np.testing.assert_allclose(found[:, k], expected, rtol=0, atol=1e-10)


def test_the_five_nodes_of_the_reference_lean_by_their_weights():
    h, c = np.array([1, 2, 0.5, 3, 1.5])[:, None], np.array([0, 1, -2, 4, 0.5])[:, None]
    for graph, weights, error in ((nx.cycle_graph(5), "metropolis", 0.037), (nx.star_graph(4), "own", None)):
        problem = agreeing(h, c, links_of(nx.relabel_nodes(graph, str)))
        if weights == "metropolis":
            found = shown_after(Diffusion(eta=0.01), problem, 20_000)
            assert np.abs(found - 1.71875).max() == pytest.approx(error, abs=5e-4)
        else:
            found = shown_after(Diffusion(eta=0.001, weights=row_stochastic(graph)), problem, 40_000)
            assert found.mean() == pytest.approx(1.447368, abs=5e-3)  # the minimiser weighted by who is heard


@pytest.mark.parametrize("algorithm", [DGD, Diffusion])
def test_a_vanishing_step_ends_at_the_optimum(algorithm):
    made = known(nx.cycle_graph(5))
    fixed, vanishing = algorithm(eta=0.1), algorithm(eta=0.1, power=0.6)
    still = np.abs(shown_after(fixed, made.problem, 5000) - made.optimum).max()
    errors = [np.abs(shown_after(vanishing, made.problem, n) - made.optimum).max() for n in (500, 5000, 40_000)]
    assert still > 0.02
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.3 * errors[1] < 0.01


def test_a_vanishing_step_with_limits_falls_by_halves_to_the_optimum():
    problem, _ = boxed(nx.cycle_graph(4))
    best = shown_after(ExactDiffusion(), problem, 3000)
    assert np.ptp(best, axis=0).max() < 1e-7
    errors = [np.abs(shown_after(DGD(eta=0.5, power=0.8), problem, n) - best).max() for n in (50, 1000, 10_000)]
    assert errors[1] < 0.2 * errors[0]
    assert errors[2] < 0.2 * errors[1] < 0.01
