"""Matrices that are affine in parameters, and their values for many sets of parameters at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch

__all__ = ["AffineMatrix", "AffineVector", "ParameterSource", "affine_matrix"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class ParameterSource:
    """Where the values of one parameter come from.

    parameter: its id. read: gives the present values, shape (N, size), or (1, size) where all N agents share them.
    """

    parameter: int
    read: Callable[[], Floats]


@dataclass(frozen=True)
class AffineVector:
    """A vector v = F [theta; 1] of the parameters theta.

    map: F, shape (entries, parameters + 1).
    """

    map: sp.csr_array

    def at(self, theta: Floats) -> Floats:
        """Values for many parameter sets.

        Args:
            theta: columns [theta_i; 1], shape (parameters + 1, N).

        Returns:
            Shape (N, entries), or (1, entries) where no entry depends on a parameter or N = 1.
        """
        constant = np.asarray(self.map @ theta[:, 0])
        if theta.shape[1] == 1:
            return constant[None, :]
        varies, part = self._varying
        if not len(varies):
            return constant[None, :]
        out = np.empty((theta.shape[1], len(constant)))
        out[:] = constant
        out[:, varies] = (part @ theta).T
        return out

    @cached_property
    def _varying(self) -> tuple[Ints, sp.csr_array]:
        """The entries that depend on a parameter, and their rows of F."""
        varies = np.flatnonzero(np.diff(self.map[:, :-1].indptr))
        return varies, self.map[varies]

    def take(self, order: Ints) -> AffineVector:
        """The chosen entries."""
        return AffineVector(self.map[order])


@dataclass(frozen=True)
class AffineMatrix:
    """A sparse matrix whose nonzeros are affine in the parameters; positions sorted by row, then column."""

    shape: tuple[int, int]
    row: Ints
    col: Ints
    entries: AffineVector

    def at(self, theta: Floats, size: int) -> Batch:
        """The matrices for many parameter sets (see ``AffineVector.at``); ``size`` is N."""
        return Batch.build(self.shape, self.row, self.col, self.entries.at(theta), size)


def affine_matrix(shape: tuple[int, int], row: Ints, col: Ints, entries: Any) -> AffineMatrix:
    """Sorts entries by position and adds up those of one position.

    Args:
        shape: (rows, columns).
        row, col: positions, shape (entries,).
        entries: shape (entries, parameters + 1).
    """
    place = sp.coo_array((np.arange(len(row)), (row, col)), shape=shape).tocsr()
    rows = sp.csr_array(entries)
    if place.nnz == len(row):
        place.sort_indices()
        rows = rows[place.data]
    else:  # positions met twice
        _, inverse = np.unique(row.astype(np.int64) * max(shape[1], 1) + col, return_inverse=True)
        rows = sp.csr_array((np.ones(len(row)), (inverse, np.arange(len(row)))), shape=(place.nnz, len(row))) @ rows
        place.sort_indices()
    sorted_row = np.repeat(np.arange(shape[0]), np.diff(place.indptr))
    return AffineMatrix(shape, sorted_row, place.indices.astype(np.intp), AffineVector(sp.csr_array(rows)))
