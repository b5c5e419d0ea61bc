"""The cost of one row of a fleet, where the fleet's cost is a sum over its agents."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.sum import Sum
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.norm1 import norm1
from cvxpy.atoms.quad_over_lin import quad_over_lin

from gridmodel.passes.rows import NotRowwise, RowMaker

__all__ = ["row_cost"]


def row_cost(maker: RowMaker, item: cp.Expression) -> Any:
    """The cost of one row: a scalar.

    Args:
        maker: rewrites the fleet's expressions.
        item: a scalar, or one entry an agent.

    Raises:
        NotRowwise: no rule is known that separates the cost.
    """
    if item.size > 1:
        return cp.sum(maker.beside(item, 0, item.ndim))
    return _scalar(maker, item)


def _scalar(maker: RowMaker, node: Any) -> Any:
    """A scalar that separates: the part of one row."""
    if not node.variables():
        return node / maker.size
    kind = type(node)
    if kind is AddExpression:
        return sum(_scalar(maker, arg) for arg in node.args)
    if kind is NegExpression:
        return -_scalar(maker, node.args[0])
    if kind in (multiply, MulExpression):
        return _product(maker, *node.args)
    if kind is DivExpression and node.args[1].is_scalar():
        return _scalar(maker, node.args[0]) / maker.shared(node.args[1])
    if kind is Sum and node.axis is None:
        return cp.sum(maker.row(node.args[0])[0])
    if kind is norm1 and node.axis is None:
        return cp.norm1(maker.row(node.args[0])[0])
    if kind is quad_over_lin and node.axis is None:
        return quad_over_lin(maker.row(node.args[0])[0], maker.shared(node.args[1]))
    raise NotRowwise


def _product(maker: RowMaker, left: Any, right: Any) -> Any:
    for factor, term in ((left, right), (right, left)):
        if not factor.variables() and factor.is_scalar() and term.is_scalar():
            return factor * _scalar(maker, term)
    if left.ndim == right.ndim == 1:
        args, _ = maker.together([left, right], left.shape)
        return cp.sum(cp.multiply(*args))
    raise NotRowwise
