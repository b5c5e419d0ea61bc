"""Products of nonnegative, second-order and semidefinite cones: unit elements, inverses and steps to the boundary.

Points have shape (N, rows), N blocks side by side. Semidefinite parts are upper triangles by columns, off-diagonal
entries times sqrt(2), so that inner products are those of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones

__all__ = ["ConeSet", "det", "matrix", "triangle", "vector"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_TINY = 1e-300


@dataclass(frozen=True)
class ConeSet:
    """Cones of a stack, those of one kind and size handled together.

    nonneg: number of nonnegative rows. soc: (dimension, rows of shape (count, dimension)) of second-order cones.
    psd: (order, rows of shape (count, order (order + 1) / 2)) of semidefinite ones.
    """

    nonneg: int
    rows: int
    soc: tuple[tuple[int, Ints], ...]
    psd: tuple[tuple[int, Ints], ...]

    @classmethod
    def of(cls, cones: Cones) -> ConeSet:
        """The cones of a stack, grouped."""
        at = cones.nonneg
        soc: dict[int, list[Ints]] = {}
        psd: dict[int, list[Ints]] = {}
        for size in cones.soc:
            soc.setdefault(size, []).append(np.arange(at, at + size))
            at += size
        for order in cones.psd:
            count = order * (order + 1) // 2
            psd.setdefault(order, []).append(np.arange(at, at + count))
            at += count
        return cls(
            cones.nonneg,
            at,
            tuple((size, np.array(rows)) for size, rows in soc.items()),
            tuple((order, np.array(rows)) for order, rows in psd.items()),
        )

    @property
    def degree(self) -> int:
        """What the inner product of s and its inverse is, beyond the nonnegative rows, for one block."""
        return sum(len(rows) for _, rows in self.soc) + sum(order * len(rows) for order, rows in self.psd)

    def identity(self, size: int) -> Floats:
        """The unit element of every cone, shape (N, rows)."""
        e = np.zeros((size, self.rows))
        e[:, : self.nonneg] = 1.0
        for _, rows in self.soc:
            e[:, rows[:, 0]] = 1.0
        for order, rows in self.psd:
            e[:, rows[:, _diagonal(order)]] = 1.0
        return e

    def least(self, s: Floats) -> Floats:
        """The least eigenvalue of each cone, at every row of it, shape (N, rows)."""
        out = s.copy()
        for _, rows in self.soc:
            part = s[:, rows]
            out[:, rows] = (part[..., 0] - np.linalg.norm(part[..., 1:], axis=-1))[..., None]
        for order, rows in self.psd:
            out[:, rows] = np.linalg.eigvalsh(matrix(s[:, rows], order))[..., :1]
        return out

    def inverse(self, s: Floats) -> Floats:
        """s^-1, the negative gradient of the barrier, shape (N, rows)."""
        out = np.empty_like(s)
        out[:, : self.nonneg] = 1.0 / s[:, : self.nonneg]
        for _, rows in self.soc:
            part = s[:, rows]
            flipped = -part
            flipped[..., 0] = part[..., 0]
            out[:, rows] = flipped / det(part)[..., None]
        for order, rows in self.psd:
            out[:, rows] = vector(np.asarray(np.linalg.inv(matrix(s[:, rows], order)), dtype=np.float64), order)
        return out

    def reach(self, s: Floats, ds: Floats) -> float:
        """The largest t with s + t ds in the cones; inf where there is no end."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = -ds[:, : self.nonneg] / s[:, : self.nonneg]
        most = float(ratio.max(initial=0.0))
        for _, rows in self.soc:
            one = s[:, rows] / np.sqrt(det(s[:, rows]))[..., None]
            step = ds[:, rows] / np.sqrt(det(s[:, rows]))[..., None]
            # In the coordinates in which s is the unit element, the least eigenvalue of ds tells the reach.
            along = one[..., 0] * step[..., 0] - np.einsum("...i,...i->...", one[..., 1:], step[..., 1:])
            factor = (along + step[..., 0]) / (1.0 + one[..., 0])
            side = step[..., 1:] - factor[..., None] * one[..., 1:]
            most = max(most, float((np.linalg.norm(side, axis=-1) - along).max(initial=0.0)))
        for order, rows in self.psd:
            L = np.linalg.cholesky(matrix(s[:, rows], order))
            half = np.linalg.solve(L, matrix(ds[:, rows], order))
            both = np.linalg.solve(L, np.swapaxes(half, -1, -2))
            most = max(most, float(-np.linalg.eigvalsh(0.5 * (both + np.swapaxes(both, -1, -2))).min(initial=0.0)))
        return 1.0 / most if most > 0 else np.inf


def det(s: Floats) -> Floats:
    """The squared distance in the geometry of the second-order cone, shape without the last axis."""
    length = np.linalg.norm(s[..., 1:], axis=-1)
    return np.asarray(np.maximum((s[..., 0] - length) * (s[..., 0] + length), _TINY))


@cache
def triangle(order: int) -> tuple[Ints, Ints, Floats]:
    """Rows, columns and weights of the entries of a triangle."""
    col, row = np.tril_indices(order)
    return row, col, np.where(col == row, 1.0, np.sqrt(0.5))


@cache
def _diagonal(order: int) -> Ints:
    row, col, _ = triangle(order)
    return np.flatnonzero(row == col)


def matrix(vector: Floats, order: int) -> Floats:
    row, col, weight = triangle(order)
    out = np.zeros((*vector.shape[:-1], order, order))
    out[..., row, col] = out[..., col, row] = vector * weight
    return out


def vector(matrix: Floats, order: int) -> Floats:
    row, col, weight = triangle(order)
    return np.asarray(matrix[..., row, col] / weight)
