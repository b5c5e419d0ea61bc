"""How far the columns of a stack move, the unit in which proximal terms are measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack

__all__ = ["column_ranges"]

Floats = NDArray[np.float64]


def column_ranges(stack: Stack) -> Floats:
    """How far each column moves: between its bounds, else as far as equations or the cost imply, else like the others.

    Returns:
        Shape (n,), means over the blocks, in the columns' units.
    """
    span = stack.upper - stack.lower
    known = np.isfinite(span) & (span > 0)
    total = np.where(known, span, 0.0).sum(axis=0)
    out = np.divide(total, known.sum(axis=0), out=np.full(stack.columns, np.nan), where=known.any(axis=0))
    # A column that cannot move has the size of its value; an equation must not make it look as if it could move far.
    still = (span == 0).all(axis=0)
    value = np.abs(np.where(np.isfinite(stack.lower), stack.lower, 0.0)).mean(axis=0)
    out = np.where(still & (value > 0), value, out)
    size, right = np.abs(stack.A.full).mean(axis=0), np.abs(stack.b).mean(axis=0)
    for _ in range(5):
        if not np.isnan(out[~still]).any():
            break
        _spread(stack.A, size, right, out, still)
    curvature = np.broadcast_to(stack.P.diagonal(), stack.q.shape).mean(axis=0)
    slope = np.abs(stack.q).mean(axis=0)
    natural = np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
    out = np.where(np.isnan(out) & (natural > 0), natural, out)
    known_ones = out[~np.isnan(out)]
    return np.where(np.isnan(out), np.median(known_ones) if len(known_ones) else 1.0, out)


def _spread(A: Batch, size: Floats, right: Floats, out: Floats, still: NDArray[np.bool_]) -> None:
    """Gives columns without a range the largest that an equation with known ones leaves them."""
    width = np.nan_to_num(out)[A.col] * size
    reach = right.copy()
    np.maximum.at(reach, A.row, width)
    missing = (np.isnan(out) & ~still)[A.col] & (size > 0) & (reach[A.row] > 0)
    implied = np.zeros_like(out)
    np.maximum.at(implied, A.col[missing], reach[A.row[missing]] / size[missing])
    out[implied > 0] = np.where(np.isnan(out), implied, out)[implied > 0]
