"""What every algorithm over a topology owes: its conserved sum in every round, counted messages, its own seed."""

from __future__ import annotations

from functools import cache

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.ir.claim import FAULTS
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.methods import algorithms, methods
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.networked import AbstractNetworked
from tests.solvers.build import stack
from tests.solvers.reference import agreeing, links_of

NAMES = [name for name, made in methods().items() if isinstance(made, AbstractNetworked)]
ONE_WAY = ("push-sum", "push-diging", "push-pull", "tan-yang-xu")
DISPATCH = ("tan-yang-xu", "innovations", "bisection", "dual-consensus", "relaxed-dual-consensus")
KEPT = (
    "averaging", "gradient-tracking", "extra", "exact-diffusion", "edge-admm", "push-sum", "push-diging", "push-pull",
    "tan-yang-xu", "dual-consensus", "bisection",
)  # fmt: skip
CHANNELS = [
    {}, {"drop": 0.4}, {"drop": 0.3, "burst": 4.0}, {"delay": 3}, {"delay": 1, "jitter": 3}, {"awake": 0.6},
    {"outages": {"n1": (4, 12)}}, {"drop": 0.3, "delay": 2}, {"drop": 0.2, "awake": 0.7}, {"bits": 8},
    {"bits": 6, "coding": "difference"},
]  # fmt: skip


def is_dispatch(name: str) -> bool:
    return name.partition(":")[0] in DISPATCH


def drawn(name: str, seed: int) -> Separable:
    """Agents on a random connected graph, one-way edges where the algorithm takes them."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 9))
    graph = nx.gnp_random_graph(size, 0.5, seed=seed)
    graph.add_edges_from(zip(range(size), [*range(1, size), 0], strict=True))
    made = nx.relabel_nodes(graph, {k: f"n{k}" for k in range(size)})
    if name in ONE_WAY and seed % 2:
        made = nx.DiGraph([(a, b) for a, b in made.to_directed().edges if b == _next(a, size) or rng.random() < 0.6])
    links = links_of(made)
    unit = 10.0 ** rng.integers(-2, 3)
    if not is_dispatch(name):
        h, c = rng.uniform(0.5, 3, (size, 2)), rng.normal(0, unit, (size, 2))
        return agreeing(h, c, links)
    q, top = rng.uniform(0.5, 3, size), unit * rng.uniform(0.5, 2, size)
    one = stack(q[:, None], np.zeros((size, 1)), [[1.0]], [0], 0.0, top[:, None], labels=list(made.nodes))
    demand = np.array([0.5 * top.sum()])
    return Separable((one,), Couplings(demand, demand, ()), links)


def _next(name: str, size: int) -> str:
    return f"n{(int(name[1:]) + 1) % size}"


@cache
def made(name: str) -> AbstractNetworked:
    found = methods()[name]
    assert isinstance(found, AbstractNetworked)
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), fault=st.sampled_from(CHANNELS))
def test_the_conserved_sum_is_kept_in_every_round(name, seed, fault):
    algorithm = made(name).over(Channel(**fault, seed=seed))
    state = algorithm.init(drawn(name, seed), None, 1e-6)
    for _ in range(40):
        state = algorithm.step(state)
        kept = algorithm.conserved(state)
        if kept is not None:
            assert np.abs(kept.off).max() <= 1e-12 * max(kept.size, np.finfo(float).tiny), kept.what


@pytest.mark.parametrize("name", KEPT)
def test_algorithms_that_track_say_what_they_conserve(name):
    algorithm = made(name)
    state = algorithm.init(drawn(name, 2), None, 1e-6)
    for _ in range(60):  # bisection finds its bracket first
        state = algorithm.step(state)
    kept = algorithm.conserved(state)
    assert kept is not None
    assert kept.size > 0


@pytest.mark.parametrize("name", NAMES)
def test_messages_and_bytes_are_those_of_a_hand_count(name):
    problem = drawn(name, 4)
    edges = problem.links.edges
    algorithm = made(name)
    state = algorithm.init(problem, None, 1e-6)
    start = algorithm.sent(state, 0)
    assert start is not None
    for _ in range(10):
        state = algorithm.step(state)
    messages, size = algorithm.sent(state, 10)
    assert messages - start[0] == 10 * edges
    most = 10 * algorithm.traffic(problem).bytes
    if name == "bisection":  # its first rounds spread both ends of the bracket
        assert most < size - start[1] < 2 * most
    else:
        assert size - start[1] == most
    assert algorithm.traffic(problem).messages == edges


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_makes_the_run(name):
    problem = drawn(name, 6)
    ends = []
    for seed in (1, 1, 2):
        algorithm = made(name).over(Channel(drop=0.4, seed=seed))
        state = algorithm.init(problem, None, 1e-6)
        for _ in range(12):
            state = algorithm.step(state)
        ends.append(algorithm.shown(state))
    assert np.array_equal(ends[0], ends[1], equal_nan=True)
    if name != "bisection":  # whose bracket may not have moved yet
        assert not np.array_equal(ends[0], ends[2], equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_that_sleeps_keeps_its_state(name):
    problem = drawn(name, 8)
    algorithm = made(name).over(Channel(outages={"n1": (3, 9)}))
    at = list(problem.links.nodes).index("n1")
    state = algorithm.init(problem, None, 1e-6)
    held = []
    for _ in range(9):
        state = algorithm.step(state)
        held.append(algorithm.shown(state)[at].copy())
    assert all(np.array_equal(held[2], later) for later in held[3:])


@pytest.mark.parametrize("name", sorted(algorithms()))
def test_every_claim_is_of_a_fault_of_the_table_and_whole(name):
    claims = methods()[name].claims
    assert not claims or set(claims) == set(FAULTS)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_revealed_is_said(name):
    reveals = methods()[name].reveals
    assert reveals
    assert all(reveal.to in ("neighbours", "coordinator") and reveal.what for reveal in reveals)
