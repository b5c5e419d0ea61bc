"""Edge ADMM: the published iteration, what losses leave, delay, hand-over, and convex agents of all kinds."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.edge_admm import EdgeADMM
from tests.solvers.agreement.convex_models import convex_model
from tests.solvers.agreement.small_graphs import FAULTS, Known, known, shown_after
from tests.solvers.reference import agreeing
from tests.strategies import EXAMPLES

GRAPH = nx.random_regular_graph(3, 10, seed=1)


def by_hand(made: Known, rho: float, rounds: int, arrived=None) -> np.ndarray:
    """Agent by agent, from the published formulas; ``arrived(k)`` is the set of pairs that count in round k."""
    links, (size, d) = made.problem.links, made.c.shape
    near = [[int(j) for j in links.sender[links.receiver == i]] for i in range(size)]
    x, alpha = np.zeros((size, d)), np.zeros((size, d))
    for k in range(rounds):
        counts = None if arrived is None else arrived(k)
        new = x.copy()
        for i in range(size):
            heard = [j for j in near[i] if counts is None or (i, j) in counts]
            for j in heard:
                alpha[i] += rho * (x[i] - x[j])
            middles = [(x[i] + x[j]) / 2 if j in heard else x[i] for j in near[i]]
            # argmin h/2 (v - c)^2 + alpha v + rho sum |v - middle|^2
            new[i] = (made.h[i] * made.c[i] - alpha[i] + 2 * rho * sum(middles)) / (made.h[i] + 2 * rho * len(near[i]))
        x = new
    return x


def test_it_is_the_published_iteration():
    made = known(GRAPH, seed=5)
    for rounds in (1, 2, 3, 25):
        np.testing.assert_allclose(
            shown_after(EdgeADMM(rho=0.3), made.problem, rounds), by_hand(made, 0.3, rounds), rtol=0, atol=1e-13
        )


def test_a_lost_pair_pulls_to_the_agents_own_number():
    made, links = known(GRAPH, seed=5), known(GRAPH, seed=5).problem.links
    one, pairs = EdgeADMM(rho=0.3, channel=Channel(drop=0.4, seed=2)), []
    state = one.init(made.problem, None, 1e-9)
    for _ in range(30):
        state = one.step(state)
        got = {(int(links.receiver[e]), int(links.sender[e])) for e in np.flatnonzero(state.network.fates.arrived)}
        pairs.append({(i, j) for i, j in got if (j, i) in got})
    assert 0 < sum(map(len, pairs)) < 30 * links.edges
    np.testing.assert_allclose(one.shown(state), by_hand(made, 0.3, 30, pairs.__getitem__), rtol=0, atol=1e-13)


@pytest.mark.parametrize("fault", [*FAULTS, "leave and join"])
def test_multipliers_sum_to_zero_in_every_round(fault):
    options = FAULTS.get(fault, {"leaves": {"n2": 30}, "joins": {"n5": 60}, "drop": 0.2, "delay": 1})
    made = known(GRAPH, seed=3)
    one = EdgeADMM(channel=Channel(seed=4, **options))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(150):
        state = one.step(state)
        kept = one.conserved(state)
        assert np.abs(kept.off).max() <= 1e-12 * kept.size
    assert np.abs(state.alpha).max() > 0.1


@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "delay", "jitter", "outage", "async"])
@pytest.mark.parametrize("dense", [False, True])
def test_the_optimum_is_reached(fault, dense):
    made = known(GRAPH, seed=3, dense=dense)
    x = shown_after(EdgeADMM(channel=Channel(seed=4, **FAULTS[fault])), made.problem, 3000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("graph", [nx.path_graph(12), nx.star_graph(11), nx.complete_graph(8), nx.path_graph(2)])
@pytest.mark.parametrize("spread", [1.5, 100.0])
def test_the_chosen_penalty_suits_every_graph(graph, spread):
    made = known(graph, seed=1, spread=spread)
    x = shown_after(EdgeADMM(), made.problem, 1500)
    np.testing.assert_allclose(x, np.tile(made.optimum, (len(x), 1)), rtol=0, atol=1e-9)


def test_rounds_do_not_depend_on_units():
    made = known(GRAPH, seed=3)
    unit, money = np.array([1e3, 1e-2]), 50.0
    problem = agreeing(money * made.h / unit**2, made.c * unit, made.problem.links)
    np.testing.assert_allclose(
        shown_after(EdgeADMM(), problem, 20) / unit, shown_after(EdgeADMM(), made.problem, 20), rtol=1e-9
    )


@pytest.mark.parametrize("damped", [True, False])
def test_damping_is_what_stands_delay(damped):
    made = known(GRAPH, seed=3)
    x = shown_after(EdgeADMM(rho=1.0, damped=damped, channel=Channel(delay=5)), made.problem, 4000 if damped else 300)
    error = np.abs(x - made.optimum).max()
    assert error < 1e-9 if damped else error > 1e3


def test_without_damping_the_penalty_must_be_small():
    made = known(nx.complete_graph(6), seed=3)
    small = 0.7 * made.h.min() * 2 * np.sin(np.pi / 22) / 6
    x = shown_after(EdgeADMM(rho=small, damped=False, channel=Channel(delay=5)), made.problem, 6000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (6, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("rule", ["skip", "hold"])
def test_one_sided_rules_break_the_sum_and_miss_the_optimum(rule):
    made = known(GRAPH, seed=3)
    one = EdgeADMM(rho=0.3, channel=Channel(drop=0.3, rule=rule))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(3000):
        state = one.step(state)
    kept = one.conserved(state)
    assert np.abs(kept.off).max() > 1e-4 * kept.size
    assert np.abs(one.shown(state) - made.optimum).max() > 1e-4


@pytest.mark.parametrize("handover", [True, False])
def test_who_leaves_hands_its_multiplier_over(handover):
    made, there = known(GRAPH, seed=3), np.arange(10) != 2
    x = shown_after(EdgeADMM(channel=Channel(leaves={"n2": 40}, handover=handover)), made.problem, 2000)
    error = np.abs(x[there] - made.optimum_of(there)).max()
    assert error < 1e-9 if handover else error > 1e-4


def test_who_joins_is_counted():
    made = known(GRAPH, seed=3)
    one = EdgeADMM(channel=Channel(joins={"n5": 1500}))
    late, there = np.tile(made.optimum, (10, 1)), np.arange(10) != 5
    np.testing.assert_allclose(shown_after(one, made.problem, 1500)[there],
                               np.tile(made.optimum_of(there), (9, 1)), rtol=0, atol=1e-9)  # fmt: skip
    np.testing.assert_allclose(shown_after(one, made.problem, 3000), late, rtol=0, atol=1e-9)


def test_a_warm_start_stays_at_the_optimum():
    made, one = known(GRAPH, seed=3), EdgeADMM()
    state = one.init(made.problem, None, 1e-9)
    for _ in range(1500):
        state = one.step(state)
    again = one.step(one.init(made.problem, one.observe(state), 1e-9))
    np.testing.assert_allclose(one.shown(again), np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


@settings(EXAMPLES, max_examples=12)
@given(st.integers(0, 10_000))
def test_convex_agents_of_all_kinds(seed):
    result = gm.solve(convex_model(seed), EdgeADMM(), tolerance=1e-5, max_rounds=20_000)
    assert result.status.name in ("CERTIFIED", "SOLVED")
    assert abs(gm.verify(result).central_gap) < 1e-4


@pytest.mark.parametrize("fault", ["drop", "delay", "async"])
def test_convex_agents_over_a_channel_with_faults(fault):
    one = EdgeADMM(channel=Channel(seed=1, **FAULTS[fault]))
    result = gm.solve(convex_model(2), one, tolerance=1e-5, max_rounds=20_000)
    assert abs(gm.verify(result).central_gap) < 1e-4


@pytest.mark.parametrize("rho", [0.0, -1.0, np.inf, np.nan])
def test_a_penalty_that_cannot_be(rho):
    with pytest.raises(ModelError, match=r"edge-admm: rho=.* must be above 0"):
        EdgeADMM(rho=rho)


def test_edges_without_a_way_back_are_named():
    made = known(nx.cycle_graph(4, create_using=nx.DiGraph))
    with pytest.raises(NotApplicableError, match="n3 -> n0 has no way back"):
        EdgeADMM().init(made.problem, None, 1e-9)
