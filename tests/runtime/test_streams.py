"""What streams carry: sums that no fault changes, naive rules that lose, and values by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.masking import Gaussian
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Flood, Mixer, Pusher, Wire
from tests.runtime.graphs import links_of, metropolis

Floats = NDArray[np.float64]

FAULTS: dict[str, dict[str, object]] = {
    "drop": {"drop": 0.3},
    "burst": {"drop": 0.3, "burst": 3.0},
    "delay": {"delay": 2},
    "jitter": {"jitter": 3},
    "bits": {"bits": 6, "span": 3.0},
    "difference": {"bits": 6, "coding": "difference"},
    "outage": {"outages": {"a0": (3, 9), "a2": [(5, 8), (12, 20)]}},
    "async": {"awake": 0.5},
    "membership": {"leaves": {"a1": 6}, "joins": {"a1": 14, "a3": 4}},
    "privacy": {"privacy": Gaussian(0.1, 10.0)},
}


@dataclass
class Run:
    """Values that take every output of a stream as the input of the next round, as an algorithm would."""

    network: Network
    values: Floats

    def round(self, stream: Callable[[Floats], Floats]) -> None:
        network = self.network
        network.tick()
        for node in network.fates.left:
            heir = network.heir(node)
            assert heir is not None
            self.values[heir] += self.values[node]
            self.values[node] = 0.0
        self.values = network.keep(stream(self.values), self.values)


def channels(one: str, other: str, seed: int) -> Channel | None:
    options = FAULTS[one] | FAULTS[other] | {"seed": seed}
    if options.get("coding") == "difference" and not {one, other} <= {"difference", "delay", "privacy", "bits"}:
        with pytest.raises(ModelError, match="difference"):
            Channel(**options)  # type: ignore[arg-type]
        return None
    return Channel(**options)  # type: ignore[arg-type]


@st.composite
def undirected(draw: st.DrawFn) -> Links:
    size, seed = draw(st.integers(5, 9)), draw(st.integers(0, 1000))
    # a4 hears everybody, so that whoever leaves has an heir.
    graph = nx.gnp_random_graph(size, 0.4, seed=seed)
    graph.add_edges_from((4, k) for k in range(size) if k != 4)
    return varying(links_of(graph), seed) if draw(st.booleans()) else links_of(graph)


@st.composite
def directed(draw: st.DrawFn) -> Links:
    size, seed = draw(st.integers(5, 9)), draw(st.integers(0, 1000))
    graph = nx.gnp_random_graph(size, 0.3, seed=seed, directed=True)
    graph.add_edges_from((k, 4) for k in range(size) if k != 4)
    graph.add_edges_from((k, (k + 1) % size) for k in range(size))
    return varying(links_of(graph), seed) if draw(st.booleans()) else links_of(graph)


def varying(links: Links, seed: int) -> Links:
    return replace(links, present=np.random.default_rng(seed).random((3, links.edges)) < 0.7)


pairs = st.tuples(st.sampled_from(sorted(FAULTS)), st.sampled_from(sorted(FAULTS)))


@settings(max_examples=100, deadline=None)
@given(undirected(), pairs, st.integers(0, 100))
def test_paired_mixing_keeps_the_sum_every_round(links: Links, faults: tuple[str, str], seed: int) -> None:
    channel = channels(*faults, seed)
    if channel is None or (links.present is not None and channel.coding == "difference"):
        return
    network = Network(links, channel)
    values = np.random.default_rng(seed).normal(1.0, 1.0, (links.size, 2)) * network.fates.present[:, None]
    run, mixer = Run(network, values), Mixer(network, metropolis(links), "paired")
    total, size = values.sum(axis=0), np.abs(values).sum()
    for _ in range(30):
        run.round(mixer)
        assert np.abs(run.values[network.fates.present].sum(axis=0) - total).max() <= 1e-12 * size


@settings(max_examples=200, deadline=None)
@given(directed(), pairs, st.integers(0, 100), st.sampled_from(["sums", "ack"]), st.booleans())
def test_shares_keep_the_sum_every_round(
    links: Links, faults: tuple[str, str], seed: int, rule: str, noise: bool
) -> None:
    channel = channels(*faults, seed)
    if channel is None or (links.present is not None and channel.coding == "difference"):
        return
    if rule == "sums" and noise:
        channel = replace(channel, noise=0.1)
    network = Network(links, channel)
    values = np.random.default_rng(seed).normal(1.0, 1.0, (links.size, 2)) * network.fates.present[:, None]
    run, pusher = Run(network, values), Pusher(network, rule)
    total, size = values.sum(axis=0), np.abs(values).sum()
    for _ in range(30):
        run.round(pusher)
        there = run.values[network.fates.present]
        size = max(size, np.abs(there).sum())
        assert np.abs(there.sum(axis=0) + pusher.under_way() - total).max() <= 1e-12 * size


@pytest.mark.parametrize("rule", ["skip", "hold"])
def test_naive_mixing_loses_the_sum(rule: str) -> None:
    links = links_of(nx.cycle_graph(6))
    network = Network(links, Channel(drop=0.3))
    run = Run(network, np.arange(6.0)[:, None])
    mixer = Mixer(network, metropolis(links), rule)
    for _ in range(20):
        run.round(mixer)
    assert abs(run.values.sum() - 15.0) > 0.1


def test_a_lost_share_is_gone() -> None:
    links = links_of(nx.cycle_graph(6, create_using=nx.DiGraph))
    network = Network(links, Channel(drop=0.3))
    run, pusher = Run(network, np.ones((6, 1))), Pusher(network, "lose")
    for _ in range(20):
        run.round(pusher)
    assert run.values.sum() < 3.0


@pytest.mark.parametrize("options", [{"drop": 0.3}, {"drop": 0.3, "burst": 4}, {"awake": 0.5}, {"delay": 1}])
def test_the_channel_chooses_the_rule(options: dict[str, float]) -> None:
    links = links_of(nx.cycle_graph(6))
    ends = []
    for rule, asked in (("paired", "skip"), ("skip", None)):
        network = Network(links, Channel(**options, rule=asked))  # type: ignore[arg-type]
        run = Run(network, np.arange(6.0)[:, None])
        mixer = Mixer(network, metropolis(links), rule)
        for _ in range(10):
            run.round(mixer)
        ends.append(run.values)
    assert np.array_equal(ends[0], ends[1])


def test_rules_by_hand_on_two_nodes() -> None:
    """Weights of one half; round 0 delivers to node 1 alone, round 1 to both."""
    links = links_of(nx.path_graph(2))
    flows = {"paired": [[0.0, 8.0], [4.0, 4.0]], "skip": [[0.0, 4.0], [2.0, 2.0]], "hold": [[0.0, 4.0], [2.0, 2.0]]}
    for rule, expected in flows.items():
        network = Network(links, Channel(drop=0.5))
        mixer, values = Mixer(network, np.full(2, 0.5), rule), np.array([[0.0], [8.0]])
        for row, arrived in zip(expected, [[False, True], [True, True]], strict=True):
            network.tick()
            network.fates.arrived, network.fates._pairs = np.array(arrived), None
            values = mixer(values)
            assert values[:, 0].tolist() == row, rule


def test_hold_reads_the_last_value() -> None:
    links = links_of(nx.path_graph(2))
    network = Network(links, Channel(drop=0.5))
    mixer = Mixer(network, np.full(2, 0.5), "hold")
    for value, arrived, read in [(2.0, True, 1.0), (6.0, False, 1.0), (6.0, True, 3.0)]:
        network.tick()
        network.fates.arrived = np.array([arrived, False])
        assert mixer(np.array([[0.0], [value]]))[0, 0] == read


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_late_values_are_those_of_then(delay: int) -> None:
    links = links_of(nx.path_graph(2))
    for rule in ("paired", "skip", "hold"):
        network = Network(links, Channel(delay=delay))
        mixer = Mixer(network, np.full(2, 0.5), rule)
        for k in range(8):
            network.tick()
            mixed = mixer(np.array([[100.0], [float(k)]]))[0, 0]
            assert mixed == (100.0 if k < delay else 100.0 - 0.5 * (100.0 - (k - delay)))


def test_packets_with_jitter_arrive_once_and_in_order() -> None:
    """A wire that carries the number of the round: stamps only grow, and are as late as the fates say."""
    links = links_of(nx.complete_graph(4))
    network = Network(links, Channel(delay=1, jitter=3, seed=4))
    wire, newest, lags = Wire(network), np.full(links.edges, -1.0), set()
    for k in range(300):
        network.tick()
        read, arrived = wire(np.full((links.edges, 1), float(k)))
        assert arrived is not None
        assert network.fates.late is not None
        stamp = read[arrived, 0]
        assert (stamp > newest[arrived]).all()
        assert np.array_equal(k - stamp, network.fates.late[arrived])
        newest[arrived] = stamp
        lags |= set((k - stamp).astype(int))
    assert lags == {1, 2, 3, 4}


def test_pairs_are_of_one_time() -> None:
    links = links_of(nx.complete_graph(4))
    network = Network(links, Channel(drop=0.3, jitter=3))
    for _ in range(100):
        network.tick()
        arrived, late = network.fates.pairs()
        assert arrived is not None
        assert late is not None
        assert np.array_equal(arrived, arrived[links.opposite])
        assert np.array_equal(late[arrived], late[links.opposite][arrived])


def test_sums_do_not_floor_at_growing_totals() -> None:
    """Shares of a sum that tends to zero after a total of 1e6 was dealt: differences of totals stop at 1e-10."""
    links = links_of(nx.cycle_graph(5, create_using=nx.DiGraph))
    network = Network(links, Channel(drop=0.3, jitter=2))
    pusher, values = Pusher(network, "sums"), np.full((5, 1), 1e6)
    for _ in range(200):
        network.tick()
        values = pusher(values)
    values = values - 1e6 * 5 * values / values.sum()
    for _ in range(600):
        network.tick()
        values = 0.8 * pusher(values)
    assert 0 < np.abs(values).max() < 1e-20


def test_difference_coding_is_exact_in_the_limit() -> None:
    links = links_of(nx.cycle_graph(6))
    start = np.random.default_rng(0).normal(size=(6, 3))
    for bits, coding, worst, least in [(4, "difference", 1e-12, 0.0), (4, "fixed", 1.0, 1e-2)]:
        network = Network(links, Channel(bits=bits, coding=coding))  # type: ignore[arg-type]
        mixer, values = Mixer(network, metropolis(links), "paired"), start
        for _ in range(300):
            network.tick()
            values = mixer(values)
        error = np.abs(values - start.mean(axis=0)).max()
        assert least <= error < worst


def test_a_constant_stays_constant_under_difference_coding() -> None:
    network = Network(links_of(nx.path_graph(2)), Channel(bits=2, coding="difference"))
    wire = Wire(network)
    network.tick()
    assert np.array_equal(wire(np.zeros((2, 3)))[0], np.zeros((2, 3)))


def test_flood_finds_the_largest() -> None:
    links = links_of(nx.path_graph(5))
    network = Network(links, Channel(drop=0.4, seed=1))
    flood, values = Flood(network), np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0], [1.0, 9.0]])
    for _ in range(40):
        network.tick()
        values = flood(values)
    assert np.array_equal(values, np.tile([3.0, 9.0], (5, 1)))


def test_flood_hears_nobody_without_packets() -> None:
    network = Network(links_of(nx.path_graph(3)), Channel(outages={"a1": (1, 5)}))
    flood, values = Flood(network), np.array([[1.0], [5.0], [2.0]])
    network.tick()
    network.tick()
    assert np.array_equal(flood(values), values)


def test_noise_has_the_law_of_single_packets() -> None:
    """A star's hub reads 8 packets of weight w: standard deviation w sigma sqrt(8)."""
    links = links_of(nx.star_graph(8))
    network = Network(links, Channel(noise=0.5))
    mixer = Mixer(network, np.full(links.edges, 0.1), "paired")
    network.tick()
    mixed = mixer(np.zeros((9, 40_000)))
    assert mixed[0].std() == pytest.approx(0.1 * 0.5 * np.sqrt(8), rel=0.02)
    assert mixed[1].std() == pytest.approx(0.1 * 0.5, rel=0.02)
    assert abs(np.corrcoef(mixed[1], mixed[2])[0, 1]) < 0.02


def test_a_newcomer_does_not_read_what_its_predecessor_heard() -> None:
    links = links_of(nx.path_graph(2))
    network = Network(links, Channel(leaves={"a1": 2}, joins={"a1": 5}, outages={"a1": (5, 8)}))
    mixer = Mixer(network, np.full(2, 0.5), "hold")
    seen = []
    for _ in range(9):
        network.tick()
        seen.append(mixer(np.array([[0.0], [8.0]]))[0, 0])
    assert seen == [4.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0]


def test_who_left_is_not_heard_of_any_more() -> None:
    """Packets on their way from an agent that left do not arrive, nor do old ones when a newcomer has its place."""
    links = links_of(nx.complete_graph(3))
    network = Network(links, Channel(delay=4, leaves={"a0": 10}, joins={"a0": 12}))
    of = links.sender == 0
    for k in range(20):
        network.tick()
        arrived = network.fates.arrived
        heard = np.ones(links.edges, dtype=bool) if arrived is None else arrived
        touched = of | (links.receiver == 0)
        assert heard[touched].all() == (4 <= k < 10 or k >= 16)
        assert heard[touched].any() == (4 <= k < 10 or k >= 16)
        assert heard[~touched].all() == (k >= 4)


def test_paired_needs_both_directions() -> None:
    network = Network(links_of(nx.cycle_graph(4, create_using=nx.DiGraph)))
    with pytest.raises(ModelError, match=r"edges in both directions.*'skip' or 'hold'"):
        Mixer(network, np.full(4, 0.5), "paired")


def test_private_noise_keeps_sums_and_cuts() -> None:
    links = links_of(nx.complete_graph(4))
    network = Network(links, Channel(privacy=Gaussian(0.2, 2.0)))
    mixer = Mixer(network, metropolis(links), "paired")
    values = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    network.tick()
    mixed = mixer(values)
    assert np.abs(mixed.sum(axis=0) - values.sum(axis=0)).max() < 1e-14
    # Node 0 is heard as its point on the unit ball: others move towards (.6, .8) / 4, not (3, 4) / 4.
    mean = np.mean([mixer(values)[1:].mean(axis=0) for _ in range(4000)], axis=0)
    assert np.allclose(mean, [0.15, 0.2], atol=0.01)
