"""One Clarabel solver a block, for cones; only q changes between calls."""

from __future__ import annotations

from typing import Any, final

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.oracles.ranges import column_ranges

__all__ = ["ClarabelBlocks"]

Floats = NDArray[np.float64]

# An answer that Clarabel calls less than solved is taken when both residuals are below this.
_TAKEN = 1e-5
_LOOSEST = 1e-6


@final
class ClarabelBlocks(Oracle):
    """Interior-point solutions of the blocks, one after the other.

    accuracy: relative feasibility and gap asked for, between 1e-10 and 1e-6.
    """

    def __init__(self, stack: Stack, accuracy: float = 1e-9) -> None:
        self._stack = stack
        reached = min(max(accuracy, 1e-10), _LOOSEST)
        self._solvers = [_Block(stack, i, reached) for i in range(stack.size)]

    @property
    def stack(self) -> Stack:
        """The stack whose blocks are solved."""
        return self._stack

    def solve(self, q: Floats) -> OracleAnswer:
        """The optimum of every block for linear costs q of shape (N, n).

        Raises:
            LocalProblem: a block is infeasible or unbounded.
        """
        stack = self._stack
        x, nu = np.empty(stack.q.shape), np.empty(stack.b.shape)
        zeta = np.empty(stack.h.shape)
        for i, solver in enumerate(self._solvers):
            x[i], nu[i], zeta[i] = solver.solve(q[i])
        return OracleAnswer(x, nu, zeta)


@final
class _Block:
    """One block as Clarabel takes it: A x + s = b, s in cones; equations, bounds, then the block's own cones."""

    def __init__(self, stack: Stack, i: int, accuracy: float) -> None:
        self._label = stack.labels[i]
        self._equations, self._cone_rows = stack.A.shape[0], stack.G.shape[0]
        lower, upper = stack.lower[i], stack.upper[i]
        if (lower > upper).any():
            raise LocalProblem("infeasible", self._label)
        self._bounds = (lower, upper)
        # Clarabel's tolerances are absolute below one: columns are counted in their ranges, rows and each cone in their
        # largest entry, costs in the largest that a column moves, so that answers do not depend on units.
        self._units = column_ranges(stack)
        one = sp.eye_array(stack.columns, format="csr")
        fixed = lower == upper
        above, below = np.isfinite(upper) & ~fixed, np.isfinite(lower) & ~fixed
        parts = [stack.A.sparse(i), one[fixed], one[above], -one[below], -stack.G.sparse(i)]
        self._rhs = np.concatenate([stack.b[i], lower[fixed], upper[above], -lower[below], stack.h[i]])
        matrix = sp.csr_array(sp.vstack(parts)) @ sp.diags_array(self._units)
        size = np.maximum(abs(matrix).max(axis=1).toarray().ravel(), np.abs(self._rhs))
        _even(size[len(size) - self._cone_rows :], stack.cones)
        self._rows = 1.0 / np.where(size > 0, size, 1.0)
        self._rhs = self._rhs * self._rows
        self._matrix = sp.csc_matrix(sp.diags_array(self._rows) @ matrix)
        zero, nonneg = self._equations + int(fixed.sum()), int(above.sum() + below.sum())
        self._cones = [clarabel.ZeroConeT(zero), clarabel.NonnegativeConeT(nonneg), *_cones(stack.cones)]
        own = sp.diags_array(self._units)
        curvature = sp.csr_array(own @ stack.P.sparse(i) @ own)
        slope = np.abs(stack.q[i] * self._units)
        self._scale = max(float(slope.max(initial=0)), float(np.abs(curvature.data).max(initial=0)))
        self._scale = self._scale or 1.0
        self._P = sp.csc_matrix(sp.triu(curvature)) / self._scale
        self._accuracy = accuracy
        self._even = True
        self._solver: Any = None

    def solve(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        scaled = q * self._units / self._scale
        if self._solver is None:
            self._solver = self._made(scaled)
        else:
            self._solver.update(q=scaled)
        answer = self._solver.solve()
        # A block whose rows differ much in size may not reach what is asked for; from then on Clarabel scales it, too,
        # and where that does not help it is asked for less.
        while not _is_usable(answer) and (self._even or self._accuracy < _LOOSEST):
            if not self._even:
                self._accuracy = min(100 * self._accuracy, _LOOSEST)
            self._even = False
            self._solver = self._made(scaled)
            answer = self._solver.solve()
        self._judge(answer)
        x = np.clip(self._units * np.asarray(answer.x), *self._bounds)
        z = np.asarray(answer.z) * self._rows * self._scale
        return x, z[: self._equations], z[len(z) - self._cone_rows :]

    def _made(self, q: Floats) -> Any:
        data = (self._P, q, self._matrix, self._rhs, self._cones)
        return clarabel.DefaultSolver(*data, _settings(self._accuracy, self._even))

    def _judge(self, answer: Any) -> None:
        status = str(answer.status)
        if "PrimalInfeasible" in status:
            raise LocalProblem("infeasible", self._label)
        if "DualInfeasible" in status:
            raise LocalProblem("unbounded", self._label)
        if not _is_usable(answer):
            raise LocalProblem("unsolved", self._label)


def _is_usable(answer: Any) -> bool:
    """Solved, proven to have no solution, or almost solved."""
    status = str(answer.status)
    return status == "Solved" or "Infeasible" in status or max(answer.r_prim, answer.r_dual) <= _TAKEN


def _even(size: Floats, cones: Cones) -> None:
    """One size for all rows of a cone, in place: cones keep their shape under a common factor only."""
    start = cones.nonneg
    for count in [*cones.soc, *(k * (k + 1) // 2 for k in cones.psd), *[3] * (cones.exp + len(cones.pow3d))]:
        size[start : start + count] = size[start : start + count].max(initial=0.0)
        start += count


def _cones(cones: Cones) -> list[Any]:
    """The cones in the order of the rows; both sides use the same order within each cone."""
    listed: list[Any] = [clarabel.NonnegativeConeT(cones.nonneg)] if cones.nonneg else []
    listed += [clarabel.SecondOrderConeT(k) for k in cones.soc]
    listed += [clarabel.PSDTriangleConeT(k) for k in cones.psd]
    listed += [clarabel.ExponentialConeT() for _ in range(cones.exp)]
    return listed + [clarabel.PowerConeT(a) for a in cones.pow3d]


def _settings(accuracy: float, even: bool) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    # Costs are flat at an optimum: columns are as accurate as the root of the gap.
    settings.tol_gap_abs = settings.tol_gap_rel = 1e-2 * accuracy
    settings.tol_feas = accuracy
    # Where all sizes are even already, a second scaling costs digits of the gap, and iterations.
    settings.equilibrate_enable = not even
    # Updates of q are refused once rows or cones have been rewritten.
    settings.presolve_enable = False
    settings.chordal_decomposition_enable = False
    return settings
