"""The one place that knows the sign between cvxpy's duals and prices."""

from __future__ import annotations

import cvxpy as cp
from cvxpy.constraints import Equality, Inequality
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.zero import Zero

__all__ = ["price_sign"]


def price_sign(constraint: cp.Constraint) -> float | None:
    """The factor between cvxpy's dual and the price; None where a cone has no price.

    The price is the rise of the optimal cost per unit rise of the side without variables; where both sides hold
    variables, of ``args[1]`` for ``==`` and of ``args[0]`` for inequalities. cvxpy writes the Lagrangian as
    f + dual * (args[0] - args[1]), so the price is +dual for args[0] and -dual for args[1]; of the one-sided forms
    (expression against zero) only NonNeg has a Lagrangian of f - dual * args[0].
    """
    if isinstance(constraint, NonNeg):
        return 1.0
    if isinstance(constraint, (NonPos, Zero)):
        return -1.0
    if not isinstance(constraint, (Equality, Inequality)):
        return None
    left, right = constraint.args
    if not left.variables():
        return 1.0
    if not right.variables():
        return -1.0
    return -1.0 if isinstance(constraint, Equality) else 1.0
