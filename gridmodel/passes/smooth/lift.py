"""Takes a smooth expression apart: affine cvxpy expressions between elementwise laws and products."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.affine_atom import AffAtom

from gridmodel.errors import CurvatureError
from gridmodel.passes.smooth.laws import LAWS, Law, power

__all__ = ["Lifted", "Lifter"]


@dataclass(frozen=True)
class Lifted:
    """result = law(inputs[0]), or inputs[0] * inputs[1] where there is no law; inputs are affine, of equal size."""

    law: Law | None
    inputs: tuple[cp.Expression, ...]
    result: cp.Variable


@dataclass
class Lifter:
    """Collects what stands between the variables and the affine forms that it hands out."""

    found: list[Lifted] = field(default_factory=list)
    _known: dict[int, tuple[cp.Expression, cp.Expression]] = field(default_factory=dict)
    # by the identity of an expression, which is kept, lest another one takes its place in memory

    def lift(self, expression: cp.Expression, where: str) -> cp.Expression:
        """An affine expression over the old variables and the results of ``found``.

        Raises:
            CurvatureError: an atom that is not smooth, or not known here; ``where`` says whose.
        """
        if _affine(expression):
            return expression
        key = id(expression)
        if key not in self._known:
            self._known[key] = expression, self._lift(expression, where)
        return self._known[key][1]

    def _lift(self, expression: Any, where: str) -> cp.Expression:
        name = type(expression).__name__
        if name in ("multiply", "MulExpression", "DivExpression") and not _scaled(expression):
            return self._product(expression, name, where)
        if name == "cumsum":
            return _summed(self.lift(expression.args[0], where), expression.axis)
        if isinstance(expression, AffAtom):
            return expression.copy([self.lift(arg, where) for arg in expression.args])
        if name in LAWS:
            return self._apply(LAWS[name], expression.args[0], where)
        if name in ("Power", "PowerExact", "PowerApprox", "power", "square"):
            return self._power(expression, where)
        if name == "quad_over_lin":
            squares = cp.sum(self._apply(power(2), expression.args[0], where))
            if expression.args[1].is_constant():
                return squares / expression.args[1]
            return self._times(squares, self._apply(power(-1), expression.args[1], where))
        if name == "QuadForm":
            x, matrix = (self.lift(arg, where) for arg in expression.args)
            return cp.sum(self._times(x, matrix @ x))
        raise CurvatureError(
            f"{where}: {name} is not smooth, or not known for models that are not convex. Expected sums, products, "
            f"powers and {', '.join(LAWS)}; put a kink such as max(a, b) into a variable above both."
        )

    def _power(self, expression: Any, where: str) -> cp.Expression:
        exponent = getattr(expression, "p", None)
        exponent = 2.0 if exponent is None else float(getattr(exponent, "value", exponent))
        return self._apply(power(exponent), expression.args[0], where)

    def _product(self, expression: Any, name: str, where: str) -> cp.Expression:
        left, right = (self.lift(arg, where) for arg in expression.args)
        if name == "DivExpression":
            return self._times(left, self._apply(power(-1), right, where))
        if name == "multiply":
            return self._times(left, right)
        if left.ndim <= 1 and right.ndim <= 1:
            return cp.sum(self._times(left, right))
        rows, inner = left.shape if left.ndim == 2 else (1, left.shape[0])
        columns = right.shape[1] if right.ndim == 2 else 1
        i, j, k = (axis.ravel() for axis in np.meshgrid(range(rows), range(columns), range(inner), indexing="ij"))
        one = cp.vec(left, order="F")[i + rows * k]
        two = cp.vec(right, order="F")[k + inner * j]
        each = cp.reshape(self._times(one, two), (rows * columns, inner), order="C")
        return cp.reshape(cp.sum(each, axis=1), expression.shape, order="C")

    def _times(self, left: cp.Expression, right: cp.Expression) -> cp.Expression:
        shape = np.broadcast_shapes(left.shape, right.shape)
        left, right = (side if side.shape == shape else cp.broadcast_to(side, shape) for side in (left, right))
        return self._keep(None, (left, right), shape)

    def _apply(self, law: Law, argument: cp.Expression, where: str) -> cp.Expression:
        return self._keep(law, (self.lift(argument, where),), argument.shape)

    def _keep(self, law: Law | None, inputs: tuple[cp.Expression, ...], shape: tuple[int, ...]) -> cp.Expression:
        result = cp.Variable(shape)
        self.found.append(Lifted(law, inputs, result))
        return result


def _affine(expression: Any) -> bool:
    """Whether all its atoms are: cvxpy also calls zero times a square affine, but cannot make a matrix of it."""
    if expression.is_constant() or not expression.args:
        return True
    if type(expression).__name__ in ("multiply", "MulExpression", "DivExpression") and not _scaled(expression):
        return False
    if type(expression).__name__ == "cumsum":  # cvxpy has no matrix for it
        return False
    return isinstance(expression, AffAtom) and all(_affine(arg) for arg in expression.args)


def _summed(x: cp.Expression, axis: int | None) -> cp.Expression:
    """cumsum as a product with a triangle of ones; over the entries row by row without an axis."""
    if axis is None:
        return cp.Constant(np.tril(np.ones((x.size, x.size)))) @ cp.vec(x, order="C")
    ones = np.tril(np.ones((x.shape[axis], x.shape[axis])))
    return cp.Constant(ones) @ x if axis == 0 else x @ cp.Constant(ones.T)


def _scaled(expression: Any) -> bool:
    """Whether one factor (or the divisor) is constant."""
    if type(expression).__name__ == "DivExpression":
        return bool(expression.args[1].is_constant())
    return any(arg.is_constant() for arg in expression.args)
