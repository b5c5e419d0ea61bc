"""Who may send to whom: the topology as arrays, in the order of the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

__all__ = ["Links"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Links:
    """Directed edges sender -> receiver between N nodes, sorted by receiver, then by sender, none twice, no loops.

    nodes: names, length N. sender, receiver: shape (E,). directed: whether the graph was given as a directed one;
    else every edge has its opposite. present: for a graph that varies with time, which edges exist in round k,
    row k modulo its length, shape (periods, E); None where all always do. place: the position of each node in the
    user's graph, which orders the rows of the user's matrices, shape (N,); None where it is the order of ``nodes``.
    """

    nodes: Sequence[str]
    sender: Ints
    receiver: Ints
    directed: bool = False
    present: Flags | None = None
    place: Ints | None = None

    @classmethod
    def build(cls, nodes: Sequence[str], sender: Ints, receiver: Ints, directed: bool = False,
              present: Flags | None = None, place: Ints | None = None) -> Links:  # fmt: skip
        """Sorts the edges."""
        order = np.lexsort((sender, receiver))
        kept = None if present is None else np.ascontiguousarray(present[:, order])
        ends = np.asarray(sender, np.intp)[order], np.asarray(receiver, np.intp)[order]
        return cls(nodes, *ends, directed, kept, place)

    def reordered(self, nodes: Sequence[str]) -> Links:
        """The same edges with the nodes in another order; ``place`` still tells where the user's graph has each.

        Args:
            nodes: the same names, each once.
        """
        place = {name: k for k, name in enumerate(nodes)}
        to = np.array([place[name] for name in self.nodes], dtype=np.intp)
        origin = np.empty(self.size, dtype=np.intp)
        origin[to] = self.origin
        return Links.build(nodes, to[self.sender], to[self.receiver], self.directed, self.present, origin)

    @property
    def origin(self) -> Ints:
        """The position of each node in the user's graph, shape (N,)."""
        return np.arange(self.size, dtype=np.intp) if self.place is None else self.place

    @property
    def size(self) -> int:
        """N, the number of nodes."""
        return len(self.nodes)

    @property
    def edges(self) -> int:
        """E, the number of directed edges."""
        return len(self.sender)

    @cached_property
    def start(self) -> Ints:
        """First edge into each node, shape (N + 1,): with ``sender`` the structure of a CSR matrix by receivers."""
        return np.searchsorted(self.receiver, np.arange(self.size + 1)).astype(np.intp)

    @cached_property
    def opposite(self) -> Ints:
        """The edge back along each edge, -1 where there is none, shape (E,)."""
        key = self.receiver.astype(np.int64) * self.size + self.sender
        back = self.sender.astype(np.int64) * self.size + self.receiver
        at = np.minimum(np.searchsorted(key, back), max(self.edges - 1, 0))
        found = key[at] == back if self.edges else np.empty(0, dtype=bool)
        return np.where(found, at, -1).astype(np.intp)

    @cached_property
    def into(self) -> Ints:
        """Number of edges into each node, shape (N,)."""
        return np.bincount(self.receiver, minlength=self.size).astype(np.intp)

    @cached_property
    def out_of(self) -> Ints:
        """Number of edges out of each node, shape (N,)."""
        return np.bincount(self.sender, minlength=self.size).astype(np.intp)

    def matrix(self, values: Floats) -> sp.csr_array:
        """The (N, N) matrix with values[e] at (receiver[e], sender[e]); its data array is ``values`` in edge order."""
        return sp.csr_array((values, self.sender, self.start), shape=(self.size, self.size))

    @cached_property
    def components(self) -> tuple[int, Ints]:
        """Number of components (strong ones of a directed graph), and the component of each node."""
        graph = self.matrix(np.ones(self.edges))
        count, label = connected_components(graph, directed=self.directed, connection="strong")
        return int(count), np.asarray(label, dtype=np.intp)

    @property
    def parts(self) -> list[list[str]]:
        """The names in each component, sorted."""
        count, label = self.components
        names: list[list[str]] = [[] for _ in range(count)]
        for name, part in zip(self.nodes, label, strict=True):
            names[part].append(name)
        return sorted(sorted(part, key=str) for part in names)

    @cached_property
    def symmetric(self) -> bool:
        """Whether every edge has one back."""
        return bool((self.opposite >= 0).all())

    @property
    def connected(self) -> bool:
        """Whether every node reaches every other (over all periods together)."""
        return self.components[0] == 1
