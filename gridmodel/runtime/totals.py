"""Shares dealt by running totals: a receiver takes the difference to the last total that it heard."""

from __future__ import annotations

from collections import deque
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.coding import Coder
from gridmodel.runtime.lane import gathered
from gridmodel.runtime.network import Network

__all__ = ["Totals"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Totals:
    """Running totals T_i of what every node dealt, and what each edge's receiver has not heard of them.

    Differences of totals that grow lose digits, so the totals are not formed where they are sent exactly: kept are the
    last deals, as far back as a packet may be late, and for each edge the sum of older ones not heard. Rounding and
    noise of a total as it was read, less those of the one before, come on top.
    """

    def __init__(self, network: Network, coder: Coder, shares: Floats) -> None:
        links = network.links
        self._network, self._coder, self._shares = network, coder, shares
        self._matrix = links.matrix(np.zeros(links.edges))
        # The shares of the last round, none to or from who was not there.
        self._share = shares
        self._deals: deque[Floats] = deque()
        self._now = -1
        # The round of the total that was heard last on each edge.
        self._stamp = np.full(links.edges, -1, dtype=np.intp)
        self._behind = np.empty((0, 0))
        self._is_behind = np.zeros(links.edges, dtype=bool)
        self._blurs = not coder.exact or network.channel.noise > 0
        self._total = np.zeros((0, 0))
        self._errors: deque[Floats] = deque(maxlen=network.channel.reach + 1)
        self._error = np.empty((0, 0))

    def deal(self, dealt: Floats) -> tuple[Floats, Floats, None]:
        """What every node gives away and what it gains in this round, shape (N, d) each.

        Args:
            dealt: of what each node deals shares, zero for those that sleep, shape (N, d).
        """
        network, links = self._network, self._network.links
        if not self._behind.size:
            self._behind = np.zeros((links.edges, dealt.shape[1]))
            self._total, self._error = np.zeros_like(dealt), np.zeros_like(self._behind)
        share = self._share = self._current()
        self._slide(dealt)
        arrived, late, reach = network.fates.arrived, network.fates.late, network.channel.reach
        gained = np.zeros_like(dealt)
        for lag in range(network.channel.delay, min(reach, len(self._deals) - 1) + 1):
            weights = share if arrived is None else share * arrived
            if late is not None:
                weights = weights * ((late <= lag) & (self._stamp < self._now - lag))
            self._matrix.data[:] = weights
            gained += self._matrix @ self._deals[lag]
        rows = np.flatnonzero(self._is_behind if arrived is None else self._is_behind & arrived)
        if len(rows):
            gained += gathered(links.receiver[rows], share[rows, None] * self._behind[rows], links.size)
            self._behind[rows] = 0.0
            self._is_behind[rows] = False
        if self._blurs:
            gained += self._blur(dealt, share)
        heard = self._now - (network.channel.delay if late is None else late)
        self._stamp = np.maximum(self._stamp, heard if arrived is None else np.where(arrived, heard, -1))
        return np.bincount(links.sender, share, links.size)[:, None] * dealt, gained, None

    def under_way(self) -> Floats | float:
        """What was dealt and not heard, shape (d,)."""
        if not self._behind.size:
            return 0.0
        links, share = self._network.links, self._share
        rows = np.flatnonzero(self._is_behind)
        total = share[rows] @ self._behind[rows]
        for lag, deal in enumerate(self._deals):
            total = total + np.bincount(links.sender, share * (self._stamp < self._now - lag), links.size) @ deal
        return np.asarray(total - share @ self._error if self._blurs else total)

    def settle(self, edges: Flags) -> tuple[Ints, Floats]:
        """Edges of these and what was not heard on each, shape (k,) and (k, d); all counts as heard then."""
        rows = np.flatnonzero(edges)
        if not self._behind.size:
            return rows, np.empty((len(rows), 0))
        amounts = self._behind[rows] - self._error[rows]
        for lag, deal in enumerate(self._deals):
            amounts += (self._stamp[rows] < self._now - lag)[:, None] * deal[self._network.links.sender[rows]]
        self._behind[rows] = self._error[rows] = 0.0
        self._is_behind[rows] = False
        self._stamp[rows] = self._now
        return rows, self._share[rows, None] * amounts

    def _current(self) -> Floats:
        """The shares, none for who is not there."""
        links, present = self._network.links, self._network.fates.present
        if present.all():
            return self._shares
        return np.asarray(self._shares * (present[links.receiver] & present[links.sender]))

    def _slide(self, dealt: Floats) -> None:
        """Takes in what is dealt now; the oldest deal that no packet can carry any more moves to the edges."""
        if len(self._deals) > self._network.channel.reach:
            rows = np.flatnonzero(self._stamp < self._now - self._network.channel.reach)
            old = self._deals.pop()
            self._behind[rows] += old[self._network.links.sender[rows]]
            self._is_behind[rows] = True
        self._deals.appendleft(dealt)
        self._now = self._network.round

    def _blur(self, dealt: Floats, share: Floats) -> Floats:
        """What rounding and noise of the totals that are read now add to those read before."""
        network, links = self._network, self._network.links
        self._total = self._total + dealt
        self._errors.appendleft(self._coder(self._total) - self._total)
        late, arrived = network.fates.late, network.fates.arrived
        lag = np.minimum(network.channel.delay if late is None else late, len(self._errors) - 1)
        error = np.stack(self._errors)[lag, links.sender]
        if network.channel.noise:
            error += network.channel.noise * network.noise.standard_normal(error.shape)
        if arrived is not None:
            error = np.where(arrived[:, None], error, self._error)
        change = share[:, None] * (error - self._error)
        self._error = error
        return gathered(links.receiver, change, links.size)
