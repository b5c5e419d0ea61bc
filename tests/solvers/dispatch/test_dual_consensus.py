"""Dual consensus ADMM against the published loop, conserved sums, central optima, and what is claimed of it."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.ir.properties import NetworkFacts
from gridmodel.ir.separable import Separable
from gridmodel.runtime.absent import without
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.loop import Limits
from gridmodel.runtime.loop import run as run_loop
from gridmodel.runtime.network import Network
from gridmodel_solvers.dispatch.dual_consensus import DualConsensus
from gridmodel_solvers.exchange import row_sizes
from models import community, economic_dispatch
from tests.solvers.build import central, separable, stack
from tests.solvers.dispatch.common import EXACT, FAULTS, after, linked, off, path, random_graph, settled
from tests.solvers.dispatch.models import battery_model, cone_model, elastic_model
from tests.solvers.reference import dispatch as reference
from tests.solvers.reference import error
from tests.solvers.runs import optimal, properties, random_model

HERE = NetworkFacts(3, 4, False, (), False)


def published(problem: Separable, rho: float, rounds: int, channel: Channel) -> Any:
    """Multipliers and sums of the published iteration, agent by agent, for boxes 1/2 q x^2 + c x under one equation."""
    only, links = problem.stacks[0], problem.links
    assert links is not None
    q, c = only.P.diagonal()[:, 0] * np.ones(only.size), only.q[:, 0]
    share, n = problem.couplings.upper[0] / only.size, only.size
    mu, p = np.zeros(n), np.zeros(n)
    network = Network(links, channel)
    edges = list(zip(links.sender.tolist(), links.receiver.tolist(), strict=True))
    degree = [sum(b == i for _, b in edges) for i in range(n)]
    for _ in range(rounds):
        network.tick()
        arrived = network.fates.arrived
        got = {edge for k, edge in enumerate(edges) if arrived is None or arrived[k]}
        old, before = mu.copy(), p.copy()
        for i in range(n):
            if network.active is not None and not network.active[i]:
                continue
            pairs = [j for j in range(n) if (i, j) in got and (j, i) in got]
            p[i] = before[i] + rho * sum(old[i] - old[j] for j in pairs)
            # Minimise phi + p mu + rho sum_j |mu - (mu_i + mu_j) / 2|^2, a neighbour not heard taken to agree.
            means = [(old[i] + old[j]) / 2 for j in pairs] + [old[i]] * (degree[i] - len(pairs))
            w = 2 * rho * degree[i]
            t = sum(means) / degree[i] - p[i] / w
            x = np.clip((share / w - t - c[i]) / (q[i] + 1 / w), only.lower[i, 0], only.upper[i, 0])
            mu[i] = t + (x - share) / w
    return mu, p


@pytest.mark.parametrize("fault", ["ideal", "drop", "outage", "async"])
def test_rounds_are_the_published_ones(fault: str) -> None:
    problem = path()
    unit = 1.0 / row_sizes(problem)[1][0]
    state = after(DualConsensus(rho=0.2, channel=FAULTS[fault]), problem, 40)
    mu, p = published(problem, 0.2 * unit, 40, FAULTS[fault])
    np.testing.assert_allclose(state.mu[:, 0], mu, atol=1e-9)
    np.testing.assert_allclose(state.p[:, 0], p, atol=1e-9)


@pytest.mark.parametrize("fault", [*EXACT, "bits"])
def test_sum_is_kept_every_round(fault: str) -> None:
    algorithm = DualConsensus(channel=FAULTS[fault])
    state = algorithm.init(path(), None, 1e-8)
    largest = 0.0
    for _ in range(40):
        state = algorithm.step(state)
        largest = max(largest, float(np.abs(state.p).sum()))
        assert np.abs(algorithm.conserved(state).off).max() <= 1e-12 * largest


@pytest.mark.parametrize("fault", [fault for fault in EXACT if fault not in ("delay", "jitter")])
def test_dispatch(fault: str) -> None:
    seen = settled(DualConsensus(channel=FAULTS[fault]), path())
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-6)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-6)


def test_a_run_that_diverges_says_so() -> None:
    problem, _ = reference(0)
    outcome = run_loop(problem, DualConsensus(channel=Channel(delay=5)), Limits(1e-6))
    assert outcome.status.value == "stopped"
    assert "left the range of numbers" in outcome.message


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=12, deadline=None)
def test_random_models_reach_the_central_optimum(seed: int, curved: bool) -> None:
    problem = random_model(seed, curved)
    problem = linked(problem, random_graph(problem.blocks, seed))
    outcome = run_loop(problem, DualConsensus(), Limits(1e-6))
    truth = central(problem)
    assert outcome.status.value == "certified"
    assert outcome.judgement.value == pytest.approx(truth.value, abs=2e-6 * outcome.judgement.size)
    optimal(problem, outcome.judgement.iterate, 2e-3)


@pytest.mark.parametrize("build", [elastic_model, battery_model, cone_model])
def test_agents_of_many_kinds(build: Any) -> None:
    result = gm.solve(build(), DualConsensus(), tolerance=1e-6)
    verdict = gm.verify(result)
    assert result.status.value == "certified"
    assert abs(verdict.central_gap) <= 1e-6
    assert verdict.price_error <= 1e-4


@pytest.mark.parametrize("loads", [False, True])
def test_shipped_dispatch(loads: bool) -> None:
    result = gm.solve(economic_dispatch.build(loads=loads), DualConsensus(), tolerance=1e-7)
    np.testing.assert_allclose([result[g]["p"] for g in ("g1", "g2", "g3")], [2.06, 1.0, 1.04], atol=1e-5)
    assert result.price["balance"] == pytest.approx(1.02, abs=1e-5)


@pytest.mark.parametrize("kind", ["qp", "lp"])
def test_homes_with_batteries_under_a_limit(kind: str) -> None:
    model = community.build(homes=5, kind=kind)
    model.connect(nx.cycle_graph([f"home[{i}]" for i in range(5)]), coordinator=False)
    result = gm.solve(model, DualConsensus(), tolerance=1e-6)
    assert abs(gm.verify(result).central_gap) <= 1e-6


def test_rounds_do_not_depend_on_units() -> None:
    def scaled(column: float, row: float, cost: float) -> int:
        beta = np.array([3.0, 2.0, 2.0])
        made = stack(cost / beta[:, None] / column**2, cost / beta[:, None] / column, [[row / column]], [0], 0.0,
                     np.array([[2.1], [1.0], [5.0]]) * column, labels=["g1", "g2", "g3"])  # fmt: skip
        problem = linked(separable([made], 4.1 * row, 4.1 * row), nx.path_graph(3))
        return run_loop(problem, DualConsensus(), Limits(1e-6)).rounds

    assert len({scaled(*unit) for unit in [(1, 1, 1), (1e3, 1, 1), (1, 1e3, 1), (1, 1, 1e4)]}) == 1


def test_who_leaves_hands_over_its_share() -> None:
    channel = Channel(drop=0.2, leaves={"n3": 100}, seed=1)
    problem, _ = reference(0)
    algorithm = DualConsensus(channel=channel)
    state = after(algorithm, problem, 1500)
    truth = central(without(problem, ["n3"]))
    np.testing.assert_allclose(algorithm.observe(state).x[0], truth.x[0], atol=1e-7)
    assert off(algorithm, state) <= 1e-12


def test_who_leaves_without_a_word_leaves_its_share_unmet() -> None:
    problem, _ = reference(0)
    algorithm = DualConsensus(channel=Channel(leaves={"n3": 100}, handover=False))
    state = after(algorithm, problem, 1500)
    x = algorithm.observe(state).x[0]
    p = state.p[state.network.fates.present]
    demand = problem.couplings.upper[0]
    # What it offered in excess stays missing: those who stay serve the rest.
    assert x.sum() == pytest.approx(demand * 0.99 + p.sum(), abs=1e-6)
    assert abs(x.sum() - demand) > 1e-3


def test_newcomer_takes_part() -> None:
    problem, optimum = reference(1)
    algorithm = DualConsensus(channel=Channel(drop=0.2, joins={"n3": 200}, seed=1))
    state = algorithm.init(problem, None, 1e-8)
    for _ in range(1500):
        state = algorithm.step(state)
        assert off(algorithm, state) <= 1e-12 or np.abs(state.p).sum() < 1e-3
        if state.network.round == 199:
            assert algorithm.observe(state).x[0][3] == 0.0
    np.testing.assert_allclose(algorithm.observe(state).x[0], optimum, atol=1e-7)


def test_warm_start_is_there_at_once() -> None:
    problem = linked(random_model(11), nx.cycle_graph(random_model(11).blocks))
    cold = run_loop(problem, DualConsensus(), Limits(1e-8))
    warm = run_loop(problem, DualConsensus(), Limits(1e-6), cold.judgement.iterate)
    assert warm.rounds <= 3 < cold.rounds


@pytest.mark.parametrize("rho", [0.0, -1.0, np.nan, np.inf])
def test_no_penalty(rho: float) -> None:
    with pytest.raises(ModelError, match="cannot be a penalty"):
        DualConsensus(rho=rho)


def test_verdicts() -> None:
    verdict = DualConsensus().verdict
    assert verdict(properties(network=HERE, step_norm=None)).applies
    assert "no topology" in verdict(properties(components=None)).reason
    assert not verdict(properties(network=NetworkFacts(3, 2, False, (("a",), ("b", "c")), False))).applies
    assert not verdict(properties(network=NetworkFacts(3, 4, True, (), False))).applies
    assert not verdict(properties(network=HERE, all_agreement=True)).applies


def test_prices_that_run_away_are_not_the_fault_of_an_agent() -> None:
    result = gm.solve(battery_model(), DualConsensus(rho=10.0), channel=Channel(delay=5), max_rounds=2000)
    assert result.status is gm.Status.STOPPED
    assert "left the range of numbers" in result.message


def test_messages_are_counted() -> None:
    algorithm = DualConsensus()
    state = after(algorithm, path(), 10)
    assert algorithm.sent(state, 10) == (40, 320)
    assert algorithm.traffic(path()).numbers == 4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_claims(seed: int) -> None:
    problem, optimum = reference(seed)
    outage = Channel(outages={"n3": (200, 300)}, seed=seed)
    for channel in (Channel(), Channel(drop=0.3, seed=seed), Channel(drop=0.3, burst=5, seed=seed), outage,
                    Channel(awake=0.5, seed=seed)):  # fmt: skip
        assert error(DualConsensus(channel=channel), problem, optimum, 2500) < 1e-9, channel
    assert error(DualConsensus(channel=Channel(delay=5)), problem, optimum, 1500) > 0.1
    assert 1e-4 < error(DualConsensus(channel=Channel(noise=1e-3, seed=seed)), problem, optimum, 1500) < 0.02
    assert 1e-3 < error(DualConsensus(channel=Channel(bits=8)), problem, optimum, 1500) < 0.2
    skipped = Channel(drop=0.3, rule="skip", seed=seed)
    assert error(DualConsensus(channel=skipped), problem, optimum, 2500) > 1e-3
