"""What is conserved under every fault, what hand-over is good for, and where runs end."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.averaging import Averaging
from gridmodel_solvers.agreement.exact_diffusion import ExactDiffusion
from gridmodel_solvers.agreement.extra import EXTRA
from gridmodel_solvers.agreement.gradient_tracking import GradientTracking
from tests.solvers.agreement.small_graphs import FAULTS, known, shown_after
from tests.solvers.reference import agreeing

EXACT = [GradientTracking, EXTRA, ExactDiffusion, Averaging]
names = pytest.mark.parametrize("algorithm", EXACT, ids=lambda one: one.name)
GRAPH = nx.random_regular_graph(3, 10, seed=1)


@pytest.mark.parametrize("fault", [*FAULTS, "leave and join"])
@names
def test_sums_are_kept_in_every_round(algorithm, fault):
    options = FAULTS.get(fault, {"leaves": {"n2": 30}, "joins": {"n5": 60}, "drop": 0.2})
    made = known(GRAPH, seed=3)
    one = algorithm(channel=Channel(seed=4, **options))
    state = one.init(made.problem, None, 1e-9)
    moved = False
    for _ in range(150):
        state = one.step(state)
        kept = one.conserved(state)
        assert np.abs(kept.off).max() <= 1e-12 * kept.size
        moved = moved or kept.size > 0
    assert moved


@pytest.mark.parametrize("algorithm", [GradientTracking, EXTRA, ExactDiffusion], ids=lambda one: one.name)
def test_sums_are_kept_where_agents_have_limits(algorithm):
    made = known(GRAPH, seed=3)
    problem = agreeing(made.h, made.c, made.problem.links, lower=made.c - 2, upper=made.c + 2)
    one = algorithm(channel=Channel(drop=0.2, awake=0.7, leaves={"n2": 10}, joins={"n5": 20}, seed=1))
    state = one.init(problem, None, 1e-9)
    for _ in range(40):
        state = one.step(state)
        kept = one.conserved(state)
        assert np.abs(kept.off).max() <= 1e-12 * kept.size


@pytest.mark.parametrize("rule", ["skip", "hold"])
@names
def test_one_sided_rules_break_the_sum_and_miss_the_optimum(algorithm, rule):
    made = known(GRAPH, seed=3)
    one = algorithm(rule=rule, channel=Channel(drop=0.3))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(3000):
        state = one.step(state)
    kept = one.conserved(state)
    assert np.abs(kept.off).max() > 1e-4 * kept.size
    assert not np.abs(one.shown(state) - made.optimum).max() < 1e-4


@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "delay", "jitter", "outage", "difference", "async"])
@pytest.mark.parametrize("seed", range(3))
@names
def test_the_optimum_is_reached_with_what_is_chosen_for_it(algorithm, fault, seed):
    graph = [nx.path_graph(6), nx.star_graph(6), nx.complete_bipartite_graph(4, 4)][seed]
    made = known(
        graph, seed=seed, d=1 + seed, dense=seed == 2 and algorithm is not Averaging, spread=[2.0, 5.0, 3.0][seed]
    )
    found = shown_after(algorithm(channel=Channel(seed=seed, **FAULTS[fault])), made.problem, 6000)
    np.testing.assert_allclose(found, np.tile(made.optimum, (len(found), 1)), rtol=0, atol=1e-6)


def test_units_do_not_matter():
    made = known(GRAPH, seed=2)
    size = np.array([1e-4, 1e5])
    other = agreeing(made.h * 7e3 / size**2, made.c * size, made.problem.links)
    for algorithm in EXACT:
        first = shown_after(algorithm(), made.problem, 100)
        np.testing.assert_allclose(shown_after(algorithm(), other, 100), first * size, rtol=1e-9)


def absent(gone: int) -> np.ndarray:
    there = np.ones(10, dtype=bool)
    there[gone] = False
    return there


@names
def test_who_leaves_hands_over_what_keeps_the_others_exact(algorithm):
    made = known(GRAPH, seed=6)
    best = made.optimum_of(absent(3))
    assert np.abs(best - made.optimum).max() > 1e-2
    errors = {}
    for handover in (True, False):
        channel = Channel(leaves={"n3": 50}, handover=handover)
        found = shown_after(algorithm(channel=channel), made.problem, 4000)[absent(3)]
        errors[handover] = np.abs(found - best).max()
    assert errors[True] < 1e-9
    assert errors[False] > 1e-5


@names
def test_who_comes_is_welcomed(algorithm):
    made = known(GRAPH, seed=6)
    one = algorithm(channel=Channel(joins={"n3": 2000}))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(1999):
        state = one.step(state)
    assert np.abs(one.shown(state)[absent(3)] - made.optimum_of(absent(3))).max() < 1e-6
    np.testing.assert_allclose(one.observe(state).x[1][2], made.optimum_of(absent(3)), atol=1e-6)
    for _ in range(4000):
        state = one.step(state)
    assert np.abs(one.shown(state) - made.optimum).max() < 1e-9


@names
def test_an_agent_that_leaves_and_comes_back(algorithm):
    made = known(GRAPH, seed=6)
    found = shown_after(algorithm(channel=Channel(leaves={"n3": 50}, joins={"n3": 500})), made.problem, 6000)
    assert np.abs(found - made.optimum).max() < 1e-9


@pytest.mark.parametrize("algorithm", [GradientTracking, EXTRA, ExactDiffusion], ids=lambda one: one.name)
def test_a_warm_start_at_the_optimum_stays_there(algorithm):
    made = known(GRAPH, seed=8)
    one = algorithm()
    state = one.init(made.problem, None, 1e-9)
    for _ in range(4000):
        state = one.step(state)
    again = one.init(made.problem, one.observe(state), 1e-9)
    for _ in range(20):
        again = one.step(again)
        assert np.abs(one.shown(again) - made.optimum).max() < 1e-9
