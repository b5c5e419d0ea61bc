"""Projection onto the dual of a product of cones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones

__all__ = ["project_dual"]

Floats = NDArray[np.float64]

_NEAR = 1e-4
_STEEP = 300.0


def project_dual(cones: Cones, zeta: Floats) -> Floats:
    """A point of the dual cone near zeta, shape (N, rows); exact membership up to rounding.

    Multipliers of epigraph rows stay as they are where they can, so that what was settled there stays settled: a
    second-order cone (t, x) that nearly holds keeps t and shrinks x. The dual exponential cone is
    {(u, v, w): u < 0, -u exp(v/u) <= e w} with (0, v >= 0, w >= 0); v is raised where needed, w where it is not
    positive. The dual power cone is {(u, v, w): (u/a)^a (v/(1-a))^(1-a) >= |w|}; w is shrunk. Semidefinite parts
    are projected.
    """
    if not cones:
        return zeta
    out = zeta.copy()
    out[:, : cones.nonneg] = np.maximum(out[:, : cones.nonneg], 0.0)
    start = cones.nonneg
    for size in cones.soc:
        _second_order(out[:, start : start + size])
        start += size
    if cones.psd:
        counts = [order * (order + 1) // 2 for order in cones.psd]
        firsts = start + np.cumsum([0, *counts[:-1]])
        orders = np.array(cones.psd)
        for order in np.unique(orders):
            rows = firsts[orders == order, None] + np.arange(order * (order + 1) // 2)
            out[:, rows] = _semidefinite(out[:, rows], int(order))
        start += sum(counts)
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
    near = length <= z[:, 0] * (1 + _NEAR)
    middle = np.maximum(0.5 * (z[:, 0] + length), 0.0)
    top = np.where(near, np.maximum(z[:, 0], 0.0), middle)
    z[:, 0] = top
    z[:, 1:] *= np.minimum(np.divide(top, length, out=np.ones_like(top), where=length > 0), 1.0)[:, None]


def _semidefinite(z: Floats, order: int) -> Floats:
    """The projections of cones of one order, shape (..., rows)."""
    col, row = np.tril_indices(order)
    weight = np.where(col == row, 1.0, np.sqrt(0.5))
    full = np.zeros((*z.shape[:-1], order, order))
    full[..., row, col] = full[..., col, row] = z * weight
    values, vectors = np.linalg.eigh(full)
    positive = (vectors * np.maximum(values, 0.0)[..., None, :]) @ vectors.swapaxes(-1, -2)
    return np.asarray(positive[..., row, col] / weight)


def _exponential(z: Floats) -> None:
    u, v, w = z[:, 0], z[:, 1], z[:, 2]
    small = u >= -1e-300
    z[:, 0] = np.where(small, 0.0, u)
    z[:, 1] = np.where(small, np.maximum(v, 0.0), v)
    safe = np.where(small, -1.0, u)
    # With w > 0 a larger v is enough: v >= u + u log(w / -u).
    raised = np.maximum(v, safe + safe * np.log(np.maximum(w, 1e-300) / -safe))
    by_v = ~small & (w > 0)
    # Otherwise w is raised, unless that would take a number beyond floating point.
    z[:, 1] = np.where(by_v, raised, np.where(small, z[:, 1], np.maximum(z[:, 1], _STEEP * safe)))
    needed = -safe * np.exp(np.clip(z[:, 1] / safe, -_STEEP, _STEEP) - 1.0)
    z[:, 2] = np.where(small, np.maximum(w, 0.0), np.where(by_v, w, np.maximum(w, needed)))
