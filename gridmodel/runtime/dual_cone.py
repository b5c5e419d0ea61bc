"""Projection onto the dual of a product of cones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones

__all__ = ["project_dual"]

Floats = NDArray[np.float64]


def project_dual(cones: Cones, zeta: Floats) -> Floats:
    """A point of the dual cone near zeta, shape (N, rows); exact membership up to rounding.

    Second-order and semidefinite cones are their own duals. The dual exponential cone is
    {(u, v, w): u < 0, -u exp(v/u) <= e w} with (0, v >= 0, w >= 0); w is raised where needed. The dual power cone is
    {(u, v, w): (u/a)^a (v/(1-a))^(1-a) >= |w|}; w is shrunk where needed.
    """
    if not cones:
        return zeta
    out = zeta.copy()
    out[:, : cones.nonneg] = np.maximum(out[:, : cones.nonneg], 0.0)
    start = cones.nonneg
    for size in cones.soc:
        _second_order(out[:, start : start + size])
        start += size
    for order in cones.psd:
        count = order * (order + 1) // 2
        _semidefinite(out[:, start : start + count], order)
        start += count
    for _ in range(cones.exp):
        _exponential(out[:, start : start + 3])
        start += 3
    for alpha in cones.pow3d:
        part = np.maximum(out[:, start : start + 2], 0.0)
        limit = (part[:, 0] / alpha) ** alpha * (part[:, 1] / (1 - alpha)) ** (1 - alpha)
        out[:, start : start + 2] = part
        out[:, start + 2] = np.clip(out[:, start + 2], -limit, limit)
        start += 3
    return out


def _second_order(z: Floats) -> None:
    length = np.linalg.norm(z[:, 1:], axis=1)
    top = z[:, 0].copy()
    inside = length <= top
    polar = length <= -top
    middle = 0.5 * (top + length)
    factor = np.divide(middle, length, out=np.zeros_like(length), where=length > 0)
    z[:, 0] = np.where(inside, top, np.where(polar, 0.0, middle))
    z[:, 1:] *= np.where(inside, 1.0, np.where(polar, 0.0, factor))[:, None]


def _semidefinite(z: Floats, order: int) -> None:
    col, row = np.tril_indices(order)
    weight = np.where(col == row, 1.0, np.sqrt(0.5))
    full = np.zeros((len(z), order, order))
    full[:, row, col] = full[:, col, row] = z * weight
    values, vectors = np.linalg.eigh(full)
    positive = np.einsum("nij,nj,nkj->nik", vectors, np.maximum(values, 0.0), vectors)
    z[:] = positive[:, row, col] / weight


def _exponential(z: Floats) -> None:
    u, v, w = z[:, 0], z[:, 1], z[:, 2]
    small = u >= -1e-300
    z[:, 0] = np.where(small, 0.0, u)
    z[:, 1] = np.where(small, np.maximum(v, 0.0), v)
    safe = np.where(small, -1.0, u)
    with np.errstate(over="ignore"):
        needed = -safe * np.exp(v / safe - 1.0)
    z[:, 2] = np.where(small, np.maximum(w, 0.0), np.maximum(w, needed))
