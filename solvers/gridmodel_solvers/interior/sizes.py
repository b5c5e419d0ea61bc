"""Sizes of a smooth block's columns and rows, so that nothing depends on units."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.smooth import SmoothBlock, SmoothProblem

__all__ = ["column_sizes", "reaches", "row_sizes", "typical_cost"]

Floats = NDArray[np.float64]

_SWEEPS = 10
_NOTHING = 1e-12


def reaches(block: SmoothBlock) -> Floats:
    """How far each column may be expected to move, which scales with the column's unit, shape (n,).

    r_j = upper_j - lower_j with two ends, else start_j's distance from its one end, else |start_j|; every column that
    is still unknown gets the geometric mean, over the rows that hold it, of

    max(-c_i(start), |J_ik| r_k over known columns k) / |J_ij|

    and 1 where no row tells. No norms over columns of several units enter, so that a search takes the same steps in
    any units.
    """
    width = block.upper - block.lower
    low, high, size = np.isfinite(block.lower), np.isfinite(block.upper), np.abs(block.start)
    side = np.where(low, block.start - block.lower, np.where(high, block.upper - block.start, size))
    known = np.where(side > 0, side, size)
    reach = np.where(low & high & (width > 0), width, np.where(known > 0, known, np.nan))
    of_h, of_c = block.functions.jacobians(block.start)
    matrix = abs(sp.coo_array(sp.vstack([of_h, of_c, block.C])))
    room = np.zeros(matrix.shape[0])
    first = of_h.shape[0]
    room[first : first + of_c.shape[0]] = np.maximum(-block.functions.residuals(block.start)[1], 0.0)
    return _spread(reach, matrix, room)


def _spread(reach: Floats, matrix: sp.coo_array, room: Floats) -> Floats:
    """Fills in what is NaN, from column to column through the rows, each at least as large as ``room``."""
    top = np.zeros(matrix.shape[0])
    np.maximum.at(top, matrix.row, matrix.data)
    there = matrix.data > _NOTHING * top[matrix.row]  # the rest is rounding
    row, col = matrix.row[there].astype(np.intp), matrix.col[there].astype(np.intp)
    data = matrix.data[there]
    while np.isnan(reach).any():
        unknown = np.isnan(reach)
        most = room.copy()
        told = ~unknown[col]
        np.maximum.at(most, row[told], data[told] * reach[col[told]])
        ask = unknown[col] & (most[row] > 0)
        if not ask.any():
            break
        count = np.bincount(col[ask], minlength=len(reach))
        total = np.bincount(col[ask], np.log(most[row[ask]] / data[ask]), minlength=len(reach))
        reach = np.where(count > 0, np.exp(total / np.maximum(count, 1)), reach)
    return np.where(np.isnan(reach), 1.0, reach)


def column_sizes(block: SmoothBlock) -> Floats:
    """Sizes by which rows and columns of the block's equations have largest entries near one, shape (n,).

    They start from the widths of bounds, which are all that is known of columns that no row holds.

    Source: Ruiz: A scaling algorithm to equilibrate both rows and columns norms in matrices (2001).
    """
    width = block.upper - block.lower
    fallback = np.where(np.abs(block.start) > 0, np.abs(block.start), 1.0)
    size = np.where(np.isfinite(width) & (width > 0), width, fallback)
    # Coupling rows may be in other units than the block's own.
    shared = block.C.multiply(1.0 / row_sizes(block.C, size)[:, None])
    matrix = abs(sp.coo_array(sp.vstack([block.functions.jacobians(block.start)[0], shared])))
    there = matrix.data > _NOTHING
    row, col = matrix.row[there].astype(np.intp), matrix.col[there].astype(np.intp)
    data = matrix.data[there]
    scale = np.ones(matrix.shape[0])
    for _ in range(_SWEEPS):
        scale /= np.sqrt(_largest(row, data * size[col] * scale[row], len(scale)))
        size /= np.sqrt(_largest(col, data * size[col] * scale[row], len(size)))
    return size


def _largest(at: NDArray[np.intp], values: Floats, count: int) -> Floats:
    out = np.zeros(count)
    np.maximum.at(out, at, values)
    return np.where(out > 0, out, 1.0)


def row_sizes(matrix: sp.csr_array, sizes: Floats) -> Floats:
    """The largest term of each row, one where there is none, shape (rows,)."""
    if not matrix.shape[0]:
        return np.empty(0)
    largest = np.asarray(abs(matrix).multiply(sizes[None, :]).max(axis=1).todense()).ravel()
    return np.where(largest > _NOTHING, largest, 1.0)


def typical_cost(problem: SmoothProblem, sizes: list[Floats]) -> float:
    """The mean cost that a column with a cost moves over its range, to first order or, at a minimum, to second."""
    first, second = [], []
    for block, size in zip(problem.blocks, sizes, strict=True):
        f = block.functions
        first.append(np.abs(f.gradient(block.start)) * size)
        curve = f.hessian(block.start, np.zeros(f.equations), np.zeros(f.inequalities)).diagonal()
        second.append(np.abs(curve) * size**2)
    for part in (np.concatenate(first), np.concatenate(second)):
        if (part > 0).any():
            return float(part[part > 0].mean())
    return 1.0
