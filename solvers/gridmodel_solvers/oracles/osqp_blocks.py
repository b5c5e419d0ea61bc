"""One OSQP solver a block, for few or unequal quadratic programs; only q changes between calls."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import osqp
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.oracles.ranges import column_ranges

__all__ = ["OsqpBlocks"]

Floats = NDArray[np.float64]


@final
class OsqpBlocks(Oracle):
    """Polished, warm-started OSQP solutions; a block that OSQP does not solve goes to Clarabel from then on.

    accuracy: absolute and relative tolerance of OSQP's residuals.
    """

    def __init__(self, stack: Stack, accuracy: float = 1e-9) -> None:
        self._stack = stack
        self._accuracy = accuracy
        self._solvers: list[Any] = [None] * stack.size
        self._rescue: dict[int, ClarabelBlocks] = {}
        # OSQP's tolerances are absolute for small numbers: columns are counted in their ranges, equations in their
        # largest entry, costs in the largest that a column moves.
        self._units = column_ranges(stack)
        self._rows: list[Floats] = [np.empty(0)] * stack.size
        self._money = np.ones(stack.size)
        crossed = (stack.lower > stack.upper).any(axis=1)
        if crossed.any():
            raise LocalProblem("infeasible", stack.labels[int(np.argmax(crossed))])

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
        for i in range(stack.size):
            answer = None if i in self._rescue else self._ask(i, q[i])
            if answer is None:
                answer = self._rescued(i, q[i])
            x[i], nu[i] = answer
        return OracleAnswer(x, nu, np.zeros((stack.size, 0)))

    def _ask(self, i: int, q: Floats) -> tuple[Floats, Floats] | None:
        if self._solvers[i] is None:
            self._solvers[i] = self._made(i, q)
        else:
            self._solvers[i].update(q=q * self._units / self._money[i])
        result = self._solvers[i].solve(raise_error=False)
        if result.info.status_val != osqp.SolverStatus.OSQP_SOLVED:
            return None
        x = np.clip(self._units * np.asarray(result.x), self._stack.lower[i], self._stack.upper[i])
        return x, np.asarray(result.y)[: len(self._rows[i])] * self._rows[i] * self._money[i]

    def _made(self, i: int, q: Floats) -> Any:
        stack = self._stack
        units = self._units
        lower, upper = stack.lower[i] / units, stack.upper[i] / units
        bounded = np.isfinite(lower) | np.isfinite(upper)
        own = sp.diags_array(units)
        A = sp.csr_array(stack.A.sparse(i) @ own)
        size = np.maximum(abs(A).max(axis=1).toarray().ravel(), np.abs(stack.b[i])) if A.shape[0] else np.empty(0)
        self._rows[i] = 1.0 / np.where(size > 0, size, 1.0)
        b = stack.b[i] * self._rows[i]
        curvature = sp.csr_array(own @ stack.P.sparse(i) @ own)
        costs = [np.abs(stack.q[i] * units).max(initial=0.0), np.abs(curvature.data).max(initial=0.0)]
        self._money[i] = float(max(costs)) or 1.0
        rows = sp.vstack([sp.diags_array(self._rows[i]) @ A, sp.eye_array(stack.columns, format="csr")[bounded]])
        solver = osqp.OSQP()
        solver.setup(
            sp.csc_matrix(sp.triu(curvature)) / self._money[i],
            q * units / self._money[i],
            sp.csc_matrix(rows),
            np.concatenate([b, lower[bounded]]),
            np.concatenate([b, upper[bounded]]),
            verbose=False,
            eps_abs=self._accuracy,
            eps_rel=self._accuracy,
            polishing=True,
            warm_starting=True,
        )
        return solver

    def _rescued(self, i: int, q: Floats) -> tuple[Floats, Floats]:
        # OSQP's own word on infeasibility is loose; Clarabel proves it.
        if i not in self._rescue:
            self._rescue[i] = ClarabelBlocks(self._stack.take(np.array([i])), self._accuracy)
        answer = self._rescue[i].solve(q[None, :])
        return answer.x[0], answer.nu[0]
