"""Blocks that pay for the length of their columns: a group soft-threshold in the metric of their own curvature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.oracles.osqp_blocks import OsqpBlocks

__all__ = ["Group"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_SWEEPS = 60
_WIDEST = 400
_FLAT = 1e-12
_FAR = 0.05
"""Bounds within which a block's own optimum must lie, as a part of its bounds."""


@dataclass(frozen=True)
class _Length:
    """|x| in epigraph form: the rows (height t, entry x) lie in one second-order cone.

    column: of t. own: the columns x, in the order of the cone's rows 1, 2, ..., which are ``rows``; height: shape
    (N or 1,), entry: shape (N or 1, k), equal in size along k.
    """

    column: int
    own: Ints
    rows: Ints
    height: Floats
    entry: Floats

    @property
    def slope(self) -> Floats:
        """|x| = slope t, shape (N or 1,)."""
        return np.asarray(self.height / np.abs(self.entry[:, 0]))


@final
class Group(Oracle):
    """The optimum of free blocks with at most one length, by linear algebra over the whole stack.

    min 1/2 x'P x + q'x + lam |x|_2  =>  x = 0 if |q| <= lam, else x = -r (r P + lam I)^-1 q with the r = |x| > 0 at
    which |(r D + lam)^-1 V'q| = 1,  P = V D V'.  For P = I this is x = -max(0, 1 - lam / |q|) q.

    Equations A x = b are eliminated first: with a length, b = 0 and all columns but x and the epigraph's follow from
    x; without one (lam = 0), columns are x0 + E u with E spanning the null space. One over the left side is concave
    and rises in r, so Newton's method from below never passes the root. Blocks whose bounds then are broken go to
    Clarabel, or without a length to OSQP.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._length = _length(stack)
        self._E, self._x0 = _solutions(stack, self._length)
        self._D, self._V = np.linalg.eigh(_reduced(stack, self._E))
        self._offset = np.einsum("nji,nj->ni", self._E, stack.P.dot(np.broadcast_to(self._x0, stack.q.shape)))
        self._inverse = _parted(stack.A).inverse if stack.A.shape[0] else None
        self._rescue: dict[int, Oracle] = {}

    @staticmethod
    def fits(stack: Stack) -> bool:
        """Whether columns are curved in all directions, with no cone but that of their length, and bounds far off."""
        length = _length(stack)
        if stack.columns > _WIDEST or (stack.cones and length is None) or not (stack.lower < stack.upper).all():
            return False
        if length is not None and not _follow(stack, length):
            return False
        if length is None and _parted(stack.A).rank < stack.A.shape[0]:
            return False
        curves = np.linalg.eigvalsh(_reduced(stack, _solutions(stack, length)[0]))
        curved = bool(curves.size and (curves[:, 0] > _FLAT * np.abs(curves[:, -1])).all())
        return curved and (length is not None or _is_far(stack))

    @property
    def stack(self) -> Stack:
        """The stack whose blocks are solved."""
        return self._stack

    def solve(self, q: Floats) -> OracleAnswer:
        """The optimum of every block for linear costs q of shape (N, n).

        Raises:
            LocalProblem: a length is rewarded.
        """
        stack, length = self._stack, self._length
        lam = np.zeros(stack.size) if length is None else q[:, length.column] / length.slope
        if (lam < 0).any():
            raise LocalProblem("unbounded", stack.labels[int(np.argmax(lam < 0))])
        c = np.einsum("nji,nj->ni", self._V, np.einsum("nji,nj->ni", self._E, q) + self._offset)
        u = np.einsum("nij,nj->ni", self._V, _shrunk(self._D, c, lam))
        x = self._x0 + np.einsum("nij,nj->ni", self._E, u)
        zeta = np.zeros(stack.h.shape)
        gradient = stack.P.dot(x) + q
        if length is not None:
            x[:, length.column] = np.linalg.norm(x[:, length.own], axis=1) / length.slope
            zeta[:, 0] = q[:, length.column] / length.height
            zeta[:, length.rows] = np.einsum("nji,nj->ni", self._E, gradient) / length.entry
            gradient = gradient - stack.G.tdot(zeta)
        nu = np.zeros(stack.b.shape)
        if self._inverse is not None:
            nu = -np.einsum("nij,ni->nj", self._inverse, gradient)
        for i in np.flatnonzero(((x < stack.lower) | (x > stack.upper)).any(axis=1)).tolist():
            if i not in self._rescue:
                own = stack.take(np.array([i]))
                self._rescue[i] = ClarabelBlocks(own) if stack.cones else OsqpBlocks(own)
            held = self._rescue[i].solve(q[[i]])
            x[i], nu[i], zeta[i] = held.x[0], held.nu[0], held.zeta[0]
        return OracleAnswer(x, nu, zeta)


def _is_far(stack: Stack) -> bool:
    """Whether bounds, if there are any, lie so far from the optimum at the blocks' own costs that they rarely bind."""
    if not np.isfinite(stack.lower).any() and not np.isfinite(stack.upper).any():
        return True
    if (stack.lower >= 0).any() or (stack.upper <= 0).any():
        return False
    x = (
        Group(replace(stack, lower=np.full_like(stack.q, -np.inf), upper=np.full_like(stack.q, np.inf)))
        .solve(stack.q)
        .x
    )
    return bool(((x > _FAR * stack.lower) & (x < _FAR * stack.upper)).all())


def _shrunk(D: Floats, c: Floats, lam: Floats) -> Floats:
    """argmin 1/2 u' diag(D) u + c'u + lam |u| for each row, D positive, lam >= 0 of shape (N,)."""
    D = np.broadcast_to(D, c.shape)
    size = np.linalg.norm(c, axis=1)
    out = np.zeros(c.shape)
    live = np.flatnonzero(size > lam)
    D, c, lam = D[live], c[live], lam[live, None]
    r = (size[live, None] - lam) / D.max(axis=1, initial=0.0, keepdims=True)
    for _ in range(_SWEEPS):
        shift = r * D + lam
        s = c / shift
        length = np.linalg.norm(s, axis=1, keepdims=True)
        # the step of Newton's method on 1 / length = 1
        step = (length - 1.0) * length**2 / np.maximum((s**2 * D / shift).sum(axis=1, keepdims=True), 1e-300)
        r = r + step
        if (np.abs(step) <= 1e-15 * r).all():
            break
    out[live] = -r * c / (r * D + lam)
    return out


def _length(stack: Stack) -> _Length | None:
    """The one second-order cone of a stack, if it is a length: rows of one entry each, nothing added."""
    cones, G = stack.cones, stack.G
    if cones.nonneg or cones.psd or cones.exp or cones.pow3d or len(cones.soc) != 1 or stack.h.any():
        return None
    if G.nnz != cones.soc[0] or len(np.unique(G.row)) < G.nnz or len(np.unique(G.col)) < G.nnz:
        return None
    order = np.argsort(G.row)
    column, own = int(G.col[order[0]]), G.col[order[1:]]
    height, entry = G.data[:, order[0]], G.data[:, order[1:]]
    even = (
        own.size > 0 and (height > 0).all() and np.allclose(np.abs(entry), np.abs(entry[:, :1]), rtol=1e-12, atol=0.0)
    )
    alone = column not in stack.A.col and column not in stack.P.col
    if not even or not (entry != 0).all() or not alone:
        return None
    return _Length(column, own, G.row[order[1:]], height, entry)


def _follow(stack: Stack, length: _Length) -> bool:
    """Whether the equations give all columns outside the cone from those inside."""
    rest = _rest(stack, length)
    if stack.b.any() or len(rest) != stack.A.shape[0]:
        return False
    return not len(rest) or bool((np.linalg.matrix_rank(_dense(stack.A)[:, :, rest]) == len(rest)).all())


def _rest(stack: Stack, length: _Length) -> Ints:
    return np.setdiff1d(np.arange(stack.columns), [length.column, *length.own])


def _solutions(stack: Stack, length: _Length | None) -> tuple[Floats, Floats]:
    """E and x0, shapes (N or 1, n, k) and (N or 1, n): the columns that the equations permit are x0 + E u."""
    A = _dense(stack.A)
    if length is not None:
        rest = _rest(stack, length)
        E = np.zeros((len(A), stack.columns, len(length.own)))
        E[:, length.own, np.arange(len(length.own))] = 1.0
        if len(rest):
            E[:, rest] = -np.linalg.solve(A[:, :, rest], A[:, :, length.own])
        return E, np.zeros((1, stack.columns))
    if not A.shape[1]:
        return np.eye(stack.columns)[None], np.zeros((1, stack.columns))
    parted = _parted(stack.A)
    return parted.null, np.einsum("nij,nj->ni", np.broadcast_to(parted.inverse, (stack.size, *A.shape[:0:-1])), stack.b)


@dataclass(frozen=True)
class _Parted:
    """Equations by their singular values: the least rank, null spaces (N or 1, n, n - m), pseudo-inverses (., n, m)."""

    rank: int
    null: Floats
    inverse: Floats


def _parted(A: Batch) -> _Parted:
    # Proximal stacks are made anew for every penalty, and their equations stay: they are known by their numbers.
    return _parted_once(A.shape, len(A.data), *(part.tobytes() for part in (A.row, A.col, A.data)))


@lru_cache(maxsize=8)
def _parted_once(shape: tuple[int, int], count: int, row: bytes, col: bytes, data: bytes) -> _Parted:
    A = np.zeros((count, *shape))
    entries = np.frombuffer(data, dtype=np.float64).reshape(count, -1)
    A[:, np.frombuffer(row, dtype=np.intp), np.frombuffer(col, dtype=np.intp)] = entries
    m = shape[0]
    U, values, V = np.linalg.svd(A)
    most = values.max(axis=1, keepdims=True, initial=0.0)
    inside = values > most * max(shape) * np.finfo(float).eps
    inverted = np.divide(1.0, values, out=np.zeros_like(values), where=inside)
    k = values.shape[1]
    inverse = np.swapaxes(V[:, :k], 1, 2) * inverted[:, None, :] @ np.swapaxes(U[:, :, :k], 1, 2)
    found = _Parted(int(inside.sum(axis=1).min(initial=m)), np.swapaxes(V[:, m:], 1, 2), inverse)
    for part in (found.null, found.inverse):
        part.flags.writeable = False
    return found


def _reduced(stack: Stack, E: Floats) -> Floats:
    """E'P E, shape (N or 1, k, k)."""
    return np.asarray(np.swapaxes(E, 1, 2) @ _dense(stack.P) @ E)


def _dense(batch: Batch) -> Floats:
    """The matrices of a batch, shape (N or 1, rows, columns)."""
    out = np.zeros((len(batch.data), *batch.shape))
    out[:, batch.row, batch.col] = batch.data
    return out
