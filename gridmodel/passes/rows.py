"""The expression of one row of a fleet, so that one row is canonicalised however many agents there are.

Every node that holds variables has one axis that counts the agents; the node of one row has length 1 there. Nodes
without variables are cut where broadcasting lays them along that axis. Rules are kept for the atoms met in practice;
any other raises ``NotRowwise`` and the fleet is canonicalised as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.broadcast_to import broadcast_to
from cvxpy.atoms.affine.concatenate import Concatenate
from cvxpy.atoms.affine.hstack import Hstack
from cvxpy.atoms.affine.index import index, special_index
from cvxpy.atoms.affine.promote import Promote
from cvxpy.atoms.affine.transpose import transpose
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.affine.vstack import Vstack
from cvxpy.atoms.axis_atom import AxisAtom
from cvxpy.atoms.elementwise.elementwise import Elementwise
from cvxpy.atoms.max import max as Max
from cvxpy.atoms.norm_inf import norm_inf
from cvxpy.atoms.quad_over_lin import quad_over_lin
from cvxpy.constraints import SOC, Equality, ExpCone, Inequality, NonNeg, NonPos, Zero
from cvxpy.expressions.constants import Constant
from numpy.typing import NDArray

from gridmodel.passes.affine import ParameterSource
from gridmodel.passes.data import by_rows, dense, fixed_source, read_value

__all__ = ["NotRowwise", "Row", "RowMaker"]

Floats = NDArray[np.float64]
Row = tuple[Any, int]
"""The expression of one row, and the axis that counts the agents."""


class NotRowwise(Exception):
    """The expression has an atom for which no row rule is known, or ties rows together."""


@dataclass
class RowMaker:
    """Rewrites expressions of a fleet of N > 1 agents for one row.

    variables: {id of the fleet's variable: variable of one row, shape (1, ...)}.
    sources: parameters of the row made so far and where their values come from.
    """

    size: int
    name: str
    variables: dict[int, cp.Variable]
    sources: list[ParameterSource] = field(default_factory=list)
    _done: dict[int, Row] = field(default_factory=dict)

    def constraint(self, item: cp.Constraint) -> tuple[cp.Constraint, int]:
        """The constraint of one row, under the same id, and the agents' axis of the user's constraint."""
        if isinstance(item, Inequality) and isinstance(item.args[0], (Max, norm_inf)) and item.args[0].axis is None:
            return self._ceiling(item), 0
        if isinstance(item, (Equality, Inequality, Zero, NonNeg, NonPos, ExpCone)):
            args, axis = self.together(item.args, np.broadcast_shapes(*(arg.shape for arg in item.args)))
            return item.copy(args), axis
        if isinstance(item, SOC) and item.args[0].ndim == 1:
            vectors, axis = self.row(item.args[1])
            if axis == item.axis:
                raise NotRowwise
            return item.copy([self.beside(item.args[0], 0, 1), vectors]), 0
        raise NotRowwise

    def row(self, node: Any) -> Row:
        """A node with variables, for one row."""
        found = self._done.get(id(node))
        if found is None:
            found = self._done[id(node)] = self._row(node)
        return found

    def shared(self, node: Any) -> Any:
        """A node without variables, the same for all rows."""
        if node.variables():
            raise NotRowwise
        return node

    def together(self, args: Sequence[Any], shape: tuple[int, ...]) -> tuple[list[Any], int]:
        """Arguments that broadcast to ``shape``, for one row, and the agents' axis of the result."""
        rows = {k: self.row(arg) for k, arg in enumerate(args) if arg.variables()}
        axes = {axis + len(shape) - args[k].ndim for k, (_, axis) in rows.items()}
        if len(axes) != 1:
            raise NotRowwise
        axis = axes.pop()
        if shape[axis] != self.size:
            raise NotRowwise
        return [rows[k][0] if k in rows else self.beside(arg, axis, len(shape)) for k, arg in enumerate(args)], axis

    def beside(self, node: Any, axis: int, depth: int) -> Any:
        """An argument of an elementwise operation whose result has ``depth`` axes, the agents' one being ``axis``."""
        if node.variables():
            return self.row(node)[0]
        own = axis - (depth - node.ndim)
        if own < 0 or node.shape[own] != self.size:
            return node
        shape = (*node.shape[:own], 1, *node.shape[own + 1 :])
        if node.parameters():
            sign = {"nonneg": True} if node.is_nonneg() else {"nonpos": True} if node.is_nonpos() else {}
            parameter = cp.Parameter(shape, None, **sign)
            self.sources.append(ParameterSource(parameter.id, self._reader(node, own)))
            return parameter
        rows = by_rows(dense(node.value), own)
        if (rows[1] == rows[0]).all() and (rows == rows[0]).all():
            return Constant(rows[0].reshape(shape, order="F"))
        parameter, source = fixed_source(shape, rows)
        self.sources.append(source)
        return parameter

    def _ceiling(self, item: Inequality) -> cp.Constraint:
        """max(x) <= c, which is x <= c for every row."""
        most, limit = item.args
        if limit.variables() or not limit.is_scalar():
            raise NotRowwise
        rep, _ = self.row(most.args[0])
        return Inequality(cp.abs(rep) if isinstance(most, norm_inf) else rep, limit, constr_id=item.constr_id)

    def _reader(self, node: Any, axis: int) -> Callable[[], Floats]:
        return lambda: by_rows(read_value(node, self.name), axis)

    def _row(self, node: Any) -> Row:
        if isinstance(node, cp.Variable):
            return self.variables[node.id], 0
        for kinds, rule in _RULES:
            if isinstance(node, kinds):
                expression, axis = rule(self, node)
                if expression.shape != (*node.shape[:axis], 1, *node.shape[axis + 1 :]):
                    raise NotRowwise
                return expression, axis
        raise NotRowwise

    def _elementwise(self, node: Any) -> Row:
        args, axis = self.together(node.args, node.shape)
        if isinstance(node, DivExpression) and args[1].parameters():
            return cp.multiply(args[0], self._reciprocal(args[1])), axis
        return node.copy(args), axis

    def _reciprocal(self, divisor: Any) -> cp.Parameter:
        """A parameter for one over a parameter of the row, or over an expression of parameters that rows share."""
        made = [source.read for source in self.sources if source.parameter == divisor.id]
        read = made[0] if made else lambda: read_value(divisor, self.name).ravel(order="F")[None, :]
        sign = {"nonneg": True} if divisor.is_nonneg() else {"nonpos": True} if divisor.is_nonpos() else {}
        reciprocal = cp.Parameter(divisor.shape, None, **sign)

        def inverse() -> Floats:
            # A parameter's zero becomes infinite here, and an error that names the agent where matrices are checked.
            with np.errstate(divide="ignore"):
                return np.asarray(1.0 / read())

        self.sources.append(ParameterSource(reciprocal.id, inverse))
        return reciprocal

    def _matmul(self, node: Any) -> Row:
        left, right = node.args
        if left.variables():
            rep, axis = self.row(left)
            if left.ndim != 2 or right.ndim > 2 or axis != 0:
                raise NotRowwise
            return rep @ self.shared(right), 0
        rep, axis = self.row(right)
        if right.ndim != 2 or left.ndim > 2 or axis != 1:
            raise NotRowwise
        return left @ rep, node.ndim - 1

    def _axis(self, node: Any) -> Row:
        rep, axis = self.row(node.args[0])
        if node.axis is None or any(arg.variables() for arg in node.args[1:]):
            raise NotRowwise
        away = [k % node.args[0].ndim for k in (node.axis if isinstance(node.axis, tuple) else (node.axis,))]
        if axis in away:
            raise NotRowwise
        kept = node.ndim == node.args[0].ndim
        return node.copy([rep, *node.args[1:]]), axis if kept else axis - sum(k < axis for k in away)

    def _index(self, node: Any) -> Row:
        rep, axis = self.row(node.args[0])
        key = _full_key(node._orig_key if isinstance(node, index) else node.key, node.args[0].ndim)
        # The part of the key for the agents' axis, not counting new axes.
        where = [k for k, part in enumerate(key) if part is not None][axis]
        whole = key[where]
        if not (isinstance(whole, slice) and whole.indices(self.size) == (0, self.size, 1)):
            raise NotRowwise
        if sum(isinstance(part, (list, np.ndarray)) for part in key) > 1:  # NumPy moves their axes to the front
            raise NotRowwise
        dropped = sum(isinstance(part, (int, np.integer)) for part in key[:where])
        return rep[(*key[:where], slice(None), *key[where + 1 :])], where - dropped

    def _widen(self, node: Any) -> Row:
        rep, axis = self.row(node.args[0])
        axis += node.ndim - node.args[0].ndim
        if node.shape[axis] != self.size:
            raise NotRowwise
        return cp.broadcast_to(rep, (*node.shape[:axis], 1, *node.shape[axis + 1 :])), axis

    def _transpose(self, node: Any) -> Row:
        rep, axis = self.row(node.args[0])
        axes = list(node.axes) if node.axes is not None else list(range(node.ndim))[::-1]
        return node.copy([rep]), axes.index(axis)

    def _join(self, node: Any) -> Row:
        """Arguments side by side, along an axis that does not count agents."""
        flat = node.args[0].ndim == 1
        if isinstance(node, Vstack):
            along = 0
        elif isinstance(node, Hstack):
            along = 0 if flat else 1
        else:
            along = node.axis
        if along is None:
            raise NotRowwise
        rows = [self.row(arg) for arg in node.args if arg.variables()]
        axes = {axis for _, axis in rows}
        if len(axes) != 1:
            raise NotRowwise
        axis = axes.pop()
        if flat and isinstance(node, Vstack):
            return node.copy([self.beside(arg, 0, 1) for arg in node.args]), 1
        if axis == along % node.ndim:
            raise NotRowwise
        return node.copy([self.beside(arg, axis, arg.ndim) for arg in node.args]), axis

    def _quadratic(self, node: Any) -> Row:
        if node.args[1].variables():
            raise NotRowwise
        return self._axis(node)


def _full_key(key: Any, depth: int) -> tuple[Any, ...]:
    """A key with a part for every axis, without an ellipsis."""
    parts = key if isinstance(key, tuple) else (key,)
    named = sum(part is not None and part is not Ellipsis for part in parts)
    if any(isinstance(part, np.ndarray) and part.dtype == bool for part in parts):
        raise NotRowwise
    out: list[Any] = []
    for part in parts:
        out += [slice(None)] * (depth - named) if part is Ellipsis else [part]
    return tuple(out) + (slice(None),) * (depth - sum(part is not None for part in out))


_RULES: tuple[tuple[Any, Callable[[RowMaker, Any], Row]], ...] = (
    ((index, special_index), RowMaker._index),
    ((broadcast_to, Promote), RowMaker._widen),
    ((multiply, DivExpression, Elementwise), RowMaker._elementwise),  # multiply is a MulExpression to cvxpy
    (MulExpression, RowMaker._matmul),
    (quad_over_lin, RowMaker._quadratic),
    (AxisAtom, RowMaker._axis),
    ((AddExpression, NegExpression), RowMaker._elementwise),
    ((Hstack, Vstack, Concatenate), RowMaker._join),
    (transpose, RowMaker._transpose),
)
