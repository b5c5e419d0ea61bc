"""A stack of convex blocks in the interior point method: its KKT system condensed onto the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.interior.cones import ConeSet
from gridmodel_solvers.interior.kkt import Factored, Kkt
from gridmodel_solvers.interior.part import AbstractPart, Point, Residuals

__all__ = ["Condensed", "Terms"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_BARE = 1e-2
_NEAR = 1e-2
_NUMBERS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Terms:
    """What a stack knows of its KKT system in a round; ratio: z / s of bounds."""

    factor: Factored
    rest: Residuals
    ratio: Floats


@final
class Condensed(AbstractPart[Terms]):
    """minimise 1/2 x'P x + q'x,  A x = b,  bounds,  G x + h in K, for all blocks of a stack.

    Newton's step for the central path, with W^2 z = s the Nesterov-Todd scaling of the cones, V = z/s of the bounds:

        [P + V + delta   A'     -G' ] [dx ]   [-(q + P x + A'nu + C'mu - B'z) - ...]
        [A                0       0 ] [dnu] = [b - A x                             ] - C' dmu
        [-G                0   -W^2 ] [dz ]   [G x + h - sigma gamma z^-1          ]
    """

    def __init__(self, stack: Stack, pinned: NDArray[np.bool_], delta: float, eps: float) -> None:
        self.stack = stack
        n, g = stack.columns, stack.h.shape[1]
        self.n, self.m, self.g = n, stack.b.shape[1], g
        self.size = n + self.m + g
        cones = stack.cones
        self.cones = ConeSet.of(Cones(2 * n + cones.nonneg, cones.soc, cones.psd))
        low, high = np.isfinite(stack.lower), np.isfinite(stack.upper)
        self.active = np.concatenate([low, high, np.ones((stack.size, g), dtype=bool)], axis=1)
        self.lower = np.where(low, stack.lower, 0.0)
        self.upper = np.where(high, stack.upper, 0.0)
        self.degree = int(low.sum() + high.sum()) + stack.size * (cones.nonneg + self.cones.degree)
        self._kkt = Kkt(stack, pinned, delta, eps)

    def start(self, barrier: float) -> Point:
        """Columns in the middle of their bounds, slacks inside the cones, multipliers on the central path."""
        stack, n = self.stack, self.n
        low, high = self.active[:, :n], self.active[:, n : 2 * n]
        middle = np.where(low & high, 0.5 * (self.lower + self.upper), np.where(low, self.lower + 1.0, 0.0))
        x = np.where(high & ~low, self.upper - 1.0, middle)
        value = self.rows(x)
        least = self.cones.least(value)
        s = np.where(least > _BARE, value, value + (1.0 - np.minimum(least, 0.0)) * self.cones.identity(stack.size))
        # Bounds hold exactly at the start; other rows that hold barely, or not at all, get a slack of one and more.
        s[:, : 2 * n] = np.where(self.active[:, : 2 * n], np.maximum(value[:, : 2 * n], 1e-8), 1.0)
        return Point(x, np.zeros_like(stack.b), s, np.where(self.active, barrier * self.cones.inverse(s), 0.0))

    def near(self, x: Floats, nu: Floats, zeta: Floats, mu: Floats) -> Point:
        """A start near an earlier answer; multipliers of bounds are found from the gradient."""
        n, e = self.n, self.cones.identity(self.stack.size)
        low, high = self.active[:, :n], self.active[:, n : 2 * n]
        x = np.where(low, np.maximum(x, self.lower), x)
        x = np.where(high, np.minimum(x, np.maximum(self.upper, self.lower)), x)
        zero = np.zeros_like(x)
        slope = self.gradient(Point(x, nu, e, np.concatenate([zero, zero, zeta], axis=1)), mu)
        z = np.concatenate([np.where(low, slope, 0.0), np.where(high, -slope, 0.0), zeta], axis=1)
        s = np.where(self.active, self.rows(x), 1.0)
        s = s + (_NEAR - np.minimum(self.cones.least(s), _NEAR)) * e
        z = z + (_NEAR - np.minimum(self.cones.least(z), _NEAR)) * e
        return Point(x, nu, s, np.where(self.active, z, 0.0))

    def rows(self, x: Floats) -> Floats:
        """Bounds and cone rows at x: x - lower, upper - x, G x + h."""
        return np.concatenate([x - self.lower, self.upper - x, self.stack.G.dot(x) + self.stack.h], axis=1)

    def gradient(self, point: Point, mu: Floats) -> Floats:
        """q + P x + A'nu + C'mu - B'z, shape (N, n)."""
        stack, n = self.stack, self.n
        z = point.z
        pull = stack.q + stack.P.dot(point.x) + stack.A.tdot(point.nu) + stack.C.tdot(mu[stack.rows])
        return np.asarray(pull - z[:, :n] + z[:, n : 2 * n] - stack.G.tdot(z[:, 2 * n :]))

    def residuals(self, point: Point, mu: Floats) -> Residuals:
        """What is off at a point."""
        gap = np.where(self.active, self.rows(point.x) - point.s, 0.0)
        return Residuals(self.gradient(point, mu), self.stack.b - self.stack.A.dot(point.x), gap)

    def linearised(self, point: Point, mu: Floats) -> Terms:
        """Factors the system at a point."""
        stack, n = self.stack, self.n
        bounds = slice(0, 2 * n)
        ratio = np.divide(point.z[:, bounds], point.s[:, bounds], where=self.active[:, bounds],
                          out=np.zeros((stack.size, 2 * n)))  # fmt: skip
        factor = self._kkt.factored(ratio[:, :n] + ratio[:, n:], point.s[:, 2 * n :], point.z[:, 2 * n :])
        return Terms(factor, self.residuals(point, mu), ratio)

    def report(self, x: Floats, total: Floats) -> None:
        """Adds C x of all blocks."""
        np.add.at(total, self.stack.rows, self.stack.C.dot(x))

    def schur(self, terms: Terms, total: Floats) -> None:
        """Adds C_i K_i^-1 C_i' of all blocks to ``total``."""
        stack = self.stack
        k = stack.slots
        dense = np.zeros((len(stack.C.data), k, self.n))
        dense[:, stack.C.row, stack.C.col] = stack.C.data
        dense = np.broadcast_to(dense, (stack.size, k, self.n))
        left = len(self._kkt.kept)
        width = max(1, _NUMBERS_AT_ONCE // max(stack.size * left, 1))
        at = stack.rows
        alike = bool((at == at[:1]).all())
        for first in range(0, k, width):
            chosen = dense[:, first : first + width]
            right = np.zeros((stack.size, left, chosen.shape[1]))
            right[:, : self.n] = chosen.transpose(0, 2, 1)
            part = dense @ terms.factor.inner(right)[:, : self.n]
            columns = at[:, first : first + width]
            if alike:
                total[at[0][:, None], columns[0][None, :]] += part.sum(axis=0)
            else:
                np.add.at(total, (at[:, :, None], columns[:, None, :]), part)

    def target(self, point: Point, terms: Terms, gamma: float, by: Point | None) -> Floats:
        """What a step's complementarity aims at, shape (N, 2 n + g).

        t of dz + z/s ds = t for bounds, of ds + W^2 dz = t for cone rows, so that s z = gamma to first order, or to
        second order where the step is about ``by``.
        """
        cut = 2 * self.n
        product = 0.0 if by is None else by.s[:, :cut] * by.z[:, :cut]
        bounds = np.where(self.active[:, :cut], (gamma - product) / point.s[:, :cut] - point.z[:, :cut], 0.0)
        cones = gamma * self._kkt.cones.inverse(point.z[:, cut:]) - point.s[:, cut:]
        if by is not None:
            cones -= terms.factor.scaling.bend(by.s[:, cut:], by.z[:, cut:])
        return np.concatenate([bounds, cones], axis=1)

    def towards(self, terms: Terms, share: float, target: Floats) -> Floats:
        """K^-1 of the right side of a step that mends a share of all residuals, shape (N, size)."""
        n, cut, rest = self.n, 2 * self.n, terms.rest
        pull = target[:, :cut] - share * terms.ratio * rest.gap[:, :cut]
        slope = pull[:, :n] - pull[:, n:] - share * rest.slope
        right = np.concatenate([slope, share * rest.side, share * rest.gap[:, cut:] - target[:, cut:]], axis=1)
        return terms.factor.solve(right[:, :, None])[:, :, 0]

    def direction(self, terms: Terms, share: float, target: Floats, free: Floats, du: Floats) -> Point:
        """The step once the changes du of the coupling multipliers are known; free: as ``towards`` gave it."""
        stack, n, m, cut = self.stack, self.n, self.m, 2 * self.n
        right = np.zeros((stack.size, self.size, 1))
        right[:, :n, 0] = stack.C.tdot(du[stack.rows])
        d = free - terms.factor.solve(right)[:, :, 0]
        dx = d[:, :n]
        ds = np.concatenate([dx, -dx, stack.G.dot(dx)], axis=1) + share * terms.rest.gap
        ds = np.where(self.active, ds, 0.0)
        bounds = target[:, :cut] - terms.ratio * ds[:, :cut]
        return Point(dx, d[:, n : n + m], ds, np.concatenate([bounds, d[:, n + m :]], axis=1))

    def reach(self, point: Point, by: Point) -> tuple[float, float]:
        """The largest primal and dual steps that keep slacks and multipliers inside their cones."""
        return self.cones.reach(point.s, by.s), self.cones.reach(point.z + ~self.active, by.z)

    def product(self, point: Point) -> float:
        """s'z of all blocks."""
        return float(np.einsum("ij,ij->", np.where(self.active, point.s, 0.0), point.z))
