"""Numbers of a model, checked before they reach a matrix."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.binary_operators import DivExpression
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError
from gridmodel.language.declared import AbstractParty
from gridmodel.passes.affine import ParameterSource

__all__ = [
    "by_rows",
    "check_finite",
    "dense",
    "finite_or_error",
    "fixed_source",
    "has_zero",
    "is_finite",
    "parameter_source",
    "read_value",
]

Floats = NDArray[np.float64]
_INFINITE = 1e20


def check_finite(party: AbstractParty) -> None:
    """Refuses constants that are NaN, infinite or not real.

    Raises:
        DataError: names the statement.
    """
    for cost in party.costs:
        finite_or_error(cost.expression, f"{party.name}: the cost at {cost.place}")
    for limit in party.limits:
        finite_or_error(limit.constraint, f"{party.name}: the constraint at {limit.place}")


def finite_or_error(item: cp.Expression | cp.Constraint, where: str) -> None:
    """Refuses an expression with a constant that is NaN, infinite or not real, or that divides by zero.

    Raises:
        DataError: it holds one.
    """
    if not all(is_finite(constant.value) for constant in item.constants()):
        raise DataError(
            f"{where} holds a constant that is NaN, infinite (1e20 or more) or not real; give finite numbers "
            "(leave a row out, or use bounds=None, where there is no limit)."
        )
    if _divides_by_zero(item):
        # cvxpy would take such a quotient for zero.
        raise DataError(f"{where} holds a division by zero; leave out the entries whose divisor is zero.")


def _divides_by_zero(node: Any) -> bool:
    if isinstance(node, DivExpression) and not node.args[1].variables() and not node.args[1].parameters():
        return has_zero(node.args[1].value) or _divides_by_zero(node.args[0])
    return any(_divides_by_zero(arg) for arg in node.args)


def has_zero(value: Any) -> bool:
    """Whether an entry of a divisor is zero."""
    return not np.all(dense(value))


def is_sparse(value: Any) -> bool:
    """Whether a constant's value is a sparse matrix."""
    return type(value) is not np.ndarray and bool(sp.issparse(value))


def is_finite(value: Any) -> bool:
    """Whether all entries of a number, array or sparse matrix are real and below 1e20, infinite to solvers."""
    data = value.tocoo().data if is_sparse(value) else np.asarray(value)
    return data.dtype.kind in "fiub" and bool((np.abs(data) < _INFINITE).all())


def read_value(item: cp.Expression, where: str) -> Floats:
    """The present value of a parameter or of an expression of parameters and constants.

    Args:
        where: what uses it, e.g. "home3" or "the couplings".

    Raises:
        DataError: a parameter has no value yet, or holds NaN or infinity.
    """
    for parameter in item.parameters():
        if parameter.value is None:
            name = parameter.name()
            raise DataError(
                f"parameter {name} of {where} has no value; give one where it is declared, value=..., or set .value."
            )
    array = dense(item.value)
    if not (np.abs(array) < _INFINITE).all():
        names = " and ".join(parameter.name() for parameter in item.parameters())
        raise DataError(f"parameter {names} of {where} gives NaN or infinity (1e20 or more); give finite numbers.")
    return array


def dense(value: Any) -> Floats:
    """A number, array or sparse matrix as an array."""
    return np.asarray(value.toarray() if is_sparse(value) else value, dtype=np.float64)


def parameter_source(parameter: cp.Parameter, where: str) -> ParameterSource:
    """A parameter that all agents share, read from itself.

    Raises:
        ModelError: a parameter of which cvxpy keeps a part only.
    """
    for name in ("symmetric", "PSD", "NSD", "diag", "sparsity"):
        if parameter.attributes[name]:
            raise ModelError(
                f"parameter {parameter.name()} of {where}: the attribute {name!r} is not supported; use a parameter "
                "without it, or agent.parameter(...)."
            )

    def read() -> Floats:
        return read_value(parameter, where).ravel(order="F")[None, :]

    return ParameterSource(parameter.id, read)


def fixed_source(shape: tuple[int, ...], rows: Floats) -> tuple[cp.Parameter, ParameterSource]:
    """A parameter of the representative with fixed values (N, size), its sign declared for DCP."""
    sign = {"nonneg": True} if (rows >= 0).all() else {"nonpos": True} if (rows <= 0).all() else {}
    parameter = cp.Parameter(shape, None, **sign)

    def read() -> Floats:
        return rows

    return parameter, ParameterSource(parameter.id, read)


def by_rows(array: Floats, axis: int = 0) -> Floats:
    """An array as (N, size of a row), each row column by column; ``axis`` is the one of length N."""
    moved = np.moveaxis(array, axis, 0)
    return moved.transpose(0, *range(moved.ndim - 1, 0, -1)).reshape(moved.shape[0], -1)
