"""N sparse matrices of one pattern, the form in which a stack holds its data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["Batch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Batch:
    """N matrices of one shape and sparsity pattern; one row of data serves all where they are equal.

    shape: (rows, columns) of each matrix.
    row, col: positions of the nonzeros, shape (nnz,), sorted by row, then column, no duplicates.
    data: values, shape (N, nnz), or (1, nnz) where all N matrices are equal.
    size: N.
    """

    shape: tuple[int, int]
    row: Ints
    col: Ints
    data: Floats
    size: int

    @classmethod
    def empty(cls, rows: int, columns: int, size: int) -> Batch:
        """N matrices without nonzeros."""
        none = np.empty(0, dtype=np.intp)
        return cls((rows, columns), none, none, np.empty((1, 0)), size)

    @classmethod
    def build(cls, shape: tuple[int, int], row: Ints, col: Ints, data: Floats, size: int) -> Batch:
        """Sorts entries and adds up duplicates; equal matrices are kept once.

        Args:
            shape: (rows, columns).
            row, col: positions, shape (entries,).
            data: values, shape (N or 1, entries).
            size: N.
        """
        width = max(shape[1], 1)
        key = row.astype(np.int64) * width + col
        step = np.diff(key)
        if (step <= 0).any():
            order = np.argsort(key, kind="stable")
            key, data = key[order], data[:, order]
            fresh = np.concatenate([[True], np.diff(key) > 0])
            if not fresh.all():
                first = np.flatnonzero(fresh)
                key, data = key[first], np.add.reduceat(data, first, axis=1)
        if len(data) > 1 and (data[1] == data[0]).all() and (data == data[0]).all():
            data = data[:1]
        values = np.ascontiguousarray(data, dtype=np.float64)
        return cls(shape, (key // width).astype(np.intp), (key % width).astype(np.intp), values, size)

    @property
    def nnz(self) -> int:
        """Nonzeros of the pattern."""
        return len(self.row)

    @property
    def is_shared(self) -> bool:
        """Whether all N matrices are equal."""
        return len(self.data) == 1

    @cached_property
    def full(self) -> Floats:
        """Values of every matrix, shape (N, nnz), without a copy where they are shared."""
        return np.broadcast_to(self.data, (self.size, self.nnz))

    @cached_property
    def diagonal_only(self) -> bool:
        """Whether all nonzeros lie on the diagonal."""
        return bool((self.row == self.col).all())

    def diagonal(self) -> Floats:
        """The diagonals, shape (N or 1, min(shape))."""
        out = np.zeros((len(self.data), min(self.shape)))
        on = self.row == self.col
        out[:, self.row[on]] = self.data[:, on]
        return out

    def dense(self, block: int = 0) -> Floats:
        """Matrix ``block`` as a dense array."""
        out = np.zeros(self.shape)
        out[self.row, self.col] = self.data[0 if self.is_shared else block]
        return out

    def sparse(self, block: int = 0) -> sp.csr_array:
        """Matrix ``block`` as a sparse matrix."""
        values = self.data[0 if self.is_shared else block]
        return sp.csr_array((values, (self.row, self.col)), shape=self.shape)

    @cached_property
    def diagonal_blocks(self) -> sp.csr_array:
        """All N matrices on the diagonal of one sparse matrix, shape (N rows, N columns)."""
        at = np.arange(self.size)[:, None]
        rows = (at * self.shape[0] + self.row).ravel()
        cols = (at * self.shape[1] + self.col).ravel()
        full = (self.size * self.shape[0], self.size * self.shape[1])
        return sp.csr_array((np.ascontiguousarray(self.full).ravel(), (rows, cols)), shape=full)

    def dot(self, x: Floats) -> Floats:
        """M_i x_i for all i: x of shape (N, columns), result of shape (N, rows)."""
        if self.is_shared:
            return np.asarray((self._shared @ x.T).T)
        return np.asarray(self.diagonal_blocks @ x.ravel()).reshape(self.size, self.shape[0])

    def tdot(self, y: Floats) -> Floats:
        """M_i' y_i for all i: y of shape (N, rows), result of shape (N, columns)."""
        if self.is_shared:
            return np.asarray((self._shared.T @ y.T).T)
        return np.asarray(self.diagonal_blocks.T @ y.ravel()).reshape(self.size, self.shape[1])

    def take(self, blocks: Ints) -> Batch:
        """The matrices of the chosen blocks."""
        data = self.data if self.is_shared else self.data[blocks]
        return replace(self, data=data, size=len(blocks))

    @cached_property
    def _shared(self) -> sp.csr_array:
        return self.sparse(0)
