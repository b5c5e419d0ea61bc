"""Graphs of common shapes over given or made names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import log, pi, sqrt
from typing import TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gridmodel.errors import TopologyError

__all__ = [
    "Names",
    "complete",
    "erdos_renyi",
    "grid",
    "names_of",
    "path",
    "random_geometric",
    "ring",
    "small_world",
    "star",
]

Graph: TypeAlias = "nx.Graph[str]"
Names: TypeAlias = int | Iterable[str]
Pairs: TypeAlias = NDArray[np.intp]

DRAWS = 100
"""How often a random graph is drawn until it is connected."""


def names_of(nodes: Names, least: int = 1) -> list[str]:
    """The names themselves, or a1 ... aN for a number.

    Raises:
        TopologyError: a name twice, or fewer than ``least``.
    """
    if isinstance(nodes, str):
        raise TopologyError(f"nodes={nodes!r} is one name; give a list of names, or how many.")
    try:
        count = isinstance(nodes, int | np.integer)
        names = [f"a{k + 1}" for k in range(int(nodes))] if count else list(nodes)  # type: ignore[arg-type]
    except TypeError:
        raise TopologyError(f"nodes={nodes!r}: expected a list of names, or how many.") from None
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise TopologyError(f"the node {twice} is named twice; names must differ.")
    if len(names) < least:
        raise TopologyError(f"this shape needs at least {least} nodes, got {len(names)}.")
    return names


def path(nodes: Names) -> Graph:
    """Each node joined to the next."""
    names = names_of(nodes)
    return _graph(names, pairwise(names))


def ring(nodes: Names) -> Graph:
    """Each node joined to the next, and the last to the first."""
    names = names_of(nodes, least=3)
    return _graph(names, [*pairwise(names), (names[-1], names[0])])


def star(nodes: Names) -> Graph:
    """The first node joined to all others."""
    names = names_of(nodes)
    return _graph(names, ((names[0], other) for other in names[1:]))


def complete(nodes: Names) -> Graph:
    """Every node joined to every other."""
    names = names_of(nodes)
    return _graph(names, ((one, other) for k, one in enumerate(names) for other in names[k + 1 :]))


def grid(rows: int, columns: int, nodes: Names | None = None) -> Graph:
    """Rows times columns nodes, each joined to those beside, above and below it; names row by row."""
    for what, count in (("rows", rows), ("columns", columns)):
        if not isinstance(count, int | np.integer) or count < 1:
            raise TopologyError(f"{what}={count!r}: expected a whole number of at least 1.")
    names = names_of(rows * columns if nodes is None else nodes)
    if len(names) != rows * columns:
        raise TopologyError(f"a grid of {rows} x {columns} has {rows * columns} nodes, got {len(names)} names.")
    at = np.arange(rows * columns).reshape(rows, columns)
    beside = np.stack([at[:, :-1].ravel(), at[:, 1:].ravel()], axis=1)
    below = np.stack([at[:-1].ravel(), at[1:].ravel()], axis=1)
    return _joined(names, np.concatenate([beside, below]))


def erdos_renyi(nodes: Names, probability: float | None = None, seed: int = 0) -> Graph:
    """Every pair joined with the same probability; left out, 2 log(N) / N, at which most draws are connected."""
    names = names_of(nodes)
    size = len(names)
    share = min(1.0, 2.0 * log(max(size, 2)) / size) if probability is None else probability
    _within("probability", share, 0.0, 1.0)

    def draw(rng: np.random.Generator) -> Pairs:
        rows = []
        for k in range(size - 1):  # row by row, so that N * N numbers are never held at once
            later = np.flatnonzero(rng.random(size - 1 - k) < share) + k + 1
            rows.append(np.stack([np.full(len(later), k), later], axis=1))
        return np.concatenate(rows) if rows else np.empty((0, 2), dtype=np.intp)

    return _connected(names, draw, seed, f"probability={share:.4g}", "a larger probability")


def random_geometric(nodes: Names, radius: float | None = None, seed: int = 0) -> Graph:
    """Points drawn evenly in the unit square (node attribute ``pos``), joined up to the radius.

    Left out, the radius is sqrt(2 log(N) / (pi N)), at which most draws are connected.
    """
    names = names_of(nodes)
    size = len(names)
    reach = sqrt(2.0 * log(max(size, 2)) / (pi * size)) if radius is None else radius
    _within("radius", reach, 0.0, 1e9)
    points = np.empty((size, 2))

    def draw(rng: np.random.Generator) -> Pairs:
        points[:] = rng.random((size, 2))
        return np.asarray(cKDTree(points).query_pairs(reach, output_type="ndarray"), dtype=np.intp)

    graph = _connected(names, draw, seed, f"radius={reach:.4g}", "a larger radius")
    nx.set_node_attributes(graph, {n: (float(x), float(y)) for n, (x, y) in zip(names, points, strict=True)}, "pos")
    return graph


def small_world(nodes: Names, neighbours: int = 4, rewire: float = 0.1, seed: int = 0) -> Graph:
    """A ring in which each node is joined to its nearest ``neighbours``, each edge moved with probability ``rewire``.

    Source: Watts, Strogatz: Collective dynamics of small-world networks (1998).
    """
    names = names_of(nodes)
    _within("rewire", rewire, 0.0, 1.0)
    if not isinstance(neighbours, int | np.integer) or neighbours < 2 or neighbours % 2 or neighbours >= len(names):
        raise TopologyError(
            f"neighbours={neighbours!r}: expected an even number from 2 and below the {len(names)} nodes."
        )

    def draw(rng: np.random.Generator) -> Pairs:
        shape = nx.watts_strogatz_graph(len(names), neighbours, rewire, seed=int(rng.integers(2**31)))
        return np.asarray(shape.edges, dtype=np.intp).reshape(-1, 2)

    return _connected(names, draw, seed, f"neighbours={neighbours}, rewire={rewire}", "more neighbours")


def _connected(
    names: list[str], draw: Callable[[np.random.Generator], Pairs], seed: int, options: str, remedy: str
) -> Graph:
    """The first connected graph among ``DRAWS`` of one random stream, so that a seed always gives the same one."""
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise TopologyError(f"seed={seed!r}: expected a whole number, 0 or more.")
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        graph = _joined(names, draw(rng))
        if nx.is_connected(graph):
            return graph
    raise TopologyError(
        f"none of {DRAWS} random graphs of {len(names)} nodes with {options} was connected; choose {remedy}."
    )


def _joined(names: list[str], pairs: Pairs) -> Graph:
    ends = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return _graph(names, ((names[i], names[j]) for i, j in ends))


def _graph(names: list[str], edges: Iterable[tuple[str, str]]) -> Graph:
    graph: Graph = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from(edges)
    return graph


def _within(what: str, value: float, low: float, high: float) -> None:
    number = isinstance(value, int | float | np.integer | np.floating)
    if not (number and low < value <= high) and not (what == "rewire" and value == 0.0):
        raise TopologyError(f"{what}={value!r}: expected a number above {low:g} and at most {high:g}.")
