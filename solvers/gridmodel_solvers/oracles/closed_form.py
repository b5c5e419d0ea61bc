"""Blocks whose columns do not touch each other: a clipped parabola each."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer

__all__ = ["ClosedForm"]

Floats = NDArray[np.float64]


@final
class ClosedForm(Oracle):
    """The optimum of separable blocks in one expression.

    x_j = clip(-q_j / P_jj, lower_j, upper_j); where P_jj = 0, the bound that q_j's sign points to, and for q_j = 0
    the column stays where it was.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._curvature = np.broadcast_to(stack.P.diagonal(), stack.q.shape)
        self._curved = self._curvature > 0
        self._x = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
        crossed = (stack.lower > stack.upper).any(axis=1)
        if crossed.any():
            raise LocalProblem("infeasible", stack.labels[int(np.argmax(crossed))])

    @staticmethod
    def fits(stack: Stack) -> bool:
        """Whether the blocks have neither equations nor cones nor products of two columns."""
        return stack.A.shape[0] == 0 and not stack.cones and stack.P.diagonal_only

    @property
    def stack(self) -> Stack:
        """The stack whose blocks are solved."""
        return self._stack

    def solve(self, q: Floats) -> OracleAnswer:
        """The optimum of every block for linear costs q of shape (N, n).

        Raises:
            LocalProblem: a column without curvature has no bound on the side that q points to.
        """
        stack = self._stack
        edge = np.where(q > 0, stack.lower, np.where(q < 0, stack.upper, self._x))
        x = np.divide(-q, self._curvature, out=edge, where=self._curved)
        x = np.clip(x, stack.lower, stack.upper)
        unbounded = ~np.isfinite(x).all(axis=1)
        if unbounded.any():
            raise LocalProblem("unbounded", stack.labels[int(np.argmax(unbounded))])
        self._x = x
        return OracleAnswer(x, np.zeros((stack.size, 0)), np.zeros((stack.size, 0)))
