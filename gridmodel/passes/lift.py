"""Makes expressions affine in their parameters (DPP) by naming parts of them with new variables.

w * square(x - c) is not DPP in w and c together; w * square(y) with the equation y == x - c is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import cvxpy as cp

__all__ = ["lift"]

ItemT = TypeVar("ItemT", cp.Expression, cp.Constraint)


def lift(item: ItemT) -> tuple[ItemT, list[cp.Constraint]] | None:
    """An equal DPP item and the equations of its new variables; None where there is no simple one.

    Args:
        item: a convex cost, or a constraint, which keeps its id.
    """
    if item.is_dcp(dpp=True):
        return item, []
    equations: list[cp.Constraint] = []
    try:
        lifted = _lift(item, equations)
    except ValueError:  # an atom that refuses a variable
        return None
    if not lifted.is_dcp(dpp=True) or not all(equation.is_dcp(dpp=True) for equation in equations):
        return None
    return lifted, equations


def _lift(node: Any, equations: list[cp.Constraint]) -> Any:
    if not node.args or not node.parameters() or node.is_dcp(dpp=True):
        return node
    args = [_lift(arg, equations) for arg in node.args]
    for chosen in _choices(args):
        found: list[cp.Constraint] = []
        copy = node.copy([_strip(arg, found) if k in chosen else arg for k, arg in enumerate(args)])
        if copy.is_dcp(dpp=True):
            equations += found
            return copy
    return node.copy(args)


def _choices(args: Sequence[Any]) -> Iterator[set[int]]:
    """Which arguments to rid of parameters: none, those with variables, one, all."""
    yield set()
    yield {k for k, arg in enumerate(args) if arg.variables()}
    yield from ({k} for k in range(len(args)))
    yield set(range(len(args)))


def _strip(node: Any, equations: list[cp.Constraint]) -> Any:
    """The node without parameters: its largest affine parts that hold any become variables."""
    if not node.parameters():
        return node
    if node.is_affine():
        sign = {"nonneg": True} if node.is_nonneg() else {"nonpos": True} if node.is_nonpos() else {}
        named = cp.Variable(node.shape, **sign)
        equations.append(named == node)
        return named
    return node.copy([_strip(arg, equations) for arg in node.args])
