"""The KKT matrices of a stack of convex blocks, with the rows of most cones eliminated onto columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack
from gridmodel_solvers.interior.cones import ConeSet
from gridmodel_solvers.interior.factor import AbstractFactor, BatchedLDL, Pattern, SparseLU
from gridmodel_solvers.interior.scaling import Scaling

__all__ = ["Factored", "Kkt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_FEW = 4
_WIDE = 2


@dataclass(frozen=True)
class _Group:
    """Cones of one kind and size, of which ``out`` are eliminated.

    rows: (count, d), rows of the eliminated cones. columns: (count, w), columns that they touch, one of them again
    where there are fewer. slopes: their part of G, (N or 1, count, d, w), zero there. add: (columns, count w), adds up.
    """

    out: NDArray[np.bool_]
    rows: Ints
    columns: Ints
    slopes: Floats
    add: sp.csr_array

    def pulled(self, slopes: Floats, side: Floats) -> Floats:
        """B'side, shape (N, n, c), of slopes B and a side of shape (N, count, d, c)."""
        push = np.swapaxes(slopes, -1, -2) @ side
        N, count, width, c = push.shape
        flat = push.reshape(N, count * width, c).transpose(1, 0, 2).reshape(count * width, N * c)
        return np.asarray((self.add @ flat).reshape(-1, N, c).transpose(1, 0, 2))

    @classmethod
    def of(cls, stack: Stack, rows: Ints) -> _Group:
        G = stack.G
        place = np.full(G.shape[0], -1, dtype=np.intp)
        place[rows.ravel()] = np.repeat(np.arange(len(rows)), rows.shape[1])
        entries = np.flatnonzero(place[G.row] >= 0)
        cone = place[G.row[entries]]
        touched = [np.unique(G.col[entries[cone == k]]) for k in range(len(rows))]
        out = np.array([0 < len(t) <= _WIDE * rows.shape[1] for t in touched], dtype=bool)
        chosen = np.flatnonzero(out)
        width = max((len(touched[k]) for k in chosen), default=0)
        columns = np.zeros((len(chosen), width), dtype=np.intp)
        slopes = np.zeros((len(G.data), len(chosen), rows.shape[1], width))
        for at, k in enumerate(chosen):
            columns[at] = touched[k][0] if len(touched[k]) else 0
            columns[at, : len(touched[k])] = touched[k]
            own = entries[cone == k]
            slopes[:, at, G.row[own] - rows[k, 0], np.searchsorted(touched[k], G.col[own])] = G.data[:, own]
        places = (columns.ravel(), np.arange(columns.size))
        add = sp.csr_array((np.ones(columns.size), places), shape=(stack.columns, columns.size))
        return cls(out, rows[chosen], columns, slopes, add)


class Kkt:
    """K of each block of a stack, W the Nesterov-Todd scaling of its cones and V what bounds add to the curvature:

            [P + V + delta   A'   -G' ]
        K = [A               0     0  ]
            [-G              0   -W^2 ]

    Rows of a cone that touch few columns are eliminated: with B = W^-1 G they add B'B to the curvature. Only B is ever
    squared, and only in the factor: refinement multiplies by B' and by B, or digits are lost near the optimum. The
    factor has -eps in place of the zero of the equations, so that dependent equations do no harm.
    """

    def __init__(self, stack: Stack, pinned: NDArray[np.bool_], delta: float, eps: float) -> None:
        self.stack = stack
        n, m = self.n, self.m = stack.columns, stack.b.shape[1]
        self.size = n + m + stack.h.shape[1]
        self.cones = ConeSet.of(stack.cones)
        self._rows = [rows for _, rows in (*self.cones.soc, *self.cones.psd)]
        self.groups = tuple(_Group.of(stack, rows) for rows in self._rows)
        gone = np.zeros(self.size, dtype=bool)
        for group in self.groups:
            gone[n + m + group.rows.ravel()] = True
        self.kept = np.flatnonzero(~gone)
        place = np.cumsum(~gone) - 1
        self.left = tuple(place[n + m + rows[~group.out]] for rows, group in zip(self._rows, self.groups, strict=True))
        """Places of the rows of those cones of each group that are not eliminated."""
        self.constant = self._constant(place, ~gone[n + m + stack.G.row])
        self.diagonal = np.zeros((stack.size, len(self.kept)))
        self.diagonal[:, :n] = delta + pinned
        self.eps = eps

    def _constant(self, place: Ints, kept: NDArray[np.bool_]) -> Batch:
        """What the same in all rounds is of what is left of K, both triangles."""
        stack, n, m = self.stack, self.n, self.m
        A, G_row, G_col = stack.A, place[n + m + stack.G.row[kept]], stack.G.col[kept]
        rows = np.concatenate([stack.P.row, n + A.row, A.col, G_row, G_col])
        cols = np.concatenate([stack.P.col, A.col, n + A.row, G_col, G_row])
        parts = [stack.P.data, A.data, A.data, -stack.G.data[:, kept], -stack.G.data[:, kept]]
        many = max(len(part) for part in parts)
        data = np.concatenate([np.broadcast_to(part, (many, part.shape[1])) for part in parts], axis=1)
        return Batch.build((len(self.kept),) * 2, rows, cols, data, stack.size)

    @cached_property
    def low(self) -> NDArray[np.bool_]:
        """Entries of the constant part in the lower triangle."""
        return np.asarray(self.constant.row >= self.constant.col)

    @cached_property
    def pattern(self) -> Pattern:
        """Entries of what is left of K in the order in which a factor's data lays them out."""
        count = len(self.kept)
        rows, cols = [self.constant.row[self.low], np.arange(count)], [self.constant.col[self.low], np.arange(count)]
        for group, left in zip(self.groups, self.left, strict=True):
            for block in (group.columns, left):
                one, two = np.tril_indices(block.shape[1])
                rows.append(np.maximum(block[:, one], block[:, two]).ravel())
                cols.append(np.minimum(block[:, one], block[:, two]).ravel())
        signs = np.concatenate([np.ones(self.n), -np.ones(count - self.n)])
        return Pattern(count, np.concatenate(rows).astype(np.intp), np.concatenate(cols).astype(np.intp), signs)

    @cached_property
    def symbolic(self) -> object:
        """What the factors of all rounds share."""
        return BatchedLDL.symbolic(self.pattern) if self.stack.size > _FEW else SparseLU.symbolic(self.pattern)

    @cached_property
    def sparse(self) -> sp.csr_array:
        """The constant part of a block where all are equal, else of all blocks on one diagonal."""
        return self.constant.sparse() if self.constant.is_shared else self.constant.diagonal_blocks

    def factored(self, ratio: Floats, s: Floats, z: Floats) -> Factored:
        """The factor at slacks s and multipliers z of the cone rows; ratio: V, shape (N, n)."""
        return Factored(self, ratio, s, z)


class Factored:
    """K^-1 of all blocks, and the scaling it was made with."""

    def __init__(self, kkt: Kkt, ratio: Floats, s: Floats, z: Floats) -> None:
        self._kkt = kkt
        n, m, N = kkt.n, kkt.m, kkt.stack.size
        self.scaling = Scaling(kkt.cones, s, z)
        positive = kkt.stack.cones.nonneg
        self._diagonal = kkt.diagonal.copy()
        self._diagonal[:, :n] += ratio
        self._diagonal[:, n + m : n + m + positive] = -s[:, :positive] / z[:, :positive]
        bent = self._diagonal.copy()
        bent[:, n : n + m] = -kkt.eps
        parts = [kkt.constant.full[:, kkt.low], bent]
        self._slopes, self._squares = [], []
        for k, group in enumerate(kkt.groups):
            slopes = self.scaling.shrunk(k, group.out, group.slopes)
            square = self.scaling.squares(k, ~group.out)
            for block in (np.swapaxes(slopes, -1, -2) @ slopes, -square):
                one, two = np.tril_indices(block.shape[-1])
                parts.append(block[:, :, one, two].reshape(N, -1))
            self._slopes.append(slopes)
            self._squares.append(square)
        kind = BatchedLDL if N > _FEW else SparseLU
        self._factor: AbstractFactor = kind(kkt.pattern, np.concatenate(parts, axis=1), kkt.symbolic)  # type: ignore[arg-type]

    def solve(self, right: Floats) -> Floats:
        """K_i^-1 right_i, shapes (N, size, columns)."""
        kkt, cone = self._kkt, self._kkt.n + self._kkt.m
        reduced = right[:, kkt.kept]
        sides = [self.scaling.shrunk(k, group.out, right[:, cone + group.rows]) for k, group in enumerate(kkt.groups)]
        for group, slopes, side in zip(kkt.groups, self._slopes, sides, strict=True):
            reduced[:, : kkt.n] -= group.pulled(slopes, side)
        inner = self.inner(reduced)
        out = np.empty_like(right)
        out[:, kkt.kept] = inner
        for k, (group, slopes, side) in enumerate(zip(kkt.groups, self._slopes, sides, strict=True)):
            found = -side - slopes @ inner[:, group.columns]
            out[:, cone + group.rows] = self.scaling.shrunk(k, group.out, found, transposed=True)
        return out

    def inner(self, right: Floats) -> Floats:
        """Likewise where the right side is zero in eliminated rows, of what is left of the system."""
        found = self._factor.solve(right)
        return found + self._factor.solve(right - self._dot(found))

    def _dot(self, x: Floats) -> Floats:
        """What is left of K_i times x_i."""
        kkt = self._kkt
        N, rows, c = x.shape
        if kkt.constant.is_shared:
            found = (kkt.sparse @ x.transpose(1, 0, 2).reshape(rows, N * c)).reshape(rows, N, c).transpose(1, 0, 2)
        else:
            found = (kkt.sparse @ x.reshape(N * rows, c)).reshape(N, rows, c)
        out = np.asarray(found + self._diagonal[:, :, None] * x)
        for group, left, slopes, square in zip(kkt.groups, kkt.left, self._slopes, self._squares, strict=True):
            out[:, : kkt.n] += group.pulled(slopes, slopes @ x[:, group.columns])
            out[:, left] -= square @ x[:, left]
        return out
