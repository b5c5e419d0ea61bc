"""Fates: measured frequencies, who is there, and that the same seed draws the same."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray

from gridmodel.errors import UnknownNameError
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.fates import Fates
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Mixer, Wire
from tests.runtime.graphs import links_of, metropolis

LINKS = links_of(nx.cycle_graph(20))


def lost(channel: Channel, rounds: int) -> NDArray[np.bool_]:
    """Which packets do not arrive, shape (rounds, E)."""
    fates, found = Fates(LINKS, channel), []
    for _ in range(rounds):
        fates.draw()
        found.append(np.zeros(LINKS.edges, dtype=bool) if fates.arrived is None else ~fates.arrived)
    return np.array(found)


def lengths(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Lengths of all complete runs of losses."""
    found = []
    for column in flags.T:
        ends = np.flatnonzero(np.diff(column.astype(int)))
        first = ends[0] if len(ends) and not column[0] else (ends[1] if len(ends) > 1 else len(column))
        starts = ends[ends >= first][::2]
        stops = ends[ends >= first][1::2]
        found += list(stops - starts[: len(stops)])
    return np.array(found)


@pytest.mark.parametrize("drop", [0.05, 0.3, 0.7])
def test_independent_losses(drop: float) -> None:
    flags = lost(Channel(drop=drop), 5000)
    assert flags.mean() == pytest.approx(drop, abs=4 * np.sqrt(drop * (1 - drop) / flags.size))
    assert lengths(flags).mean() == pytest.approx(1 / (1 - drop), rel=0.03)
    # Both directions of a link are lost independently.
    both = (flags & flags[:, LINKS.opposite]).mean()
    assert both == pytest.approx(drop**2, abs=5 * drop / np.sqrt(flags.size))


@pytest.mark.parametrize(("drop", "burst"), [(0.3, 5.0), (0.1, 20.0), (0.5, 1.0), (0.6, 3.0)])
def test_bursts_have_the_stationary_loss_and_the_mean_length(drop: float, burst: float) -> None:
    flags = lost(Channel(drop=drop, burst=burst), 20_000)
    assert flags.mean() == pytest.approx(drop, rel=0.03)
    assert lengths(flags).mean() == pytest.approx(burst, rel=0.03)
    # The chain starts as it goes on: the first round loses as much as any.
    first = np.mean([lost(Channel(drop=drop, burst=burst, seed=seed), 1).mean() for seed in range(300)])
    assert first == pytest.approx(drop, abs=0.03)


def test_awake_agents_and_working_edges() -> None:
    fates, awake, working = Fates(LINKS, Channel(awake=0.5)), [], []
    for _ in range(4000):
        fates.draw()
        assert fates.active is not None
        assert fates.arrived is not None
        assert fates.sent is not None
        assert np.array_equal(fates.arrived, fates.active[LINKS.sender] & fates.active[LINKS.receiver])
        assert np.array_equal(fates.sent, fates.active[LINKS.sender])
        awake.append(fates.active)
        working.append(fates.arrived)
    assert np.mean(awake) == pytest.approx(0.5, abs=0.01)
    assert np.mean(working) == pytest.approx(0.25, abs=0.01)


def test_outages_freeze_and_silence() -> None:
    fates = Fates(LINKS, Channel(outages={"a3": (5, 8), "a7": [(6, 7), (9, 10)]}))
    for k in range(12):
        fates.draw()
        out = ([3] if 5 <= k < 8 else []) + ([7] if k in (6, 9) else [])
        if not out:
            assert fates.active is None
            assert fates.arrived is None
            continue
        assert fates.active is not None
        assert fates.arrived is not None
        assert np.flatnonzero(~fates.active).tolist() == out
        assert np.array_equal(~fates.arrived, np.isin(LINKS.sender, out) | np.isin(LINKS.receiver, out))


def test_a_late_packet_finds_its_receiver_asleep() -> None:
    fates = Fates(LINKS, Channel(delay=3, outages={"a3": (6, 8)}))
    into, out = LINKS.receiver == 3, LINKS.sender == 3
    for k in range(14):
        fates.draw()
        arrived = np.ones(LINKS.edges, dtype=bool) if fates.arrived is None else fates.arrived
        assert arrived[into].all() == arrived[into].any() == (k >= 3 and not 6 <= k < 8)
        assert arrived[out].all() == arrived[out].any() == (k >= 3 and not 9 <= k < 11)
        assert arrived[~(into | out)].all() == (k >= 3)


def test_membership() -> None:
    fates = Fates(LINKS, Channel(leaves={"a1": 2, "a5": 4}, joins={"a1": 6, "a9": 3}))
    there = []
    for k in range(8):
        fates.draw()
        there.append(sorted(set(range(20)) - set(np.flatnonzero(fates.present))))
        assert fates.left == {2: [1], 4: [5]}.get(k, [])
        assert fates.joined == {6: [1], 3: [9]}.get(k, [])
    assert there == [[9], [9], [1, 9], [1], [1, 5], [1, 5], [5], [5]]


def test_links_that_come_and_go() -> None:
    links = links_of(nx.cycle_graph(4))
    rows = np.arange(2 * links.edges).reshape(2, -1) % 3 > 0
    fates = Fates(type(links)(links.nodes, links.sender, links.receiver, False, rows), Channel())
    for k in range(4):
        fates.draw()
        assert fates.sent is not None
        assert fates.arrived is not None
        assert np.array_equal(fates.sent, rows[k % 2])
        assert np.array_equal(fates.arrived, rows[k % 2])


def test_jitter_is_as_drawn_and_the_same_both_ways() -> None:
    fates, counts = Fates(LINKS, Channel(delay=1, jitter=2)), np.zeros(4)
    for _ in range(2000):
        fates.draw()
        assert fates.slow is not None
        assert np.array_equal(fates.slow, fates.slow[LINKS.opposite])
        counts += np.bincount(fates.slow, minlength=4)
    assert counts[0] == 0
    assert counts[1:] / counts.sum() == pytest.approx(np.full(3, 1 / 3), abs=0.01)


def test_an_unknown_agent_gets_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="no agent 'A3' in the topology; did you mean 'a3'"):
        Fates(LINKS, Channel(outages={"A3": (1, 2)}))
    with pytest.raises(UnknownNameError, match=r"no agent 'zz' in the topology; there are a0, a1, a2.$"):
        Fates(links_of(nx.path_graph(3)), Channel(leaves={"zz": 1}))


FULL = Channel.parse("drop=.2,jitter=2,awake=.8,seed=5")


def history(channel: Channel, streams: int = 0) -> list[NDArray[np.bool_]]:
    network, found = Network(LINKS, channel), []
    mixers = [Mixer(network, metropolis(LINKS), "paired") for _ in range(streams)]
    wire = Wire(network)
    for _ in range(30):
        network.tick()
        for mixer in mixers:
            mixer(np.ones((20, 1)))
        wire(np.ones((LINKS.edges, 3)))
        assert network.fates.arrived is not None
        found.append(network.fates.arrived)
    return found


def test_the_same_seed_draws_the_same() -> None:
    assert np.array_equal(history(FULL), history(FULL))
    assert not np.array_equal(history(FULL), history(Channel.parse("drop=.2,jitter=2,awake=.8,seed=6")))


def test_fates_do_not_depend_on_streams_noise_or_rounding() -> None:
    plain = history(FULL)
    assert np.array_equal(plain, history(FULL, streams=3))
    assert np.array_equal(plain, history(Channel.parse("drop=.2,jitter=2,awake=.8,seed=5,noise=.1,bits=4,mask=3")))


def test_kinds_of_fault_are_drawn_apart() -> None:
    alone, beside = Fates(LINKS, Channel(drop=0.3, seed=2)), Fates(LINKS, Channel(drop=0.3, awake=0.5, seed=2))
    for _ in range(20):
        alone.draw()
        beside.draw()
        assert np.array_equal(alone.lost, beside.lost)  # type: ignore[arg-type]
