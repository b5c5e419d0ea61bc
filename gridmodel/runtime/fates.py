"""What happens to agents and packets in each round, drawn from the channel's seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import UnknownNameError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel, intervals

__all__ = ["Fates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Fates:
    """The draws of a run, round by round.

    active: which nodes take part in the round, shape (N,); None where all do.
    sent: which edges carry a packet that was sent in this round, shape (E,); None where all do.
    arrived: which edges deliver a packet in this round, shape (E,); None where all do.
    late: rounds that the delivered packet took, shape (E,); None where it is ``channel.delay`` for all.
    lost: which packets of this round get lost, or find their receiver asleep, shape (E,); only where some fault is.
    present: which nodes belong to the model at all, shape (N,). left, joined: nodes that went or came in this round.
    """

    def __init__(self, links: Links, channel: Channel) -> None:
        self._links = links
        self._channel = channel
        self._rng = np.random.default_rng(channel.seed)
        self._ideal = channel.is_ideal and links.present is None
        self._outages = [
            (self._node(name), first, last) for name, spans in channel.outages.items() for first, last in intervals(spans)
        ]
        self._leaves = {self._node(name): int(at) for name, at in channel.leaves.items()}
        self._joins = {self._node(name): int(at) for name, at in channel.joins.items()}
        self._bad: Flags | None = None
        # What was sent 0, 1, ... rounds ago, as far as a packet may be late.
        self._past: list[Flags] = []
        self.round = -1
        self.active: Flags | None = None
        self.sent: Flags | None = None
        self.arrived: Flags | None = None
        self.late: Ints | None = None
        self.lost: Flags = np.zeros(links.edges, dtype=bool)
        self.present = np.ones(links.size, dtype=bool)
        self.present[list(self._joins)] = False
        self.left: list[int] = []
        self.joined: list[int] = []
        self._twin = np.where(links.opposite >= 0, np.minimum(links.opposite, np.arange(links.edges)), np.arange(links.edges))

    def draw(self) -> None:
        """The fates of the next round."""
        self.round += 1
        if self._ideal:
            return
        self._membership()
        self.active = self._awake()
        links, channel = self._links, self._channel
        there = self.active if self.active is not None else self.present
        sent = there[links.sender] & self.present[links.receiver]
        if links.present is not None:
            sent &= links.present[self.round % len(links.present)]
        self.sent = sent
        self.lost = self._losses() | ~there[links.receiver]
        arrived = ~self.lost
        reach = channel.delay + channel.jitter
        self._past.insert(0, sent)
        del self._past[reach + 1 :]
        if not reach:
            self.late = None
            self.arrived = arrived & sent
            return
        late = np.full(links.edges, channel.delay, dtype=np.intp)
        if channel.jitter:
            # Both directions of a link are equally late, so that its ends know the same pair of numbers.
            late += self._rng.integers(0, channel.jitter + 1, links.edges)[self._twin]
            self.late = late
        past = np.zeros((reach + 1, links.edges), dtype=bool)
        past[: len(self._past)] = self._past
        self.arrived = arrived & past[late, np.arange(links.edges)]

    def _membership(self) -> None:
        self.left = [node for node, at in self._leaves.items() if at == self.round]
        self.joined = [node for node, at in self._joins.items() if at == self.round]
        self.present[self.left] = False
        self.present[self.joined] = True

    def _awake(self) -> Flags | None:
        channel = self._channel
        if channel.awake >= 1 and not self._outages and self.present.all():
            return None
        active = self.present.copy()
        if channel.awake < 1:
            active &= self._rng.random(self._links.size) < channel.awake
        for node, first, last in self._outages:
            if first <= self.round < last:
                active[node] = False
        return active

    def _losses(self) -> Flags:
        channel, edges = self._channel, self._links.edges
        if not channel.drop:
            return np.zeros(edges, dtype=bool)
        draws = self._rng.random(edges)
        if channel.burst is None:
            return np.asarray(draws < channel.drop)
        leave = 1.0 / channel.burst
        enter = leave * channel.drop / (1.0 - channel.drop)
        if self._bad is None:
            self._bad = np.asarray(draws < channel.drop)
        else:
            self._bad = np.where(self._bad, draws >= leave, draws < enter)
        return self._bad

    def _node(self, name: str) -> int:
        try:
            return list(self._links.nodes).index(name)
        except ValueError:
            known = ", ".join(list(self._links.nodes)[:5])
            raise UnknownNameError(f"channel: no agent {name!r} in the topology; there are {known}, ...") from None
