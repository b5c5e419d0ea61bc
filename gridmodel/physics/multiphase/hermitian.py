"""Hermitian matrices as real numbers: linear maps between the two, and the cone in real form."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["basis", "block", "from_numbers", "packed", "to_numbers"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@lru_cache(maxsize=64)
def basis(d: int) -> Complexes:
    """The matrices of the numbers of a Hermitian (d, d) matrix: H = sum_k h_k basis[k], shape (d^2, d, d).

    The numbers: the diagonal, the real parts above it row by row, then the imaginary parts.
    """
    out = np.zeros((d * d, d, d), dtype=np.complex128)
    rows, columns = np.triu_indices(d, 1)
    half = len(rows)
    out[np.arange(d), np.arange(d), np.arange(d)] = 1.0
    k = d + np.arange(half)
    out[k, rows, columns] = out[k, columns, rows] = 1.0
    out[k + half, rows, columns], out[k + half, columns, rows] = 1j, -1j
    out.flags.writeable = False
    return out


@lru_cache(maxsize=64)
def packed(rows: int, columns: int) -> Complexes:
    """The matrices of the numbers of any complex (rows, columns) matrix: real parts row by row, then imaginary."""
    n = rows * columns
    out = np.zeros((2 * n, n), dtype=np.complex128)
    out[np.arange(n), np.arange(n)], out[n + np.arange(n), np.arange(n)] = 1.0, 1j
    shaped = out.reshape(2 * n, rows, columns)
    shaped.flags.writeable = False
    return shaped


def to_numbers(matrices: Complexes) -> Floats:
    """The numbers of Hermitian matrices of shape (..., d, d), shape (..., d^2); only the upper half is read."""
    d = matrices.shape[-1]
    rows, columns = np.triu_indices(d, 1)
    above = matrices[..., rows, columns]
    own = matrices[..., np.arange(d), np.arange(d)].real
    return np.concatenate([own, above.real, above.imag], axis=-1)


def from_numbers(numbers: Floats) -> Complexes:
    """The Hermitian matrix of d^2 numbers."""
    d = round(len(numbers) ** 0.5)
    return np.asarray(np.tensordot(numbers, basis(d), axes=1))


def block(top: int, bottom: int) -> Floats:
    """The map from the numbers of V, W, L to the real form of [[V, W], [W^H, L]] >= 0.

    H >= 0 if and only if [[Re H, -Im H], [Im H, Re H]] >= 0. V: Hermitian (top, top); W: (top, bottom); L: Hermitian
    (bottom, bottom). Shape ((2 n)^2, top^2 + 2 top bottom + bottom^2) with n = top + bottom.
    """
    n = top + bottom
    whole = np.zeros((top * top + 2 * top * bottom + bottom * bottom, n, n), dtype=np.complex128)
    cut = np.cumsum([top * top, 2 * top * bottom])
    whole[: cut[0], :top, :top] = basis(top)
    side = packed(top, bottom)
    whole[cut[0] : cut[1], :top, top:] = side
    whole[cut[0] : cut[1], top:, :top] = side.conj().transpose(0, 2, 1)
    whole[cut[1] :, top:, top:] = basis(bottom)
    real = np.block([[whole.real, -whole.imag], [whole.imag, whole.real]])
    return np.asarray(real.reshape(len(whole), -1).T)
