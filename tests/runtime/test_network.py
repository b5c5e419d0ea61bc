"""The network counts what is sent, refuses rules that do not fit, and names heirs."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.masking import Gaussian
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Flood, Mixer, Pusher, Wire
from tests.runtime.graphs import links_of, metropolis

PATH, STAR = links_of(nx.path_graph(3)), links_of(nx.star_graph(4))
RING = links_of(nx.cycle_graph(5, create_using=nx.DiGraph))


def sent(links: Links, channel: Channel, rounds: int, numbers: tuple[int, ...]) -> tuple[int, int]:
    """Messages and bytes of quantities of so many numbers, mixed together (pushed on a directed graph)."""
    network = Network(links, channel)
    mixer = Mixer(network, metropolis(links), "skip")
    for _ in range(rounds):
        network.tick()
        mixer.together(*(np.ones((links.size, d)) for d in numbers))
    return network.messages, network.bytes


@pytest.mark.parametrize(
    ("links", "text", "rounds", "numbers", "messages", "bytes_"),
    [
        # A path of 3 has 4 directed edges, a star of 5 has 8, a ring of 5 has 5.
        (PATH, "", 10, (2,), 40, 40 * 16),
        (PATH, "drop=.5", 10, (2,), 40, 40 * 16),
        (STAR, "delay=3", 10, (2, 2), 80, 80 * 32),
        (RING, "drop=.3,burst=2", 7, (1,), 35, 35 * 8),
        # The hub of the star (a0) sends 4 packets a round; the others still send theirs to it.
        (STAR, "outage=a0:2-5", 10, (1,), 80 - 3 * 4, (80 - 3 * 4) * 8),
        (STAR, "outage=a1:2-5", 10, (1,), 80 - 3 * 1, (80 - 3 * 1) * 8),
        # From and to who left nothing is sent.
        (STAR, "leave=a1:4", 10, (1,), 4 * 8 + 6 * 6, (4 * 8 + 6 * 6) * 8),
        (PATH, "join=a2:4", 10, (1,), 4 * 2 + 6 * 4, (4 * 2 + 6 * 4) * 8),
        # 4 bits of 3 numbers and of 1 are 16 bits, 2 bytes; of 3 alone 2 bytes as well.
        (PATH, "bits=4", 5, (3, 1), 20, 20 * 2),
        (PATH, "bits=4", 5, (3,), 20, 20 * 2),
        (RING, "bits=8", 5, (3,), 25, 25 * 3),
        # Differences carry a scale of 8 bytes a quantity.
        (PATH, "bits=4,coding=difference", 5, (3, 1), 20, 20 * (2 + 16)),
    ],
)
def test_messages_and_bytes_by_hand(
    links: Links, text: str, rounds: int, numbers: tuple[int, ...], messages: int, bytes_: int
) -> None:
    assert sent(links, Channel.parse(text), rounds, numbers) == (messages, bytes_)


def test_streams_of_one_round_share_packets() -> None:
    network = Network(RING, Channel(bits=4))
    streams = [(Mixer(network, metropolis(RING), "skip"), 5, 1), (Pusher(network, "sums"), 5, 2), (Wire(network), 5, 1)]
    flood = Flood(network)
    for _ in range(3):
        network.tick()
        for stream, rows, numbers in streams:
            stream(np.ones((rows, numbers)))  # type: ignore[operator]
        flood(np.ones((5, 1)))
    # 1 + 2 + 1 + 1 numbers of 4 bits are 20 bits: 3 bytes.
    assert (network.messages, network.bytes) == (15, 15 * 3)


def test_links_that_come_and_go_are_counted_as_they_are() -> None:
    present = np.array([[True, True, False, False], [True, True, True, True]])
    links = Links(PATH.nodes, PATH.sender, PATH.receiver, False, present)
    assert sent(links, Channel(), 4, (1,)) == (2 * 2 + 2 * 4, (2 * 2 + 2 * 4) * 8)
    with pytest.raises(
        ModelError, match="coding='difference' needs that every packet arrives, and the topology varies"
    ):
        Network(links, Channel(bits=8, coding="difference"))


def test_awake_agents_send() -> None:
    messages, _ = sent(STAR, Channel(awake=0.5), 4000, (1,))
    assert messages / 4000 == pytest.approx(4.0, rel=0.03)


def test_masks_are_counted_once() -> None:
    network = Network(PATH, Channel(mask=5.0))
    values = np.arange(6.0).reshape(3, 2)
    masked = network.masked(values)
    assert (network.messages, network.bytes) == (4, 4 * 16)
    assert np.abs(masked - values).min() > 1e-3
    assert np.allclose(masked.sum(axis=0), values.sum(axis=0), rtol=0, atol=1e-14 * 40)
    assert Network(PATH, Channel()).masked(values) is values


def test_rules_of_the_wrong_family_are_refused() -> None:
    network = Network(PATH, Channel(rule="sums"))
    Mixer(network, metropolis(PATH), "paired")
    with pytest.raises(ModelError, match=r"rule='sums' is a rule for shares.*this algorithm knows paired, skip, hold"):
        network.tick()
    network = Network(PATH, Channel(rule="skip"))
    Pusher(network, "sums")
    with pytest.raises(
        ModelError, match=r"rule='skip' is a rule for what is mixed.*this algorithm knows sums, ack, lose"
    ):
        network.tick()
    network = Network(PATH, Channel(rule="skip"))
    Wire(network)
    with pytest.raises(ModelError, match="own along every edge and needs none; leave rule out"):
        network.tick()
    network = Network(PATH, Channel(rule="lose"))
    Mixer(network, metropolis(PATH), "paired")
    Pusher(network, "sums")
    network.tick()


def test_heirs() -> None:
    network = Network(STAR, Channel(outages={"a0": (0, 1), "a1": (0, 5)}, leaves={"a2": 3}))
    network.tick()
    assert network.heir(1) == 0  # asleep, and the only one who hears a1
    assert network.heir(0) == 2  # a1 sleeps
    for _ in range(3):
        network.tick()
    assert network.heir(0) == 3
    assert Network(links_of(nx.empty_graph(2))).heir(0) is None


def test_the_asleep_keep_what_they_have() -> None:
    network = Network(PATH, Channel(outages={"a1": (0, 1)}))
    network.tick()
    new, old = np.ones((3, 2)), np.zeros((3, 2))
    assert network.keep(new, old).tolist() == [[1, 1], [0, 0], [1, 1]]
    assert new.tolist() == [[1, 1], [1, 1], [1, 1]]
    assert network.keep(np.ones(3), np.zeros(3)).tolist() == [1, 0, 1]
    network.tick()
    assert network.keep(new, old) is new


def test_releases_by_hand() -> None:
    network = Network(STAR, Channel(privacy=Gaussian(2.0, 1.0), outages={"a1": (0, 4)}))
    mixer, wire = Mixer(network, metropolis(STAR), "paired"), Wire(network)
    silent = Wire(network, np.zeros(8, dtype=np.intp))
    for _ in range(10):
        network.tick()
        mixer.together(np.ones((5, 1)), np.ones((5, 1)))
        wire(np.ones((8, 1)))
        silent(np.ones((8, 1)))  # packets without numbers tell nothing
    # Two quantities a round to all, and one of its own to each who hears: the hub has 4, of which a1 misses none.
    assert network.releases.tolist() == [10 * (2 + 4), 6 * 3, 30, 30, 30]
