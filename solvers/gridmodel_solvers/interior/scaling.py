"""Nesterov and Todd's scaling of a product of cones: the W with W z = W^-1 s."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel_solvers.interior.cones import ConeSet, det, matrix, triangle, vector

__all__ = ["Scaling"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Scaling:
    """The scaling point of slacks s and multipliers z, both inside the cones, shapes (N, rows).

    Source: Nesterov, Todd (1997); formulas as in Vandenberghe: The CVXOPT linear and quadratic cone solvers (2010).
    """

    def __init__(self, cones: ConeSet, s: Floats, z: Floats) -> None:
        self._cones, self._s, self._z = cones, s, z
        self._soc = [_middle(s[:, rows], z[:, rows]) for _, rows in cones.soc]
        self._psd = [_half(matrix(s[:, rows], order), matrix(z[:, rows], order)) for order, rows in cones.psd]

    def shrunk(self, group: int, cones: NDArray[np.bool_], columns: Floats, transposed: bool = False) -> Floats:
        """W^-1, or its transpose, times columns of shape (N or 1, count, d, c), for the chosen cones of a group.

        Groups are counted through second-order cones, then through semidefinite ones.
        """
        if group < len(self._soc):
            w, root = self._soc[group]
            turned = np.swapaxes(columns, -1, -2)
            shape = (len(w), *turned.shape[1:])
            found = _shrink(w[:, cones, None], np.broadcast_to(turned, shape)) / root[:, cones, None]
            return np.asarray(np.swapaxes(found, -1, -2))
        order = self._cones.psd[group - len(self._soc)][0]
        back = self._psd[group - len(self._soc)][2][:, cones]
        return _congruent(np.swapaxes(back, -1, -2) if transposed else back, columns, order)

    def squares(self, group: int, cones: NDArray[np.bool_]) -> Floats:
        """W^2 of the chosen cones of a group, shape (N, count, d, d)."""
        if group < len(self._soc):
            w, root = (part[:, cones] for part in self._soc[group])
            flip = np.full(w.shape[-1], 1.0)
            flip[0] = -1.0
            return np.asarray((root**2)[..., None] * (2.0 * w[..., :, None] * w[..., None, :] + np.diag(flip)))
        order = self._cones.psd[group - len(self._soc)][0]
        half = self._psd[group - len(self._soc)][0][:, cones]
        count = order * (order + 1) // 2
        unit = np.broadcast_to(np.eye(count), (*half.shape[:2], count, count))
        return _congruent(half @ np.swapaxes(half, -1, -2), unit, order)

    def bend(self, ds: Floats, dz: Floats) -> Floats:
        """W (lam \\ (W^-1 ds o W dz)), lam = W z: what the product of slack and multiplier misses to first order.

        For nonnegative rows ds dz / z. Shapes (N, rows).
        """
        s, z, nonneg = self._s, self._z, self._cones.nonneg
        out = np.empty_like(s)
        out[:, :nonneg] = ds[:, :nonneg] * dz[:, :nonneg] / z[:, :nonneg]
        for (_, rows), (w, root) in zip(self._cones.soc, self._soc, strict=True):
            lam = _stretch(w, z[:, rows]) * root
            product = _jordan(_shrink(w, ds[:, rows]) / root, _stretch(w, dz[:, rows]) * root)
            out[:, rows] = _stretch(w, _divided(lam, product)) * root
        for (order, rows), (half, values, back) in zip(self._cones.psd, self._psd, strict=True):
            one = back @ matrix(ds[:, rows], order) @ np.swapaxes(back, -1, -2)
            two = np.swapaxes(half, -1, -2) @ matrix(dz[:, rows], order) @ half
            product = one @ two
            product = (product + np.swapaxes(product, -1, -2)) / (values[..., :, None] + values[..., None, :])
            out[:, rows] = vector(half @ product @ np.swapaxes(half, -1, -2), order)
        return out


def _middle(s: Floats, z: Floats) -> tuple[Floats, Floats]:
    """The normalised scaling point w of second-order cones, and the root of its length: W = root Q(w)^(1/2)."""
    of_s, of_z = det(s), det(z)
    w = s / np.sqrt(of_s)[..., None]
    other = z / np.sqrt(of_z)[..., None]
    w[..., 0] += other[..., 0]
    w[..., 1:] -= other[..., 1:]
    w /= np.sqrt(det(w))[..., None]
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
    out[..., 0] = (lam[..., 0] * v[..., 0] - inner) / det(lam)
    out[..., 1:] = (v[..., 1:] - out[..., :1] * lam[..., 1:]) / lam[..., :1]
    return out


def _half(S: Floats, Z: Floats) -> tuple[Floats, Floats, Floats]:
    """R with R'Z R = R^-1 S R^-T = diag(values), the values, and R^-1."""
    L, M = np.linalg.cholesky(S), np.linalg.cholesky(Z)
    U, values, V = np.linalg.svd(np.swapaxes(M, -1, -2) @ L)
    root = np.sqrt(values)
    half = L @ np.swapaxes(V, -1, -2) / root[..., None, :]
    back = np.swapaxes(U, -1, -2) @ np.swapaxes(M, -1, -2) / root[..., None]
    return np.asarray(half), np.asarray(values), np.asarray(back)


def _congruent(A: Floats, columns: Floats, order: int) -> Floats:
    """A X A' for the matrices X that columns of shape (..., d, c) stand for, as such columns."""
    row, col, weight = triangle(order)
    *lead, _, c = columns.shape
    X = np.zeros((*lead, order, c, order))
    X[..., row, :, col] = X[..., col, :, row] = np.moveaxis(columns * weight[:, None], -2, 0)
    half = A @ X.reshape(*lead, order, c * order)
    whole = half.reshape(*half.shape[:-2], order * c, order) @ np.swapaxes(A, -1, -2)
    whole = whole.reshape(*half.shape[:-2], order, c, order)
    return np.asarray(np.moveaxis(whole[..., row, :, col], 0, -2) / weight[:, None])
