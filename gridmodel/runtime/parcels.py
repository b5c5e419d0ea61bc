"""Shares dealt packet by packet: one that gets lost comes back to its sender, or is gone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.coding import Coder
from gridmodel.runtime.network import Network

__all__ = ["Parcels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass
class _Sent:
    """Packets of one round: what nodes dealt, the edges on which it is under way, how long it takes (None: fixed)."""

    dealt: Floats
    on: Flags
    slow: Ints | None


@final
class Parcels:
    """What is under way, by the round in which it was sent.

    returns: whether the sender learns of a loss: at once of a packet that gets lost on its way, and of one whose
    receiver sleeps in the round in which it arrives; it then has the amount in the next round in which it takes part.
    """

    def __init__(self, network: Network, coder: Coder, shares: Floats, returns: bool) -> None:
        links = network.links
        self._network, self._coder, self._shares, self._returns = network, coder, shares, returns
        self._in = links.matrix(np.zeros(links.edges))
        self._way: deque[_Sent] = deque(maxlen=network.channel.reach + 1)

    def deal(self, dealt: Floats) -> tuple[Floats, Floats, Floats | None]:
        """What every node gives away, what it gains, and what comes back to it, shape (N, d) each.

        Args:
            dealt: of what each node deals shares, zero for those that sleep, shape (N, d).
        """
        fates, links = self._network.fates, self._network.links
        sent = np.ones(links.edges, dtype=bool) if fates.sent is None else fates.sent
        through = sent if fates.lost is None else sent & ~fates.lost
        dealt = self._coder(dealt)
        if not self._network.channel.reach:
            arrived = through if fates.arrived is None else fates.arrived
            return self._given(arrived if self._returns else sent, dealt), self._gained([(arrived, dealt)]), None
        self._way.appendleft(_Sent(dealt, through, fates.slow))
        gained, returned = self._arriving()
        return self._given(through if self._returns else sent, dealt), gained, returned

    def under_way(self) -> Floats | float:
        """What was sent and did not arrive, shape (d,)."""
        size, sender = self._network.links.size, self._network.links.sender
        total: Floats | float = 0.0
        for parcel in self._way:
            total = total + np.bincount(sender, self._shares * parcel.on, size) @ parcel.dealt
        return total

    def settle(self, edges: Flags) -> tuple[Ints, Floats]:
        """Edges of these and what is under way on each, shape (k,) and (k, d); nothing is any more then."""
        rows = np.flatnonzero(edges)
        amounts = np.zeros((len(rows), self._way[0].dealt.shape[1] if self._way else 0))
        for parcel in self._way:
            amounts += parcel.on[rows, None] * parcel.dealt[self._network.links.sender[rows]]
            parcel.on = parcel.on & ~edges
        return rows, self._shares[rows, None] * amounts

    def _arriving(self) -> tuple[Floats, Floats | None]:
        network, there = self._network, self._network.fates.hearing()
        arrivals, back = [], None
        for lag in range(network.channel.delay, len(self._way)):
            parcel = self._way[lag]
            due = parcel.on if parcel.slow is None else parcel.on & (parcel.slow == lag)
            arrivals.append((due if there is None else due & there, parcel.dealt))
            if self._returns and there is not None:
                one = self._given(due & ~there, parcel.dealt)
                back = one if back is None else back + one
            parcel.on = parcel.on & ~due
        return self._gained(arrivals), back

    def _given(self, on: Flags, dealt: Floats) -> Floats:
        size, sender = self._network.links.size, self._network.links.sender
        return np.asarray(np.bincount(sender, self._shares * on, size)[:, None] * dealt)

    def _gained(self, arrivals: list[tuple[Flags, Floats]]) -> Floats:
        network, links = self._network, self._network.links
        d = self._way[0].dealt.shape[1] if self._way else arrivals[0][1].shape[1]
        gained, squares = np.zeros((links.size, d)), np.zeros(links.size)
        for on, dealt in arrivals:
            self._in.data[:] = self._shares * on
            gained += self._in @ dealt
            squares += np.bincount(links.receiver, self._in.data**2, links.size)
        if network.channel.noise:
            # The noise of several packets at one reader is one normal.
            noise = network.noise.standard_normal(gained.shape)
            gained += network.channel.noise * np.sqrt(squares)[:, None] * noise
        return gained
