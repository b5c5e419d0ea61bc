"""Cuts a network into connected areas of about equal size with few tie lines."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network

__all__ = ["partition"]

_DENSE = 500  # buses up to which the dense eigensolver is quicker than the sparse one

Areas = dict[str, NDArray[np.intp]]


def partition(net: Network, areas: int | str | Mapping[int, str | int] = 1) -> Areas:
    """The positions of the buses of every area, by the area's name.

    Args:
        areas: a number K: recursive spectral bisection, refined by Kernighan and Lin, then repaired so that
            every area is connected; the names are area1 .. areaK. "file": the area column of the case.
            A mapping from every bus number to the name of its area, or to a number, which is named areaNUMBER.

    Raises:
        ModelError: no such number of areas, or a mapping that does not fit the buses.
    Source: Fiedler (1973) for the vector; Kernighan and Lin (1970) for the refinement.
    """
    if isinstance(areas, Mapping):
        return _given(net, areas)
    if isinstance(areas, str):
        if areas != "file":
            raise ModelError(f'areas={areas!r}: expected a number, "file", or a mapping of bus numbers to names.')
        return _given(net, dict(zip(net.buses.number.tolist(), net.buses.area.tolist(), strict=True)))
    count = net.buses.number.size
    if isinstance(areas, bool) or not isinstance(areas, int | np.integer) or not 1 <= areas <= count:
        raise ModelError(f"areas={areas!r}: expected a whole number from 1 to the number of buses, {count}.")
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(count))
    for i, j in zip(net.branches.start.tolist(), net.branches.end.tolist(), strict=True):
        weight = graph.edges[i, j]["weight"] + 1 if graph.has_edge(i, j) else 1
        graph.add_edge(i, j, weight=weight)
    parts = sorted(sorted(part) for part in _cut(graph, int(areas)))
    return {f"area{k}": np.array(part, dtype=np.intp) for k, part in enumerate(parts, 1)}


def _given(net: Network, areas: Mapping[int, str | int]) -> Areas:
    numbers = net.buses.number.tolist()
    missing = [number for number in numbers if number not in areas]
    if missing:
        raise ModelError(
            f"areas: {len(missing)} of {len(numbers)} buses have no area, e.g. bus {missing[0]}; name one for each."
        )
    strange = sorted(set(areas) - set(numbers))
    if strange:
        raise ModelError(f"areas: {strange[0]} is no bus in service of {net.name}; use the bus numbers of the file.")
    label = [_name(areas[number]) for number in numbers]
    names = sorted(set(label), key=lambda name: (len(name), name))
    return {name: np.array([k for k, own in enumerate(label) if own == name], dtype=np.intp) for name in names}


def _name(area: str | int) -> str:
    return area if isinstance(area, str) else f"area{area}"


def _cut(graph: nx.Graph[int], areas: int) -> list[set[int]]:
    """Halves a connected graph until there are enough parts; each keeps room for the areas it is cut into."""
    if areas == 1:
        return [set(graph)]
    first = areas // 2
    left, right = _bisect(graph, first / areas)
    first = min(max(first, areas - len(right)), len(left))
    return [
        *_cut(nx.Graph(graph.subgraph(sorted(left))), first),
        *_cut(nx.Graph(graph.subgraph(sorted(right))), areas - first),
    ]


def _bisect(graph: nx.Graph[int], share: float) -> tuple[set[int], set[int]]:
    """Two connected parts, the first with about the given share of the nodes: the best of a few starts."""
    nodes = sorted(graph)
    size = min(max(1, round(share * len(nodes))), len(nodes) - 1)
    order = [nodes[k] for k in np.argsort(_fiedler(graph, nodes), kind="stable")]
    found = []
    for start in sorted({size, _best_size(graph, order, size)}):
        for refine in (False, True):
            left, right = set(order[:start]), set(order[start:])
            if refine:
                # networkx hands the two sides back in reverse order; both keep their size
                right, left = nx.community.kernighan_lin_bisection(graph, (left, right), weight="weight", seed=0)
            _connect(graph, left, right)
            _balance(graph, left, right, size)
            found.append((nx.cut_size(graph, left, right, weight="weight"), abs(len(left) - size), left, right))
    _, _, left, right = min(found, key=lambda entry: entry[:2])
    return left, right


def _fiedler(graph: nx.Graph[int], nodes: list[int]) -> NDArray[np.float64]:
    """The eigenvector of the second smallest eigenvalue of the Laplacian, its largest entry positive."""
    laplacian = nx.laplacian_matrix(graph, nodelist=nodes).astype(np.float64)
    if len(nodes) <= _DENSE:
        vector = np.linalg.eigh(laplacian.toarray())[1][:, 1]
    else:
        start = np.cos(np.arange(len(nodes), dtype=np.float64))  # a fixed start makes the outcome repeatable
        values, vectors = eigsh(laplacian.tocsc(), k=2, sigma=-1e-5, v0=start)
        vector = vectors[:, np.argmax(values)]
    # rounding keeps entries that are equal by symmetry in the order of their numbers
    return np.asarray(np.round(vector * np.sign(vector[np.argmax(np.abs(vector))]), 9), dtype=np.float64)


def _best_size(graph: nx.Graph[int], order: list[int], size: int) -> int:
    """How many nodes of the order to take so that the cut is smallest, within an eighth of the size wanted."""
    slack = min(size, len(order) - size) // 8
    own: set[int] = set()
    ties, cuts = 0, []
    for node in order[: size + slack]:
        ties -= _gain(graph, node, own)
        own.add(node)
        cuts.append(ties)
    return min(range(size - slack, size + slack + 1), key=lambda n: (cuts[n - 1], abs(n - size)))


def _connect(graph: nx.Graph[int], left: set[int], right: set[int]) -> None:
    """Hands the smallest loose piece over until both parts are connected; every hand-over removes a piece."""
    while True:
        loose = [
            (len(piece), min(piece), piece, own, other)
            for own, other in ((left, right), (right, left))
            for piece in sorted(nx.connected_components(graph.subgraph(own)), key=lambda p: (-len(p), min(p)))[1:]
        ]
        if not loose:
            return
        _, _, piece, own, other = min(loose, key=lambda entry: entry[:2])
        own -= piece
        other |= piece


def _balance(graph: nx.Graph[int], left: set[int], right: set[int], size: int) -> None:
    """Moves border nodes until the first part is within a tenth of its size, where connectedness lets it."""
    slack = max(1, size // 10)
    while abs(len(left) - size) > slack:
        own, other = (left, right) if len(left) > size else (right, left)
        fixed = set(nx.articulation_points(graph.subgraph(own)))
        border = {node for node in own - fixed if any(near in other for near in graph[node])}
        if not border:
            return
        node = min(border, key=lambda n: (_gain(graph, n, own), n))
        own.remove(node)
        other.add(node)


def _gain(graph: nx.Graph[int], node: int, own: set[int]) -> int:
    """The rise of the number of tie lines when a node leaves its part."""
    return sum(data["weight"] if near in own else -data["weight"] for near, data in graph[node].items())
