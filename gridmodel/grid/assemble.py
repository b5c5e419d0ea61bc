"""The admittance matrix of a feeder over its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.grid.feeder import Feeder
from gridmodel.grid.primitives import Primitive, line, norton, shunt, source, transformer
from gridmodel.grid.system import NodeSystem

__all__ = ["Taps", "assemble", "primitives"]

Taps: TypeAlias = Mapping[tuple[str, int], float]
"""Turns ratios in pu by (name of the transformer, position of the winding from 0).

A controlled capacitor is in service as far as the value of ("capacitor NAME", 0) says, 0 or 1."""


def assemble(feeder: Feeder, taps: Taps | None = None) -> NodeSystem:
    """Y v = source + i of all linear elements of a feeder: Y[a, b] sums the primitive admittances between a and b.

    Open lines carry nothing and are left out; the ground is node 0 and has voltage 0.

    taps: replaces the tap of the windings that it names.

    Raises:
        DataError: an element's impedance is singular or not finite.
    """
    position, n = feeder.position, len(feeder.nodes)
    rows, columns = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    values = [np.zeros(0, dtype=np.complex128)]
    for primitive in primitives(feeder, taps):
        at = np.array([position[f"{bus}.{number}"] if number else -1 for bus, number in primitive.nodes])
        live = at >= 0
        at, y = at[live], primitive.y[np.ix_(live, live)]
        rows.append(np.repeat(at, len(at)))
        columns.append(np.tile(at, len(at)))
        values.append(y.ravel())
    flat = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    Y = sp.csc_array(sp.coo_array(flat, shape=(n, n)))
    feed, fed = _sources(feeder)
    return NodeSystem(nodes=feeder.nodes, base=feeder.base, Y=Y, source=feed, connected=_reached(Y, fed))


def primitives(feeder: Feeder, taps: Taps | None = None) -> Iterator[Primitive]:
    """The primitives of sources, closed lines, transformers and shunts, in this order."""
    by_unit: dict[str, dict[int, float]] = {}
    for (name, winding), tap in (taps or {}).items():
        by_unit.setdefault(name, {})[winding] = tap
    yield from (source(one) for one in feeder.sources)
    yield from (line(one) for one in feeder.lines if one.closed)
    yield from (transformer(one, by_unit.get(one.name)) for one in feeder.transformers)
    yield from (shunt(one) for one in feeder.switched(taps))


def _sources(feeder: Feeder) -> tuple[NDArray[np.complex128], NDArray[np.bool_]]:
    """The Norton currents in A, and which nodes hold a source, each of shape (nodes,)."""
    feed = np.zeros(len(feeder.nodes), dtype=np.complex128)
    held = np.zeros(len(feeder.nodes), dtype=np.bool_)
    for one in feeder.sources:
        for number, i in zip(one.terminal.nodes, norton(one), strict=True):
            if number:
                at = feeder.position[f"{one.terminal.bus}.{number}"]
                feed[at] += i
                held[at] = True
    return feed, held


def _reached(Y: sp.csc_array, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The nodes in a component of Y's graph that holds a source."""
    if not held.any():
        return held
    _, label = connected_components(sp.csc_array(abs(Y)), directed=False)
    return np.isin(label, np.unique(label[held]))
