"""Gradients against finite differences, proximal answers against CVXPY, and answers to random models."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.ir.result import Status
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.exact_diffusion import ExactDiffusion
from gridmodel_solvers.agreement.extra import EXTRA
from gridmodel_solvers.agreement.gradient_tracking import GradientTracking
from gridmodel_solvers.agreement.shared import Shared
from tests.solvers.agreement.small_graphs import known
from tests.strategies import EXAMPLES

KINDS = ("quadratic", "box", "LP", "cone", "private")
GRAPHS = (nx.path_graph, nx.cycle_graph, nx.complete_graph, nx.star_graph)


@dataclass
class Agreed:
    """A model whose agents agree on theta, each agent's cost and limits, and its words."""

    model: gm.Model
    costs: list[cp.Expression]
    limits: list[list[cp.Constraint]]
    words: str

    def __repr__(self) -> str:
        return f"Agreed({self.words})"


@st.composite
def agreed_models(draw, kinds=KINDS):
    """3 to 6 agents on a graph; theta of 1 to 3 numbers near a point that all can take; odd units."""
    kind, shape = draw(st.sampled_from(kinds)), draw(st.sampled_from(GRAPHS))
    return agreed(kind, shape, draw(st.integers(3, 6)), draw(st.integers(0, 2**32 - 1)))


def agreed(kind, shape, size, seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 4))
    scale, money = float(rng.choice([1e-3, 1, 1e3])), float(rng.choice([1e-2, 1, 1e2]))
    model, inner, graph = gm.Model("agreed"), rng.normal(size=d), shape(size)
    made = Agreed(model, [], [], f"{kind} {shape.__name__} {size} d={d} x{scale:g} money {money:g} seed {seed}")
    for k in graph.nodes:
        agent = model.agent(f"a{k}")
        span = rng.uniform(0.5, 3, d) * scale
        bounds = (scale * inner - span, scale * inner + span) if kind in ("box", "LP", "cone") else None
        u = agent.variable("theta", d, bounds=bounds) / scale
        wish, limits = inner + rng.normal(size=d), []
        if kind == "quadratic":
            cost = cp.sum_squares(rng.normal(size=(d + 1, d)) @ u - rng.normal(size=d + 1))
        elif kind == "box":
            cost = cp.sum(cp.multiply(rng.uniform(0.1, 3, d), cp.square(u - wish)))
        elif kind == "LP":
            cost = rng.normal(size=d) @ u + cp.norm1(u - wish)
        elif kind == "cone":
            cost, limits = cp.norm(u - wish, 2) + 0.3 * cp.sum_squares(u), [cp.norm(u - inner, 2) <= rng.uniform(1, 3)]
        else:
            z = agent.variable("z", 2, bounds=(0, 3))
            cost, limits = cp.sum_squares(u - wish - z[0]) + cp.sum(z) + cp.square(z[1] - u[0]), [z[0] + z[1] >= 0.2]
        agent.minimize(money * cost)
        agent.subject_to(*limits)
        made.costs.append(money * cost)
        made.limits.append(limits)
    model.agree("theta")
    model.connect(nx.relabel_nodes(graph, {k: f"a{k}" for k in graph.nodes}))
    return made


@pytest.mark.parametrize("dense", [False, True])
def test_the_gradient_is_that_of_the_cost(dense):
    made = known(nx.path_graph(5), d=3, dense=dense)
    shared, rng = Shared(made.problem), np.random.default_rng(0)
    at, along = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))

    def cost(V):
        stacks = made.problem.stacks
        return np.concatenate([s.cost(v) for s, v in zip(stacks, np.split(V, [1, 4]), strict=True)])

    slope = (cost(at + 1e-5 * along) - cost(at - 1e-5 * along)) / 2e-5
    np.testing.assert_allclose((shared.gradient(at) * along).sum(axis=1), slope, rtol=1e-7)
    low, high = shared.curvature
    eigen = np.linalg.eigvalsh(made.h) if dense else made.h
    assert (low, high) == pytest.approx((eigen.min(), eigen.max()))
    scaled = (
        eigen * shared.pace if not dense else np.linalg.eigvalsh(made.h * np.sqrt(np.outer(shared.pace, shared.pace)))
    )
    assert scaled.max() == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_proximal_answer_is_that_of_cvxpy(kind):
    made = agreed(kind, nx.cycle_graph, 4, 7)
    problem = compile_model(made.model).lowered.separable
    shared, order = Shared(problem), [label for s in problem.stacks for label in s.labels]
    assert shared.smooth == (kind == "quadratic")
    rng = np.random.default_rng(1)
    start = shared.start(None)
    V = start + rng.normal(size=start.shape) / np.sqrt(shared.stiffness)
    weight = shared.stiffness * rng.uniform(0.3, 3, V.shape)
    found, gradient = shared.prox(V, weight)
    for k, name in enumerate(order):
        own = int(name[1:])
        theta = made.model.agents[own]["theta"]
        pull = cp.sum(cp.multiply(weight[k] / 2, cp.square(theta - V[k])))
        cp.Problem(cp.Minimize(made.costs[own] + pull), made.limits[own]).solve(
            solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-10, tol_feas=1e-10
        )
        size = np.abs(V).max()
        np.testing.assert_allclose(found[k], theta.value, rtol=0, atol=1e-5 * size)
        np.testing.assert_allclose(gradient[k], weight[k] * (V[k] - found[k]), rtol=1e-12)


def test_private_columns_of_those_who_sleep_stay_as_they_were():
    made = agreed("private", nx.cycle_graph, 4, 3)
    problem = compile_model(made.model).lowered.separable
    shared = Shared(problem)
    V = shared.start(None)
    weight = np.full(V.shape, 1.0) * shared.stiffness
    first, g = shared.prox(V, weight)
    before = shared.observe(first, g).x
    shift = 2.0 / np.sqrt(shared.stiffness)
    awake = np.array([label != "a1" for s in problem.stacks for label in s.labels])
    second, _ = shared.prox(V + shift, weight, awake)
    after = shared.observe(np.where(awake[:, None], second, first), g).x
    flat = [np.concatenate([part.ravel() for part in x]) for x in (before, after)]
    asleep = np.concatenate([np.repeat([n == "a1" for n in s.labels], s.columns) for s in problem.stacks])
    np.testing.assert_array_equal(flat[0][asleep], flat[1][asleep])
    assert (flat[0] != flat[1])[~asleep].any()


def test_the_certificate_is_tight_at_the_optimum_and_measures_what_is_missing():
    made = known(nx.cycle_graph(5), seed=4)
    shared = Shared(made.problem)
    best = np.tile(made.optimum, (5, 1))
    seen = shared.observe(best, shared.gradient(best))
    assert seen.dual_residual < 1e-12
    np.testing.assert_allclose(shared.pull(seen.mu), -shared.gradient(best), atol=1e-9)
    off = best + 0.1
    wrong = shared.observe(off, shared.gradient(off))
    assert wrong.dual_residual > 1e-3
    np.testing.assert_allclose(
        shared.pull(wrong.mu), shared.gradient(off).mean(axis=0) - shared.gradient(off), atol=1e-9
    )


@settings(EXAMPLES, max_examples=12)
@given(agreed_models())
def test_random_models_reach_the_central_optimum(made):
    best = gm.solve(made.model, "central").value
    for algorithm in (EXTRA(), ExactDiffusion(), GradientTracking()):
        result = gm.solve(made.model, algorithm, tolerance=1e-5, max_rounds=8000)
        assert result.status is Status.CERTIFIED, (algorithm.name, result.certificate)
        assert result.value == pytest.approx(best, rel=1e-4, abs=1e-4 * abs(best) + 1e-9)


@settings(EXAMPLES, max_examples=4)
@given(agreed_models(("box", "private")))
def test_random_models_with_limits_are_solved_over_a_lossy_channel(made):
    best = gm.solve(made.model, "central").value
    for algorithm in (EXTRA, ExactDiffusion):
        one = algorithm(channel=Channel(drop=0.3, awake=0.8, seed=2))
        result = gm.solve(made.model, one, tolerance=1e-4, max_rounds=8000)
        assert result.status is Status.CERTIFIED, (algorithm.name, result.certificate)
        assert result.value == pytest.approx(best, rel=1e-3, abs=1e-3 * abs(best) + 1e-9)


def test_agents_without_a_cost_do_not_hide_how_those_of_the_others_bend():
    def stiffness(idle):
        model = gm.Model("few care")
        for i in range(2 + idle):
            agent = model.agent(f"a{i}")
            x = agent.variable("x", bounds=(-3, 3))
            agent.minimize(0 * x if i >= 2 else 5 * cp.square(x - i))
        model.agree("x")
        return float(Shared(compile_model(model).lowered.separable).stiffness[0])

    assert stiffness(0) / 2 < stiffness(20) < 2 * stiffness(0)
