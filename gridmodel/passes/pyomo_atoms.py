"""cvxpy expressions as arrays of Pyomo expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.affine_atom import AffAtom
from cvxpy.atoms.affine.binary_operators import DivExpression, MulExpression, multiply
from cvxpy.atoms.affine.cumsum import cumsum
from cvxpy.atoms.affine.index import index, special_index
from cvxpy.atoms.affine.promote import Promote
from cvxpy.atoms.affine.sum import Sum
from cvxpy.atoms.affine.unary_operators import NegExpression
from cvxpy.atoms.pnorm import Pnorm
from cvxpy.atoms.quad_form import QuadForm
from cvxpy.atoms.quad_over_lin import quad_over_lin
from numpy.typing import NDArray

__all__ = ["Translator", "Unsupported", "boxed"]

from gridmodel.passes.smooth.affine import matrix_of, offsets, without_parameters

Objects = NDArray[np.object_]
_BY_NUMPY = (AddExpression, NegExpression, index, special_index)


class Unsupported(Exception):
    """An atom without a form in Pyomo; its text is the atom's name."""


class Translator:
    """Turns expressions into arrays of Pyomo expressions of the same shape; what is shared is translated once."""

    def __init__(self, program: Any, variables: Mapping[int, Objects]) -> None:
        """
        Args:
            program: the Pyomo model, which takes what non-smooth atoms need in ``auxiliary`` and ``bounded``.
            variables: {id of a cvxpy variable: its Pyomo variables}.
        """
        import pyomo.environ as pyo

        self._pyo: Any = pyo
        self._program = program
        self._variables = variables
        self._known: dict[int, tuple[cp.Expression, Objects]] = {}
        self._entrywise = _entrywise(pyo)

    def __call__(self, node: cp.Expression) -> Objects:
        """
        Raises:
            Unsupported: an atom that has no form in Pyomo.
        """
        if id(node) not in self._known:
            value = np.broadcast_to(boxed(self._translate(node)), node.shape)
            self._known[id(node)] = (node, value)  # the node is kept, so that no other takes its id
        return self._known[id(node)][1]

    def _translate(self, node: cp.Expression) -> Any:
        if isinstance(node, cp.Variable):
            return self._variables[node.id]
        if node.is_constant():
            return np.asarray(_dense(node.value), dtype=object)
        name = type(node).__name__
        if isinstance(node, multiply):
            return self(node.args[0]) * self(node.args[1])
        if isinstance(node, DivExpression):
            return self(node.args[0]) / self(node.args[1])
        if isinstance(node, MulExpression):  # of which the two above are kinds
            return self._product(*node.args)
        if isinstance(node, Sum) and node.axis is None:
            return self._pyo.quicksum(self(node.args[0]).flat)
        if isinstance(node, Promote):
            return self(node.args[0])
        if isinstance(node, cumsum):
            axis = node.axis
            return np.cumsum(self(node.args[0]).ravel(order="C") if axis is None else self(node.args[0]), axis=axis)
        if isinstance(node, AffAtom):
            return self._rearranged(node)
        if name in self._entrywise:
            return _each(self._entrywise[name], *map(self, node.args))
        if name in ("Power", "PowerApprox"):
            return self._power(self(node.args[0]), node.p.value)
        return self._reduced(node, name)

    def _rearranged(self, node: cp.Expression) -> Any:
        """Sums, slices, stacks and the like: simple ones by numpy, others by the matrix that cvxpy makes of them."""
        if isinstance(node, _BY_NUMPY):
            return node.numeric([self(arg) for arg in node.args])
        parts = [arg for arg in node.args if not arg.is_constant()]
        stand_ins = {id(arg): cp.Variable(arg.shape) for arg in parts}
        copy = without_parameters(node.copy([stand_ins.get(id(arg), arg) for arg in node.args]))
        places, width = offsets(list(stand_ins.values()))
        try:
            matrix, constant = matrix_of([cp.vec(copy, order="F")], places, width)
        except NotImplementedError:
            raise Unsupported(f"the atom {type(node).__name__}") from None
        entries = np.concatenate([self(arg).ravel(order="F") for arg in {id(arg): arg for arg in parts}.values()])
        found = self._matrix(matrix, entries) + constant
        return found.reshape(node.shape, order="F")

    def _product(self, left: cp.Expression, right: cp.Expression) -> Any:
        if left.is_constant():
            return self._matrix(left.value, self(right))
        if right.is_constant():
            turned = self._matrix(np.transpose(_dense(right.value)), np.transpose(self(left)))
            return np.transpose(turned)
        return np.dot(self(left), self(right))

    def _matrix(self, matrix: Any, x: Objects) -> Objects:
        """matrix @ x for numbers and expressions, by the nonzeros."""
        if np.ndim(matrix) == 0:
            return boxed(float(matrix) * x)
        rows = sp.csr_array(matrix if hasattr(matrix, "tocsr") else np.atleast_2d(matrix))
        columns = x.reshape(x.shape[0], -1)
        found = np.empty((rows.shape[0], columns.shape[1]), dtype=object)
        for i in range(rows.shape[0]):
            span = slice(rows.indptr[i], rows.indptr[i + 1])
            at, factors = rows.indices[span], rows.data[span].tolist()
            for j in range(columns.shape[1]):
                entries = columns[at, j]
                found[i, j] = (
                    entries[0]
                    if factors == [1.0]
                    else self._pyo.quicksum(a * e for a, e in zip(factors, entries, strict=True))
                )
        return found.reshape(np.shape(matrix)[:-1] + x.shape[1:])

    def _power(self, x: Objects, exponent: float) -> Objects:
        if exponent == 0.5:
            return _each(self._pyo.sqrt, x)
        whole = int(exponent) if float(exponent).is_integer() else float(exponent)
        return _each(lambda e: e**whole, x)

    def _reduced(self, node: Any, name: str) -> Any:
        """Atoms that take many entries to one."""
        if isinstance(node, QuadForm):
            x = self(node.args[0]).reshape(-1)
            return np.dot(x, self._matrix(node.args[1].value, x))
        if isinstance(node, quad_over_lin):
            return self._along(node, lambda line: self._pyo.quicksum(e**2 for e in line)) / self(node.args[1])
        if isinstance(node, Pnorm) and node.p == 2:
            return self._along(node, lambda line: self._root(line))
        folds: dict[str, Callable[[Sequence[Any]], Any]] = {
            "log_sum_exp": lambda line: self._pyo.log(self._pyo.quicksum(self._pyo.exp(e) for e in line)),
            "Prod": lambda line: self._pyo.prod(line),
            "norm1": lambda line: self._pyo.quicksum(self._above([e, -e]) for e in line),
            "norm_inf": lambda line: self._above([*line, *(-e for e in line)]),
            "max": self._above,
            "min": lambda line: -self._above([-e for e in line]),
        }
        if name in folds:
            return self._along(node, folds[name])
        each: dict[str, Callable[..., Any]] = {
            "abs": lambda e: self._above([e, -e]),
            "maximum": lambda *entries: self._above(entries),
            "minimum": lambda *entries: -self._above([-e for e in entries]),
        }
        if name in each:
            return _each(each[name], *map(self, node.args))
        raise Unsupported(f"the atom {name}")

    def _along(self, node: Any, fold: Callable[[Sequence[Any]], Any]) -> Any:
        """The fold of all entries, or of those along the atom's axis."""
        x = self(node.args[0])
        axis = getattr(node, "axis", None)
        if axis is None:
            return boxed(fold(list(x.flat)))
        axes = (axis,) if isinstance(axis, int) else tuple(axis)
        kept = [k for k in range(x.ndim) if k not in axes]
        lines = np.transpose(x, [*kept, *axes]).reshape(*(x.shape[k] for k in kept), -1)
        found = np.empty(lines.shape[:-1], dtype=object)
        for at in np.ndindex(found.shape):
            found[at] = fold(list(lines[at]))
        return found.reshape(node.shape)

    def _above(self, entries: Sequence[Any]) -> Any:
        """A variable that lies above all entries; cvxpy's rules admit it where the cost or a limit presses it down."""
        one = self._program.auxiliary.add()
        for entry in entries:
            self._program.bounded.add(entry - one <= 0)
        one.set_value(max(self._pyo.value(entry) for entry in entries))
        return one

    def _root(self, line: Sequence[Any]) -> Any:
        """A variable above the Euclidean norm, whose root has no slope at zero."""
        one = self._program.auxiliary.add()
        one.setlb(0.0)
        self._program.bounded.add(self._pyo.quicksum(e**2 for e in line) - one**2 <= 0)
        one.set_value(sum(self._pyo.value(e) ** 2 for e in line) ** 0.5)
        return one


def boxed(value: Any) -> Objects:
    """The value as an array of objects."""
    if isinstance(value, np.ndarray):
        return value.astype(object, copy=False)
    found = np.empty((), dtype=object)
    found[()] = value
    return found


def _entrywise(pyo: Any) -> dict[str, Callable[..., Any]]:
    """Smooth functions of single entries by the atom's name."""
    simple = {
        name: getattr(pyo, name) for name in ("exp", "log", "sin", "cos", "tan", "sinh", "tanh", "asinh", "atanh")
    }
    return {
        **simple,
        "log1p": lambda x: pyo.log(1 + x),
        "logistic": lambda x: pyo.log(1 + pyo.exp(x)),
        "entr": lambda x: -x * pyo.log(x),
        "xexp": lambda x: x * pyo.exp(x),
        "rel_entr": lambda x, y: x * pyo.log(x / y),
        "kl_div": lambda x, y: x * pyo.log(x / y) - x + y,
    }


def _each(function: Callable[..., Any], *arrays: Objects) -> Objects:
    """The function of every entry, the arrays broadcast to one shape."""
    parts = np.broadcast_arrays(*arrays)
    found = np.empty(parts[0].shape, dtype=object)
    for at in np.ndindex(found.shape):
        found[at] = function(*(part[at] for part in parts))
    return found


def _dense(value: Any) -> Any:
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)
