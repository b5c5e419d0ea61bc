"""A lowered model as one conic program, handed to Clarabel without cvxpy: what the matrices alone say."""

from __future__ import annotations

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack

__all__ = ["solve_whole"]

Floats = NDArray[np.float64]


def solve_whole(problem: Separable) -> tuple[str, float, Floats, Floats]:
    """Status, value, columns x and multipliers mu of the coupling rows (Lagrangian f + mu'(C x - y))."""
    width = problem.offsets[-1]
    pairs = list(zip(problem.stacks, problem.offsets[:-1], strict=True))
    couplings, matrix = problem.couplings, problem.matrix
    lower, upper = (np.concatenate([getattr(s, side).ravel() for s in problem.stacks]) for side in ("lower", "upper"))
    q = np.concatenate([stack.q.ravel() for stack in problem.stacks])
    eye = sp.eye_array(width, format="csr")
    same = couplings.equality
    above = np.flatnonzero(~same & np.isfinite(couplings.upper))
    below = np.flatnonzero(~same & np.isfinite(couplings.lower))
    low, high = np.isfinite(lower), np.isfinite(upper)

    equations = [(_spread(s.A, s, at, width), s.b.ravel()) for s, at in pairs]
    coupled = (matrix[np.flatnonzero(same)], couplings.upper[same])
    rows = [(matrix[above], couplings.upper[above]), (-matrix[below], -couplings.lower[below])]
    box = [(-eye[np.flatnonzero(low)], -lower[low]), (eye[np.flatnonzero(high)], upper[high])]
    conic = [(-_spread(s.G, s, at, width), s.h.ravel()) for s, at in pairs]
    parts = [*equations, coupled, *rows, *box, *conic]
    local = sum(len(side) for _, side in equations)
    inequalities = sum(len(side) for _, side in [*rows, *box])
    cones = [clarabel.ZeroConeT(local + len(coupled[1])), clarabel.NonnegativeConeT(inequalities)]
    cones += [cone for stack, _ in pairs for _ in range(stack.size) for cone in _cones(stack)]

    P = sum((_spread(s.P, s, at, width, square=True) for s, at in pairs), start=sp.csr_array((width, width)))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    # The matrices come unscaled: a residual of 1e-8 against rows of 1e3 would still move a variable of size 1e-3.
    settings.tol_feas = settings.tol_gap_abs = settings.tol_gap_rel = 1e-11
    A = sp.csc_matrix(sp.vstack([part for part, _ in parts]))
    b = np.concatenate([side for _, side in parts])
    found = clarabel.DefaultSolver(sp.csc_matrix(sp.triu(P)), q, A, b, cones, settings).solve()
    x, z = np.array(found.x), np.array(found.z)
    offset = sum(float(stack.offset.sum()) for stack in problem.stacks)
    mu = np.zeros(couplings.size)
    start = local + len(coupled[1])
    mu[same] = z[local:start]
    mu[above] += z[start : start + len(above)]
    mu[below] -= z[start + len(above) : start + len(above) + len(below)]
    return str(found.status), float(0.5 * x @ (P @ x) + q @ x) + offset, x, mu


def _spread(batch: Batch, stack: Stack, start: int, width: int, square: bool = False) -> sp.csr_array:
    """The blocks' matrices at their columns, rows block by block (or at the columns themselves, for P)."""
    at = np.arange(stack.size)[:, None]
    row = (start + at * stack.columns if square else at * batch.shape[0]) + batch.row
    col = start + at * stack.columns + batch.col
    data = np.broadcast_to(batch.data, row.shape)
    shape = (width if square else stack.size * batch.shape[0], width)
    return sp.csr_array((data.ravel(), (row.ravel(), col.ravel())), shape=shape)


def _cones(stack: Stack) -> list[object]:
    cones = stack.cones
    return [
        *([clarabel.NonnegativeConeT(cones.nonneg)] if cones.nonneg else []),
        *(clarabel.SecondOrderConeT(k) for k in cones.soc),
        *(clarabel.PSDTriangleConeT(k) for k in cones.psd),
        *(clarabel.ExponentialConeT() for _ in range(cones.exp)),
        *(clarabel.PowerConeT(a) for a in cones.pow3d),
    ]
