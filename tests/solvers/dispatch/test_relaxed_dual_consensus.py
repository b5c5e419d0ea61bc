"""Relaxed dual consensus ADMM against the published loop, central optima, and its row of the table of claims."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
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
from gridmodel_solvers.dispatch.relaxed_dual_consensus import RelaxedDualConsensus
from gridmodel_solvers.exchange import row_sizes
from models import community, economic_dispatch
from tests.solvers.build import central, separable, stack
from tests.solvers.dispatch.common import EXACT, FAULTS, after, linked, path, random_graph, settled
from tests.solvers.dispatch.models import battery_model, cone_model, elastic_model
from tests.solvers.reference import dispatch as reference
from tests.solvers.reference import error
from tests.solvers.runs import optimal, properties, random_model


def published(problem: Separable, rho: float, relax: float, rounds: int, channel: Channel) -> Any:
    """Multipliers of the published iteration, agent by agent, for boxes 1/2 q x^2 + c x under one equation."""
    only, links = problem.stacks[0], problem.links
    assert links is not None
    q, c = only.P.diagonal()[:, 0] * np.ones(only.size), only.q[:, 0]
    share, n = problem.couplings.upper[0] / only.size, only.size
    edges = list(zip(links.sender.tolist(), links.receiver.tolist(), strict=True))
    z = {(b, a): 0.0 for a, b in edges}
    mu = np.zeros(n)
    network = Network(links, channel)
    under_way: list[dict[tuple[int, int], float]] = []
    for _ in range(rounds):
        network.tick()
        under_way.append({(i, j): -z[i, j] + 2 * rho * mu[i] for i, j in edges})
        arrived = network.fates.arrived
        for k, (i, j) in enumerate(edges):
            if arrived is None or arrived[k]:
                z[j, i] = (1 - relax) * z[j, i] + relax * under_way[-1 - channel.delay][i, j]
        for i in range(n):
            if network.active is not None and not network.active[i]:
                continue
            w = rho * sum(b == i for _, b in edges)
            t = sum(value for (at, _), value in z.items() if at == i) / w
            x = np.clip((share / w - t - c[i]) / (q[i] + 1 / w), only.lower[i, 0], only.upper[i, 0])
            mu[i] = t + (x - share) / w
    return mu


@pytest.mark.parametrize("fault", ["ideal", "drop", "delay", "outage", "async"])
def test_rounds_are_the_published_ones(fault: str) -> None:
    problem = path()
    rho = 2 * 0.3 / row_sizes(problem)[1][0]
    state = after(RelaxedDualConsensus(rho=0.3, relax=0.6, channel=FAULTS[fault]), problem, 40)
    np.testing.assert_allclose(state.mu[:, 0], published(problem, rho, 0.6, 40, FAULTS[fault]), atol=1e-9)


@pytest.mark.parametrize("fault", EXACT)
def test_dispatch(fault: str) -> None:
    seen = settled(RelaxedDualConsensus(channel=FAULTS[fault]), path())
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-6)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-6)


@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(["ideal", "drop", "async"]))
@settings(max_examples=12, deadline=None)
def test_random_models_reach_the_central_optimum(seed: int, curved: bool, fault: str) -> None:
    problem = random_model(seed, curved)
    problem = linked(problem, random_graph(problem.blocks, seed))
    outcome = run_loop(problem, RelaxedDualConsensus(channel=FAULTS[fault]), Limits(1e-6))
    truth = central(problem)
    assert outcome.status.value == "certified"
    assert outcome.judgement.value == pytest.approx(truth.value, abs=2e-6 * outcome.judgement.size)
    optimal(problem, outcome.judgement.iterate, 2e-3)


@pytest.mark.parametrize("build", [elastic_model, battery_model, cone_model])
def test_agents_of_many_kinds(build: Any) -> None:
    result = gm.solve(build(), RelaxedDualConsensus(channel=Channel(drop=0.2, delay=1)), tolerance=1e-6)
    verdict = gm.verify(result)
    assert result.status.value == "certified"
    assert abs(verdict.central_gap) <= 1e-6
    assert verdict.price_error <= 1e-4


@pytest.mark.parametrize("loads", [False, True])
def test_shipped_dispatch(loads: bool) -> None:
    result = gm.solve(economic_dispatch.build(loads=loads), RelaxedDualConsensus(), tolerance=1e-7)
    np.testing.assert_allclose([result[g]["p"] for g in ("g1", "g2", "g3")], [2.06, 1.0, 1.04], atol=1e-5)
    assert result.price["balance"] == pytest.approx(1.02, abs=1e-5)


@pytest.mark.parametrize("kind", ["qp", "lp"])
def test_homes_with_batteries_under_a_limit(kind: str) -> None:
    model = community.build(homes=5, kind=kind)
    model.connect(nx.cycle_graph([f"home[{i}]" for i in range(5)]), coordinator=False)
    result = gm.solve(model, RelaxedDualConsensus(channel=Channel(drop=0.3, seed=1)), tolerance=1e-6)
    assert abs(gm.verify(result).central_gap) <= 1e-6


def test_rounds_do_not_depend_on_units() -> None:
    def scaled(column: float, row: float, cost: float) -> int:
        beta = np.array([3.0, 2.0, 2.0])
        made = stack(cost / beta[:, None] / column**2, cost / beta[:, None] / column, [[row / column]], [0], 0.0,
                     np.array([[2.1], [1.0], [5.0]]) * column, labels=["g1", "g2", "g3"])  # fmt: skip
        problem = linked(separable([made], 4.1 * row, 4.1 * row), nx.path_graph(3))
        return run_loop(problem, RelaxedDualConsensus(), Limits(1e-6)).rounds

    assert len({scaled(*unit) for unit in [(1, 1, 1), (1e3, 1, 1), (1, 1e3, 1), (1, 1, 1e4)]}) == 1


def test_who_leaves_hands_over_its_share() -> None:
    problem, _ = reference(0)
    algorithm = RelaxedDualConsensus(channel=Channel(drop=0.2, leaves={"n3": 100, "n40": 150}, seed=1))
    state = after(algorithm, problem, 1200)
    truth = central(without(problem, ["n3", "n40"]))
    np.testing.assert_allclose(algorithm.observe(state).x[0], truth.x[0], atol=1e-7)


def test_inequalities_are_met_by_those_who_stay() -> None:
    # Each wants 2 of a limit of 3 and gets 1; after one has left, 1.5; the last one gets its wish.
    wishes = stack([[1.0]] * 3, [[-2.0]] * 3, [[1.0]], [0], labels=["a", "b", "c"])
    other = stack([[1.0]], [[-1.0]], [[1.0]], [1], labels=["d"])
    problem = linked(separable([wishes, other], [-np.inf, 0.5], [3.0, 0.5]), nx.cycle_graph(4))
    for leaves, expected in [({"a": 30}, [0, 1.5, 1.5]), ({"a": 30, "b": 60}, [0, 0, 2.0])]:
        algorithm = RelaxedDualConsensus(channel=Channel(leaves=leaves))
        seen = algorithm.observe(after(algorithm, problem, 400))
        np.testing.assert_allclose(seen.x[0].ravel(), expected, atol=1e-7)
        np.testing.assert_allclose(seen.x[1].ravel(), [0.5], atol=1e-7)


def test_without_a_word_those_who_stay_serve_the_rest() -> None:
    problem, _ = reference(0)
    algorithm = RelaxedDualConsensus(channel=Channel(leaves={"n3": 100}, handover=False))
    x = algorithm.observe(after(algorithm, problem, 1200)).x[0]
    assert x.sum() == pytest.approx(problem.couplings.upper[0] * 0.99, abs=1e-7)


def test_newcomer_takes_part() -> None:
    problem, optimum = reference(1)
    algorithm = RelaxedDualConsensus(channel=Channel(drop=0.2, joins={"n3": 200, "n4": 201}, seed=1))
    before = algorithm.observe(after(algorithm, problem, 200)).x[0]
    assert before[3] == before[4] == 0.0
    np.testing.assert_allclose(algorithm.observe(after(algorithm, problem, 1200)).x[0], optimum, atol=1e-7)


def test_warm_start_is_there_at_once() -> None:
    problem = linked(random_model(11), nx.cycle_graph(random_model(11).blocks))
    cold = run_loop(problem, RelaxedDualConsensus(), Limits(1e-8))
    warm = run_loop(problem, RelaxedDualConsensus(), Limits(1e-6), cold.judgement.iterate)
    assert warm.rounds <= 3 < cold.rounds


def test_two_agents_without_an_edge_are_refused() -> None:
    facts = NetworkFacts(2, 0, False, (("a",), ("b",)), False)
    verdict = RelaxedDualConsensus().verdict(properties(network=facts))
    assert not verdict.applies
    assert "separate" in verdict.reason
    here = NetworkFacts(3, 4, False, (), False)
    assert RelaxedDualConsensus().verdict(properties(network=here, step_norm=None)).applies
    assert not RelaxedDualConsensus().verdict(properties(network=here, copies=2)).applies


@pytest.mark.parametrize("relax", [0.0, 1.5, np.nan])
def test_no_relaxation(relax: float) -> None:
    with pytest.raises(ModelError, match=r"must lie in \(0, 1\]"):
        RelaxedDualConsensus(relax=relax)


def test_no_penalty() -> None:
    with pytest.raises(ModelError, match="cannot be a penalty"):
        RelaxedDualConsensus(rho=-1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_claims(seed: int) -> None:
    problem, optimum = reference(seed)
    for channel in (Channel(), Channel(drop=0.3, seed=seed), Channel(drop=0.3, burst=5, seed=seed),
                    Channel(outages={"n3": (200, 300)}), Channel(awake=0.5, seed=seed)):  # fmt: skip
        assert error(RelaxedDualConsensus(channel=channel), problem, optimum, 2000) < 1e-9, channel
    assert error(RelaxedDualConsensus(channel=Channel(delay=5)), problem, optimum, 5000) < 1e-9
    short, long = (
        error(RelaxedDualConsensus(channel=Channel(noise=1e-3, seed=seed)), problem, optimum, rounds)
        for rounds in (1500, 6000)
    )
    assert 1e-4 < short < 0.008
    assert long < 2 * short
    assert 1e-3 < error(RelaxedDualConsensus(channel=Channel(bits=8)), problem, optimum, 1500) < 0.2
    coded = Channel(bits=4, coding="difference")
    assert error(RelaxedDualConsensus(channel=coded), problem, optimum, 2500) < 1e-8


def test_who_comes_later_takes_part_in_inequalities() -> None:
    model = gm.Model("late")
    for name, price in (("a", 1.0), ("b", 2.0), ("c", 4.0)):
        agent = model.agent(name)
        p = agent.variable("p", bounds=(0, 10))
        agent.minimize(price * p + 0.01 * price * cp.square(p))
    model.couple(sum(agent["p"] for agent in model.agents) == 9, name="balance")
    model.couple(2 * model["a"]["p"] + model["b"]["p"] <= 11, name="line")
    model.connect(nx.complete_graph(["a", "b", "c"]))
    for method in ("relaxed-dual-consensus", "dual-consensus"):
        for channel in (Channel(joins={"b": 25}), Channel(leaves={"b": 15}, joins={"b": 40})):
            result = gm.solve(model, method, channel=channel, tolerance=1e-6, max_rounds=3000, verify=True)
            assert result.status is gm.Status.CERTIFIED, (method, channel)
            assert result["a"]["p"] == pytest.approx(2, abs=1e-3)
