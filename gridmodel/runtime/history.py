"""The last values of a stream, as far back as a packet may be late."""

from __future__ import annotations

from collections import deque
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.channel import Channel

__all__ = ["History"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@final
class History:
    """Arrays of the last rounds; for packets that are differently late, copies of them in one array.

    stacked: shape (rounds, rows, numbers), round k at k modulo the number of rounds; with jitter only.
    """

    def __init__(self, channel: Channel) -> None:
        self._kept: deque[Floats] = deque(maxlen=channel.reach + 1)
        self._rounds = channel.reach + 1
        self._jitters = channel.jitter > 0
        self._now = -1
        self.stacked = np.empty((0, 0, 0))

    def push(self, values: Floats) -> None:
        """Adds the round's values; they must not be changed later."""
        self._now += 1
        if not self._jitters:
            self._kept.appendleft(values)
            return
        if not self.stacked.size:
            self.stacked = np.zeros((self._rounds, *values.shape))
        self.stacked[self._now % self._rounds] = values

    def __getitem__(self, late: int) -> Floats:
        """The values of ``late`` rounds ago; of the first round where there were none yet (nothing arrives then)."""
        return self._kept[min(late, len(self._kept) - 1)]

    def slot(self, late: Ints) -> Ints:
        """Where ``stacked`` has the values of late[e] rounds ago."""
        return np.asarray((self._now - late) % self._rounds)

    def gather(self, late: Ints, rows: Ints) -> Floats:
        """Row rows[e] of late[e] rounds ago, for every e; zero where there were none yet."""
        return np.asarray(self.stacked[self.slot(late), rows])
