"""The expression of one row of a fleet, so that one row is canonicalised however many agents there are.

Every node of the user's expression is either *rowed* (its first axis counts the agents) or shared. Rules are kept
for the atoms met in practice; any other raises ``NotRowwise`` and the fleet is canonicalised as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.broadcast_to import broadcast_to
from cvxpy.atoms.affine.hstack import Hstack
from cvxpy.atoms.affine.index import index
from cvxpy.atoms.affine.promote import Promote
from cvxpy.atoms.affine.sum import Sum
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.axis_atom import AxisAtom
from cvxpy.atoms.elementwise.elementwise import Elementwise
from cvxpy.atoms.norm1 import norm1
from cvxpy.atoms.quad_over_lin import quad_over_lin
from cvxpy.constraints import SOC, Equality, ExpCone, Inequality
from cvxpy.expressions.constants import Constant
from numpy.typing import NDArray

from gridmodel.passes.agents import slot_parameter
from gridmodel.passes.template import ParameterSource, by_rows, read_parameter

__all__ = ["NotRowwise", "RowMaker"]

Floats = NDArray[np.float64]


class NotRowwise(Exception):
    """The expression has an atom for which no row rule is known, or ties rows together."""


@dataclass
class RowMaker:
    """Rewrites expressions of a fleet of N agents for its first row.

    variables: {id of the fleet's variable: variable of one row, shape (1, ...)}.
    shared: ids of the fleet's parameters without the agents' axis.
    sources: parameters of the row made so far and where their values come from.
    """

    size: int
    name: str
    variables: dict[int, cp.Variable]
    shared: set[int]
    sources: list[ParameterSource] = field(default_factory=list)
    _parameters: dict[int, cp.Parameter] = field(default_factory=dict)

    def constraint(self, item: cp.Constraint) -> cp.Constraint:
        """The constraint of one row, under the same id."""
        if isinstance(item, (Equality, Inequality)):
            left, right = self._together(list(item.args))
            return type(item)(left, right, constr_id=item.constr_id)
        if isinstance(item, ExpCone):
            return ExpCone(*self._together(list(item.args)), constr_id=item.constr_id)
        if isinstance(item, SOC) and item.axis == 1 and item.args[0].shape == (self.size,):
            scalar, vector = (self._rowed(arg) for arg in item.args)
            return SOC(scalar, vector, axis=1, constr_id=item.constr_id)
        raise NotRowwise

    def cost(self, item: cp.Expression) -> cp.Expression:
        """The cost of one row: a scalar."""
        if item.shape in ((self.size,), (self.size, 1)) and self.size > 1:
            return cp.sum(self._rowed(item))
        return self._scalar(item)

    def _scalar(self, node: Any) -> Any:
        """A scalar that separates: the part of one row."""
        if not node.variables():
            if node.parameters():
                raise NotRowwise
            return Constant(np.asarray(node.value, dtype=float).item() / self.size)
        kind = type(node)
        if kind is AddExpression:
            return sum(self._scalar(arg) for arg in node.args)
        if kind is NegExpression:
            return -self._scalar(node.args[0])
        if kind in (multiply, MulExpression):
            for factor, term in (node.args, node.args[::-1]):
                if not factor.variables() and factor.is_scalar():
                    return self._shared(factor) * self._scalar(term)
        if kind is DivExpression and not node.args[1].variables() and node.args[1].is_scalar():
            return self._scalar(node.args[0]) / self._shared(node.args[1])
        if kind is Sum and node.axis is None:
            return cp.sum(self._rowed(node.args[0]))
        if kind is norm1 and node.axis is None:
            return cp.norm1(self._rowed(node.args[0]))
        if kind is quad_over_lin and node.args[1].is_constant() and node.args[1].is_scalar():
            return quad_over_lin(self._rowed(node.args[0]), self._shared(node.args[1]))
        raise NotRowwise

    def _shared(self, node: Any) -> Any:
        """A node that must not depend on the row."""
        rep, rowed = self._row(node)
        if rowed:
            raise NotRowwise
        return rep

    def _rowed(self, node: Any) -> Any:
        """A node whose first axis counts the agents, for one row."""
        if not node.variables() and not node.parameters():
            return self._aligned(node, node.ndim)
        rep, rowed = self._row(node)
        if not rowed:
            raise NotRowwise
        return rep

    def _together(self, args: list[Any]) -> list[Any]:
        """Arguments of an elementwise atom, at least one of them rowed; the others broadcast."""
        depth = max(arg.ndim for arg in args)
        out, any_rowed = [], False
        for arg in args:
            if not arg.variables() and not arg.parameters():
                out.append(self._aligned(arg, depth))
                continue
            rep, rowed = self._row(arg)
            any_rowed |= rowed
            if rowed and arg.ndim != depth:
                raise NotRowwise
            out.append(rep)
        if not any_rowed:
            raise NotRowwise
        return out

    def _aligned(self, node: Any, depth: int) -> Any:
        """A constant beside rowed arguments of ``depth`` axes: its row where it has one for each agent."""
        value = node.value
        if sp.issparse(value):
            value = value.toarray()
        array = np.asarray(value, dtype=np.float64)
        if array.ndim < depth or array.ndim == 0 or array.shape[0] != self.size:
            return Constant(array)
        rows = by_rows(array)
        if (rows == rows[0]).all():
            return Constant(array[:1])
        parameter, source = slot_parameter((1, *array.shape[1:]), rows)
        self.sources.append(source)
        return parameter

    def _row(self, node: Any) -> tuple[Any, bool]:
        if isinstance(node, cp.Variable):
            return self.variables[node.id], True
        if isinstance(node, cp.Parameter):
            return self._parameter(node)
        if not node.variables() and not node.parameters():
            return Constant(node.value), False
        for kind, rule in _RULES:
            if isinstance(node, kind):
                return rule(self, node)
        raise NotRowwise

    def _parameter(self, node: cp.Parameter) -> tuple[cp.Parameter, bool]:
        rowed = node.id not in self.shared and node.ndim > 0 and node.shape[0] == self.size
        if node.id not in self._parameters:
            signs = {"nonneg": True} if node.is_nonneg() else ({"nonpos": True} if node.is_nonpos() else {})
            rep = cp.Parameter((1, *node.shape[1:]) if rowed else node.shape, **signs)
            self._parameters[node.id] = rep
            self.sources.append(ParameterSource(rep.id, self._reader(node, rowed)))
        return self._parameters[node.id], rowed

    def _reader(self, node: cp.Parameter, rowed: bool) -> Callable[[], Floats]:
        size, name = self.size, self.name

        def read() -> Floats:
            value = read_parameter(node, name)
            return by_rows(value) if rowed else np.broadcast_to(value.ravel(order="F"), (size, value.size))

        return read

    def _elementwise(self, node: Any) -> tuple[Any, bool]:
        if not any(self._row(arg)[1] for arg in node.args if arg.variables() or arg.parameters()):
            return node.copy([self._shared(arg) for arg in node.args]), False
        args = self._together(list(node.args))
        made_now = not node.args[-1].parameters() and isinstance(args[-1], cp.Parameter)
        if isinstance(node, DivExpression) and made_now:
            reciprocal, source = slot_parameter(args[1].shape, 1.0 / self.sources.pop().read())
            self.sources.append(source)
            return cp.multiply(args[0], reciprocal), True
        return node.copy(args), True

    def _matmul(self, node: Any) -> tuple[Any, bool]:
        left, right = node.args
        if not right.variables() and left.ndim == 2:
            rep, rowed = self._row(left)
            return rep @ self._shared(right), rowed
        if left.is_scalar() or right.is_scalar():
            return self._elementwise(node)
        raise NotRowwise

    def _axis(self, node: Any) -> tuple[Any, bool]:
        rep, rowed = self._row(node.args[0])
        if not rowed:
            return node.copy([rep]), False
        axis = node.axis
        if axis is None:
            raise NotRowwise
        axes = axis if isinstance(axis, tuple) else (axis,)
        depth = node.args[0].ndim
        if any(a % depth == 0 for a in axes) or len(node.args) != 1:
            raise NotRowwise
        return node.copy([rep]), True

    def _index(self, node: Any) -> tuple[Any, bool]:
        rep, rowed = self._row(node.args[0])
        key = node._orig_key if isinstance(node._orig_key, tuple) else (node._orig_key,)
        if not rowed:
            return rep[key], False
        whole = key[0]
        if not (isinstance(whole, slice) and whole.indices(self.size) == (0, self.size, 1)):
            raise NotRowwise
        return rep[(slice(None), *key[1:])], True

    def _widen(self, node: Any) -> tuple[Any, bool]:
        rep, rowed = self._row(node.args[0])
        if node.ndim == 0 or node.shape[0] != self.size or (rowed and node.args[0].ndim != node.ndim):
            raise NotRowwise
        return cp.broadcast_to(rep, (1, *node.shape[1:])), True

    def _concatenate(self, node: Any) -> tuple[Any, bool]:
        if any(arg.ndim < 2 for arg in node.args):
            raise NotRowwise
        return node.copy(self._together(list(node.args))), True


_RULES: tuple[tuple[Any, Callable[[RowMaker, Any], tuple[Any, bool]]], ...] = (
    (index, RowMaker._index),
    ((broadcast_to, Promote), RowMaker._widen),
    ((multiply, DivExpression, Elementwise), RowMaker._elementwise),  # multiply is a MulExpression to cvxpy
    (MulExpression, RowMaker._matmul),
    (AxisAtom, RowMaker._axis),
    ((AddExpression, NegExpression), RowMaker._elementwise),
    (Hstack, RowMaker._concatenate),
)
