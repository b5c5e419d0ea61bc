"""The push methods against loops over agents written from the published formulas, and where they end."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.push_diging import PushDIGing
from gridmodel_solvers.agreement.push_pull import PushPull
from gridmodel_solvers.agreement.push_sum import PushSum
from tests.solvers.agreement.small_graphs import FAULTS, known, shown_after
from tests.solvers.reference import agreeing


def lopsided(size: int = 8, more: int = 12, seed: int = 0) -> nx.DiGraph:
    """A directed ring with chords one way."""
    graph = nx.cycle_graph(size, create_using=nx.DiGraph)
    rng = np.random.default_rng(seed)
    while graph.number_of_edges() < size + more:
        one, other = (int(k) for k in rng.choice(size, 2, replace=False))
        graph.add_edge(one, other)
    return graph


def lists(links):
    size = links.size
    heard = [[int(j) for j in links.sender[links.receiver == i]] for i in range(size)]
    hears = [[int(j) for j in links.receiver[links.sender == i]] for i in range(size)]
    return heard, hears


def push(values, heard, hears):
    """Each agent adds what it kept and what it was dealt, in equal shares."""
    part = [v / (1 + len(hears[i])) for i, v in enumerate(values)]
    return [part[i] + sum(part[j] for j in heard[i]) for i in range(len(values))]


def test_push_pull_is_the_published_iteration():
    made, eta = known(lopsided(), seed=5), 0.05
    heard, hears = lists(made.problem.links)
    x, state = [np.zeros(2)] * 8, PushPull(eta=eta).init(made.problem, None, 1e-9)
    y = [made.h[i] * (x[i] - made.c[i]) for i in range(8)]
    for _ in range(30):
        moved = [x[i] - eta * y[i] for i in range(8)]
        new = [(moved[i] + sum(moved[j] for j in heard[i])) / (1 + len(heard[i])) for i in range(8)]
        y = [v + made.h[i] * (new[i] - x[i]) for i, v in enumerate(push(y, heard, hears))]
        x, state = new, PushPull(eta=eta).step(state)
        np.testing.assert_allclose(state.x, x, rtol=0, atol=1e-12)
        np.testing.assert_allclose(state.y, y, rtol=0, atol=1e-12)


def test_push_diging_is_the_published_iteration():
    made, eta = known(lopsided(), seed=5), 0.03
    heard, hears = lists(made.problem.links)
    x, v = [np.zeros(2)] * 8, [np.ones(1)] * 8
    u, y = x, [made.h[i] * (x[i] - made.c[i]) for i in range(8)]
    state = PushDIGing(eta=eta).init(made.problem, None, 1e-9)
    for _ in range(30):
        u, v = push([u[i] - eta * y[i] for i in range(8)], heard, hears), push(v, heard, hears)
        new = [u[i] / v[i] for i in range(8)]
        y = [part + made.h[i] * (new[i] - x[i]) for i, part in enumerate(push(y, heard, hears))]
        x, state = new, PushDIGing(eta=eta).step(state)
        np.testing.assert_allclose(state.x, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_push_sum_is_the_published_iteration(decay):
    made, eta = known(lopsided(), seed=5), 0.03
    heard, hears = lists(made.problem.links)
    x, mass, one = [np.zeros(2)] * 8, [np.ones(1)] * 8, PushSum(eta=eta, decay=decay)
    state = one.init(made.problem, None, 1e-9)
    for k in range(30):
        w, mass = push(x, heard, hears), push(mass, heard, hears)
        z = [w[i] / mass[i] for i in range(8)]
        x = [w[i] - eta / (1 + k) ** decay * made.h[i] * (z[i] - made.c[i]) for i in range(8)]
        state = one.step(state)
        np.testing.assert_allclose(one.shown(state), z, rtol=0, atol=1e-12)


def test_lost_totals_arrive_with_the_next_packet():
    made, eta = known(lopsided(), seed=5), 0.05
    links, one = made.problem.links, PushPull(eta=eta, channel=Channel(drop=0.4, seed=1))
    heard, hears = lists(links)
    state, x = one.init(made.problem, None, 1e-9), [np.zeros(2)] * 8
    y = [made.h[i] * (x[i] - made.c[i]) for i in range(8)]
    total, known_total = [np.zeros(2)] * 8, {(j, i): np.zeros(2) for i in range(8) for j in heard[i]}
    for _ in range(40):
        state = one.step(state)
        here = np.flatnonzero(state.network.fates.arrived)
        got = {(int(links.sender[e]), int(links.receiver[e])) for e in here}
        moved, new, pushed = [x[i] - eta * y[i] for i in range(8)], [], []
        total = [total[i] + y[i] / (1 + len(hears[i])) for i in range(8)]
        for i in range(8):
            near = [j for j in heard[i] if (j, i) in got]
            new.append(moved[i] + sum(moved[j] - moved[i] for j in near) / (1 + len(heard[i])))
            pushed.append(y[i] / (1 + len(hears[i])) + sum(total[j] - known_total[j, i] for j in near))
            known_total |= {(j, i): total[j] for j in near}
        y = [pushed[i] + made.h[i] * (new[i] - x[i]) for i in range(8)]
        x = new
        np.testing.assert_allclose(state.x, x, rtol=0, atol=1e-11)


@pytest.mark.parametrize("algorithm", [PushPull, PushDIGing])
@pytest.mark.parametrize("graph", [lopsided(), lopsided(15, 10, 3), nx.cycle_graph(5, create_using=nx.DiGraph),
                                   nx.random_regular_graph(3, 10, seed=1), nx.path_graph(2)])  # fmt: skip
@pytest.mark.parametrize("dense", [False, True])
def test_the_optimum_is_reached_with_the_chosen_step(algorithm, graph, dense):
    made = known(graph, seed=3, dense=dense)
    x = shown_after(algorithm(), made.problem, 6000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (len(x), 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("fault", ["drop", "burst", "delay", "jitter", "outage", "async"])
def test_push_pull_stands_every_loss_and_delay(fault):
    made = known(lopsided(), seed=3)
    x = shown_after(PushPull(channel=Channel(seed=2, **FAULTS[fault])), made.problem, 8000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (8, 1)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("fault", ["drop", "delay", "outage"])
def test_push_diging_stands_losses_that_senders_learn_of(fault):
    made = known(lopsided(8, 24), seed=3)
    x = shown_after(PushDIGing(channel=Channel(seed=2, **FAULTS[fault])), made.problem, 8000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (8, 1)), rtol=0, atol=1e-9)


def test_the_bias_of_push_sum_shrinks_with_the_step():
    made = known(lopsided(), seed=3)
    error = [np.abs(shown_after(PushSum(eta=eta), made.problem, 20_000) - made.optimum).max() for eta in (2e-2, 2e-3)]
    assert 1e-3 < error[1] < 0.15 * error[0]


def test_a_vanishing_step_brings_push_sum_to_the_optimum():
    made = known(lopsided(), seed=3)
    one = PushSum(eta=1.0, decay=1.0)
    early, late = (np.abs(shown_after(one, made.problem, rounds) - made.optimum).max() for rounds in (300, 30_000))
    assert late < 0.02 * early < 0.02


def test_the_step_does_not_depend_on_units():
    made, unit = known(lopsided(), seed=3), np.array([1e3, 1e-2])
    problem = agreeing(50 * made.h / unit**2, made.c * unit, made.problem.links)
    np.testing.assert_allclose(
        shown_after(PushPull(), problem, 20) / unit, shown_after(PushPull(), made.problem, 20), rtol=1e-9
    )


def test_the_trial_finds_the_edge_of_stability():
    """The chosen step against the eigenvalues of the whole iteration."""
    made = known(nx.cycle_graph(9, create_using=nx.DiGraph), seed=3, d=1)
    W = (np.eye(9) + made.problem.links.matrix(np.ones(9)).toarray()) / 2
    H = np.diag(made.h[:, 0])

    def radius(eta):
        whole = np.block([[W, -eta * W], [H @ (W - np.eye(9)), W - eta * H @ W]])
        return np.sort(np.abs(np.linalg.eigvals(whole)))[-2:]

    eta = PushPull().init(made.problem, None, 1e-9).eta[0]
    second, first = radius(eta)
    assert second < 1 - 1e-4
    assert abs(first - 1) < 1e-9
    assert radius(8 * eta)[1] > 1
