"""A constraint with a slack: how far it must be broken so that the rest can hold."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from cvxpy.constraints import PSD, SOC, Equality, Inequality
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.zero import Zero
from numpy.typing import NDArray

__all__ = ["Relaxed", "relax"]


@dataclass(frozen=True)
class Relaxed:
    """A constraint that ``slack`` >= 0 loosens; kept hard, with slack None, for kinds that cannot be loosened.

    left, right: the sides of an equation or inequality, one entry a slack; a cone has none.
    """

    constraint: cp.Constraint
    slack: cp.Variable | None = None
    left: cp.Expression | None = None
    right: cp.Expression | None = None

    @property
    def violation(self) -> NDArray[np.float64]:
        """The slack's value after a solve, never negative."""
        return np.zeros(()) if self.slack is None else np.maximum(np.asarray(self.slack.value, dtype=np.float64), 0.0)

    @property
    def relative(self) -> float:
        """The largest violation over the size of the two sides."""
        if self.left is None or self.right is None:
            return float(self.violation.max())
        size = np.maximum(np.abs(self.left.value), np.abs(self.right.value))
        return float((self.violation / np.maximum(size, 1e-12)).max())

    def shortfall(self) -> str:
        """What the agents reach of what is asked, in the entry that is missed most."""
        if self.left is None or self.right is None:
            return f"it is missed by at least {float(self.violation.max()):.6g}"
        at = np.unravel_index(int(self.violation.argmax()), self.violation.shape)
        left, right = (
            float(np.broadcast_to(np.asarray(side.value, dtype=np.float64), self.violation.shape)[at])
            for side in (self.left, self.right)
        )
        entry = f" in entry {', '.join(str(int(k)) for k in at)}" if at else ""
        if self.left.variables() and self.right.variables():
            return f"its two sides stay at least {abs(left - right):.6g} apart{entry}"
        got, asked = (left, right) if self.left.variables() else (right, left)
        word = "at most" if got < asked else "no less than"
        return f"the agents reach {word} {got:.6g} of {asked:.6g}{entry}"


def relax(constraint: cp.Constraint) -> Relaxed:
    """The constraint with a slack an entry, to be minimised."""
    if isinstance(constraint, (Equality, Inequality)):
        left, right = constraint.args
        slack = cp.Variable(constraint.shape, nonneg=True)
        gap = left - right
        loose = cp.abs(gap) <= slack if isinstance(constraint, Equality) else gap <= slack
        return Relaxed(loose, slack, left, right)
    if isinstance(constraint, (NonNeg, NonPos, Zero)):
        slack = cp.Variable(constraint.shape, nonneg=True)
        value, zero = constraint.args[0], cp.Constant(np.zeros(constraint.shape))
        if isinstance(constraint, Zero):
            return Relaxed(cp.abs(value) <= slack, slack, value, zero)
        loose = value <= slack if isinstance(constraint, NonPos) else -value <= slack
        return Relaxed(loose, slack, value, zero)
    if isinstance(constraint, SOC):
        slack = cp.Variable(constraint.args[0].shape, nonneg=True)
        return Relaxed(SOC(constraint.args[0] + slack, constraint.args[1], axis=constraint.axis), slack)
    if isinstance(constraint, PSD):
        slack = cp.Variable(nonneg=True)
        return Relaxed(PSD(constraint.args[0] + slack * np.eye(constraint.args[0].shape[-1])), slack)
    return Relaxed(constraint)
