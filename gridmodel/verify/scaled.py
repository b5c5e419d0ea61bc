"""Conic programs in Clarabel's form with columns, rows and the objective brought to size one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import dims_to_solver_cones
from numpy.typing import NDArray

__all__ = ["ConicProgram", "Found", "Rung"]

Floats = NDArray[np.float64]
# A bound beyond this says "no bound" and nothing about the size of its column.
_WIDE = 1e6


@dataclass(frozen=True)
class Rung:
    """One way to run Clarabel on a scaled program.

    objective: what the size of all costs is brought to. equilibrate: whether Clarabel scales once more.
    regularization: Clarabel's static one.
    """

    objective: float
    equilibrate: bool
    regularization: float = 1e-8


@dataclass(frozen=True)
class Found:
    """What Clarabel said, in the units of the program; the fields that cvxpy reads, and two that it does not.

    gap: to the dual value. missed: the largest residual of an equation over the largest right side of one, or over a
    thousandth of the largest number in x where that is more. Clarabel measures it after scaling, by the largest terms.
    """

    status: str
    x: Floats
    z: Floats
    obj_val: float
    solve_time: float
    iterations: int
    gap: float
    missed: float

    def within(self, tolerance: float) -> bool:
        """Whether the gap is within the tolerance of the value, or of 1 where that is smaller.

        Clarabel measures it on the scaled objective, where costs that cancel hide it.
        """
        return self.gap <= tolerance * max(1.0, abs(self.obj_val))


@dataclass(frozen=True)
class ConicProgram:
    """minimise 1/2 x'P x + q'x  s.t.  A x + s = b, s in K, and its scaling  x = column y,  row s in K.

    P: upper triangle. dims: cvxpy's list of cones K. column, row: shape of q and b; one number a cone that is not a
    product of half-lines, so that it stays the same cone.
    """

    P: sp.csc_array
    q: Floats
    A: sp.csc_array
    b: Floats
    dims: Any
    column: Floats
    row: Floats

    @classmethod
    def build(cls, data: dict[str, Any]) -> ConicProgram:
        """From what cvxpy hands to Clarabel.

        A column's size is that of its bounds, or what makes its largest entry 1 beside the columns with bounds; a
        row's (a cone's) what makes its largest entry 1 then.
        """
        A, b, q, dims = sp.csr_array(data["A"]), data["b"], data["c"], data["dims"]
        P = sp.csc_array(sp.triu(data["P"])) if "P" in data else sp.csc_array((q.size, q.size))
        column = _columns(A, b, dims.zero, dims.nonneg)
        return cls(P, q, sp.csc_array(A), b, dims, column, _rows(sp.csr_array(A * column), dims))

    @property
    def size(self) -> float:
        """The sum of the sizes of all costs, each at the size of its columns; 1 where there is none."""
        scale = sp.diags_array(self.column)
        total = float(np.abs(self.q * self.column).sum() + np.abs((scale @ self.P @ scale).data).sum())
        return total or 1.0

    def solve(self, rung: Rung, size: float, tolerance: float, accepted: float) -> Found:
        """Runs Clarabel.

        Args:
            size: of all costs together.
            tolerance: of a status Solved, on gap and feasibility, relative.
            accepted: of a status AlmostSolved.
        """
        factor = rung.objective / size
        wide, tall = sp.diags_array(self.column), sp.diags_array(self.row)
        done = clarabel.DefaultSolver(
            sp.csc_matrix(wide @ self.P @ wide) * factor, self.q * self.column * factor,
            sp.csc_matrix(tall @ self.A @ wide), self.b * self.row, dims_to_solver_cones(self.dims),
            _settings(rung, tolerance, accepted),
        ).solve()  # fmt: skip
        x = self.column * np.array(done.x)
        return Found(
            str(done.status), x, self.row * np.array(done.z) / factor, done.obj_val / factor, done.solve_time,
            done.iterations, abs(done.obj_val - done.obj_val_dual) / factor, self._missed(x),
        )  # fmt: skip

    def _missed(self, x: Floats) -> float:
        equations = slice(0, self.dims.zero)
        residual = np.abs((self.A @ x - self.b)[equations]).max(initial=0.0)
        size = max(np.abs(self.b[equations]).max(initial=0.0), 1e-3 * np.abs(x).max(initial=0.0), 1e-300)
        return float(residual / size)


def _settings(rung: Rung, tolerance: float, accepted: float) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_iter = 200
    # It splits real embeddings of complex matrices, which are complete already.
    settings.chordal_decomposition_enable = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    settings.reduced_tol_gap_abs = settings.reduced_tol_gap_rel = settings.reduced_tol_feas = accepted
    settings.equilibrate_enable = rung.equilibrate
    settings.static_regularization_constant = rung.regularization
    return settings


def _columns(A: sp.csr_array, b: Floats, zero: int, nonneg: int) -> Floats:
    size = np.zeros(A.shape[1])
    entries = np.diff(A.indptr)
    alone = zero + np.flatnonzero(entries[zero : zero + nonneg] == 1)  # a bound of one column
    at = A.indptr[alone]
    factor = np.abs(A.data[at])
    bound = np.divide(np.abs(b[alone]), factor, out=np.zeros(alone.size), where=factor > 0)
    np.maximum.at(size, A.indices[at], np.where(bound < _WIDE, bound, 0.0))
    known = size > 0
    if known.all():
        return size
    heights = _heights(A * np.where(known, size, 0.0))
    heights = np.where(heights > 0, heights, _heights(A * np.where(known, 0.0, 1.0)))
    rest = sp.csc_array(sp.diags_array(1.0 / np.where(heights > 0, heights, 1.0)) @ A)
    largest = np.zeros(size.size)
    np.maximum.at(largest, np.repeat(np.arange(size.size), np.diff(rest.indptr)), np.abs(rest.data))
    size[~known] = 1.0 / np.where(largest > 0, largest, 1.0)[~known]
    return size


def _heights(A: Any) -> Floats:
    """The largest entry of each row."""
    A = sp.csr_array(A)
    largest = np.zeros(A.shape[0])
    np.maximum.at(largest, np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)), np.abs(A.data))
    return largest


def _rows(A: sp.csr_array, dims: Any) -> Floats:
    heights = _heights(A)
    triangles = [order * (order + 1) // 2 for order in dims.psd]
    threes = [3] * (dims.exp + len(dims.p3d))
    cones = [*dims.soc, *triangles, *threes, *(len(powers) + 1 for powers in dims.pnd)]
    if cones:
        start = dims.zero + dims.nonneg
        first = start + np.concatenate([[0], np.cumsum(cones)[:-1]]).astype(np.intp)
        heights[start:] = np.repeat(np.maximum.reduceat(heights, first), cones)
    return 1.0 / np.where(heights > 0, heights, 1.0)
