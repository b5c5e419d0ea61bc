"""Voltages out of the products of voltages that a relaxation found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import lsqr

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.physics.layout import Layout

__all__ = ["Found", "found_products", "rank_ratio", "recovered_voltages"]

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Found:
    """The answer of a relaxation, by position in the network.

    w: |v|^2 in pu, shape (buses,). first, second: positions of the buses of each pair. product: v_first
    conj(v_second) in pu, shape (pairs,); the mean where areas hold copies. p, q: MW and MVAr of the generators.
    load_scale: factor on the loads.
    """

    w: Floats
    first: Indices
    second: Indices
    product: Complex
    p: Floats
    q: Floats
    load_scale: float


def found_products(result: Result, net: Network) -> Found:
    """Collects the areas' answers.

    Raises:
        ModelError: the result is not of a relaxation of this network, or has no answer.
    """
    layout = getattr(result.model, "layout", None)
    if not isinstance(layout, Layout) or not layout.pairs:
        raise ModelError(
            f"the result of {result.model_name!r} holds no products of voltages; give one of "
            'opf(net, formulation="soc") or opf(net, formulation="sdp").'
        )
    if layout.source != net.source:
        raise ModelError(f"the result is of {layout.source}, not of {net.source}; give the network of the model.")
    if not result.variables:
        raise ModelError(f"the result of {result.algorithm} has no answer ({result.status.value}): {result.message}")
    number, count = net.buses.number, net.buses.number.size
    place = {int(bus): k for k, bus in enumerate(number)}
    w, supply = np.zeros(count), net.generators.bus.size
    p, q = np.zeros(supply), np.zeros(supply)
    keys, values = [], []
    for area, own in result.variables.items():
        w[[place[int(bus)] for bus in layout.buses[area]]] = own["w"]
        if layout.generators[area].size:
            p[layout.generators[area]], q[layout.generators[area]] = own["p"], own["q"]
        if layout.pairs[area].size:
            ends = np.array([[place[int(i)], place[int(j)]] for i, j in layout.pairs[area]])
            keys.append(ends[:, 0] * count + ends[:, 1])
            values.append(np.asarray(own["c"]) + 1j * np.asarray(own["s"]))
    if not keys:
        return Found(w, _NONE, _NONE, np.empty(0, dtype=np.complex128), p, q, layout.load_scale)
    key, entry, copies = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    product = np.zeros(key.size, dtype=np.complex128)
    np.add.at(product, entry, np.concatenate(values))
    return Found(w, key // count, key % count, product / copies, p, q, layout.load_scale)


def rank_ratio(found: Found, cliques: Sequence[Indices]) -> float:
    """The largest ratio of the second to the first eigenvalue of the blocks W_K; 0 where every block has rank one."""
    count = found.w.size
    key = found.first * count + found.second
    worst = 0.0
    for clique in cliques:
        if clique.size < 2:
            continue
        a, b = np.triu_indices(clique.size, 1)
        block = np.diag(found.w[clique]).astype(np.complex128)
        block[a, b] = found.product[np.searchsorted(key, clique[a] * count + clique[b])]
        block[b, a] = block[a, b].conj()
        values = np.linalg.eigvalsh(block)
        worst = max(worst, float(values[-2] / values[-1]))
    return max(worst, 0.0)


def recovered_voltages(found: Found, net: Network) -> Complex:
    """Voltages in pu whose sizes are the roots of w and whose angles fit the products best, shape (buses,).

    min over theta of sum |product|^2 (theta_first - theta_second - arg product)^2 over the pairs that lines join,
    where 2 pi are added so that the differences agree along a spanning tree; exact where W has rank one. The angle of
    a reference bus is 0, or of the first bus of an island without one.
    """
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(found.w.size))
    joined = set(zip(*(np.sort([net.branches.start, net.branches.end], axis=0).tolist()), strict=True))
    apart: dict[tuple[int, int], tuple[float, float]] = {}
    for i, j, product in zip(found.first.tolist(), found.second.tolist(), found.product, strict=True):
        if (i, j) in joined:
            graph.add_edge(i, j)
            apart[i, j] = float(np.angle(product)), float(abs(product))
    theta = np.zeros(found.w.size)
    roots = [*net.reference.tolist(), *range(found.w.size)]
    met: set[int] = set()
    fixed = []
    for root in roots:
        if root in met:
            continue
        met.add(root)
        fixed.append(root)
        for i, j in nx.bfs_edges(graph, root):
            theta[j] = theta[i] - apart[i, j][0] if i < j else theta[i] + apart[j, i][0]
            met.add(j)
    if apart:
        theta += _correction(theta, apart, np.array(fixed))
    return np.asarray(np.sqrt(np.maximum(found.w, 0.0)) * np.exp(1j * theta))


_NONE: Indices = np.empty(0, dtype=np.intp)


def _correction(theta: Floats, apart: dict[tuple[int, int], tuple[float, float]], fixed: Indices) -> Floats:
    """The least-squares step from angles along a tree to the angles of all pairs."""
    ends = np.array(list(apart))
    angle, weight = np.array(list(apart.values())).T
    row = np.arange(len(ends))
    incidence = sp.csr_array(
        (np.r_[weight, -weight], (np.r_[row, row], np.r_[ends[:, 0], ends[:, 1]])), shape=(len(ends), theta.size)
    )
    miss = angle - (theta[ends[:, 0]] - theta[ends[:, 1]])
    miss = np.angle(np.exp(1j * miss))
    step = np.zeros(theta.size)
    free = np.setdiff1d(np.arange(theta.size), fixed)
    step[free] = lsqr(incidence[:, free], weight * miss, atol=1e-14, btol=1e-14)[0]
    return step
