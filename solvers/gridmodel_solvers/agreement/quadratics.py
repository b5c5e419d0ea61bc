"""Agents whose costs are quadratics of the shared numbers, all in one array."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Quadratics"]

Floats = NDArray[np.float64]


@final
class Quadratics:
    """f_i(v) = 1/2 v' H_i v + g_i' v.

    hessian: H, shape (N, d) where all are diagonal, else (N, d, d). linear: g, shape (N, d).
    """

    def __init__(self, hessians: list[Floats], linear: Floats) -> None:
        if any(h.ndim == 3 for h in hessians):
            hessians = [h if h.ndim == 3 else h[:, :, None] * np.eye(h.shape[1]) for h in hessians]
        self.hessian = np.concatenate(hessians)
        self.linear = linear
        self._inverse: tuple[Floats, Floats] | None = None

    @property
    def diagonal(self) -> Floats:
        """The diagonals of H, shape (N, d)."""
        return self.hessian if self.hessian.ndim == 2 else np.einsum("ijj->ij", self.hessian)

    def eigenvalues(self, pace: Floats) -> Floats:
        """Of S^(1/2) H_i S^(1/2) with S = diag(pace), pace of shape (d,) and positive; shape (N, d)."""
        if self.hessian.ndim == 2:
            return self.hessian * pace
        root = np.sqrt(pace)
        return np.asarray(np.linalg.eigvalsh(root[:, None] * self.hessian * root))

    def gradient(self, V: Floats) -> Floats:
        """H_i v_i + g_i, shape (N, d)."""
        dense = self.hessian.ndim == 3
        out = np.matmul(self.hessian, V[:, :, None])[:, :, 0] if dense else self.hessian * V
        out += self.linear
        return np.asarray(out)

    def prox(self, V: Floats, weight: Floats) -> Floats:
        """argmin f_i(x) + 1/2 |x - v_i|^2_weight_i, weight of shape (N, d)."""
        if self._inverse is None or not np.array_equal(self._inverse[0], weight):
            one = np.eye(weight.shape[1])
            dense = self.hessian.ndim == 3
            made = np.linalg.inv(self.hessian + weight[:, :, None] * one) if dense else 1.0 / (self.hessian + weight)
            self._inverse = (weight.copy(), np.asarray(made, dtype=np.float64))
        inverse, pull = self._inverse[1], weight * V - self.linear
        return np.asarray(inverse * pull if inverse.ndim == 2 else np.matmul(inverse, pull[:, :, None])[:, :, 0])
