"""The matrix of affine cvxpy expressions over variables in a given order."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.cvxcore.python import canonInterface
from cvxpy.lin_ops.lin_op import CONSTANT_ID
from cvxpy.reductions.eval_params import replace_params_with_consts
from numpy.typing import NDArray

__all__ = ["matrix_of", "offsets", "without_parameters"]

Floats = NDArray[np.float64]


def offsets(variables: Sequence[cp.Variable]) -> tuple[dict[int, int], int]:
    """First column of every variable by its id, in this order, and the columns in all."""
    at, found = 0, {}
    for variable in variables:
        found[variable.id] = at
        at += variable.size
    return found, at


def without_parameters(expression: Any) -> Any:
    """The expression at the present values of its parameters."""
    return replace_params_with_consts(expression) if expression.parameters() else expression


def matrix_of(
    expressions: Sequence[cp.Expression], places: Mapping[int, int], width: int
) -> tuple[sp.csr_array, Floats]:
    """A and b of A x + b, all expressions below each other, entries column by column.

    Args:
        places: first column of every variable by its id. width: of x.
    """
    rows = sum(expression.size for expression in expressions)
    if rows == 0:
        return sp.csr_array((0, width)), np.empty(0)
    with warnings.catch_warnings():
        # cvxpy says which of its backends it takes for atoms that the default one lacks.
        warnings.filterwarnings("ignore", message=".*CPP backend.*")
        tensor = canonInterface.get_problem_matrix(
            [expression.canonical_form[0] for expression in expressions],
            width, dict(places), {CONSTANT_ID: 1}, {CONSTANT_ID: 0}, rows, None,
        )  # fmt: skip
    matrix, constant = canonInterface.get_matrix_from_tensor(tensor, None, width)
    return sp.csr_array(matrix), np.asarray(constant, dtype=np.float64).ravel()
