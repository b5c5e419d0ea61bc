"""Quadratic blocks as quadratics of their agreed columns alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack

__all__ = ["Reduced", "reduce"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LARGEST = 20_000_000
"""Numbers in the dense systems of all blocks, beyond which they are not reduced."""
_SINGULAR = 1e-11


@dataclass(frozen=True)
class Reduced:
    """f_i(v) = 1/2 v'H_i v + g_i'v + const, the least cost of block i over its other columns w, without limits.

    hessian: H, shape (N, d) where diagonal, else (N, d, d). linear: g, shape (N, d).
    slope, level: (w, nu) = slope v + level, the other columns in ascending order and the multipliers of the
        equations, shapes (N, n - d + m, d) and (N, n - d + m); empty where the block has nothing but v.
    """

    hessian: Floats
    linear: Floats
    slope: Floats
    level: Floats


def reduce(stack: Stack, columns: Ints) -> Reduced | None:
    """The blocks as quadratics of the columns v; None where they are none: bounds, cones, or equations that tie v.

        [P_ww A_w'] [w ]     [P_wv]     [q_w]
        [A_w  0   ] [nu] = - [A_v ] v - [-b ]

    Args:
        stack: the blocks.
        columns: which columns are v, shape (N, d).
    """
    if stack.cones or np.isfinite(stack.lower).any() or np.isfinite(stack.upper).any():
        return None
    d, n, m = columns.shape[1], stack.columns, stack.A.shape[0]
    rest = n - d + m
    linear = np.take_along_axis(stack.q, columns, axis=1)
    if not rest:
        return Reduced(_own(stack.P, stack, columns), linear, np.empty((stack.size, 0, d)), np.empty((stack.size, 0)))
    if m > n - d or stack.size * (n + m) ** 2 > _LARGEST:
        return None
    order = np.argsort(np.argsort(_others_first(stack, columns), axis=1), axis=1)
    P = _dense(stack.P, order, order, (n, n), stack.size)
    A = _dense(stack.A, None, order, (m, n), stack.size)
    whole = np.concatenate(
        [np.concatenate([P, A.transpose(0, 2, 1)], axis=2), np.concatenate([A, np.zeros((stack.size, m, m))], axis=2)],
        axis=1,
    )
    inner = np.r_[np.arange(n - d), np.arange(n, n + m)]
    shared = np.arange(n - d, n)
    K = whole[:, inner[:, None], inner]
    across = whole[:, inner[:, None], shared]
    size = _balance(K)
    K = size[:, :, None] * K * size[:, None, :]
    if not _solvable(K):
        return None
    q = np.empty_like(stack.q)
    np.put_along_axis(q, order, stack.q, axis=1)
    right = np.concatenate([q[:, : n - d], -stack.b], axis=1)
    wide = np.concatenate([across, right[:, :, None]], axis=2)
    solved = size[:, :, None] * np.linalg.solve(K, -size[:, :, None] * wide)
    slope, level = solved[:, :, :d], solved[:, :, d]
    hessian = whole[:, shared[:, None], shared] + across.transpose(0, 2, 1) @ slope
    linear = linear + np.einsum("nji,nj->ni", across, level)
    return Reduced(_diagonal(0.5 * (hessian + hessian.transpose(0, 2, 1))), linear, slope, level)


def _own(P: Batch, stack: Stack, columns: Ints) -> Floats:
    if P.diagonal_only:
        return np.take_along_axis(np.array(np.broadcast_to(P.diagonal(), stack.q.shape)), columns, axis=1)
    place = np.argsort(columns, axis=1)
    return _dense(P, place, place, P.shape, stack.size)


def _others_first(stack: Stack, columns: Ints) -> Ints:
    """A key by which the other columns come first in ascending order, then the shared ones in the order given."""
    key = np.broadcast_to(np.arange(stack.columns), (stack.size, stack.columns)).copy()
    later = stack.columns + np.arange(columns.shape[1])
    np.put_along_axis(key, columns, np.broadcast_to(later, columns.shape), axis=1)
    return key


def _dense(batch: Batch, rows: Ints | None, cols: Ints, shape: tuple[int, int], size: int) -> Floats:
    """The matrices with row r of block i moved to rows[i, r] and column c to cols[i, c]."""
    out = np.zeros((size, *shape))
    at = np.arange(size)[:, None]
    row = np.broadcast_to(batch.row, (size, batch.nnz)) if rows is None else rows[:, batch.row]
    out[at, row, cols[:, batch.col]] = batch.full
    return out


def _balance(K: Floats) -> Floats:
    """Factors of rows and columns that bring every row's largest entry near one, shape (N, n - d + m).

    They are powers of two, with which nothing is rounded.
    """
    size = np.ones(K.shape[:2])
    for _ in range(8):
        largest = np.abs(size[:, :, None] * K * size[:, None, :]).max(axis=2, initial=0)
        size /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return np.asarray(np.exp2(np.round(np.log2(size))))


def _solvable(K: Floats) -> bool:
    if not K.shape[1]:
        return True
    with np.errstate(all="ignore"):
        norm = np.abs(K).sum(axis=2).max(axis=1)
        try:
            back = np.abs(np.linalg.inv(K)).sum(axis=2).max(axis=1)
        except np.linalg.LinAlgError:
            return False
    return bool((norm * back * _SINGULAR < 1).all())


def _diagonal(hessian: Floats) -> Floats:
    """The diagonals alone where nothing else is there."""
    own = np.einsum("nii->ni", hessian)
    rest = hessian - own[:, :, None] * np.eye(hessian.shape[1])
    return own.copy() if not np.abs(rest).max(initial=0) else hessian
