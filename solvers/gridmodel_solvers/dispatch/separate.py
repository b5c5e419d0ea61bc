"""Whether agents react to the price of every coupling row by itself, and who can react at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack

__all__ = ["Entangled", "entangled", "takers_of"]

Flags = NDArray[np.bool_]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Entangled:
    """An agent whose report to one coupling depends on the price of another, by their names."""

    agent: str
    one: str
    other: str


def entangled(problem: Separable) -> Entangled | None:
    """The first agent whose reports to two coupling rows hang together; None where there is none.

    Two rows hang together in a block where columns, products in the cost, equations and cones connect them.
    """
    names = problem.couplings.name_of_rows()
    for stack in problem.stacks:
        if stack.slots < 2:
            continue
        label = _parts(stack)[stack.columns :]
        order = np.argsort(label[: stack.slots], kind="stable")
        same = np.flatnonzero(np.diff(label[order]) == 0)
        if len(same):
            one, other = (int(stack.rows[0, order[same[0] + k]]) for k in (0, 1))
            return Entangled(stack.labels[0], _called(names, one), _called(names, other))
    return None


def takers_of(problem: Separable) -> Flags:
    """Agents with a column in a coupling that can move, shape (N,)."""
    found = []
    for stack in problem.stacks:
        moves = stack.lower < stack.upper
        found.append((moves[:, stack.C.col] & (stack.C.full != 0)).any(axis=1))
    return np.concatenate(found)


def _parts(stack: Stack) -> NDArray[np.int32]:
    """The component of every column and, behind them, of every slot."""
    n, slots = stack.columns, stack.slots
    equation = n + slots + stack.A.row
    cone = n + slots + stack.A.shape[0] + _cone_of_rows(stack.cones)[stack.G.row]
    one = np.concatenate([stack.P.row, n + stack.C.row, equation, cone])
    other = np.concatenate([stack.P.col, stack.C.col, stack.A.col, stack.G.col])
    size = n + slots + stack.A.shape[0] + stack.G.shape[0]
    graph = sp.csr_array((np.ones(len(one)), (one, other)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1])[: n + slots]


def _cone_of_rows(cones: Cones) -> Ints:
    """Which cone each row belongs to, counted from 0, shape (g,)."""
    triangles = [k * (k + 1) // 2 for k in cones.psd]
    sizes = [1] * cones.nonneg + [*cones.soc] + triangles + [3] * (cones.exp + len(cones.pow3d))
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.intp)


def _called(names: list[str], row: int) -> str:
    first = names.index(names[row])
    return f"{names[row]}[{row - first}]" if names.count(names[row]) > 1 else names[row]
