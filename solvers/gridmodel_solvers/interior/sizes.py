"""Sizes of a smooth block's columns and rows, so that nothing depends on units."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.smooth import SmoothBlock, SmoothProblem

__all__ = ["column_sizes", "row_sizes", "typical_cost"]

Floats = NDArray[np.float64]

_SWEEPS = 10
_NOTHING = 1e-12


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
