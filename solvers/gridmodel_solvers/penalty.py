"""Penalties of proximal terms that do not depend on the units of columns, rows and costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.stack import Stack

__all__ = ["energies", "slot_units"]

Floats = NDArray[np.float64]


def energies(stack: Stack, spans: Floats) -> Floats:
    """How much a block's cost moves over the range of its most costly column, shape (N,), in units of cost.

    max_j |q_j + P_jj m_j| s_j + 1/2 P_jj s_j^2, m_j the middle of the bounds, s_j the column's range in ``spans``,
    shape (N or 1, n)
    """
    both = np.isfinite(stack.lower) & np.isfinite(stack.upper)
    middle = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    np.add(stack.lower / 2, stack.upper / 2, out=middle, where=both)
    curvature = stack.P.diagonal()
    per_column = np.abs(stack.q + curvature * middle) * spans + 0.5 * curvature * spans**2
    return np.asarray(per_column.max(axis=1, initial=0.0))


def slot_units(stack: Stack, spans: Floats) -> Floats:
    """How far each reported number moves, shape (N, k): the root of sum_j (C_kj s_j)^2 over a row's columns."""
    squares = (stack.C.data * spans[:, stack.C.col]) ** 2
    out = np.zeros((stack.slots, len(squares)))
    np.add.at(out, stack.C.row, squares.T)
    return np.broadcast_to(np.sqrt(out).T, stack.rows.shape)
