"""A chordal extension of a graph as its cliques: least degree first, then small neighbours put together."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["chordal_cliques", "clique_pairs"]

Indices = NDArray[np.intp]
Clique = frozenset[int]


def chordal_cliques(count: int, edges: Iterable[tuple[int, int]]) -> list[Indices]:
    """The maximal cliques of a chordal graph over nodes 0 to count - 1 that holds all edges; each rising.

    Nodes are eliminated in order of least degree, and cliques are merged while this makes the blocks of a
    semidefinite program cheaper, see ``_merged``. A node without edges is a clique of its own.

    Source: Fukuda, Kojima, Murota, Nakata (2001), section 2; George, Liu (1989) for the order.
    """
    cliques = _merged(_eliminated(count, edges))
    return [np.array(sorted(clique), dtype=np.intp) for clique in sorted(cliques, key=lambda part: sorted(part))]


def clique_pairs(clique: Indices) -> tuple[Indices, Indices]:
    """All pairs of different nodes of a clique, the smaller one first."""
    first, second = np.triu_indices(clique.size, 1)
    return clique[first], clique[second]


def _eliminated(count: int, edges: Iterable[tuple[int, int]]) -> list[Clique]:
    """The maximal cliques that elimination makes."""
    near: list[set[int]] = [set() for _ in range(count)]
    for i, j in edges:
        near[i].add(j)
        near[j].add(i)
    queue = [(len(others), node) for node, others in enumerate(near)]
    heapq.heapify(queue)
    gone = [False] * count
    cliques: list[Clique] = []
    holders: list[list[int]] = [[] for _ in range(count)]
    while queue:
        degree, node = heapq.heappop(queue)
        if gone[node] or degree != len(near[node]):
            continue
        gone[node] = True
        clique = frozenset(near[node] | {node})
        rarest = min(clique, key=lambda other: len(holders[other]))
        # a later clique lacks the nodes eliminated before, so it may lie in an earlier one, not the other way
        if not any(clique <= cliques[k] for k in holders[rarest]):
            for other in clique:
                holders[other].append(len(cliques))
            cliques.append(clique)
        for other in near[node]:
            near[other] |= near[node]
            near[other] -= {other, node}
            heapq.heappush(queue, (len(near[other]), other))
    return cliques


def _merged(cliques: list[Clique]) -> list[Clique]:
    """Merges the pair of cliques that saves most, again and again, where they share two nodes or more."""
    parts: dict[int, Clique] = dict(enumerate(cliques))
    holders: dict[int, set[int]] = {}
    for k, clique in parts.items():
        for node in clique:
            holders.setdefault(node, set()).add(k)
    queue: list[tuple[float, int, int]] = []

    def offer(a: int, others: Iterable[int]) -> None:
        for b in others:
            together = parts[a] | parts[b]
            saved = _work(len(parts[a])) + _work(len(parts[b])) - _work(len(together))
            if saved > 0 and len(parts[a]) + len(parts[b]) - len(together) > 1:
                heapq.heappush(queue, (-saved, min(a, b), max(a, b)))

    def around(a: int) -> set[int]:
        return {b for node in parts[a] for b in holders[node]} - {a}

    for k in parts:
        offer(k, [b for b in around(k) if b > k])
    fresh = len(cliques)
    while queue:
        _, a, b = heapq.heappop(queue)
        if a not in parts or b not in parts:
            continue
        parts[fresh] = parts[a] | parts[b]
        for old in (a, b):
            for node in parts.pop(old):
                holders[node].discard(old)
                holders[node].add(fresh)
        offer(fresh, around(fresh))
        fresh += 1
    return list(parts.values())


def _work(size: int) -> float:
    """What a block costs: a 4-dimensional cone for two nodes, else a triangle of order 2 size, to the power 3/2."""
    return 9.0 if size <= 2 else float(size * (2 * size + 1)) ** 1.5
