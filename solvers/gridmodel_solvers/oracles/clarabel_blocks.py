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

__all__ = ["ClarabelBlocks"]

Floats = NDArray[np.float64]

# An answer that Clarabel calls less than solved is taken when both residuals are below this.
_TAKEN = 1e-5


@final
class ClarabelBlocks(Oracle):
    """Interior-point solutions of the blocks, one after the other.

    accuracy: relative feasibility and gap asked for, between 1e-10 and 1e-6.
    """

    def __init__(self, stack: Stack, accuracy: float = 1e-9) -> None:
        self._stack = stack
        self._accuracy = min(max(accuracy, 1e-10), 1e-6)
        self._solvers = [_Block(stack, i, self._accuracy) for i in range(stack.size)]

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
        one = sp.eye_array(stack.columns, format="csr")
        fixed = lower == upper
        above, below = np.isfinite(upper) & ~fixed, np.isfinite(lower) & ~fixed
        parts = [stack.A.sparse(i), one[fixed], one[above], -one[below], -stack.G.sparse(i)]
        self._rhs = np.concatenate([stack.b[i], lower[fixed], upper[above], -lower[below], stack.h[i]])
        self._matrix = sp.csc_matrix(sp.vstack(parts))
        zero, nonneg = self._equations + int(fixed.sum()), int(above.sum() + below.sum())
        self._cones = [clarabel.ZeroConeT(zero), clarabel.NonnegativeConeT(nonneg), *_cones(stack.cones)]
        curvature = stack.P.sparse(i)
        # Clarabel's tolerances are absolute below one; the scale keeps answers free of the unit of cost.
        self._scale = max(float(np.abs(stack.q[i]).max(initial=0)), float(np.abs(curvature.data).max(initial=0)))
        self._scale = self._scale or 1.0
        self._P = sp.csc_matrix(sp.triu(curvature)) / self._scale
        self._settings = _settings(accuracy)
        self._solver: Any = None

    def solve(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        scaled = q / self._scale
        if self._solver is None:
            data = (self._P, scaled, self._matrix, self._rhs, self._cones)
            self._solver = clarabel.DefaultSolver(*data, self._settings)
        else:
            self._solver.update(q=scaled)
        answer = self._solver.solve()
        self._judge(answer)
        x, z = np.clip(np.asarray(answer.x), *self._bounds), np.asarray(answer.z) * self._scale
        return x, z[: self._equations], z[len(z) - self._cone_rows :]

    def _judge(self, answer: Any) -> None:
        status = str(answer.status)
        if status == "Solved":
            return
        if "PrimalInfeasible" in status:
            raise LocalProblem("infeasible", self._label)
        if "DualInfeasible" in status:
            raise LocalProblem("unbounded", self._label)
        if not max(answer.r_prim, answer.r_dual) <= _TAKEN:
            raise LocalProblem("unsolved", self._label)


def _cones(cones: Cones) -> list[Any]:
    """The cones in the order of the rows; both sides use the same order within each cone."""
    listed: list[Any] = [clarabel.NonnegativeConeT(cones.nonneg)] if cones.nonneg else []
    listed += [clarabel.SecondOrderConeT(k) for k in cones.soc]
    listed += [clarabel.PSDTriangleConeT(k) for k in cones.psd]
    listed += [clarabel.ExponentialConeT() for _ in range(cones.exp)]
    return listed + [clarabel.PowerConeT(a) for a in cones.pow3d]


def _settings(accuracy: float) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = accuracy
    # Updates of q are refused once rows or cones have been rewritten.
    settings.presolve_enable = False
    settings.chordal_decomposition_enable = False
    return settings
