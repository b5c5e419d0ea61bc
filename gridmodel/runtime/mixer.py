"""Flows on edges: what neighbours do to each other's numbers when they mix them."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.runtime.channel import MIX_RULES
from gridmodel.runtime.lane import Lane
from gridmodel.runtime.network import Network

__all__ = ["Mixer"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Mixer:
    """v_i + sum_j w_ij (v_j - v_i) over the edges j -> i on which packets arrived.

    rule, for what is lost or late:
    paired: an edge counts only if both directions arrived, and both ends take the difference of the same two numbers,
        each as it was sent; with symmetric weights the sum over all nodes is kept whatever is lost, late or rounded
        (noise that the channel adds is read by one end only).
    skip: an edge is left out at the receiver only; the receiver's own number is the one it has now.
    hold: the last number heard on an edge stands in (nothing before the first).

    weights: w of each edge, shape (E,). Quantities mixed together share a packet.
    """

    def __init__(self, network: Network, weights: Floats, rule: str) -> None:
        self._network = network
        self._rule = network.rule(rule, MIX_RULES)
        links = network.links
        if self._rule == "paired" and (links.opposite < 0).any():
            raise ModelError("rule 'paired' needs edges in both directions; on a directed graph use 'skip' or 'hold'.")
        self._weights = np.asarray(weights, dtype=np.float64)
        self._matrix = _Matrix(network, self._weights)
        self._lanes: list[Lane] = []
        network.watch(self)

    def __call__(self, values: Floats) -> Floats:
        """The mixed values; rows are nodes, shape (N, d)."""
        return self.together(values)[0]

    def together(self, *values: Floats) -> list[Floats]:
        """Several quantities of one packet, each of shape (N, d)."""
        while len(self._lanes) < len(values):
            self._lanes.append(Lane(self._network))
        lanes = self._lanes[: len(values)]
        sent = [lane.send(v) for lane, v in zip(lanes, values, strict=True)]
        network = self._network
        if network.is_plain:
            return [self._matrix.ideal @ v for v in values]
        if self._rule == "hold":
            return [self._held(lane, v) for lane, v in zip(lanes, values, strict=True)]
        mask = network.fates.pairs()[0] if self._rule == "paired" else network.fates.arrived
        weights = self._weights if mask is None else self._weights * mask
        if not network.channel.reach and all(s is v for s, v in zip(sent, values, strict=True)):
            matrix = self._matrix.ideal if mask is None else self._matrix.mean(weights)
            out = [matrix @ v for v in values]
        else:
            out = self._flows(lanes, values, weights)
        return self._noisy(out, weights)

    def change(self) -> None:
        """Forgets what was heard of nodes that left."""
        fates = self._network.fates
        for lane in self._lanes:
            lane.forget(fates.touching(fates.left + fates.joined))

    def _flows(self, lanes: list[Lane], values: tuple[Floats, ...], weights: Floats) -> list[Floats]:
        """Flows between numbers as they were sent, in this round or earlier."""
        fates, delay = self._network.fates, self._network.channel.delay
        paired = self._rule == "paired"
        late = fates.pairs()[1] if paired else fates.late
        if late is None:
            matrix = self._matrix.flow(weights) if paired else self._matrix.bare(weights)
            out = [matrix @ lane.history[delay] for lane in lanes]
        else:
            matrix = self._matrix.stacked(weights, lanes[0].history.slot(late), self._network.channel.reach + 1, paired)
            out = [matrix @ lane.history.stacked.reshape(matrix.shape[1], -1) for lane in lanes]
        kept = None if paired else (1.0 - self._matrix.rows(weights))[:, None]
        for moved, v in zip(out, values, strict=True):
            moved += v if kept is None else kept * v
        return out

    def _noisy(self, out: list[Floats], weights: Floats) -> list[Floats]:
        """Adds the noise of all packets that a node read: independent normals sum to one normal."""
        sigma = self._network.channel.noise
        if not sigma:
            return out
        size = sigma * np.sqrt(self._matrix.rows(weights**2))[:, None]
        for v in out:
            noise = self._network.noise.standard_normal(v.shape)
            noise *= size
            v += noise
        return out

    def _held(self, lane: Lane, v: Floats) -> Floats:
        last, heard = lane.listen()
        weights = self._weights * heard
        mixed = self._matrix.ends(weights) @ last
        mixed += (1.0 - self._matrix.rows(weights))[:, None] * v
        return np.asarray(mixed)


@final
class _Matrix:
    """Matrices of one structure, the edges' and a diagonal; all but ``ideal`` last until the next is asked for."""

    def __init__(self, network: Network, weights: Floats) -> None:
        links = self._links = network.links
        n, e = links.size, links.edges
        self._ends: sp.csr_array | None = None
        self._ones = np.ones(n)
        # Weights by edge, then the diagonal; the rows of the matrix have the diagonal first.
        self._values = np.zeros(e + n)
        self._edges = links.matrix(self._values[:e])
        start = links.start + np.arange(n + 1)
        self._order = np.empty(e + n, dtype=np.intp)
        self._order[start[:-1]] = e + np.arange(n)
        self._order[np.arange(e) + links.receiver + 1] = np.arange(e)
        columns = np.concatenate([links.sender, np.arange(n)])[self._order]
        self._all = sp.csr_array((np.zeros(e + n), columns, start), shape=(n, n))
        self.ideal = self.mean(weights).copy()

    def rows(self, weights: Floats) -> Floats:
        """Sums of weights at the edges' receivers, shape (N,)."""
        self._edges.data[:] = weights
        return np.asarray(self._edges @ self._ones)

    def bare(self, weights: Floats) -> sp.csr_array:
        """The weights alone."""
        self._edges.data[:] = weights
        return self._edges

    def mean(self, weights: Floats) -> sp.csr_array:
        """Rows that sum to one."""
        return self._filled(1.0 - self.rows(weights))

    def flow(self, weights: Floats) -> sp.csr_array:
        """Rows that sum to zero."""
        return self._filled(-self.rows(weights))

    def ends(self, weights: Floats) -> sp.csr_array:
        """The (N, E) matrix that sums what edges carry at their receivers, times the weights."""
        if self._ends is None:
            links = self._links
            self._ends = sp.csr_array(
                (weights.copy(), np.arange(links.edges), links.start), shape=(links.size, links.edges)
            )
        self._ends.data[:] = weights
        return self._ends

    def stacked(self, weights: Floats, slot: Ints, rounds: int, own: bool) -> sp.csr_array:
        """The (N, rounds N) matrix of the numbers of several rounds, less those of the receivers where ``own``.

        Args:
            weights, slot: of each edge its weight and the round that it reads, shape (E,).
        """
        links = self._links
        base = slot * links.size
        if not own:
            return sp.csr_array((weights, base + links.sender, links.start), shape=(links.size, rounds * links.size))
        columns, data = np.empty(2 * links.edges, dtype=np.intp), np.empty(2 * links.edges)
        np.add(base, links.sender, out=columns[::2])
        np.add(base, links.receiver, out=columns[1::2])
        data[::2] = weights
        np.negative(weights, out=data[1::2])
        return sp.csr_array((data, columns, 2 * links.start), shape=(links.size, rounds * links.size))

    def _filled(self, diagonal: Floats) -> sp.csr_array:
        self._values[len(self._values) - len(diagonal) :] = diagonal
        np.take(self._values, self._order, out=self._all.data, mode="clip")
        return self._all
