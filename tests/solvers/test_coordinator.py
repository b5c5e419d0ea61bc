"""A coordinator over a faulty channel: dual decomposition and exchange ADMM still end at the optimum."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.separable import Separable
from gridmodel.runtime.absent import without
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm
from gridmodel.runtime.loop import Limits
from gridmodel.runtime.loop import run as run_loop
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel_solvers.admm import ADMM
from gridmodel_solvers.coordinated_admm import CoordinatedADMM
from gridmodel_solvers.coordinated_dual import CoordinatedDual
from gridmodel_solvers.coordinator import limit, pace, star_links
from gridmodel_solvers.dual_decomposition import DualDecomposition
from gridmodel_solvers.exchange import Exchange, row_sizes
from tests.small import dispatch as dispatch_model
from tests.small import homes
from tests.solvers.build import central, dispatch, separable, stack
from tests.solvers.dispatch.common import EXACT, FAULTS, settled
from tests.solvers.reference import dispatch as reference
from tests.solvers.reference import error
from tests.solvers.runs import optimal, properties, random_model, two_bus

BOTH = [CoordinatedDual, CoordinatedADMM]


def test_star() -> None:
    links = star_links(two_bus(60.0))
    assert links.nodes == ["cheap", "dear", "line", "coordinator"]
    assert set(zip(links.sender.tolist(), links.receiver.tolist(), strict=True)) == {
        (0, 3), (1, 3), (2, 3), (3, 0), (3, 1), (3, 2)
    }  # fmt: skip
    named = separable([stack([1.0] * 2, np.zeros((2, 1)), [[1.0]], [0], labels=["coordinator", "b"])], 1.0, 1.0)
    assert len(set(star_links(named).nodes)) == 3


@pytest.mark.parametrize("seed", range(4))
def test_without_faults_dual_is_plain_ascent(seed: int) -> None:
    problem = random_model(seed)
    plain, star = DualDecomposition(accelerated=False), CoordinatedDual()
    one, other = plain.init(problem, None, 1e-8), star.init(problem, None, 1e-8)
    for _ in range(20):
        one, other = plain.step(one), star.step(other)
        np.testing.assert_allclose(other.mu, one.mu, rtol=1e-9, atol=1e-12)
        for a, b in zip(plain.observe(one).x, star.observe(other).x, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "async", "outage"])
def test_admm_holds_the_last_target(fault: str) -> None:
    problem, channel, rounds = dispatch(), FAULTS[fault], 30
    algorithm = CoordinatedADMM(channel=channel)
    state: Any = algorithm.init(problem, None, 1e-8)
    for _ in range(rounds):
        state = algorithm.step(state)
    # The same, agent by agent: x = prox(w - r - u), u + g (mean w - d / n), each as last heard.
    only, n = problem.stacks[0], 3
    q, c, share = only.P.diagonal()[:, 0], only.q[:, 0], problem.couplings.upper[0] / n
    rho, g = float(row_sizes(problem)[1][0]), pace(channel)
    network = Network(star_links(problem), channel)
    edges = list(zip(network.links.sender.tolist(), network.links.receiver.tolist(), strict=True))
    u, r, target, last, x = 0.0, 0.0, [0.0] * n, [0.0] * n, [0.0] * n
    heard: set[int] = set()
    for _ in range(rounds):
        network.tick()
        arrived = network.fates.arrived
        got = {edge for k, edge in enumerate(edges) if arrived is None or arrived[k]}
        for i in range(n):
            target[i] = last[i] - r - u if (n, i) in got else target[i]
            x[i] = float(np.clip((rho * target[i] - c[i]) / (q[i] + rho), only.lower[i, 0], only.upper[i, 0]))
            if (i, n) in got:
                last[i] = x[i]
                heard.add(i)
        if len(heard) == n and (network.active is None or network.active[n]):
            r = sum(last) / n - share
            u += g * r
    np.testing.assert_allclose(algorithm.observe(state).x[0][:, 0], x, atol=1e-12)
    assert state.u[0] == pytest.approx(u, abs=1e-12)


def test_without_faults_admm_ends_as_the_exchange_form() -> None:
    problem = random_model(3)
    star = settled(CoordinatedADMM(), problem, 1e-8)
    plain = run_loop(problem, Exchange(), Limits(1e-8)).judgement.iterate
    np.testing.assert_allclose(star.mu, plain.mu, atol=1e-6)


def naive_dual(problem: Separable, step: float, rounds: int, channel: Channel, missing: str) -> tuple[Any, float]:
    """Offers and price of boxes under one equation, agent by agent; what is missing counts as it was, or as zero."""
    only, n = problem.stacks[0], problem.stacks[0].size
    q, c = only.P.diagonal()[:, 0] * np.ones(n), only.q[:, 0]
    network = Network(star_links(problem), channel)
    edges = list(zip(network.links.sender.tolist(), network.links.receiver.tolist(), strict=True))
    price, held, last = 0.0, [0.0] * n, [0.0] * n
    heard: set[int] = set()
    x = np.zeros(n)
    for _ in range(rounds):
        network.tick()
        arrived = network.fates.arrived
        got = {edge for k, edge in enumerate(edges) if arrived is None or arrived[k]}
        for i in range(n):
            held[i] = price if (n, i) in got else held[i]
            x[i] = np.clip((-c[i] - held[i]) / q[i], only.lower[i, 0], only.upper[i, 0])
            if (i, n) in got:
                last[i] = x[i]
                heard.add(i)
            elif missing == "zero":
                last[i] = 0.0
        if len(heard) == n and (network.active is None or network.active[n]):
            price += step * (sum(last) - problem.couplings.upper[0])
    return x, price


@pytest.mark.parametrize("fault", ["drop", "burst", "async"])
def test_dual_holds_what_it_heard_last(fault: str) -> None:
    problem, channel = dispatch(), FAULTS[fault]
    algorithm = CoordinatedDual(step_size=0.1, channel=channel)
    state = algorithm.init(problem, None, 1e-8)
    for _ in range(30):
        state = algorithm.step(state)
    x, price = naive_dual(problem, 0.1, 30, channel, "held")
    np.testing.assert_allclose(algorithm.observe(state).x[0][:, 0], x, atol=1e-12)
    assert state.mu[0] == pytest.approx(price, abs=1e-12)


def test_counting_what_is_missing_as_zero_is_biased() -> None:
    problem, optimum = reference(0)
    held, _ = naive_dual(problem, 0.005, 400, Channel(drop=0.3), "held")
    zero, _ = naive_dual(problem, 0.005, 400, Channel(drop=0.3), "zero")
    assert np.abs(held - optimum[:, 0]).max() < 1e-6
    assert np.abs(zero - optimum[:, 0]).max() > 0.3


def test_adding_up_increments_is_biased() -> None:
    # The same rounds, but every agent adds up its own u from the increments that reach it.
    problem, optimum = reference(0)
    only, rng = problem.stacks[0], np.random.default_rng(0)
    q, c, n = only.P.diagonal()[:, 0], only.q[:, 0], only.size
    rho, share = float(row_sizes(problem)[1][0]), problem.couplings.upper[0] / n
    w, u, r = np.zeros(n), np.zeros(n), -share
    for _ in range(2000):
        got = rng.random(n) > 0.3
        u = np.where(got, u + r, u)
        target = w - r - u
        w = np.where(got, np.clip((rho * target - c) / (q + rho), 0, only.upper[:, 0]), w)
        r = w.mean() - share
    assert np.abs(w - optimum[:, 0]).max() > 0.1


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("fault", EXACT)
def test_dispatch(kind: type[AbstractNetworked], fault: str) -> None:
    seen = settled(kind(channel=FAULTS[fault]), dispatch(), 1e-7)
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-5)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from(["drop", "burst", "jitter", "async"]))
@settings(max_examples=10, deadline=None)
def test_random_models_reach_the_central_optimum(seed: int, fault: str) -> None:
    problem = random_model(seed)
    truth = central(problem)
    for kind in BOTH:
        outcome = run_loop(problem, kind(channel=FAULTS[fault]), Limits(1e-5))
        assert outcome.status.value == "certified", kind
        assert outcome.judgement.value == pytest.approx(truth.value, abs=2e-5 * outcome.judgement.size)
        optimal(problem, outcome.judgement.iterate, 5e-3)


def test_admm_takes_agents_whose_answers_jump() -> None:
    for line, prices in [(60.0, (10.0, 30.0)), (150.0, (10.0, 10.0))]:
        seen = settled(CoordinatedADMM(channel=Channel(drop=0.3, delay=2, seed=1)), two_bus(line), 1e-7)
        np.testing.assert_allclose(-seen.mu, prices, atol=1e-4)


def test_pace_keeps_a_delayed_loop_stable() -> None:
    # The largest root of z^(D + 1) = z^D - g: below one for g under the limit, not above it.
    def radius(g: float, late: int) -> float:
        return float(np.abs(np.roots([1.0, -1.0, *[0.0] * (late - 1), g])).max())

    for delay in (1, 2, 5):
        channel = Channel(delay=delay)
        assert pace(channel) == pytest.approx(limit(channel) / 2)
        assert radius(0.99 * limit(channel), 2 * delay) < 1 < radius(1.01 * limit(channel), 2 * delay)
    assert (limit(Channel()), pace(Channel())) == (2.0, 1.0)
    # Silence of T rounds, T geometric: the pace makes E (1 - g T)^2 the least.
    chance = 0.7**2
    length = np.arange(1, 200)
    weight = chance * (1 - chance) ** (length - 1)
    best = (weight * length).sum() / (weight * length**2).sum()
    assert pace(Channel(drop=0.3)) == pytest.approx(best)
    assert pace(Channel(drop=0.3, burst=5)) < pace(Channel(drop=0.3))


def test_a_full_step_under_delay_is_refused() -> None:
    problem, _ = reference(0)
    with pytest.raises(ModelError, match=r"must lie between 0 and 0\.149/L"):
        CoordinatedDual(step_size=0.01, channel=Channel(delay=5)).init(problem, None, 1e-4)


@pytest.mark.parametrize("kind", BOTH)
def test_who_leaves_with_a_word_no_longer_counts(kind: type[AbstractNetworked]) -> None:
    problem, _ = reference(0)
    truth = central(without(problem, ["n3", "n8"])).x[0]
    leaves = {"n3": 50, "n8": 90}
    found = []
    for handover in (True, False):
        algorithm = kind(channel=Channel(drop=0.2, leaves=leaves, handover=handover, seed=1))
        state: Any = algorithm.init(problem, None, 1e-8)
        for _ in range(600):
            state = algorithm.step(state)
        found.append(np.abs(algorithm.observe(state).x[0] - truth).max())
    assert found[0] < 1e-7
    assert found[1] > 1e-4


@pytest.mark.parametrize("kind", BOTH)
def test_newcomers_count_when_heard(kind: type[AbstractNetworked]) -> None:
    problem, optimum = reference(1)
    algorithm = kind(channel=Channel(drop=0.2, joins={"n3": 100}, seed=1))
    state: Any = algorithm.init(problem, None, 1e-8)
    for _ in range(99):
        state = algorithm.step(state)
    assert algorithm.observe(state).x[0][3] == 0.0
    for _ in range(600):
        state = algorithm.step(state)
    np.testing.assert_allclose(algorithm.observe(state).x[0], optimum, atol=1e-7)


@pytest.mark.parametrize("kind", BOTH)
def test_outages_by_name_and_counts(kind: type[AbstractNetworked]) -> None:
    problem = two_bus(60.0) if kind is CoordinatedADMM else dispatch()
    name = problem.stacks[0].labels[0]
    algorithm = kind(channel=Channel(outages={name: (3, 5)}))
    state: Any = algorithm.init(problem, None, 1e-4)
    for _ in range(10):
        state = algorithm.step(state)
    messages, size = algorithm.sent(state, 10)
    agents, slots = 3, sum(stack.rows.size for stack in problem.stacks)
    traffic = algorithm.traffic(problem)
    assert (traffic.messages, traffic.numbers) == (2 * agents, 2 * slots)
    # For two rounds the first agent sends nothing, but is still sent to.
    assert messages == 10 * 2 * agents - 2
    assert size == 8 * (10 * 2 * slots - 2 * problem.stacks[0].slots)


@pytest.mark.parametrize("kind", BOTH)
def test_warm_start_is_there_at_once(kind: type[AbstractNetworked]) -> None:
    problem = random_model(11)
    algorithm = kind(channel=Channel(drop=0.2, seed=1))
    cold = run_loop(problem, algorithm, Limits(1e-8))
    warm = run_loop(problem, algorithm, Limits(1e-6), cold.judgement.iterate)
    assert warm.rounds <= 2 < cold.rounds


@pytest.mark.parametrize("method", ["dual", "admm"])
def test_solve_by_name(method: str) -> None:
    for model in (dispatch_model(), homes()):
        result = gm.solve(model, method, channel=Channel(drop=0.3, delay=1, seed=2), tolerance=1e-5, verify=True)
        assert result.status.value == "certified"
        assert abs(result.certificate.central_gap) <= 1e-5
        assert result.messages > 0


@pytest.mark.parametrize("algorithm", [DualDecomposition(), ADMM()])
def test_over(algorithm: AbstractAlgorithm) -> None:
    assert algorithm.over(Channel()) is algorithm
    made = algorithm.over(Channel(drop=0.1))
    assert isinstance(made, AbstractNetworked)
    assert made.name == algorithm.name
    assert made.over(Channel()).channel == Channel()


def test_what_needs_a_perfect_channel_is_refused() -> None:
    faulty = Channel(drop=0.1)
    with pytest.raises(NotApplicableError, match="leave memory out"):
        ADMM(form="exchange", memory=5).over(faulty)
    with pytest.raises(NotApplicableError, match="relaxed-admm"):
        ADMM(form="edge").over(faulty)
    with pytest.raises(NotApplicableError, match="topology forbids"):
        DualDecomposition().settled(properties(coordinator=False)).over(faulty)
    with pytest.raises(ModelError, match="cannot be a penalty"):
        CoordinatedADMM(rho=0.0)
    with pytest.raises(ModelError, match="rule"):
        run_loop(dispatch(), CoordinatedDual(channel=Channel(drop=0.1, rule="hold")), Limits(1e-4))


def test_verdicts() -> None:
    for kind in BOTH:
        assert kind().verdict(properties()).applies
        assert "forbids" in kind().verdict(properties(coordinator=False)).reason
    assert not CoordinatedDual().verdict(properties(step_norm=None)).applies
    assert CoordinatedADMM().verdict(properties(step_norm=None)).applies


def test_no_coordinator_where_the_topology_forbids_one() -> None:
    model = dispatch_model()
    model.connect(nx.path_graph(["g1", "g2", "g3"]), coordinator=False)
    for method in ("dual", "admm"):
        with pytest.raises(NotApplicableError):
            gm.solve(model, method, channel=Channel(drop=0.1))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", BOTH)
def test_claims(kind: type[AbstractNetworked], seed: int) -> None:
    problem, optimum = reference(seed)
    for channel in (Channel(), Channel(drop=0.3, seed=seed), Channel(drop=0.3, burst=5, seed=seed), Channel(delay=5),
                    Channel(outages={"n3": (200, 300)}), Channel(awake=0.5, seed=seed)):  # fmt: skip
        assert error(kind(channel=channel), problem, optimum, 2000) < 1e-9, channel
    short, long = (error(kind(channel=Channel(noise=1e-3, seed=seed)), problem, optimum, k) for k in (1000, 4000))
    assert 1e-4 < short < 0.01
    assert long < 2 * short
    assert 1e-3 < error(kind(channel=Channel(bits=8)), problem, optimum, 1000) < 0.4


@pytest.mark.parametrize("method", ["admm", "dual"])
def test_agreements_that_somebody_leaves_are_refused(method: str) -> None:
    model = gm.Model("agreement")
    for k in range(3):
        x = model.agent(f"a{k}").variable("x")
        model[f"a{k}"].minimize(cp.square(x - k))
    model.agree("x")
    with pytest.raises(NotApplicableError, match="a1 leaves its pairs for good"):
        gm.solve(model, method, channel=Channel(leaves={"a1": 15}))
    back = gm.solve(model, method, channel=Channel(leaves={"a1": 15}, joins={"a1": 30}), verify=True)
    assert back.status is gm.Status.CERTIFIED


def test_who_takes_part_in_nothing_is_not_missed_by_the_coordinator() -> None:
    model = gm.Model("one alone")
    for k in range(4):
        p = model.agent(f"a{k}").variable("p", bounds=(0, 3))
        model[f"a{k}"].minimize(cp.square(p - 0.1 * k))
    model.couple(sum(model[f"a{k}"]["p"] for k in range(3)) == 2, name="balance")
    result = gm.solve(model, "admm", channel=Channel(leaves={"a1": 15}), verify=True)
    assert result.status is gm.Status.CERTIFIED
    assert result["a3"]["p"] == pytest.approx(0.3, abs=1e-4)
