"""The exact optimum on a guessed set of active bounds and rows: turns a good answer into an accurate one.

Columns at a bound are held there, coupling rows at a side are equations, all other rows are dropped:

    minimise 1/2 x'Px + q'x + eps/2 |x - x_before|_r^2  subject to  A x = b,  C_active x = side,  x_held = bound

by one factorisation of B D B', B = [A; C_active], D = 1/(P + eps r) on the columns not held, and a few repetitions
that take the effect of eps away (proximal point). Whether the guess was right shows in the residuals of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import Iterate

__all__ = ["ActiveSet", "Quadratic"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_EPSILON = 1e-5
_REPEAT = 20
_ACCURATE = 1e-10
_RIDGE = 1e-11
_CORRECTIONS = 8
_WRONG = 1e-9


@dataclass(frozen=True)
class Quadratic:
    """A separable problem of QP blocks as vectors over all columns.

    P: diagonal. r: weight over squared ranges, the unit of curvature. size: of costs. ranges: of columns.
    A, b: all local equations. C: coupling rows.
    """

    problem: Separable
    P: Floats
    q: Floats
    lower: Floats
    upper: Floats
    A: sp.csr_array
    b: Floats
    C: sp.csr_array
    ranges: Floats
    size: float


@dataclass(frozen=True)
class _Point:
    """Columns, multipliers of the coupling rows and of the local equations, each one vector."""

    x: Floats
    mu: Floats
    nu: Floats

    def slopes(self, data: Quadratic) -> Floats:
        """Marginal cost of each column: P x + q + A'nu + C'mu."""
        return np.asarray(data.P * self.x + data.q + data.A.T @ self.nu + data.C.T @ self.mu)


@dataclass(frozen=True)
class ActiveSet:
    """The guess: columns held at their lower or upper bound, rows held at their lower or upper side."""

    low: Bools
    high: Bools
    row_low: Bools
    row_high: Bools

    @classmethod
    def of(cls, data: Quadratic, v: Floats, w: Floats) -> ActiveSet:
        """What lies outside its bounds in the state of a splitting is active."""
        sides = data.problem.couplings
        equal = sides.equality
        return cls(
            (v < data.lower) | (data.lower == data.upper), (v > data.upper) & (data.lower < data.upper),
            (w < sides.lower) | equal, (w > sides.upper) & ~equal,
        )  # fmt: skip

    def key(self) -> bytes:
        """Equal for equal guesses."""
        return b"".join(np.packbits(part).tobytes() for part in self._parts())

    def solve(self, data: Quadratic, x: Floats, mu: Floats, nu: Floats) -> tuple[Iterate, int] | None:
        """The optimum on this set or, where its signs are wrong in a few places, on the set that they point to.

        Args:
            data: the problem.
            x, mu, nu: columns, multipliers of rows and of local equations (one vector) to start from.

        Returns:
            The answer and the linear solves it took; None where they fail.
        """
        guess, total, before = self, 0, np.inf
        point = _Point(x, mu, nu)
        for _ in range(_CORRECTIONS):
            found = guess._optimum(data, point)
            if found is None:
                return None
            point, repeats = found
            total += repeats
            better, changes = guess._corrected(data, point)
            if changes == 0 or changes >= before:
                break
            guess, before = better, changes
        return guess._iterate(data, point), total

    def _optimum(self, data: Quadratic, start: _Point) -> tuple[_Point, int] | None:
        held = self.low | self.high
        at = np.where(self.low, data.lower, np.where(self.high, data.upper, 0.0))
        rows = self.row_low | self.row_high
        side = np.where(self.row_high, data.problem.couplings.upper, data.problem.couplings.lower)[rows]
        soft = _EPSILON * data.size / data.ranges**2
        D = np.where(held, 0.0, 1.0 / (data.P + soft))
        B = sp.csr_array(sp.vstack([data.A, data.C[np.flatnonzero(rows)]]))
        # Rows over their reach: what follows compares them with each other.
        reach = abs(B) @ data.ranges
        reach = np.where(reach > 0, reach, 1.0)
        B = sp.csr_array(sp.diags_array(1.0 / reach) @ B)
        right = np.concatenate([data.b, side]) / reach - B @ at
        scaled = sp.csr_array(B.multiply(np.sqrt(D)[None, :]))
        G = sp.csc_matrix(scaled @ scaled.T)
        diagonal = G.diagonal()
        positive = diagonal[diagonal > 0]
        ridge = _RIDGE * np.maximum(diagonal, np.median(positive) if len(positive) else 1.0)
        try:
            factor = splu(G + sp.diags(ridge), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        except RuntimeError:
            return None
        x = np.where(held, at, start.x)
        y = np.concatenate([start.nu, start.mu[rows]]) * reach
        Bt = sp.csr_array(B.T)
        last, repeat = np.inf, 0
        while repeat < _REPEAT:
            repeat += 1
            t = np.where(held, 0.0, soft * x - data.q)
            y = factor.solve(B @ (D * t) - right + ridge * y)
            before, x = x, np.where(held, at, D * (t - Bt @ y))
            if not np.isfinite(x).all():
                return None
            missed = float(np.abs(B @ (x - at) - right).max(initial=0.0))
            moved = float((np.abs(x - before) * soft * data.ranges / data.size).max(initial=0.0))
            # The equations are met as well as rounding allows once repeating does not help.
            if moved < _ACCURATE and (missed < _ACCURATE or missed > 0.5 * last):
                break
            last = missed
        y = y / reach
        mu = np.zeros(len(start.mu))
        mu[rows] = y[len(data.b) :]
        return _Point(x, mu, y[: len(data.b)]), repeat

    def _corrected(self, data: Quadratic, point: _Point) -> tuple[ActiveSet, int]:
        """Lets go what is held with the wrong sign, holds what has left its bounds; and how many that are."""
        c = point.slopes(data) * data.ranges / data.size
        slack = _WRONG * data.ranges
        fixed = data.lower == data.upper
        low = np.where(self.low, (c > -_WRONG) | fixed, ~self.high & (point.x < data.lower - slack))
        high = np.where(self.high, c < _WRONG, ~self.low & (point.x > data.upper + slack))
        sides = data.problem.couplings
        value = data.C @ point.x
        reach = np.maximum(abs(data.C) @ data.ranges, 1e-300)
        pull = point.mu * reach / data.size
        under, over = value < sides.lower - _WRONG * reach, value > sides.upper + _WRONG * reach
        row_low = np.where(self.row_low, (pull < _WRONG) | sides.equality, ~self.row_high & under)
        row_high = np.where(self.row_high, pull > -_WRONG, ~self.row_low & over)
        new = ActiveSet(low, high, row_low, row_high)
        return new, sum(int((a != b).sum()) for a, b in zip(self._parts(), new._parts(), strict=True))

    def _parts(self) -> tuple[Bools, ...]:
        return self.low, self.high, self.row_low, self.row_high

    def _iterate(self, data: Quadratic, point: _Point) -> Iterate:
        c, mu = point.slopes(data), point.mu
        wrong = np.where(self.low, np.maximum(-c, 0.0), np.where(self.high, np.maximum(c, 0.0), np.abs(c)))
        wrong[data.lower == data.upper] = 0.0
        parts, start = [], 0
        for stack in data.problem.stacks:
            count = stack.b.size
            parts.append(point.nu[start : start + count].reshape(stack.b.shape))
            start += count
        sides = data.problem.couplings
        bad = np.where(sides.equality, 0.0, np.where(self.row_low, np.maximum(mu, 0.0), np.maximum(-mu, 0.0)))
        reach = abs(data.C) @ data.ranges if len(mu) else np.zeros(0)
        dual = max(float((wrong * data.ranges).max(initial=0.0)), float((bad * reach).max(initial=0.0))) / data.size
        cones = [np.zeros((stack.size, 0)) for stack in data.problem.stacks]
        return Iterate(data.problem.split(point.x), mu, parts, cones, dual)
