"""What happens to agents and packets in each round, drawn from the channel's seed."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import UnknownNameError
from gridmodel.ir.links import Links
from gridmodel.runtime.arrivals import Arrivals, both
from gridmodel.runtime.channel import Channel, intervals

__all__ = ["Fates"]

Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Fates:
    """The draws of a run, round by round; every kind of fault has a generator of its own.

    A packet is lost on its way, when it is sent, or where its receiver is asleep or gone when it would arrive.

    active: which nodes take part in the round, shape (N,); None where all do.
    sent: which edges carry a packet that was sent in this round, shape (E,); None where all do.
    lost: which packets of this round get lost on their way, shape (E,); None where none does.
    slow: rounds that the packets of this round take, shape (E,); None where it is ``channel.delay`` for all.
    arrived: which edges deliver a packet in this round, shape (E,); None where all do.
    late: rounds that the delivered packet took, shape (E,); None where it is ``channel.delay`` for all.
    present: which nodes belong to the model at all, shape (N,). left, joined: nodes that went or came in this round.
    """

    def __init__(self, links: Links, channel: Channel) -> None:
        self._links = links
        self._channel = channel
        self._losing, self._waking, self._delaying = (np.random.default_rng([channel.seed, k]) for k in (2, 3, 4))
        self._ideal = channel.is_ideal and links.present is None
        self._outages = [
            (self._node(name), first, last)
            for name, spans in channel.outages.items()
            for first, last in intervals(spans)
        ]
        self._leaves = {self._node(name): int(at) for name, at in channel.leaves.items()}
        self._joins = {self._node(name): int(at) for name, at in channel.joins.items()}
        self._bad: Flags | None = None
        self._single = Arrivals(channel, links.edges)
        self._double = Arrivals(channel, links.edges) if links.edges and (links.opposite >= 0).all() else None
        self._pairs: tuple[Flags | None, Ints | None] | None = None
        self.round = -1
        self.active: Flags | None = None
        self.sent: Flags | None = None
        self.lost: Flags | None = None
        self.slow: Ints | None = None
        self.arrived: Flags | None = None
        self.late: Ints | None = None
        self.present = np.ones(links.size, dtype=bool)
        # Who comes before it goes was not there at first; who comes afterwards stands for a newcomer in its place.
        self.present[[n for n, at in self._joins.items() if at < self._leaves.get(n, at + 1)]] = False
        self.left: list[int] = []
        self.joined: list[int] = []
        self._twin = np.minimum(links.opposite, np.arange(links.edges)) if channel.jitter else None
        if self._twin is not None:
            self._twin[links.opposite < 0] = np.flatnonzero(links.opposite < 0)

    def draw(self) -> None:
        """The fates of the next round."""
        self.round += 1
        if self._ideal:
            return
        self._membership()
        self.active = self._awake()
        self.sent = self._sending()
        self.lost = self._losses()
        self.slow = self._lateness()
        through = self.sent if self.lost is None else both(self.sent, ~self.lost)
        there = self.hearing()
        self.arrived, self.late = self._single.deliver(self.round, through, self.slow, there)
        self._pairs = None
        if self._double is not None and self._channel.reach:
            self._pairs = self._double.deliver(self.round, self._mutual(through), self.slow, self._mutual(there))

    def pairs(self) -> tuple[Flags | None, Ints | None]:
        """Edges that deliver a packet whose twin, sent the other way at the same time, is delivered too; and how late.

        Both ends of such a link know the same pair of numbers. For links in both directions only.
        """
        if self._pairs is None:
            self._pairs = self._mutual(self.arrived), self.late
        return self._pairs

    def hearing(self) -> Flags | None:
        """Edges whose receiver takes part in the round and whose sender belongs to the model; None where all."""
        if self.active is None:
            return None
        hears = np.repeat(self.active, self._links.into)
        return hears if self.present.all() else hears & self.present[self._links.sender]

    def touching(self, nodes: list[int]) -> Flags:
        """Edges into or out of these nodes, shape (E,)."""
        chosen = np.zeros(self._links.size, dtype=bool)
        chosen[nodes] = True
        return np.asarray(chosen[self._links.sender] | chosen[self._links.receiver])

    def _mutual(self, flags: Flags | None) -> Flags | None:
        return None if flags is None else flags & np.take(flags, self._links.opposite)

    def _membership(self) -> None:
        self.left = [node for node, at in self._leaves.items() if at == self.round]
        self.joined = [node for node, at in self._joins.items() if at == self.round]
        self.present[self.left] = False
        self.present[self.joined] = True
        if self.left or self.joined:
            # What is on its way to or from who left is not heard by or from a newcomer in its place.
            touched = self.touching(self.left + self.joined)
            self._single.forget(touched)
            if self._double is not None:
                self._double.forget(touched)

    def _awake(self) -> Flags | None:
        channel = self._channel
        out = [node for node, first, last in self._outages if first <= self.round < last]
        draws = self._waking.random(self._links.size) if channel.awake < 1 else None
        if draws is None and not out and self.present.all():
            return None
        active = self.present.copy() if draws is None else self.present & (draws < channel.awake)
        active[out] = False
        return active

    def _sending(self) -> Flags | None:
        links = self._links
        sent = None
        if self.active is not None:
            sent = self.active[links.sender]
            if not self.present.all():
                sent &= self.present[links.receiver]
        return sent if links.present is None else both(sent, links.present[self.round % len(links.present)])

    def _losses(self) -> Flags | None:
        channel = self._channel
        if not channel.drop:
            return None
        draws = self._losing.random(self._links.edges)
        if channel.burst is None:
            return np.asarray(draws < channel.drop)
        leave = 1.0 / channel.burst
        enter = leave * channel.drop / (1.0 - channel.drop)
        if self._bad is None:
            self._bad = np.asarray(draws < channel.drop)
        else:
            self._bad = draws < np.where(self._bad, 1.0 - leave, enter)
        return self._bad

    def _lateness(self) -> Ints | None:
        if self._twin is None:
            return None
        # Both directions of a link are equally late, so that its ends know the same pair of numbers.
        drawn = self._delaying.integers(0, self._channel.jitter + 1, self._links.edges)[self._twin]
        return np.asarray(self._channel.delay + drawn, dtype=np.intp)

    def _node(self, name: str) -> int:
        names = list(self._links.nodes)
        if name in names:
            return names.index(name)
        small = {other.lower(): other for other in names}
        near = [small[found] for found in get_close_matches(str(name).lower(), small, 1)]
        known = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        mend = f"did you mean {near[0]!r}" if near else f"there are {known}"
        raise UnknownNameError(f"channel: no agent {name!r} in the topology; {mend}.")
