"""Bounds that equations and couplings imply for columns without own ones, by interval arithmetic."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.separable import Separable

__all__ = ["implied_bounds"]

Floats = NDArray[np.float64]


def implied_bounds(problem: Separable, sweeps: int = 100) -> tuple[Floats, Floats]:
    """Lower and upper bounds of all columns that every feasible point keeps; infinite where nothing is implied.

    For a row  low <= sum a_j x_j <= high  a column lies in  (low - max of the others)/a, (high - min of the others)/a.
    Finite bounds are never touched, so each sweep only fills gaps.
    """
    matrix = sp.vstack([sp.block_diag([s.A.diagonal_blocks for s in problem.stacks]), problem.matrix]).tocoo()
    b = np.concatenate([s.b.ravel() for s in problem.stacks]) if problem.stacks else np.empty(0)
    low = np.concatenate([b, problem.couplings.lower])
    high = np.concatenate([b, problem.couplings.upper])
    lower = problem.join([s.lower for s in problem.stacks])
    upper = problem.join([s.upper for s in problem.stacks])
    row, col, a = matrix.row, matrix.col, matrix.data
    keep = a != 0
    row, col, a = row[keep], col[keep], a[keep]
    for _ in range(sweeps):
        least = np.where(a > 0, a * lower[col], a * upper[col])
        most = np.where(a > 0, a * upper[col], a * lower[col])
        new_low, new_high = lower.copy(), upper.copy()
        for terms, side, is_high in ((least, high, True), (most, low, False)):
            infinite = np.isinf(terms)
            finite_sum = np.bincount(row, np.where(infinite, 0.0, terms), len(side))
            gaps = np.bincount(row, infinite, len(side))
            rest_finite = (gaps[row] - infinite) == 0
            rest = finite_sum[row] - np.where(infinite, 0.0, terms)
            use = rest_finite & np.isfinite(side[row])
            value = (side[row[use]] - rest[use]) / a[use]
            gives_upper = (a[use] > 0) == is_high
            at = col[use]
            np.minimum.at(new_high, at[gives_upper], value[gives_upper])
            np.maximum.at(new_low, at[~gives_upper], value[~gives_upper])
        filled_low = np.where(np.isinf(lower), new_low, lower)
        filled_high = np.where(np.isinf(upper), new_high, upper)
        if (np.isinf(filled_low) == np.isinf(lower)).all() and (np.isinf(filled_high) == np.isinf(upper)).all():
            break
        lower, upper = filled_low, filled_high
    return lower, upper
