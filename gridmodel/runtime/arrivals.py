"""Which of the packets that are under way arrive in a round."""

from __future__ import annotations

from collections import deque
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.channel import Channel

__all__ = ["Arrivals", "both"]

Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Arrivals:
    """Packets by edge between sending and arrival; a packet overtaken by a newer one of its edge is not delivered."""

    def __init__(self, channel: Channel, edges: int) -> None:
        self._delay, self._reach, self._edges = channel.delay, channel.reach, edges
        # With a fixed delay: what was sent 0, 1, ... rounds ago and not lost.
        self._way: deque[Flags | None] = deque(maxlen=self._reach + 1)
        if channel.jitter:
            # For each edge and coming round, modulo their number, how late the newest packet is that is due; -1: none.
            self._due = np.full((self._reach + 1, edges), -1, dtype=np.intp)
            self._newest = np.full(edges, -1, dtype=np.intp)
            self._all = np.arange(edges)

    def deliver(
        self, now: int, through: Flags | None, slow: Ints | None, there: Flags | None
    ) -> tuple[Flags | None, Ints | None]:
        """Which edges deliver a packet, and how late it is.

        Args:
            now: the round. through: packets sent in it that do not get lost, None for all.
            slow: rounds that each takes, None for the fixed delay. there: edges whose ends can hear now, None for all.
        """
        if not self._reach:
            return both(through, there), None
        if slow is not None:
            return self._deliver_disordered(now, through, slow, there)
        self._way.appendleft(through)
        if len(self._way) <= self._delay:
            return np.zeros(self._edges, dtype=bool), None
        return both(self._way[self._delay], there), None

    def forget(self, edges: Flags) -> None:
        """Nothing that is under way on these edges arrives."""
        for k, sent in enumerate(self._way):
            self._way[k] = ~edges if sent is None else sent & ~edges
        if not self._way and self._reach > self._delay:
            self._due[:, edges] = -1

    def _deliver_disordered(
        self, now: int, through: Flags | None, slow: Ints, there: Flags | None
    ) -> tuple[Flags, Ints]:
        sent = self._all if through is None else np.flatnonzero(through)
        takes = slow if through is None else slow[sent]
        # A later packet that is due at the same time overwrites: it is newer.
        self._due.ravel()[(now + takes) % (self._reach + 1) * self._edges + sent] = takes
        late = self._due[now % (self._reach + 1)].copy()
        self._due[now % (self._reach + 1)] = -1
        arrived = (late >= 0) & (self._newest < now - late)
        if there is not None:
            arrived &= there
        np.copyto(self._newest, now - late, where=arrived)
        np.maximum(late, self._delay, out=late)
        return arrived, late


def both(one: Flags | None, other: Flags | None) -> Flags | None:
    """The flags that are up in both; None is up everywhere."""
    if one is None:
        return other
    return one if other is None else one & other
