"""The coordinator of the interior point method: slacks of inequality rows, and the Schur system of all rows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, lstsq

from gridmodel_solvers.interior.part import reach

__all__ = ["Hub", "Schur", "Side"]

Floats = NDArray[np.float64]

_FLOOR = 1e-10


@dataclass(frozen=True)
class Side:
    """What coupling rows with an interval come to, y in [lower, upper], with multipliers of both ends.

    y: (rows,), the side itself for equations. s, z: slacks and multipliers of lower and upper ends, (2, rows); one and
    zero where there is no end. As a direction: changes of all these.
    """

    y: Floats
    s: Floats
    z: Floats

    def moved(self, primal: float, dual: float, by: Side) -> Side:
        """The side after a step."""
        return Side(self.y + primal * by.y, self.s + primal * by.s, self.z + dual * by.z)


class Hub:
    """Rows lower <= sum_i C_i x_i <= upper, with multipliers mu: Lagrangian f + mu'(C x - y)."""

    def __init__(self, lower: Floats, upper: Floats) -> None:
        self.lower, self.upper, self.size = lower, upper, len(lower)
        self.equal = lower == upper
        self.ends = np.array([np.isfinite(lower) & ~self.equal, np.isfinite(upper) & ~self.equal])
        self.degree = int(self.ends.sum())
        self._low, self._high = (np.where(end, side, 0.0) for end, side in zip(self.ends, (lower, upper), strict=True))

    def start(self, value: Floats, barrier: float) -> Side:
        """Slacks of one, the size of rows, or half their width; multipliers on the central path."""
        low, high = self.ends
        width = np.where(low & high, self._high - self._low, np.inf)
        margin = np.minimum(0.5 * width, 1.0)
        y = np.where(low, np.maximum(value, self._low + margin), value)
        y = np.where(high, np.minimum(y, self._high - margin), y)
        y = np.where(self.equal, self.lower, y)
        s = np.where(self.ends, np.array([y - self._low, self._high - y]), 1.0)
        return Side(y, s, np.where(self.ends, barrier / s, 0.0))

    def residual(self, side: Side, mu: Floats) -> Floats:
        """How far mu is from the multipliers of the ends."""
        return np.asarray(np.where(self.equal, 0.0, mu + side.z[0] - side.z[1]))

    def weight(self, side: Side) -> Floats:
        """The curvature of the ends' barrier: y enters the rows as -y + (dmu + pull) / weight."""
        return np.asarray(np.where(self.ends, side.z / side.s, 0.0).sum(axis=0) + 1e-12)

    def target(self, side: Side, gamma: float, by: Side | None) -> Floats:
        """The t of dz + z/s ds = t with which s z = gamma, to second order where the step is about ``by``."""
        product = 0.0 if by is None else by.s * by.z
        return np.where(self.ends, (gamma - product) / side.s - side.z, 0.0)

    def pull(self, side: Side, mu: Floats, share: float, target: Floats) -> Floats:
        """The right side of y once its own multipliers are eliminated, of a step that mends a share of residuals."""
        free = target - share * np.where(self.ends, side.z / side.s, 0.0) * self._gap(side)
        return np.asarray(np.where(self.equal, 0.0, share * self.residual(side, mu) + free[0] - free[1]))

    def factored(self, schur: Floats, side: Side) -> Schur:
        """The matrix of all rows, sum S_i + 1/weight."""
        return Schur(schur, np.where(self.equal, 0.0, 1.0 / self.weight(side)))

    def direction(self, side: Side, share: float, target: Floats, pull: Floats, du: Floats) -> Side:
        """Changes of the sides once du is known."""
        dy = np.where(self.equal, 0.0, (du + pull) / self.weight(side))
        ds = np.where(self.ends, np.array([dy, -dy]) + share * self._gap(side), 0.0)
        return Side(dy, ds, np.where(self.ends, target - side.z / side.s * ds, 0.0))

    def _gap(self, side: Side) -> Floats:
        return np.where(self.ends, np.array([side.y - self._low, self._high - side.y]) - side.s, 0.0)

    def reach(self, side: Side, by: Side) -> tuple[float, float]:
        """The largest primal and dual steps that keep slacks and multipliers positive."""
        return reach(side.s, by.s, self.ends), reach(side.z, by.z, self.ends)

    def product(self, side: Side) -> float:
        """s'z of all ends."""
        return float(np.sum(np.where(self.ends, side.s * side.z, 0.0)))


class Schur:
    """sum S_i + 1/weight, factored: positive semidefinite up to rounding; redundant rows get no change."""

    def __init__(self, schur: Floats, diagonal: Floats) -> None:
        self._diagonal = diagonal
        matrix = schur + np.diag(diagonal)
        self._size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
        self._scaled = 0.5 * (matrix + matrix.T) / np.outer(self._size, self._size)
        self._factor: tuple[Floats, bool] | None = None
        with suppress(np.linalg.LinAlgError):
            self._factor = cho_factor(self._scaled + _FLOOR * np.eye(len(self._size)), check_finite=False)

    def solve(self, right: Floats, pull: Floats) -> Floats:
        """du of (sum S_i + 1/weight) du = right - pull / weight, shape (rows,)."""
        return self._inverse((right - self._diagonal * pull) / self._size) / self._size

    def _inverse(self, sought: Floats) -> Floats:
        if self._factor is None:
            return np.asarray(lstsq(self._scaled, sought, cond=1e-14)[0])
        found = cho_solve(self._factor, sought, check_finite=False)
        for _ in range(2):
            found = found + cho_solve(self._factor, sought - self._scaled @ found, check_finite=False)
        return np.asarray(found)
