"""What an algorithm sends: flows on edges, shares that are dealt, numbers along edges, extremes that spread."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.coding import Coder
from gridmodel.runtime.history import History
from gridmodel.runtime.lane import Lane
from gridmodel.runtime.mixer import Mixer
from gridmodel.runtime.network import Network
from gridmodel.runtime.pusher import Pusher

__all__ = ["Flood", "Mixer", "Pusher", "Wire"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Wire:
    """A number (or several) of its own along every edge, and which of them arrived.

    numbers: how many numbers each edge's packet carries, shape (E,), where that is not all columns.
    """

    def __init__(self, network: Network, numbers: Ints | None = None) -> None:
        self._network = network
        self._numbers = numbers
        self._coder = Coder(network.channel)
        self._past = History(network.channel)

    def __call__(self, values: Floats) -> tuple[Floats, Flags | None]:
        """What is read at the end of each edge, shape (E, d), and on which edges; None where all arrived.

        What is read may be ``values`` themselves, of this round or earlier: neither is to be changed.

        Args:
            values: what is sent along each edge, shape (E, d).
        """
        network, fates = self._network, self._network.fates
        network.count(values.shape[1] if self._numbers is None else self._numbers, self._coder)
        if network.is_plain:
            return values, None
        network.released(np.ones(len(values), dtype=bool) if self._numbers is None else self._numbers > 0)
        self._past.push(self._coder(network.veiled(values)))
        if fates.late is None:
            read = self._past[network.channel.delay]
        else:
            read = self._past.gather(fates.late, np.arange(len(values)))
        if network.channel.noise:
            read = read + network.channel.noise * network.noise.standard_normal(read.shape)
        return read, fates.arrived


@final
class Flood:
    """The largest of a node's own number and those that arrived from its neighbours in the round."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lane = Lane(network)

    def __call__(self, values: Floats) -> Floats:
        """The largest numbers, shape (N, d)."""
        network, links = self._network, self._network.links
        sent = self._lane.send(values)
        read = sent[links.sender] if network.is_plain else self._lane.read()
        if network.fates.arrived is not None:
            read[~network.fates.arrived] = -np.inf
        out = values.copy()
        hears = np.flatnonzero(links.into)
        if len(hears):
            out[hears] = np.maximum(out[hears], np.maximum.reduceat(read, links.start[hears], axis=0))
        return out
