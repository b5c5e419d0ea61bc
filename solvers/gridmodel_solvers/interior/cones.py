"""Products of nonnegative, second-order and semidefinite cones: scaling, inverses and steps to the boundary.

Points have shape (N, rows), N blocks side by side. Semidefinite parts are upper triangles by columns, off-diagonal
entries times sqrt(2), so that inner products are those of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones

__all__ = ["ConeSet"]

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
            out[:, rows] = np.linalg.eigvalsh(_matrix(s[:, rows], order))[..., :1]
        return out

    def inverse(self, s: Floats) -> Floats:
        """s^-1, the negative gradient of the barrier, shape (N, rows)."""
        out = np.empty_like(s)
        out[:, : self.nonneg] = 1.0 / s[:, : self.nonneg]
        for _, rows in self.soc:
            part = s[:, rows]
            flipped = -part
            flipped[..., 0] = part[..., 0]
            out[:, rows] = flipped / _det(part)[..., None]
        for order, rows in self.psd:
            out[:, rows] = _vector(np.asarray(np.linalg.inv(_matrix(s[:, rows], order)), dtype=np.float64), order)
        return out

    def scaling(self, s: Floats, z: Floats) -> Iterator[tuple[Ints, Floats]]:
        """W^2 with W^2 z = s: for every group its rows (count, d) and the blocks (N, count, d, d).

        Source: Nesterov, Todd (1997); formulas as in Vandenberghe: The CVXOPT linear and quadratic cone solvers (2010).
        """
        for size, rows in self.soc:
            w, root = _middle(s[:, rows], z[:, rows])
            flip = np.full(size, 1.0)
            flip[0] = -1.0
            yield rows, (root**2)[..., None] * (2.0 * w[..., :, None] * w[..., None, :] + np.diag(flip))
        for order, rows in self.psd:
            half, _ = _half(_matrix(s[:, rows], order), _matrix(z[:, rows], order))
            yield rows, _congruence(half @ np.swapaxes(half, -1, -2), order)

    def bend(self, s: Floats, z: Floats, ds: Floats, dz: Floats) -> Floats:
        """W (lam \\ (W^-1 ds o W dz)), lam = W z: what the product of slack and multiplier misses to first order.

        For nonnegative rows ds dz / z. Shapes (N, rows).
        """
        out = np.empty_like(s)
        with np.errstate(divide="ignore", invalid="ignore"):
            first = ds[:, : self.nonneg] * dz[:, : self.nonneg] / z[:, : self.nonneg]
        out[:, : self.nonneg] = np.where(z[:, : self.nonneg] > 0, first, 0.0)
        for _, rows in self.soc:
            w, root = _middle(s[:, rows], z[:, rows])
            lam = _stretch(w, z[:, rows]) * root
            product = _jordan(_shrink(w, ds[:, rows]) / root, _stretch(w, dz[:, rows]) * root)
            out[:, rows] = _stretch(w, _divided(lam, product)) * root
        for order, rows in self.psd:
            half, values = _half(_matrix(s[:, rows], order), _matrix(z[:, rows], order))
            back = np.linalg.inv(half)
            one = back @ _matrix(ds[:, rows], order) @ np.swapaxes(back, -1, -2)
            two = np.swapaxes(half, -1, -2) @ _matrix(dz[:, rows], order) @ half
            product = one @ two
            product = (product + np.swapaxes(product, -1, -2)) / (values[..., :, None] + values[..., None, :])
            out[:, rows] = _vector(half @ product @ np.swapaxes(half, -1, -2), order)
        return out

    def reach(self, s: Floats, ds: Floats) -> float:
        """The largest t with s + t ds in the cones; inf where there is no end."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = -ds[:, : self.nonneg] / s[:, : self.nonneg]
        most = float(ratio.max(initial=0.0))
        for _, rows in self.soc:
            one = s[:, rows] / np.sqrt(_det(s[:, rows]))[..., None]
            step = ds[:, rows] / np.sqrt(_det(s[:, rows]))[..., None]
            # In the coordinates in which s is the unit element, the least eigenvalue of ds tells the reach.
            along = one[..., 0] * step[..., 0] - np.einsum("...i,...i->...", one[..., 1:], step[..., 1:])
            factor = (along + step[..., 0]) / (1.0 + one[..., 0])
            side = step[..., 1:] - factor[..., None] * one[..., 1:]
            most = max(most, float((np.linalg.norm(side, axis=-1) - along).max(initial=0.0)))
        for order, rows in self.psd:
            L = np.linalg.cholesky(_matrix(s[:, rows], order))
            half = np.linalg.solve(L, _matrix(ds[:, rows], order))
            both = np.linalg.solve(L, np.swapaxes(half, -1, -2))
            most = max(most, float(-np.linalg.eigvalsh(0.5 * (both + np.swapaxes(both, -1, -2))).min(initial=0.0)))
        return 1.0 / most if most > 0 else np.inf


def _middle(s: Floats, z: Floats) -> tuple[Floats, Floats]:
    """The normalised scaling point w of second-order cones, and the root of its length: W = root Q(w)^(1/2)."""
    of_s, of_z = _det(s), _det(z)
    w = s / np.sqrt(of_s)[..., None]
    other = z / np.sqrt(of_z)[..., None]
    w[..., 0] += other[..., 0]
    w[..., 1:] -= other[..., 1:]
    w /= np.sqrt(_det(w))[..., None]
    return w, ((of_s / of_z) ** 0.25)[..., None]


def _stretch(w: Floats, v: Floats) -> Floats:
    """Q(w)^(1/2) v of normalised w."""
    along = np.einsum("...i,...i->...", w[..., 1:], v[..., 1:])
    out = np.empty_like(v)
    out[..., 0] = w[..., 0] * v[..., 0] + along
    out[..., 1:] = v[..., 1:] + (v[..., 0] + along / (1.0 + w[..., 0]))[..., None] * w[..., 1:]
    return out


def _shrink(w: Floats, v: Floats) -> Floats:
    """Q(w)^(-1/2) v of normalised w."""
    mirrored = -w
    mirrored[..., 0] = w[..., 0]
    return _stretch(mirrored, v)


def _jordan(u: Floats, v: Floats) -> Floats:
    out = u[..., :1] * v + v[..., :1] * u
    out[..., 0] = np.einsum("...i,...i->...", u, v)
    return np.asarray(out)


def _divided(lam: Floats, v: Floats) -> Floats:
    """The u with lam o u = v."""
    out = np.empty_like(v)
    inner = np.einsum("...i,...i->...", lam[..., 1:], v[..., 1:])
    out[..., 0] = (lam[..., 0] * v[..., 0] - inner) / _det(lam)
    out[..., 1:] = (v[..., 1:] - out[..., :1] * lam[..., 1:]) / lam[..., :1]
    return out


def _half(S: Floats, Z: Floats) -> tuple[Floats, Floats]:
    """R with R'Z R = R^-1 S R^-T = diag(values)."""
    L, M = np.linalg.cholesky(S), np.linalg.cholesky(Z)
    _, values, V = np.linalg.svd(np.swapaxes(M, -1, -2) @ L)
    return np.asarray(L @ np.swapaxes(V, -1, -2) / np.sqrt(values)[..., None, :]), np.asarray(values)


def _det(s: Floats) -> Floats:
    """The squared distance in the geometry of the second-order cone, shape without the last axis."""
    length = np.linalg.norm(s[..., 1:], axis=-1)
    return np.asarray(np.maximum((s[..., 0] - length) * (s[..., 0] + length), _TINY))


def _triangle(order: int) -> tuple[Ints, Ints, Floats]:
    col, row = np.tril_indices(order)
    return row, col, np.where(col == row, 1.0, np.sqrt(0.5))


def _diagonal(order: int) -> Ints:
    row, col, _ = _triangle(order)
    return np.flatnonzero(row == col)


def _matrix(vector: Floats, order: int) -> Floats:
    row, col, weight = _triangle(order)
    out = np.zeros((*vector.shape[:-1], order, order))
    out[..., row, col] = out[..., col, row] = vector * weight
    return out


def _vector(matrix: Floats, order: int) -> Floats:
    row, col, weight = _triangle(order)
    return np.asarray(matrix[..., row, col] / weight)


def _congruence(P: Floats, order: int) -> Floats:
    """The matrix of X -> P X P on triangles."""
    row, col, weight = _triangle(order)
    one = P[..., row[:, None], row[None, :]] * P[..., col[:, None], col[None, :]]
    two = P[..., row[:, None], col[None, :]] * P[..., col[:, None], row[None, :]]
    return np.asarray(0.5 * (one + two) / (weight[:, None] * weight[None, :]))
