"""Stacks of semidefinite blocks as triangles, which cvxpy's compiled backend takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.constraints.psd import PSD, SvecPSD
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["TriangleChain", "as_triangles"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class TriangleChain:
    """A chain of cvxpy's for a problem of ``as_triangles``, whose answers are of the problem it was made from.

    shapes: {constraint id: shape (blocks, n, n)} of the constraints that became triangles.
    """

    chain: Any
    shapes: Mapping[int, tuple[int, int, int]]

    @property
    def solver(self) -> Any:
        """The solver of the chain, as cvxpy asks for it."""
        return self.chain.solver

    def invert(self, answer: Any, inverse: Any) -> Any:
        """cvxpy's solution with duals of shape (blocks, n, n)."""
        solution = self.chain.invert(answer, inverse)
        for key, (blocks, order, _) in self.shapes.items():
            if key in solution.dual_vars:
                i, j, factor = _triangle(order)
                dual = np.zeros((blocks, order, order))
                dual[:, i, j] = dual[:, j, i] = np.reshape(solution.dual_vars[key], (blocks, -1)) / factor
                solution.dual_vars[key] = dual
        return solution


def as_triangles(problem: cp.Problem) -> tuple[cp.Problem, dict[int, tuple[int, int, int]]]:
    """The problem with stacks of blocks  reshape(x, (blocks, n, n)) >> 0  as their upper triangles, and their shapes.

    Expressions of three dimensions take cvxpy's backend in Python, for the whole program. The triangles run column by
    column, entries off the diagonal times sqrt(2), as Clarabel reads them; constraints keep their ids.

    Returns: the problem, and {constraint id: shape (blocks, n, n)} of what was changed.
    """
    shapes: dict[int, tuple[int, int, int]] = {}
    constraints: list[cp.Constraint] = []
    for constraint in problem.constraints:
        flat = _flat(constraint) if isinstance(constraint, PSD) else None
        if flat is None:
            constraints.append(constraint)
            continue
        blocks, order, _ = shapes[constraint.id] = constraint.args[0].shape
        constraints.append(SvecPSD(_entries(blocks, order) @ flat, order, constraint.id))
    return (cp.Problem(problem.objective, constraints) if shapes else problem), shapes


def _flat(constraint: PSD) -> cp.Expression | None:
    """The vector that is reshaped to a stack of blocks, column by column; None where the constraint is not such."""
    stack = constraint.args[0]
    if len(stack.shape) != 3 or not isinstance(stack, cp.reshape) or stack.order != "F":
        return None
    return stack.args[0] if stack.args[0].ndim == 1 else None


def _triangle(order: int) -> tuple[Indices, Indices, Floats]:
    """Row, column and factor of the upper triangle's entries, column by column."""
    column, row = np.tril_indices(order)
    return row, column, np.where(row == column, 1.0, np.sqrt(2.0))


def _entries(blocks: int, order: int) -> csr_array:
    """Takes the triangles out of a stack, shape (blocks * triangle, blocks * order^2)."""
    row, column, factor = _triangle(order)
    block = np.arange(blocks)[:, None]
    at = block + blocks * (row + order * column)
    shape = (blocks * row.size, blocks * order**2)
    return csr_array((np.tile(factor, blocks), (np.arange(at.size), at.ravel())), shape=shape)
