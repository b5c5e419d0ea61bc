"""The merged ports of a feeder by pairs of nodes: one voltage, one current a pair, however many laws act there.

A load and an inverter at one place are two ports, but the fixed point needs their common voltage once: products with K
are over pairs. Ports of one pair that clip the voltage at the same edges form a cell; the first cells of all pairs are
layer 0, the second ones layer 1, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.flow.droop import Splitting, real_form, splitting_of
from gridmodel.grid.flow.injections import POWER
from gridmodel.grid.flow.port_form import PortForm

__all__ = ["Block", "Cells", "cells"]

Floats = NDArray[np.float64]
_DEAD = 1e-12  # pu squared, as in ``Injections``


@dataclass(frozen=True)
class Block:
    """Coefficients of one kind in one layer: w^-1, w^-1/2 or 1 with w = |v|^2 between the layer's edges.

    kind: "power", "current" or "impedance". by_p, by_q: shape (owners, G), what a VA of an owner's p and q adds to the
    real and to the imaginary part of the coefficients. below: None, or (rise, fall, floor), shape (3, G): where a load
    falls off below its lower limit the weight is no more than max(floor, rise + fall / u).
    """

    kind: str
    layer: int
    by_p: Floats
    by_q: Floats
    below: Floats | None


@dataclass(frozen=True)
class Cells:
    """Everything about G pairs of nodes that the load flow in torch iterates with, in pu of the pairs' rated voltages.

    low, high: edges of w, shape (layers, G). lowest, highest: of u, between which these are the law, (G,). droop:
    shape (curves, 3, G), center, width and rating. fixed: impedance that is in the network's matrix already, complex.
    v, a, c, M, constant: as in ``Splitting``, over pairs, v and constant with real parts first.
    to_nodes, open: the nodes' voltages are open - to_nodes @ d, real and imaginary parts in turn, (2 nodes, 2G).
    """

    blocks: tuple[Block, ...]
    low: Floats
    high: Floats
    lowest: Floats
    highest: Floats
    droop: Floats
    fixed: NDArray[np.complex128]
    v: Floats
    a: NDArray[np.complex128]
    c: NDArray[np.complex128]
    M: Floats
    constant: Floats
    to_nodes: Floats
    open: Floats


def cells(form: PortForm, base: Floats, nodes: NDArray[np.intp]) -> Cells:
    """The cells of a dense form; base: V of all nodes, nodes: positions of those whose voltages are wanted."""
    injections, ports = form.injections, form.injections.merged
    pair, first = _pairs(form)
    size = first.size
    ratio = ports.v[first][pair] / ports.v  # a port's voltage in pu of its own rated voltage, over that of its pair's
    into = np.zeros((ratio.size, size))
    into[np.arange(ratio.size), pair] = 1.0
    low, high = (edge / ratio**2 for edge in injections.clip(np.float64))
    falls = (ports.v_low > 0.0) & (ports.v_low < ports.v_min) & (ports.v_min < 1.0) & ~ports.power_outside
    layer = _layers(pair, np.stack([low, high, np.where(falls, ports.v_low, 0.0)], axis=1))
    edges = np.stack([np.full((layer.max(initial=0) + 1, size), fill) for fill in (_DEAD, np.inf)])
    edges[0, layer, pair], edges[1, layer, pair] = low, high
    lowest, highest = np.full(size, -1.0), np.full(size, np.inf)
    np.maximum.at(lowest, pair, np.where(falls, -1.0, injections.lowest / ratio))
    np.minimum.at(highest, pair, injections.highest / ratio)
    owner = injections.owner.toarray() / POWER
    blocks = []
    for name, kind in (("power", 2), ("current", 1), ("impedance", 0)):
        for k in range(edges.shape[1] if name != "impedance" else 1):
            scale = ratio ** (2 - kind)
            weight = scale * ((layer == k) | (name == "impedance"))
            by_p, by_q = ((owner * (share[:, kind] * weight)) @ into for share in (ports.zip_p, ports.zip_q))
            if by_p.any() or by_q.any():
                here = np.flatnonzero(falls & (layer == k)) if name != "impedance" else np.empty(0, dtype=np.intp)
                below = np.tile(np.array([1e30, 0.0, 0.0])[:, None], (1, size)) if here.size else None
                if below is not None:
                    below[:, pair[here]] = _below(ports.v_low[here], ports.v_min[here], ratio[here], kind)
                blocks.append(Block(name, k, by_p, -by_q, below))
    split = splitting_of(form)
    outside = ratio**2  # slopes in a port's pu to those in its pair's
    a, c = ((outside * x) @ into for x in (split.a, split.c))
    M, constant, to_nodes, open_ = _matrices(form, split, a, c, first, base, nodes)
    return Cells(
        tuple(blocks), edges[0], edges[1], lowest, highest, _droops(ports.droop, ratio, pair, size),
        (outside * injections.fixed) @ into, _stacked(split.v[first]), a, c, M, constant, to_nodes, open_,
    )  # fmt: skip


def _pairs(form: PortForm) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pair of every port, shape (P,), and the first port of every pair, shape (G,)."""
    A = form.injections.merged.incidence
    position: dict[object, int] = {}
    pair = np.empty(A.shape[0], dtype=np.intp)
    first: list[int] = []
    for k in range(pair.size):
        part = slice(A.indptr[k], A.indptr[k + 1])
        key = tuple(sorted(zip(A.indices[part].tolist(), A.data[part].tolist(), strict=True)))
        pair[k] = position.setdefault(key, len(position))
        if pair[k] == len(first):
            first.append(k)
    return pair, np.array(first, dtype=np.intp)


def _below(v_low: Floats, v_min: Floats, ratio: Floats, kind: int) -> Floats:
    """(rise, fall, floor) of every port, shape (3, P): as ``Ports.law`` has it from v_low to v_min, and 1 below."""
    rise = (v_min ** (1.0 - kind) - v_low) / (v_min - v_low)
    return np.stack([ratio**2 * rise, ratio * (1.0 - rise) * v_low, ratio**2]) / ratio ** (2 - kind)


def _layers(pair: NDArray[np.intp], edges: Floats) -> NDArray[np.intp]:
    """The layer of every port: ports of a pair share one where their edges, shape (P, 3), are equal."""
    seen: dict[int, list[tuple[float, ...]]] = {}
    out = np.empty(pair.size, dtype=np.intp)
    for k in range(pair.size):
        known, edge = seen.setdefault(int(pair[k]), []), tuple(edges[k].tolist())
        if edge not in known:
            known.append(edge)
        out[k] = known.index(edge)
    return out


def _droops(droop: Floats, ratio: Floats, pair: NDArray[np.intp], size: int) -> Floats:
    """The droops by pairs, shape (curves, 3, G); where a pair has fewer curves than others its rating is 0."""
    rank, count = np.zeros(pair.size, dtype=np.intp), np.zeros(size, dtype=np.intp)
    having = np.flatnonzero(droop[:, 2])
    for k in having:
        rank[k] = count[pair[k]]
        count[pair[k]] += 1
    out = np.tile(np.array([0.0, 1.0, 0.0])[:, None], (int(count.max(initial=0)), 1, size))
    out[rank[having], :, pair[having]] = droop[having] / np.stack([ratio, ratio, np.full(ratio.size, POWER)], 1)[having]
    return out


def _matrices(
    form: PortForm, split: Splitting, a: NDArray[np.complex128], c: NDArray[np.complex128],
    first: NDArray[np.intp], base: Floats, nodes: NDArray[np.intp],
) -> tuple[Floats, Floats, Floats, Floats]:  # fmt: skip
    """M, constant, to_nodes and open over pairs: v = constant - M d, the currents i = d + a v + c conj(v)."""
    assert form.to_nodes is not None
    both = np.concatenate([first, first + split.a.size])
    M, constant = split.M[np.ix_(both, both)], _stacked(split.constant[first])
    D = real_form(np.diag(a), np.diag(c))
    T = form.to_nodes[np.ix_(nodes, first)] / base[nodes, None]
    T_real = real_form(T, np.zeros_like(T))
    # nodes = open - T i = open - T D constant - T (1 - D M) d
    into = T_real - T_real @ (D @ M)
    flat = _stacked(form.open[nodes] / base[nodes]) - T_real @ (D @ constant)
    turns = np.arange(2 * nodes.size).reshape(2, -1).T.ravel()
    return M, constant, into[turns], flat[turns]


def _stacked(x: NDArray[np.complex128]) -> Floats:
    return np.concatenate([x.real, x.imag])
