"""Factors of the stacks' KKT matrices: sparse LU for a few blocks, one LDL' side by side for many."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

__all__ = ["AbstractFactor", "BatchedLDL", "Pattern", "SparseLU"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_LEAST_PIVOT = 1e-11
_ENTRIES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Pattern:
    """Where entries of a symmetric matrix lie: its lower triangle, and which are the same entry.

    size: order. row, col: of the entries handed to ``factor``, row >= col; equal places are added up.
    signs: the sign that the pivot of each row must have, shape (size,).
    """

    size: int
    row: Ints
    col: Ints
    signs: Floats

    @cached_property
    def order(self) -> Ints:
        """The place of each row in an elimination order of little fill."""
        eye = sp.eye_array(self.size, format="csc")
        one = sp.csc_array((np.full(len(self.row), 0.1 / self.size), (self.row, self.col)), shape=(self.size,) * 2)
        lu = splu(sp.csc_matrix(one + one.T + 2.0 * eye), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                  options={"SymmetricMode": True})  # fmt: skip
        return np.asarray(lu.perm_c, dtype=np.intp)


class AbstractFactor(abc.ABC):
    """Solves with N symmetric matrices of one pattern."""

    @abc.abstractmethod
    def solve(self, right: Floats) -> Floats:
        """K_i^-1 right_i, shapes (N, size, columns)."""


class _Order:
    """The full matrix of one block, its rows and columns in the order of elimination."""

    def __init__(self, pattern: Pattern) -> None:
        self.place = pattern.order
        row, col = self.place[pattern.row], self.place[pattern.col]
        off = np.flatnonzero(row != col)
        self.source = np.concatenate([np.arange(len(row)), off])
        keys = np.concatenate([col, row[off]]) * pattern.size + np.concatenate([row, col[off]])
        unique, self.target = np.unique(keys, return_inverse=True)
        self.count = len(unique)
        self.indices = (unique % pattern.size).astype(np.intc)
        starts = np.searchsorted(unique, np.arange(pattern.size + 1) * pattern.size)
        self.starts = starts.astype(np.intc)
        self.shape = (pattern.size, pattern.size)

    def build(self, data: Floats) -> sp.csc_matrix[Any]:
        """The matrix of one block from the entries of its pattern."""
        values = np.bincount(self.target, weights=data[self.source], minlength=self.count)
        return sp.csc_matrix((values, self.indices, self.starts), shape=self.shape)


@final
class SparseLU(AbstractFactor):
    """One sparse LU a block."""

    def __init__(self, pattern: Pattern, data: Floats, order: _Order | None = None) -> None:
        self._order = order or _Order(pattern)
        self._factors = [
            splu(self._order.build(one), permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
            for one in data
        ]

    @staticmethod
    def symbolic(pattern: Pattern) -> _Order:
        """What factors of one pattern share."""
        return _Order(pattern)

    def solve(self, right: Floats) -> Floats:
        """K_i^-1 right_i."""
        out, place = np.empty_like(right), self._order.place
        inner = np.empty(right.shape[1:])
        for i, lu in enumerate(self._factors):
            inner[place] = right[i]
            out[i] = lu.solve(inner)[place]
        return out


class _Symbolic:
    """Where the entries of L lie, for one pattern."""

    def __init__(self, pattern: Pattern) -> None:
        size = pattern.size
        new = self.place = pattern.order
        row, col = np.maximum(new[pattern.row], new[pattern.col]), np.minimum(new[pattern.row], new[pattern.col])
        below: list[set[int]] = [set() for _ in range(size)]
        for i, j in zip(row.tolist(), col.tolist(), strict=True):
            if i != j:
                below[j].add(i)
        for j in range(size):
            if below[j]:
                parent = min(below[j])
                below[parent] |= below[j] - {parent}
        self.rows = [np.array(sorted(part), dtype=np.intp) for part in below]
        start = np.concatenate([[0], np.cumsum([len(part) for part in self.rows])]) + size
        self.starts = start.astype(np.intp)
        where = {(int(i), j): int(start[j]) + k for j in range(size) for k, i in enumerate(self.rows[j])}
        self.count = int(start[-1])
        self.entry = np.array(
            [i if i == j else where[(i, j)] for i, j in zip(row.tolist(), col.tolist(), strict=True)], dtype=np.intp
        )
        self.updates: list[tuple[Ints, Ints, Ints]] = []
        for part in self.rows:
            one, two = np.tril_indices(len(part))
            target = [
                int(part[a]) if a == b else where[(int(part[a]), int(part[b]))]
                for a, b in zip(one.tolist(), two.tolist(), strict=True)
            ]
            self.updates.append((one.astype(np.intp), two.astype(np.intp), np.array(target, dtype=np.intp)))
        self.signs = np.empty(size)
        self.signs[new] = pattern.signs


@final
class BatchedLDL(AbstractFactor):
    """K = L D L' of all blocks at once, blocks last in memory; pivots too small or of the wrong sign are raised."""

    def __init__(self, pattern: Pattern, data: Floats, symbolic: _Symbolic | None = None) -> None:
        sym = self._symbolic = symbolic or _Symbolic(pattern)
        values = np.zeros((sym.count, len(data)))
        np.add.at(values, sym.entry, data.T)
        for j, (start, rows) in enumerate(zip(sym.starts, sym.rows, strict=False)):
            pivot = values[j] * sym.signs[j]
            values[j] = np.where(pivot > _LEAST_PIVOT, values[j], sym.signs[j] * _LEAST_PIVOT)
            if not len(rows):
                continue
            column = values[start : start + len(rows)]
            scaled = column / values[j]
            one, two, target = sym.updates[j]
            values[target] -= scaled[one] * column[two]
            values[start : start + len(rows)] = scaled
        self._values = values

    @staticmethod
    def symbolic(pattern: Pattern) -> _Symbolic:
        """What factors of one pattern share."""
        return _Symbolic(pattern)

    def solve(self, right: Floats) -> Floats:
        """K_i^-1 right_i."""
        width = max(1, _ENTRIES_AT_ONCE // max(right.shape[0] * right.shape[1], 1))
        out = np.empty_like(right)
        for first in range(0, right.shape[2], width):
            part = np.ascontiguousarray(right[:, :, first : first + width].transpose(1, 2, 0))
            out[:, :, first : first + width] = self._once(part).transpose(2, 0, 1)
        return out

    def _once(self, right: Floats) -> Floats:
        sym, values = self._symbolic, self._values
        b = np.empty_like(right)
        b[sym.place] = right
        for j, (start, rows) in enumerate(zip(sym.starts, sym.rows, strict=False)):
            if len(rows):
                b[rows] -= values[start : start + len(rows), None, :] * b[j]
        b /= values[: len(b), None, :]
        for j in range(len(sym.rows) - 1, -1, -1):
            rows = sym.rows[j]
            if len(rows):
                start = sym.starts[j]
                b[j] -= np.einsum("rn,rcn->cn", values[start : start + len(rows)], b[rows])
        return np.asarray(b[sym.place])
