"""Bounds of steps, options that cannot be, verdicts, claims and counts."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.claim import FAULTS
from gridmodel.ir.properties import NetworkFacts, SharedFacts
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.averaging import Averaging
from gridmodel_solvers.agreement.dgd import DGD
from gridmodel_solvers.agreement.diffusion import Diffusion
from gridmodel_solvers.agreement.exact_diffusion import ExactDiffusion
from gridmodel_solvers.agreement.extra import EXTRA
from gridmodel_solvers.agreement.gradient_tracking import GradientTracking
from tests.solvers.agreement.small_graphs import known, matrix, shown_after
from tests.solvers.reference import agreeing
from tests.solvers.runs import properties

STEPPED = [DGD, Diffusion, GradientTracking, EXTRA, ExactDiffusion]
ALL = [*STEPPED, Averaging]
stepped = pytest.mark.parametrize("algorithm", STEPPED, ids=lambda one: one.name)
every = pytest.mark.parametrize("algorithm", ALL, ids=lambda one: one.name)
GRAPH = nx.complete_bipartite_graph(3, 3)
NETWORK = NetworkFacts(6, 18, False, (), False)


def radius(name, W, eta):
    """The largest |z| of the iteration with curvature 1 everywhere, but for the eigenvalue 1 of the conserved sum."""
    worst = 0.0
    for lam in 1 - np.linalg.eigvalsh(W):
        if name == "dgd":
            M = np.array([[1 - lam - eta]])
        elif name == "diffusion":
            M = np.array([[(1 - lam) * (1 - eta)]])
        elif name == "gradient-tracking":
            M = np.array([[1 - lam, -eta], [-lam, 1 - lam - eta]])
        elif name == "extra":
            M = np.array([[1 - lam - eta, -1.0], [lam / 2, 1.0]])
        else:
            M = np.array([[(1 - lam / 2) * (1 - eta), -(1 - lam / 2)], [lam / 2 * (1 - eta), 1 - lam / 2]])
        if lam < 1e-9 and len(M) == 2:
            M = np.array([[1 - eta]])
        worst = max(worst, np.abs(np.linalg.eigvals(M)).max())
    return worst


def bound_of(name, W):
    low = np.linalg.eigvalsh(W)[0]
    return {
        "dgd": 1 + low, "diffusion": 2.0, "gradient-tracking": (1 + low) ** 2 / 2, "extra": (5 + 3 * low) / 4,
        "exact-diffusion": 2.0,
    }[name]  # fmt: skip


@stepped
def test_the_bound_is_where_the_iteration_starts_to_diverge(algorithm):
    made = known(GRAPH, seed=1)
    one = agreeing(np.full_like(made.h, 4.0), made.c, made.problem.links)
    W = matrix(made.problem.links)
    limit = bound_of(algorithm.name, W)
    assert radius(algorithm.name, W, 0.99 * limit) < 1 < radius(algorithm.name, W, 1.01 * limit)
    fields = {} if algorithm in (DGD, Diffusion) else {"damping": 1.0}
    shown = shown_after(algorithm(eta=0.98 * limit / 4, **fields), one, 4000)
    assert np.abs(shown).max() < 10
    with pytest.raises(ModelError, match=rf"{algorithm.name}: eta=.* must stay below .* = {limit / 4:.4g} \(L = 4,"):
        algorithm(eta=1.01 * limit / 4, **fields).init(one, None, 1e-9)


@pytest.mark.parametrize("algorithm", [GradientTracking, EXTRA, ExactDiffusion], ids=lambda one: one.name)
@pytest.mark.parametrize("seed", range(5))
def test_steps_just_below_the_bound_are_stable_whatever_the_curvatures(algorithm, seed):
    made = known(nx.gnp_random_graph(8, 0.5, seed=seed + 1), seed=seed, dense=seed % 2 == 1)
    assert made.problem.links.connected
    largest = np.linalg.eigvalsh(made.h).max() if made.h.ndim == 3 else made.h.max()
    eta = 0.97 * bound_of(algorithm.name, matrix(made.problem.links)) / largest
    before, after = (np.abs(shown_after(algorithm(eta=eta, damping=1.0), made.problem, n) - made.optimum).max()
                     for n in (2000, 6000))  # fmt: skip
    assert after < 1e-6 or after < 0.9 * before


def test_too_little_damping_for_the_delay_is_refused():
    made = known(GRAPH)
    fast = 1 - np.linalg.eigvalsh(matrix(made.problem.links))[0]
    limit = 2 * np.sin(np.pi / 22) / fast
    for algorithm in (GradientTracking, EXTRA, ExactDiffusion, Averaging):
        with pytest.raises(ModelError, match=rf"delay of 5 rounds.*Use damping < {limit:.4g}"):
            algorithm(damping=1.01 * limit, channel=Channel(delay=5)).init(made.problem, None, 1e-9)
    calm = shown_after(Averaging(damping=0.97 * limit, channel=Channel(delay=5)), made.problem, 6000)
    np.testing.assert_allclose(calm, np.tile(made.optimum, (6, 1)), atol=1e-6)


@every
def test_options_that_cannot_be(algorithm):
    for damping in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ModelError, match=r"damping=.* must be above 0 and at most 1"):
            algorithm(damping=damping)
    with pytest.raises(ModelError, match="rule='nearly' is unknown; use 'paired', 'skip' or 'hold'"):
        algorithm(rule="nearly")
    if algorithm is not Averaging:
        for eta in (0.0, -0.1, float("nan"), float("inf")):
            with pytest.raises(ModelError, match="is a step and must be positive"):
                algorithm(eta=eta)


@pytest.mark.parametrize("algorithm", [DGD, Diffusion], ids=lambda one: one.name)
def test_old_numbers_do_no_harm_where_weights_leave_nothing_to_oneself(algorithm):
    made = known(nx.gnp_random_graph(9, 0.4, seed=4), seed=1)
    W = matrix(made.problem.links, "laplacian")
    assert np.diag(W).min() < 0
    found = shown_after(algorithm(weights="laplacian", channel=Channel(delay=3)), made.problem, 4000)
    again = shown_after(algorithm(weights="laplacian", channel=Channel(delay=3)), made.problem, 4500)
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-9)


def test_powers_and_orders_that_cannot_be():
    for algorithm in (DGD, Diffusion):
        for power in (-0.1, 1.1):
            with pytest.raises(ModelError, match=r"power=.* must be in"):
                algorithm(power=power)
    with pytest.raises(ModelError, match="order='cat' is unknown; use 'atc' or 'cta'"):
        Diffusion(order="cat")


def test_dgd_with_weights_that_leave_nothing_to_oneself():
    made = known(nx.cycle_graph(3))
    A = np.array([[0, 0.7, 0.3], [0.4, 0, 0.6], [0.5, 0.5, 0]])
    with pytest.raises(ModelError, match=r"gives itself no weight.*damping=0.5"):
        DGD(weights=A).init(made.problem, None, 1e-9)
    found = shown_after(DGD(weights=A, damping=0.5), made.problem, 3000)
    assert np.abs(found - made.optimum).max() < 1
    with pytest.raises(ModelError, match=r"eta=9 is too large.*mean self weight"):
        DGD(weights=A, eta=9.0).init(made.problem, None, 1e-9)


@pytest.mark.parametrize("fault", [{"drop": 0.4}, {"delay": 4}, {"jitter": 5}, {"awake": 0.4}], ids=str)
@pytest.mark.parametrize("algorithm", [DGD, Diffusion], ids=lambda one: one.name)
def test_hold_rests_where_the_ideal_channel_does(algorithm, fault):
    made = known(nx.gnp_random_graph(8, 0.5, seed=3), seed=2)
    still = shown_after(algorithm(), made.problem, 4000)
    np.testing.assert_allclose(shown_after(algorithm(channel=Channel(**fault)), made.problem, 4000), still, atol=1e-8)
    assert np.abs(still - made.optimum).max() > 1e-2


@every
def test_verdicts(algorithm):
    fits = {"all_agreement": True, "network": NETWORK, "shared": SharedFacts(2)}
    verdict = algorithm().verdict(properties(**fits))
    assert verdict.applies
    assert "quadratic" in verdict.reason
    rough = algorithm().verdict(properties(**fits | {"shared": SharedFacts(2, rough="home has bounds")}))
    assert "home has bounds" in rough.reason
    assert rough.applies == (algorithm is not Averaging)
    assert ("proven for quadratics only" in rough.reason) == (algorithm is GradientTracking)
    apart = NetworkFacts(4, 4, False, (("a", "b"), ("c", "d")), False)
    for change, words in (
        ({"network": None, "components": None}, "model.connect(graph)"),
        ({"network": apart}, "not connected: {a, b}, {c, d}"),
        ({"network": NetworkFacts(3, 3, True, (), False)}, "without a way back"),
        ({"shared": None}, "a resource is shared"),
        ({"shared": SharedFacts(0, refusal="b lacks theta")}, "b lacks theta"),
    ):
        refused = algorithm().verdict(properties(**fits | change))
        assert not refused.applies
        assert words in refused.reason


@every
def test_claims_cover_the_table_and_say_what_is_known(algorithm):
    assert set(algorithm.claims) == set(FAULTS)
    assert algorithm.reveals
    biased = algorithm in (DGD, Diffusion)
    assert bool(algorithm.rests) == biased
    assert all(claim.outcome == "biased" for claim in algorithm.claims.values()) == biased


@pytest.mark.parametrize(("algorithm", "each"), [*zip(ALL, (2, 2, 4, 2, 2, 4), strict=True)])
def test_what_is_sent(algorithm, each):
    made = known(GRAPH)
    one = algorithm()
    assert one.numbers(made.problem) == each
    state = one.init(made.problem, None, 1e-9)
    for _ in range(3):
        state = one.step(state)
    assert one.sent(state, 3) == (3 * 18, 3 * 18 * each * 8)


def test_equal_curvatures_are_not_sent_when_averaging():
    made = known(GRAPH)
    problem = agreeing(np.full_like(made.h, 2.0), made.c, made.problem.links)
    assert Averaging().numbers(problem) == 2
    found = shown_after(Averaging(), problem, 500)
    np.testing.assert_allclose(found, np.tile(made.c.mean(axis=0), (6, 1)), atol=1e-12)
    W = matrix(problem.links)
    np.testing.assert_allclose(shown_after(Averaging(damping=1.0), problem, 2), W @ W @ made.c, atol=1e-12)


def test_averaging_of_agents_without_curvature_of_their_own():
    links = known(nx.path_graph(3)).problem.links
    h, pull = np.array([[2.0], [0.0], [0.0]]), np.array([[1.0], [3.0], [-7.0]])
    problem = agreeing(h, np.zeros((3, 1)), links)
    stacks = [type(s)(**{**s.__dict__, "q": -pull[[int(n[1]) for n in s.labels]]}) for s in problem.stacks]
    problem = type(problem)(tuple(stacks), problem.couplings, links)
    np.testing.assert_allclose(shown_after(Averaging(), problem, 500), np.full((3, 1), -1.5), atol=1e-9)
    flat = [type(s)(**{**s.__dict__, "P": stacks[1].P}) for s in stacks]
    with pytest.raises(NotApplicableError, match="no agent's cost bends"):
        Averaging().init(type(problem)(tuple(flat), problem.couplings, links), None, 1e-9)


def test_averaging_refuses_products_and_limits():
    with pytest.raises(NotApplicableError, match="products of two"):
        Averaging().init(known(GRAPH, dense=True).problem, None, 1e-9)
    made = known(GRAPH)
    bounded = agreeing(made.h, made.c, made.problem.links, lower=made.c - 1, upper=made.c + 1)
    with pytest.raises(NotApplicableError, match="quadratics without limits"):
        Averaging().init(bounded, None, 1e-9)


def test_an_equation_among_own_variables_is_no_limit():
    model = gm.Model("sum")
    for k in range(3):
        agent = model.agent(f"a{k}")
        theta, own = agent.variable("theta"), agent.variable("own", 2)
        agent.minimize((own[0] - k) ** 2 + (own[1] + k) ** 2 + 0.1 * theta**2)
        agent.subject_to(own[0] + own[1] == theta + 1)
    model.agree("theta")
    model.connect(nx.path_graph(["a0", "a1", "a2"]))
    verdict = EXTRA().verdict(compile_model(model).properties)
    assert verdict.applies
    assert "one gradient" in verdict.reason
    result = gm.solve(model, EXTRA(), tolerance=1e-8)
    assert result.value == pytest.approx(gm.solve(model, "central").value, rel=1e-7)
    own = result["a1"]["own"]
    assert own.sum() == pytest.approx(result["a1"]["theta"] + 1, abs=1e-7)
