"""Relaxed ADMM: the published iteration under losses, exactness under every fault, members that come and go."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.relaxed_admm import RelaxedADMM
from tests.solvers.agreement.convex_models import convex_model
from tests.solvers.agreement.small_graphs import FAULTS, known, shown_after
from tests.solvers.reference import agreeing
from tests.strategies import EXAMPLES

GRAPH = nx.random_regular_graph(3, 10, seed=1)


@pytest.mark.parametrize("drop", [0.0, 0.4])
def test_it_is_the_published_iteration(drop):
    made, rho, relax = known(GRAPH, seed=5), 0.3, 0.6
    links, one = made.problem.links, RelaxedADMM(rho, relax, Channel(drop=drop, seed=2))
    state = one.init(made.problem, None, 1e-9)
    near = [[int(j) for j in links.sender[links.receiver == i]] for i in range(10)]
    z = {(i, j): np.zeros(2) for i in range(10) for j in near[i]}
    for _ in range(30):
        state = one.step(state)
        got = state.network.fates.arrived
        got = np.ones(links.edges, dtype=bool) if got is None else got
        arrived = {(int(links.sender[e]), int(links.receiver[e])) for e in np.flatnonzero(got)}
        x = [
            (made.h[i] * made.c[i] + sum(z[i, j] for j in near[i])) / (made.h[i] + rho * len(near[i]))
            for i in range(10)
        ]
        q = {(i, j): -z[i, j] + 2 * rho * x[i] for i, j in z}
        for i, j in arrived:
            z[j, i] = (1 - relax) * z[j, i] + relax * q[i, j]
        np.testing.assert_allclose(one.shown(state), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("relax", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "delay", "jitter", "outage", "async"])
def test_every_fault_leaves_the_optimum_with_the_same_penalty(fault, relax):
    made = known(GRAPH, seed=3)
    one = RelaxedADMM(rho=0.5, relax=relax, channel=Channel(seed=4, **FAULTS[fault]))
    np.testing.assert_allclose(shown_after(one, made.problem, 3000), np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


def test_costs_whose_numbers_touch():
    made = known(GRAPH, seed=3, dense=True)
    x = shown_after(RelaxedADMM(channel=Channel(drop=0.2)), made.problem, 2000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("graph", [nx.path_graph(12), nx.star_graph(11), nx.complete_graph(8), nx.path_graph(2)])
@pytest.mark.parametrize("spread", [1.5, 100.0])
def test_the_chosen_penalty_suits_every_graph(graph, spread):
    made = known(graph, seed=1, spread=spread)
    x = shown_after(RelaxedADMM(), made.problem, 1500)
    np.testing.assert_allclose(x, np.tile(made.optimum, (len(x), 1)), rtol=0, atol=1e-9)


def test_rounds_do_not_depend_on_units():
    made, unit = known(GRAPH, seed=3), np.array([1e3, 1e-2])
    problem = agreeing(50 * made.h / unit**2, made.c * unit, made.problem.links)
    np.testing.assert_allclose(
        shown_after(RelaxedADMM(), problem, 20) / unit, shown_after(RelaxedADMM(), made.problem, 20), rtol=1e-9
    )


@pytest.mark.parametrize("options", [{}, {"drop": 0.3}, {"delay": 3}, {"awake": 0.6}, {"handover": False}])
def test_agents_may_leave_without_a_word_and_come(options):
    made, there = known(GRAPH, seed=3), np.ones(10, dtype=bool)
    there[2] = False
    one = RelaxedADMM(channel=Channel(leaves={"n2": 40}, joins={"n5": 70}, seed=1, **options))
    x = shown_after(one, made.problem, 4000)
    np.testing.assert_allclose(x[there], np.tile(made.optimum_of(there), (9, 1)), rtol=0, atol=1e-9)


def test_a_newcomer_in_the_place_of_who_left():
    made = known(GRAPH, seed=3)
    x = shown_after(RelaxedADMM(channel=Channel(leaves={"n2": 40}, joins={"n2": 90})), made.problem, 2000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


def test_who_has_lost_all_neighbours_goes_on_alone():
    made = known(nx.path_graph(2), seed=3)
    x = shown_after(RelaxedADMM(channel=Channel(leaves={"n1": 5})), made.problem, 400)
    np.testing.assert_allclose(x[0], made.c[0], rtol=0, atol=1e-9)


def test_noise_stays_in_a_ball():
    made = known(GRAPH, seed=3)
    one = RelaxedADMM(channel=Channel(noise=1e-3, seed=3))
    state, worst = one.init(made.problem, None, 1e-9), []
    for _ in range(12):
        seen = []
        for _ in range(1000):
            state = one.step(state)
            seen.append(np.abs(one.shown(state) - made.optimum).max())
        worst.append(max(seen[200:]))
    assert 1e-4 < max(worst) < 2 * min(worst)


def test_a_warm_start_stays_at_the_optimum():
    made, one = known(GRAPH, seed=3), RelaxedADMM()
    state = one.init(made.problem, None, 1e-9)
    for _ in range(1500):
        state = one.step(state)
    again = one.step(one.init(made.problem, one.observe(state), 1e-9))
    np.testing.assert_allclose(one.shown(again), np.tile(made.optimum, (10, 1)), rtol=0, atol=1e-9)


@settings(EXAMPLES, max_examples=12)
@given(st.integers(0, 10_000))
def test_convex_agents_of_all_kinds(seed):
    result = gm.solve(convex_model(seed), RelaxedADMM(), tolerance=1e-5, max_rounds=20_000)
    assert result.status.name in ("CERTIFIED", "SOLVED")
    assert abs(gm.verify(result).central_gap) < 1e-4


@pytest.mark.parametrize("fault", ["drop", "delay", "async"])
def test_convex_agents_over_a_channel_with_faults(fault):
    one = RelaxedADMM(channel=Channel(seed=1, **FAULTS[fault]))
    result = gm.solve(convex_model(2), one, tolerance=1e-5, max_rounds=20_000)
    assert abs(gm.verify(result).central_gap) < 1e-4


@pytest.mark.parametrize(("options", "text"), [
    ({"rho": 0.0}, "rho=0.0 .* must be above 0"), ({"rho": np.nan}, "rho=nan"),
    ({"relax": 0.0}, r"relax=0.0 must be in \(0, 1\]"), ({"relax": 1.1}, "relax=1.1"),
])  # fmt: skip
def test_options_that_cannot_be(options, text):
    with pytest.raises(ModelError, match=f"relaxed-admm: {text}"):
        RelaxedADMM(**options)


def test_full_relaxation_needs_strong_convexity():
    made = known(GRAPH, seed=3)
    boxed = agreeing(made.h, made.c, made.problem.links, lower=made.c - 1, upper=made.c + 1)
    with pytest.raises(ModelError, match=r"relax=1 .* use relax below 1"):
        RelaxedADMM(relax=1.0).init(boxed, None, 1e-9)


def test_edges_without_a_way_back_are_named():
    made = known(nx.cycle_graph(4, create_using=nx.DiGraph))
    with pytest.raises(NotApplicableError, match="n3 -> n0 has no way back"):
        RelaxedADMM().init(made.problem, None, 1e-9)
