"""What an algorithm sends: flows on edges, shares that are dealt, numbers along edges, extremes that spread."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.runtime.coding import Coder
from gridmodel.runtime.history import History
from gridmodel.runtime.network import Network

__all__ = ["Flood", "Mixer", "Pusher", "Wire"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MIX_RULES = ("paired", "skip", "hold")
PUSH_RULES = ("sums", "ack", "lose")


@final
class Mixer:
    """v_i + sum_j w_ij (v_j - v_i) over the edges j -> i on which packets arrived.

    rule, for what is lost or late:
    paired: an edge counts only if both directions arrived, and both ends take the difference of the same two numbers,
        each as it was sent; with symmetric weights the sum over all nodes is kept whatever happens.
    skip: an edge is left out at the receiver only; the receiver's own number is the one it has now.
    hold: the last number heard on an edge stands in (nothing before the first).

    weights: w of each edge, shape (E,). Quantities mixed together share a packet.
    """

    def __init__(self, network: Network, weights: Floats, rule: str) -> None:
        self._network = network
        self._rule = _rule(network, rule, MIX_RULES)
        links = network.links
        if self._rule == "paired" and (links.opposite < 0).any():
            raise ModelError("rule 'paired' needs edges in both directions; on a directed graph use 'skip' or 'hold'.")
        self._weights = weights
        self._off = links.matrix(weights.copy())
        own = 1.0 - np.bincount(links.receiver, weights, links.size)
        self._full = sp.csr_array(self._off + sp.diags_array(own))
        self._lanes: list[_Lane] = []

    def __call__(self, values: Floats) -> Floats:
        """The mixed values; rows are nodes, shape (N, d)."""
        return self.together(values)[0]

    def together(self, *values: Floats) -> list[Floats]:
        """Several quantities of one packet, each of shape (N, d)."""
        while len(self._lanes) < len(values):
            self._lanes.append(_Lane(self._network))
        read = [lane.send(v) for lane, v in zip(self._lanes, values, strict=True)]
        if self._network.is_plain:
            return [self._full @ v for v in values]
        if self._rule == "hold":
            return [self._held(lane, v) for lane, v in zip(self._lanes, values, strict=True)]
        del read
        mask = self._network.fates.arrived
        if self._rule == "paired" and mask is not None:
            mask = mask & mask[self._network.links.opposite]
        late = self._network.fates.late
        out = list(values)
        for lag in [self._network.channel.delay] if late is None else np.unique(late):
            chosen = mask if late is None else (late == lag) & (mask if mask is not None else True)
            np.multiply(self._weights, 1.0 if chosen is None else chosen, out=self._off.data)
            total = (self._off @ np.ones(self._network.links.size))[:, None]
            for k, (lane, v) in enumerate(zip(self._lanes, values, strict=True)):
                seen = lane.history[int(lag)]
                own = seen if self._rule == "paired" else v
                out[k] = out[k] + (self._off @ seen - total * own)
                out[k] = self._noisy(out[k])
        return out

    def _noisy(self, out: Floats) -> Floats:
        """Adds the noise of all packets that a node read: independent normals sum to one normal."""
        sigma = self._network.channel.noise
        if not sigma:
            return out
        squares = np.bincount(self._network.links.receiver, self._off.data**2, self._network.links.size)
        return np.asarray(out + sigma * np.sqrt(squares)[:, None] * self._network.noise.standard_normal(out.shape))

    def _held(self, lane: _Lane, v: Floats) -> Floats:
        links = self._network.links
        last, heard = lane.listen()
        part = (self._weights * heard)[:, None] * last
        inflow = _by_receiver(self._network, part)
        total = np.bincount(links.receiver, self._weights * heard, links.size)
        return np.asarray(v + inflow - total[:, None] * v)


@final
class Pusher:
    """What every node keeps of its own and what arrives of the shares that others deal it.

    A node keeps ``keep`` of v and deals the share a_e to the receiver of each of its edges e, sum_e a_e = 1 - keep;
    left out, all shares and what is kept are equal: 1 / (1 + number of edges out).

    rule, for what is lost or late:
    sums: a node sends the running total of all it dealt; the receiver takes the difference to the last total heard.
    ack: the sender learns of a loss and keeps the share. lose: the share of a lost packet is gone.
    """

    def __init__(self, network: Network, rule: str, shares: Floats | None = None) -> None:
        links = network.links
        self._network = network
        self._rule = _rule(network, rule, PUSH_RULES)
        self._shares = 1.0 / (1.0 + links.out_of[links.sender]) if shares is None else shares
        self._plain = links.matrix(self._shares)
        kept = 1.0 - np.bincount(links.sender, self._shares, links.size)
        self._full = sp.csr_array(self._plain + sp.diags_array(kept))
        self._coder = Coder(network.channel)
        self._past = History(network.channel.delay + network.channel.jitter)
        self._total: Floats | None = None
        self._heard = np.empty((0, 0))
        self._stamp = np.full(links.edges, -1, dtype=np.intp)
        self._inbox: list[Floats] = []

    def __call__(self, values: Floats) -> Floats:
        """What every node holds afterwards, shape (N, d)."""
        network = self._network
        network.count(values.shape[1], self._coder)
        if network.is_plain:
            return np.asarray(self._full @ values)
        links, active = network.links, network.active
        dealt = values if active is None else np.where(active[:, None], values, 0.0)
        share = self._shares * network.fates.present[links.receiver]
        kept = values - np.bincount(links.sender, share, links.size)[:, None] * dealt
        if self._rule == "sums":
            return np.asarray(kept + self._by_sums(dealt, share))
        return np.asarray(kept + self._by_shares(dealt, share))

    def under_way(self) -> Floats | float:
        """What was dealt and neither arrived nor came back yet, summed over all edges, shape (d,)."""
        if self._total is not None:
            links = self._network.links
            share = self._shares * self._network.fates.present[links.receiver]
            return np.asarray(share @ (self._total[links.sender] - self._heard))
        return np.asarray(sum(part.sum(axis=0) for part in self._inbox)) if self._inbox else 0.0

    def _by_sums(self, dealt: Floats, share: Floats) -> Floats:
        network, links = self._network, self._network.links
        if self._total is None:
            self._total, self._heard = np.zeros_like(dealt), np.zeros((links.edges, dealt.shape[1]))
        self._total = self._total + dealt
        self._past.push(self._coder(self._total))
        fates = network.fates
        lag = network.channel.delay if fates.late is None else fates.late
        arrived = np.ones(links.edges, dtype=bool) if fates.arrived is None else fates.arrived
        stamp = network.round - lag
        newer = arrived & (stamp > self._stamp)
        self._stamp = np.where(newer, stamp, self._stamp)
        if fates.late is None:
            read = self._past[network.channel.delay][links.sender]
        else:
            read = self._past.gather(fates.late, links.sender)
        if network.channel.noise:
            read = read + network.channel.noise * network.noise.standard_normal(read.shape)
        gain = np.where(newer[:, None], read - self._heard, 0.0)
        self._heard = np.where(newer[:, None], read, self._heard)
        return _by_receiver(network, share[:, None] * gain)

    def _by_shares(self, dealt: Floats, share: Floats) -> Floats:
        network, links, fates = self._network, self._network.links, self._network.fates
        sent = np.ones(links.edges, dtype=bool) if fates.sent is None else fates.sent
        # The fate of a share is known when it is sent; late ones wait at the receiver.
        lost = fates.lost
        through = sent & ~lost
        parcels = share[:, None] * self._coder(dealt)[links.sender]
        if network.channel.noise:
            parcels = parcels + share[:, None] * network.channel.noise * network.noise.standard_normal(parcels.shape)
        reach = network.channel.delay + network.channel.jitter
        while len(self._inbox) < reach + 1:
            self._inbox.append(np.zeros_like(dealt))
        lag = np.full(links.edges, network.channel.delay) if fates.late is None else fates.late
        for k in np.unique(lag):
            put = through & (lag == k)
            self._inbox[int(k)] = self._inbox[int(k)] + _by_receiver(network, put[:, None] * parcels)
        arriving = self._inbox.pop(0)
        if network.active is not None and reach:
            waiting = np.where(network.active[:, None], 0.0, arriving)
            arriving = arriving - waiting
            self._inbox.append(np.zeros_like(dealt))
            self._inbox[0] = self._inbox[0] + waiting
        if self._rule == "ack":
            own = (share * ~through)[:, None] * dealt[links.sender]
            arriving = arriving + np.asarray(sp.csr_array(
                (np.ones(links.edges), (links.sender, np.arange(links.edges))), shape=(links.size, links.edges)) @ own)
        return arriving


@final
class Wire:
    """A number (or several) of its own along every edge, and which of them arrived."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._coder = Coder(network.channel)
        self._past = History(network.channel.delay + network.channel.jitter)

    def __call__(self, values: Floats) -> tuple[Floats, Flags | None]:
        """What is read at the end of each edge, shape (E, d), and on which edges; None where all arrived.

        Args:
            values: what is sent along each edge, shape (E, d).
        """
        network, fates = self._network, self._network.fates
        network.count(values.shape[1], self._coder)
        if network.is_plain:
            return values, None
        self._past.push(self._coder(values))
        if fates.late is None:
            read = self._past[network.channel.delay]
        else:
            read = self._past.gather(fates.late, np.arange(len(values)))
        if network.channel.noise:
            read = read + network.channel.noise * network.noise.standard_normal(read.shape)
        return read, fates.arrived


@final
class Flood:
    """The largest of a node's own number and those that arrived from its neighbours."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lane = _Lane(network)

    def __call__(self, values: Floats) -> Floats:
        """The largest numbers, shape (N, d)."""
        network, links = self._network, self._network.links
        self._lane.send(values)
        last, heard = self._lane.listen()
        out = values.copy()
        np.maximum.at(out, links.receiver[heard], last[heard])
        return out


@final
class _Lane:
    """One quantity as it is sent and as its readers last heard it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._coder = Coder(network.channel)
        self.history = History(network.channel.delay + network.channel.jitter)
        self._last: Floats | None = None
        self._heard = np.zeros(network.links.edges, dtype=bool)

    def send(self, values: Floats) -> None:
        self._network.count(values.shape[1], self._coder)
        if not self._network.is_plain:
            self.history.push(self._coder(values))
        else:
            self.history.push(values)

    def listen(self) -> tuple[Floats, Flags]:
        """The last number heard on each edge, shape (E, d), and on which edges there was one."""
        network, links, fates = self._network, self._network.links, self._network.fates
        if fates.late is None:
            read = self.history[network.channel.delay][links.sender]
        else:
            read = self.history.gather(fates.late, links.sender)
        if network.channel.noise:
            read = read + network.channel.noise * network.noise.standard_normal(read.shape)
        if fates.arrived is None:
            self._last, self._heard = read, np.ones(links.edges, dtype=bool)
        else:
            before = np.zeros_like(read) if self._last is None else self._last
            self._last = np.where(fates.arrived[:, None], read, before)
            self._heard = self._heard | fates.arrived
        alive = fates.present[links.sender] & fates.present[links.receiver]
        return self._last, self._heard & alive


def _rule(network: Network, rule: str, known: tuple[str, ...]) -> str:
    """The channel's rule where it names one of this kind, else the algorithm's own."""
    asked = network.channel.rule
    if asked is not None and asked not in (*MIX_RULES, *PUSH_RULES):
        raise ModelError(f"channel: rule={asked!r} is unknown; use one of {', '.join((*MIX_RULES, *PUSH_RULES))}.")
    return asked if asked in known else rule


def _by_receiver(network: Network, values: Floats) -> Floats:
    """Sums of the edges' rows at their receivers, shape (N, d)."""
    links = network.links
    ones = sp.csr_array((np.ones(links.edges), np.arange(links.edges), links.start), shape=(links.size, links.edges))
    return np.asarray(ones @ values)
