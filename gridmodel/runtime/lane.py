"""One quantity that every node sends to all who hear it, as it is sent and as it is read."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.runtime.coding import Coder
from gridmodel.runtime.history import History
from gridmodel.runtime.network import Network

__all__ = ["Lane", "gathered"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Lane:
    """A quantity in the packets of all nodes.

    history: what was sent in this and earlier rounds.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._coder = Coder(network.channel)
        self._numbers = 0
        self.history = History(network.channel)
        self._last = self._room = np.empty((0, 0))
        self._heard = np.zeros(network.links.edges, dtype=bool)

    def send(self, values: Floats) -> Floats:
        """What is sent of ``values``, shape (N, d): they themselves where nothing hides or rounds them."""
        self._network.count(values.shape[1], self._coder)
        if self._network.is_plain:
            return values
        self._network.released()
        self._numbers = values.shape[1]
        sent = self._coder(self._network.veiled(values))
        self.history.push(sent)
        return sent

    def read(self) -> Floats:
        """What is read at the end of each edge, shape (E, d); where nothing arrives it means nothing."""
        links = self._network.links
        return self._read(np.arange(links.edges), np.empty((links.edges, self._numbers)))

    def listen(self) -> tuple[Floats, Flags]:
        """The last number heard on each edge, shape (E, d), and on which edges there was one; good for this round."""
        links, arrived = self._network.links, self._network.fates.arrived
        if not self._last.size:
            self._last, self._room = np.zeros((2, links.edges, self._numbers))
        rows = np.arange(links.edges) if arrived is None else np.flatnonzero(arrived)
        self._last[rows] = self._read(rows, self._room[: len(rows)])
        self._heard[rows] = True
        return self._last, self._heard

    def forget(self, edges: Flags) -> None:
        """What was heard on these edges stands in for nothing any more."""
        self._heard[edges] = False

    def _read(self, rows: Ints, out: Floats) -> Floats:
        """What is read at the end of these edges, written to ``out``."""
        network, sender, late = self._network, self._network.links.sender[rows], self._network.fates.late
        if late is None:
            np.take(self.history[network.channel.delay], sender, axis=0, out=out, mode="clip")
        else:
            out[:] = self.history.gather(late[rows], sender)
        if network.channel.noise:
            out += network.channel.noise * network.noise.standard_normal(out.shape)
        return out


def gathered(ends: Ints, values: Floats, size: int) -> Floats:
    """Sums of rows that belong to the same node, shape (size, d).

    Args:
        ends: the node of each row, shape (k,). values: shape (k, d).
    """
    rows = np.arange(len(ends))
    return np.asarray(sp.csr_array((np.ones(len(ends)), (ends, rows)), shape=(size, len(ends))) @ values)
