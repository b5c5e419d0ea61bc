"""Demand dealt to those who can serve it, by talking to neighbours only (Xing's virtual demand)."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.spectrum import modulus
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Pusher

__all__ = ["VirtualDemand", "virtual_demand"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@final
class VirtualDemand:
    """Deals the demand P of all nodes to the takers, in two phases of ``rounds`` and a third that evens it out.

    p <- Q p,  p = P at first;   s <- Q s,  s = p at the takers and 0 elsewhere at first, p <- Q p going on;
    y_i = p_i(at the start of s) p_i / s_i at the takers;   y <- R y among the takers,
    Q and R column-stochastic with 1 / (1 + neighbours), R over the links between takers only.

    sum y = P once p / s has settled, and stays so. In the limit y_i is proportional to 1 + neighbours of i; after the
    third phase, to 1 + neighbours among the takers. p / s settles under every loss, since both share packets; the
    third phase is left out where the channel has faults, because what is under way at its end would be missing.

    Args:
        network: ticked by the caller before every round.
        demand: P, not negative, shape (N, m). takers: which nodes serve it, shape (N,). rounds: of each phase.

    Raises:
        ModelError: negative demand, or nobody to serve it.

    Source: Xing et al. (2015), algorithm 0; p going on beside s is ours, for lossy channels.
    """

    def __init__(self, network: Network, demand: Floats, takers: Flags, rounds: int) -> None:
        if (demand < 0).any():
            who = network.links.nodes[int(np.argmax((demand < 0).any(axis=1)))]
            raise ModelError(
                f"virtual demand: {who} has a demand below zero, and shares of it would not be positive; let agents "
                "keep their own share with demand='own'."
            )
        if not takers.any():
            raise ModelError("virtual demand: no agent can serve the demand; give one a variable that can move.")
        self._network = network
        self._rounds = rounds
        self.takers = takers
        self._push = Pusher(network, "sums")
        self._width = demand.shape[1]
        self._held = np.concatenate([demand, np.zeros_like(demand)], axis=1)
        self._first = demand
        self._even: Pusher | None = None
        self._done = 0
        self.y: Floats = np.zeros_like(demand)

    @property
    def done(self) -> bool:
        """Whether all phases are over."""
        return self._done >= self._rounds * (3 if self._network.is_plain else 2)

    @property
    def p(self) -> Floats:
        """What is left of the demand at every node, shape (N, m)."""
        return self._held[:, : self._width]

    def round(self) -> None:
        """One round, after the network's tick."""
        self._done += 1
        if self._even is not None:
            self.y = self._even(self.y)
            return
        self._held = self._push(self._held)
        if self._done == self._rounds:
            self._first = self.p
            held = np.where(self.takers[:, None], self.p, 0.0)
            self._held = np.concatenate([self.p, held], axis=1)
        elif self._done == 2 * self._rounds:
            s = self._held[:, self._width :]
            ratio = np.divide(self.p, s, out=np.zeros_like(s), where=s > 0)
            self.y = np.where(self.takers[:, None], self._first * ratio, 0.0)
            self._even = Pusher(self._network, "sums", _between(self._network.links, self.takers))


def virtual_demand(links: Links, demand: Floats, takers: Flags, tolerance: float = 1e-12,
                   channel: Channel | None = None) -> Floats:  # fmt: skip
    """Each taker's share of the demand, shape (N, m); rows of others are zero.

    Args:
        links: who may send to whom. demand: of every node, shape (N, m). takers: shape (N,).
        tolerance: relative, of each phase. channel: None for one without faults.
    """
    network = Network(links, channel)
    dealt = VirtualDemand(network, demand, takers, phase_rounds(links, takers, tolerance, network.channel))
    while not dealt.done:
        network.tick()
        dealt.round()
    return dealt.y


def phase_rounds(links: Links, takers: Flags, tolerance: float, channel: Channel) -> int:
    """Rounds after which what a phase mixes is within the tolerance, from the graph's spectrum and the losses."""
    rate = modulus(links, edge_weights(links, "column"), by_columns=True)
    inner = links.size * np.ones(links.size, dtype=np.intp)
    inner[takers] = np.arange(np.count_nonzero(takers))
    keep = takers[links.sender] & takers[links.receiver]
    names = [name for name, taker in zip(links.nodes, takers, strict=True) if taker]
    part = Links.build(names, inner[links.sender[keep]], inner[links.receiver[keep]], links.directed)
    if part.size > 1 and part.connected:
        rate = max(rate, modulus(part, edge_weights(part, "column"), by_columns=True))
    through = (1 - channel.drop) * channel.awake
    late = 1 + channel.delay + channel.jitter
    lost = 20 * (channel.burst or 0)
    return int(np.ceil(np.log(tolerance) / np.log(max(rate, 1e-2)) / through * late + lost)) + 1


def _between(links: Links, takers: Flags) -> Floats:
    """Shares 1 / (1 + d) along edges between takers, d their number out of the sender; else zero."""
    inside = takers[links.sender] & takers[links.receiver]
    degree = np.bincount(links.sender, inside, links.size)
    return np.where(inside, 1.0 / (1.0 + degree[links.sender]), 0.0)
