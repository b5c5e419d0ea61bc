"""How strongly blocks react to prices, from their matrices alone: the step length of dual decomposition."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh, splu

from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack

__all__ = ["largest_eigenvalue", "response", "response_matrix", "response_norm", "step_norm"]

Floats = NDArray[np.float64]

# Curvature added to all columns, relative to the columns' own; a response that grows with its inverse jumps.
_RIDGE = (1e-6, 1e-9)
_JUMP = 100.0


def response(stack: Stack) -> Floats | None:
    """An upper bound of -dw/dmu, w = C x(mu): T = C M C' with M the inverse of P on the null space of A.

    Bounds and cones only make a block react less. Columns with equal bounds do not react.

    Args:
        stack: N blocks that touch k coupling rows each.

    Returns:
        T of shape (N or 1, k, k), in units of w per price; None where a block's w jumps with the price, because
        a direction without curvature moves it.

    Source: Nesterov (2005), theorem 1, for the smoothness of a conjugate; derived here for the norm |x|_P.
    """
    fixed = stack.lower == stack.upper
    alike = stack.P.is_shared and stack.A.is_shared and stack.C.is_shared and bool((fixed == fixed[:1]).all())
    part = stack.take(np.zeros(1, dtype=np.intp)) if alike else stack
    if part.columns == 0 or part.slots == 0:
        return np.zeros((part.size, part.slots, part.slots))
    scale = _scales(part)
    coarse, fine = (_regularised(part, scale, ridge) for ridge in _RIDGE)
    if (np.einsum("ikk->ik", fine) > _JUMP * np.einsum("ikk->ik", coarse)).any():
        return None
    # What the added curvature took away is linear in it.
    return np.asarray(fine + (fine - coarse) * (_RIDGE[1] / (_RIDGE[0] - _RIDGE[1])))


def response_norm(stack: Stack) -> float | None:
    """The largest eigenvalue of any block's response, None where it jumps.

    Args:
        stack: the blocks.
    """
    found = response(stack)
    if found is None:
        return None
    return float(np.linalg.eigvalsh(found).max(initial=0.0))


def response_matrix(problem: Separable) -> sp.csr_array | None:
    """sum_i C_i M_i C_i' on the coupling rows, shape (m, m); None where a block's response jumps.

    Args:
        problem: stacks and coupling rows.
    """
    m = problem.couplings.size
    total = sp.csr_array((m, m))
    for stack in problem.stacks:
        found = response(stack)
        if found is None:
            return None
        rows, where = _distinct(stack.rows)
        sums = np.zeros((len(rows), stack.slots, stack.slots))
        if len(found) == 1:
            sums += np.bincount(where)[:, None, None] * found
        else:
            np.add.at(sums, where, found)
        at = np.repeat(rows[:, :, None], stack.slots, axis=2)
        total = total + sp.csr_array((sums.ravel(), (at.ravel(), at.transpose(0, 2, 1).ravel())), shape=(m, m))
    return total


def step_norm(problem: Separable) -> float | None:
    """L = largest eigenvalue of sum_i C_i M_i C_i', the norm of the derivative of the coupling residual by prices.

    Args:
        problem: stacks and coupling rows.

    Returns:
        L in units of a row per price; 0 without rows; None without strong convexity along the couplings.
    """
    matrix = response_matrix(problem)
    return None if matrix is None else largest_eigenvalue(matrix)


def largest_eigenvalue(matrix: sp.csr_array) -> float:
    """The largest eigenvalue of a symmetric positive semidefinite sparse matrix.

    Args:
        matrix: shape (m, m).
    """
    if matrix.shape[0] == 0 or matrix.nnz == 0:
        return 0.0
    if matrix.shape[0] <= 400:
        return float(np.linalg.eigvalsh(matrix.toarray())[-1])
    start = np.ones(matrix.shape[0])
    return float(eigsh(matrix, k=1, which="LA", v0=start, return_eigenvectors=False)[0])


def _distinct(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The different lists of coupling rows in a stack, and which of them each block has."""
    if (rows == rows[:1]).all():
        return rows[:1], np.zeros(len(rows), dtype=np.intp)
    different, where = np.unique(rows, axis=0, return_inverse=True)
    return different, where.ravel()


def _regularised(stack: Stack, scale: Floats, ridge: float) -> Floats:
    """C (P + ridge)^-1 C' on A's null space in scaled columns x = scale * x~, one sparse factorisation."""
    N, n, m, k = stack.size, stack.columns, stack.A.shape[0], stack.slots
    S = sp.diags_array(scale.ravel())
    P = S @ stack.P.diagonal_blocks @ S
    A = stack.A.diagonal_blocks @ S
    norms = np.sqrt(np.asarray((A * A).sum(axis=1)).ravel()) if m else np.empty(0)
    A = sp.diags_array(1.0 / np.where(norms > 0, norms, 1.0)) @ A if m else A
    top = P + ridge * sp.eye_array(N * n)
    # Equations that follow from others would make the matrix singular.
    bottom = -1e-14 * sp.eye_array(N * m)
    kkt = sp.csc_matrix(sp.block_array([[top, A.T], [A, bottom]])) if m else sp.csc_matrix(top)
    factor = splu(kkt)
    C = sp.csr_array(stack.C.diagonal_blocks @ S)
    out = np.zeros((N, k, k))
    for slot in range(k):
        right = np.zeros(N * (n + m))
        right[: N * n] = np.asarray(C[slot::k].sum(axis=0)).ravel()
        out[:, :, slot] = np.asarray(C @ factor.solve(right)[: N * n]).reshape(N, k)
    return (out + out.transpose(0, 2, 1)) / 2


def _scales(stack: Stack) -> Floats:
    """Column scales that make P's diagonal one; columns without curvature follow from the rows that tie them.

    Shape (N, n); zero for columns with equal bounds, which takes them out.
    """
    P = np.broadcast_to(stack.P.diagonal(), stack.q.shape)
    known = np.divide(1.0, np.sqrt(P), out=np.zeros(P.shape), where=P > 0)
    for batch in (stack.A, stack.C, stack.A, stack.C, stack.A):
        if (known > 0).all():
            break
        known = _implied(batch.row, batch.col, np.abs(batch.full), known, batch.shape[0])
    positive = known[known > 0]
    known[known == 0] = np.median(positive) if len(positive) else 1.0
    return np.where(stack.lower == stack.upper, 0.0, known)


def _implied(row: NDArray[np.intp], col: NDArray[np.intp], size: Floats, known: Floats, rows: int) -> Floats:
    """The largest scale of a row's known columns, carried over to its unknown ones by the entries' sizes."""
    reach = np.zeros((rows, len(known)))
    np.maximum.at(reach, row, (known[:, col] * size).T)
    found = np.divide(reach[row].T, size, out=np.zeros(size.shape), where=size > 0)
    implied = np.zeros(known.T.shape)
    np.maximum.at(implied, col, found.T)
    return np.where(known > 0, known, implied.T)
