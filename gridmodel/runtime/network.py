"""The runtime of algorithms in which agents talk: only neighbours are heard, everything sent is counted, faults happen.

An algorithm asks a ``Network`` for streams at its start, one for each quantity that it sends, and calls ``tick`` at
the start of every round; the streams (``gridmodel.runtime.streams``) then carry values under the fates of the round.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.coding import Coder
from gridmodel.runtime.fates import Fates

__all__ = ["Network"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Network:
    """Links between agents, the fates of the round, and what was sent so far.

    links: who may send to whom. channel: its faults. messages, bytes: sent so far; lost packets count.
    noise: generator of what the channel adds to numbers, apart from the fates so that these do not depend on it.
    """

    def __init__(self, links: Links, channel: Channel | None = None) -> None:
        self.links = links
        self.channel = channel or Channel()
        self.fates = Fates(links, self.channel)
        self.noise = np.random.default_rng([self.channel.seed, 1])
        self.messages = 0
        self.bytes = 0.0
        self._packets = 0

    @property
    def is_plain(self) -> bool:
        """Whether every packet of every round arrives at once, whole and exact."""
        return self.channel.is_ideal and self.links.present is None

    @property
    def round(self) -> int:
        """The round under way, counted from 0; -1 before the first tick."""
        return self.fates.round

    @property
    def active(self) -> Flags | None:
        """Which nodes take part in the round, shape (N,); None where all do."""
        return self.fates.active

    def tick(self) -> None:
        """Begins a round: every node that takes part sends one packet to each node that hears it."""
        self.fates.draw()
        sent = self.fates.sent
        self._packets = self.links.edges if sent is None else int(np.count_nonzero(sent))
        self.messages += self._packets

    def keep(self, new: Floats, old: Floats) -> Floats:
        """``new`` for nodes that take part in the round, ``old`` for those that sleep; rows are nodes."""
        if self.active is None:
            return new
        return np.where(self.active.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    def heir(self, node: int) -> int | None:
        """A present neighbour that hears ``node``, the first that takes part in the round; None where there is none."""
        links = self.links
        hears = links.receiver[links.sender == node]
        there = self.fates.present if self.active is None else self.active
        found = hears[there[hears]]
        return int(found[0]) if len(found) else None

    def count(self, numbers: int, coder: Coder) -> None:
        """Adds ``numbers`` a packet to what is sent in this round."""
        self.bytes += self._packets * float(np.ceil(numbers * coder.bytes_of_number) + coder.bytes_of_packet)
