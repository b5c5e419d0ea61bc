"""The coordinator of the interior point method: slacks of inequality rows, and the Schur system of all rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, lstsq
from scipy.sparse.linalg import splu

__all__ = ["Hub", "Side", "Tally"]

Floats = NDArray[np.float64]

_DENSE = 1500
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

    def plus(self, factor: float, other: Side) -> Side:
        """self + factor other."""
        return self.moved(factor, factor, other)


@dataclass(frozen=True)
class Tally:
    """The coordinator's residuals in a round: y enters the rows as -y + (dmu + pull) / weight."""

    weight: Floats
    gap: Floats
    pull: Floats
    inverse: Floats


class Hub:
    """Rows lower <= sum_i C_i x_i <= upper, with multipliers mu: Lagrangian f + mu'(C x - y)."""

    def __init__(self, lower: Floats, upper: Floats, scale: Floats) -> None:
        self.lower, self.upper = lower, upper
        self.scale = scale
        self.equal = lower == upper
        self.ends = np.array([np.isfinite(lower) & ~self.equal, np.isfinite(upper) & ~self.equal])
        self.degree = int(self.ends.sum())
        self._low, self._high = (np.where(end, side, 0.0) for end, side in zip(self.ends, (lower, upper), strict=True))

    def start(self, value: Floats, barrier: float) -> Side:
        """Slacks of at least a tenth of the row's size, multipliers on the central path."""
        low, high = self.ends
        width = np.where(low & high, self._high - self._low, np.inf)
        margin = np.minimum(0.5 * width, self.scale)
        y = np.where(low, np.maximum(value, self._low + margin), value)
        y = np.where(high, np.minimum(y, self._high - margin), y)
        y = np.where(self.equal, self.lower, y)
        s = np.where(self.ends, np.array([y - self._low, self._high - y]), 1.0)
        return Side(y, s, np.where(self.ends, barrier / s, 0.0))

    def residual(self, side: Side, mu: Floats) -> Floats:
        """How far mu is from the multipliers of the ends."""
        return np.asarray(np.where(self.equal, 0.0, mu + side.z[0] - side.z[1]))

    def tally(self, side: Side, mu: Floats, gamma: float) -> Tally:
        """Weights and right sides of y once its own multipliers are eliminated; columns: affine, central."""
        ratio = np.where(self.ends, side.z / side.s, 0.0)
        gap = np.where(self.ends, np.array([side.y - self._low, self._high - side.y]) - side.s, 0.0)
        inverse = np.where(self.ends, gamma / side.s, 0.0)
        weight = ratio.sum(axis=0) + 1e-12
        toward = side.z + ratio * gap
        affine = np.where(self.equal, 0.0, mu + side.z[0] - side.z[1] - toward[0] + toward[1])
        central = inverse[0] - inverse[1]
        return Tally(weight, gap, np.stack([affine, central], axis=1), inverse)

    def solve(self, schur: Floats | sp.csr_array, right: Floats, tally: Tally) -> Floats:
        """du of (sum S_i + 1/weight) du = sum r_i - pull / weight, shape (rows, 2)."""
        loose = ~self.equal
        diagonal = np.where(loose, 1.0 / tally.weight, 0.0)
        right = right - np.where(loose[:, None], tally.pull / tally.weight[:, None], 0.0)
        if isinstance(schur, np.ndarray):
            return _dense(schur + np.diag(diagonal), right)
        whole = sp.csc_matrix(schur + sp.diags_array(diagonal))
        floor = _FLOOR * np.maximum(whole.diagonal(), 1e-8)
        return np.asarray(splu(sp.csc_matrix(whole + sp.diags_array(floor))).solve(right))

    def directions(self, side: Side, tally: Tally, du: Floats) -> tuple[Side, Side]:
        """Changes of the sides once du is known."""
        return self._direction(side, tally, du[:, 0], 0), self._direction(side, tally, du[:, 1], 1)

    def _direction(self, side: Side, tally: Tally, du: Floats, column: int) -> Side:
        dy = np.where(self.equal, 0.0, (du + tally.pull[:, column]) / tally.weight)
        ds = np.where(self.ends, np.array([dy, -dy]) + (tally.gap if column == 0 else 0.0), 0.0)
        dz = (-side.z if column == 0 else tally.inverse) - side.z / side.s * ds
        return Side(dy, ds, np.where(self.ends, dz, 0.0))

    def reach(self, side: Side, by: Side) -> tuple[float, float]:
        """The largest primal and dual steps that keep slacks and multipliers positive."""
        return _reach(side.s, by.s, self.ends), _reach(side.z, by.z, self.ends)

    def product(self, side: Side) -> float:
        """s'z of all ends."""
        return float(np.sum(np.where(self.ends, side.s * side.z, 0.0)))


def _reach(s: Floats, ds: Floats, there: NDArray[np.bool_]) -> float:
    most = float((np.divide(-ds, s, out=np.zeros_like(s), where=there)).max(initial=0.0))
    return 1.0 / most if most > 0 else np.inf


def _dense(matrix: Floats, right: Floats) -> Floats:
    """Solves with a matrix that is positive semidefinite up to rounding; redundant rows get no change."""
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-300))
    scaled = 0.5 * (matrix + matrix.T) / np.outer(size, size)
    sought = right / size[:, None]
    try:
        factor = cho_factor(scaled + _FLOOR * np.eye(len(size)), check_finite=False)
        found = cho_solve(factor, sought, check_finite=False)
        for _ in range(2):
            found = found + cho_solve(factor, sought - scaled @ found, check_finite=False)
    except np.linalg.LinAlgError:
        found = lstsq(scaled, sought, cond=1e-14)[0]
    return np.asarray(found / size[:, None])
