"""The last values of a stream, as far back as a packet may be late."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

__all__ = ["History"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class History:
    """Arrays of the last ``reach`` + 1 rounds, the newest first."""

    def __init__(self, reach: int) -> None:
        self._kept: deque[Floats] = deque(maxlen=reach + 1)
        self._reach = reach

    def push(self, values: Floats) -> None:
        """Adds the round's values; they must not be changed later."""
        self._kept.appendleft(values)

    def __getitem__(self, late: int) -> Floats:
        """The values of ``late`` rounds ago; of the first round where there were none yet (nothing arrives then)."""
        return self._kept[min(late, len(self._kept) - 1)]

    def gather(self, late: Ints, rows: Ints) -> Floats:
        """Row rows[e] of late[e] rounds ago, for every e."""
        stacked = np.stack(self._kept)
        return np.asarray(stacked[np.minimum(late, len(self._kept) - 1), rows])
