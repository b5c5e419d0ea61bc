"""Shares that nodes deal to those who hear them."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.runtime.channel import PUSH_RULES
from gridmodel.runtime.coding import Coder
from gridmodel.runtime.lane import gathered
from gridmodel.runtime.network import Network
from gridmodel.runtime.parcels import Parcels
from gridmodel.runtime.totals import Totals

__all__ = ["Pusher"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@final
class Pusher:
    """What every node keeps of its own and what arrives of the shares that others deal it.

    A node keeps ``keep`` of v and deals the share a_e to the receiver of each of its edges e, sum_e a_e = 1 - keep;
    left out, all shares and what is kept are equal: 1 / (1 + number of edges out). The share of who is not there is
    kept; what is under way to or from an agent that leaves goes to the other end, if it hands over.

    rule, for what is lost or late:
    sums: a node sends the running total of all it dealt; the receiver takes the difference to the last total heard.
    ack: the sender learns of a loss and keeps the share. lose: the share of a lost packet is gone.

    With ``sums`` and ``ack`` the sum over present nodes and what is under way is kept whatever is lost, late, rounded
    or hidden, with ``sums`` also under noise of the channel.
    """

    def __init__(self, network: Network, rule: str, shares: Floats | None = None) -> None:
        links = network.links
        self._network = network
        rule = network.rule(rule, PUSH_RULES)
        if shares is None:
            shares = np.asarray(1.0 / (1.0 + links.out_of[links.sender]))
        kept = 1.0 - np.bincount(links.sender, shares, links.size)
        self._ideal = sp.csr_array(links.matrix(shares.copy()) + sp.diags_array(kept))
        self._coder = Coder(network.channel)
        coder = self._coder
        self._way: Totals | Parcels
        self._way = Totals(network, coder, shares) if rule == "sums" else Parcels(network, coder, shares, rule == "ack")
        # Amounts at nodes that sleep, or that come back to a sender, until the node takes part in a round.
        self._waiting: Floats | None = None
        network.watch(self)

    def __call__(self, values: Floats) -> Floats:
        """What every node holds afterwards, shape (N, d)."""
        network = self._network
        network.count(values.shape[1], self._coder)
        if network.is_plain:
            return np.asarray(self._ideal @ values)
        network.released()
        dealt, active = network.veiled(values), network.active
        if active is not None:
            dealt = np.where(active[:, None], dealt, 0.0)
        given, gained, returned = self._way.deal(dealt)
        out = np.asarray(values - given + gained)
        if returned is not None:
            self._waiting = returned if self._waiting is None else self._waiting + returned
        if self._waiting is not None:
            taken = self._waiting if active is None else np.where(active[:, None], self._waiting, 0.0)
            out += taken
            self._waiting = None if active is None else self._waiting - taken
        return out

    def under_way(self) -> Floats | float:
        """What was dealt and neither arrived nor came back yet, summed over all edges, shape (d,)."""
        waiting = 0.0 if self._waiting is None else self._waiting[self._network.fates.present].sum(axis=0)
        return self._way.under_way() + waiting

    def change(self) -> None:
        """Settles what is under way to or from nodes that left: the other end has it, if they hand over."""
        network, fates, links = self._network, self._network.fates, self._network.links
        edges, amounts = self._way.settle(fates.touching(fates.left + fates.joined))
        if not network.channel.handover:
            amounts = np.zeros_like(amounts)
        if amounts.size:
            stays = fates.present[links.receiver[edges]]
            owner = np.where(stays, links.receiver[edges], links.sender[edges])
            settled = gathered(owner, amounts, links.size)
            self._waiting = settled if self._waiting is None else self._waiting + settled
        if self._waiting is None:
            return
        for node in fates.left:
            heir = network.heir(node)
            if heir is not None and network.channel.handover:
                self._waiting[heir] += self._waiting[node]
            self._waiting[node] = 0.0
