"""Sparse products of fixed pattern: the places are found once, the numbers as often as data change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["Pairs", "Pattern", "Scatter", "Times", "pairs", "times", "union"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Pattern:
    """Where a sparse matrix may have entries, row by row, as in CSR."""

    indptr: Ints
    indices: Ints
    columns: int

    @property
    def rows(self) -> Ints:
        """The row of every entry."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.indices)

    def matrix(self, data: Floats) -> sp.csr_array:
        """The matrix with these numbers."""
        return sp.csr_array((data, self.indices, self.indptr), shape=(len(self.indptr) - 1, self.columns))


@dataclass(frozen=True)
class Times:
    """M E for a constant M and a matrix E of fixed pattern whose numbers change."""

    pattern: Pattern
    source: Ints
    weight: Floats
    target: Ints

    def __call__(self, data: Floats) -> Floats:
        """The numbers of M E from those of E."""
        return np.asarray(
            np.bincount(self.target, self.weight * data[self.source], self.pattern.size), dtype=np.float64
        )


def times(constant: sp.csr_array, matrix: Pattern) -> Times:
    """Where M E has entries, and how they come about; M has as many columns as E has rows."""
    m = constant.tocoo()
    entry, source = _spread(matrix.indptr, np.asarray(m.col, dtype=np.intp))
    rows, weight = np.asarray(m.row, dtype=np.intp)[entry], m.data[entry]
    pattern, target = _gathered(rows, matrix.indices[source], (constant.shape[0], matrix.columns))
    return Times(pattern, source, weight, target)


@dataclass(frozen=True)
class Scatter:
    """Sums of several matrices' entries: entry k of part i goes to target[i][k]."""

    pattern: Pattern
    target: tuple[Ints, ...]


def union(parts: list[Pattern]) -> Scatter:
    """The pattern of the sum of matrices of one shape, and where their entries go."""
    rows = np.concatenate([part.rows for part in parts])
    shape = (len(parts[0].indptr) - 1, parts[0].columns)
    pattern, target = _gathered(rows, np.concatenate([part.indices for part in parts]), shape)
    return Scatter(pattern, tuple(np.split(target, np.cumsum([part.size for part in parts])[:-1])))


@dataclass(frozen=True)
class Pairs:
    """All pairs (p, q) of entries of two patterns that stand in one row, with that row."""

    row: Ints
    first: Ints
    second: Ints


def pairs(one: Pattern, other: Pattern) -> Pairs:
    """The pairs of entries of equal row."""
    first, second = _spread(other.indptr, one.rows)
    return Pairs(one.rows[first], first, second)


def _spread(indptr: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """For every k all positions of row rows[k]: the k's and the positions."""
    lengths = np.diff(indptr)[rows]
    owner = np.repeat(np.arange(len(rows)), lengths)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return owner, indptr[rows][owner] + offset


def _gathered(rows: Ints, columns: Ints, shape: tuple[int, int]) -> tuple[Pattern, Ints]:
    keys, target = np.unique(rows * np.intp(shape[1]) + columns, return_inverse=True)
    counts = np.bincount(keys // max(shape[1], 1), minlength=shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    return Pattern(indptr, keys % max(shape[1], 1), shape[1]), target
