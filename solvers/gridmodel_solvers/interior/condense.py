"""A stack of convex blocks in the interior point method: its KKT system condensed onto the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel_solvers.interior.cones import ConeSet
from gridmodel_solvers.interior.factor import AbstractFactor, BatchedLDL, Pattern, SparseLU

__all__ = ["Condensed", "Point", "Terms"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_FEW = 4
_BARE = 1e-2
_NEAR = 1e-2
_NUMBERS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class Point:
    """Columns, multipliers of the equations, and slacks s with multipliers z of bounds and cones.

    x: (N, n). nu: (N, m). s, z: (N, 2 n + g), rows: lower bounds, upper bounds, cone rows; one and zero where a bound
    is infinite. As a direction: changes of all these.
    """

    x: Floats
    nu: Floats
    s: Floats
    z: Floats

    def moved(self, primal: float, dual: float, by: Point) -> Point:
        """The point after a step."""
        return Point(
            self.x + primal * by.x, self.nu + dual * by.nu, self.s + primal * by.s, self.z + dual * by.z
        )  # fmt: skip

    def plus(self, factor: float, other: Point) -> Point:
        """self + factor other."""
        return self.moved(factor, factor, other)


@dataclass(frozen=True)
class Terms:
    """What a stack knows of its KKT system in a round: factor, residuals and the answers to its two right sides.

    affine, central: K^-1 of the right sides towards the optimum and towards the centre, shape (N, size).
    """

    factor: AbstractFactor
    affine: Floats
    central: Floats
    gap: Floats
    inverse: Floats
    reported: Floats


class Condensed:
    """minimise 1/2 x'P x + q'x,  A x = b,  bounds,  G x + h in K, for all blocks of a stack.

    Newton's step for the central path, with W^2 z = s the Nesterov-Todd scaling of the cones, V = z/s of the bounds:

        [P + V + delta   A'     -G' ] [dx ]   [-(q + P x + A'nu + C'mu - B'z) - ...]
        [A              -eps      0 ] [dnu] = [b - A x                             ] - C' dmu
        [-G                0   -W^2 ] [dz ]   [G x + h - sigma gamma z^-1          ]
    """

    def __init__(self, stack: Stack, pinned: NDArray[np.bool_], delta: float, eps: float) -> None:
        self.stack, self.pinned, self._delta, self._eps = stack, pinned, delta, eps
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
        self._inner = ConeSet.of(cones)

    # The system ----------------------------------------------------------------------------------------------------

    @cached_property
    def pattern(self) -> Pattern:
        """Entries of K in the order in which ``_data`` lays them out."""
        stack, n, m = self.stack, self.n, self.m
        low = stack.P.row >= stack.P.col
        rows = [stack.P.row[low], np.arange(self.size), n + stack.A.row, n + m + stack.G.row]
        cols = [stack.P.col[low], np.arange(self.size), stack.A.col, stack.G.col]
        for _, group in (*self._inner.soc, *self._inner.psd):
            one, two = np.tril_indices(group.shape[1])
            rows.append((n + m + group[:, one]).ravel())
            cols.append((n + m + group[:, two]).ravel())
        signs = np.concatenate([np.ones(n), -np.ones(m + self.g)])
        return Pattern(self.size, np.concatenate(rows).astype(np.intp), np.concatenate(cols).astype(np.intp), signs)

    @cached_property
    def _symbolic(self) -> object:
        return BatchedLDL.symbolic(self.pattern)

    def _ratio(self, point: Point) -> Floats:
        """z / s of the bounds, 0 where there is none; of a cone's rows single entries may be zero."""
        bounds = slice(0, 2 * self.n)
        z, s, active = point.z[:, bounds], point.s[:, bounds], self.active[:, bounds]
        return np.asarray(np.divide(z, s, out=np.zeros_like(z), where=active))

    def _data(self, point: Point) -> Floats:
        stack, n, m, N = self.stack, self.n, self.m, self.stack.size
        low = stack.P.row >= stack.P.col
        ratio = self._ratio(point)
        diagonal = np.empty((N, self.size))
        diagonal[:, :n] = ratio[:, :n] + ratio[:, n : 2 * n] + self._delta + self.pinned
        diagonal[:, n : n + m] = -self._eps
        s, z = point.s[:, 2 * n :], point.z[:, 2 * n :]
        positive = stack.cones.nonneg
        diagonal[:, n + m :] = 0.0
        diagonal[:, n + m : n + m + positive] = -s[:, :positive] / z[:, :positive]
        parts = [stack.P.full[:, low], diagonal, stack.A.full, -stack.G.full]
        for rows, block in self._inner.scaling(s, z):
            one, two = np.tril_indices(rows.shape[1])
            parts.append(-block[:, :, one, two].reshape(N, -1))
        return np.concatenate(parts, axis=1)

    # Steps ---------------------------------------------------------------------------------------------------------

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

    def linearised(self, point: Point, mu: Floats, gamma: float) -> Terms:
        """Factors the system and answers the right sides towards the optimum and towards the centre of height gamma."""
        stack, n, m = self.stack, self.n, self.m
        data = self._data(point)
        many = stack.size > _FEW
        factor = BatchedLDL(self.pattern, data, self._symbolic) if many else SparseLU(self.pattern, data)  # type: ignore[arg-type]
        value = self.rows(point.x)
        gap = np.where(self.active, value - point.s, 0.0)
        ratio = self._ratio(point)
        inverse = np.where(self.active, self.cones.inverse(np.where(self.active, point.s, 1.0)), 0.0)
        toward = point.z[:, : 2 * n] + ratio * gap[:, : 2 * n]
        affine = np.zeros((stack.size, self.size))
        affine[:, :n] = -self.gradient(point, mu) - toward[:, :n] + toward[:, n:]
        affine[:, n : n + m] = stack.b - stack.A.dot(point.x)
        affine[:, n + m :] = value[:, 2 * n :]
        central = np.zeros_like(affine)
        central[:, :n] = gamma * (inverse[:, :n] - inverse[:, n : 2 * n])
        central[:, n + m :] = -gamma * self._inner.inverse(point.z[:, 2 * n :])
        both = factor.solve(np.stack([affine, central], axis=2))
        return Terms(factor, both[:, :, 0], both[:, :, 1], gap, gamma * inverse, stack.C.dot(point.x))

    def schur(self, terms: Terms, total: Floats, rows: Ints) -> None:
        """Adds C_i K_i^-1 C_i' of all blocks to ``total`` at the places ``rows`` of its rows."""
        stack = self.stack
        k = stack.slots
        dense = np.zeros((len(stack.C.data), k, self.size))
        dense[:, stack.C.row, stack.C.col] = stack.C.data
        right = np.broadcast_to(dense.transpose(0, 2, 1), (stack.size, self.size, k))
        width = max(1, _NUMBERS_AT_ONCE // max(stack.size * self.size, 1))
        at = rows[stack.rows]
        alike = bool((at == at[:1]).all())
        for first in range(0, k, width):
            answer = terms.factor.solve(np.ascontiguousarray(right[:, :, first : first + width]))
            part = np.einsum("bks,bsc->bkc", np.broadcast_to(dense, (stack.size, k, self.size)), answer)
            columns = at[:, first : first + width]
            if alike:
                total[at[0][:, None], columns[0][None, :]] += part.sum(axis=0)
            else:
                np.add.at(total, (at[:, :, None], columns[:, None, :]), part)

    def directions(self, point: Point, terms: Terms, du: Floats) -> tuple[Point, Point]:
        """Both directions once the changes du of the coupling multipliers are known, shape (rows, 2)."""
        stack, n = self.stack, self.n
        right = np.zeros((stack.size, self.size, 2))
        for c in range(2):
            right[:, :n, c] = stack.C.tdot(du[stack.rows, c])
        answer = terms.factor.solve(right)
        one = self._direction(point, terms, terms.affine - answer[:, :, 0], True)
        return one, self._direction(point, terms, terms.central - answer[:, :, 1], False)

    def corrected(self, point: Point, terms: Terms, by: Point, factor: float) -> Point:
        """What makes up for the products of changes along ``by``, the coupling multipliers held."""
        n, m = self.n, self.m
        bend = factor * self.cones.bend(point.s, point.z, by.s, by.z)
        bend = np.where(self.active, bend, 0.0)
        dual = bend[:, : 2 * n] * point.z[:, : 2 * n] / point.s[:, : 2 * n]
        right = np.zeros((self.stack.size, self.size, 1))
        right[:, :n, 0] = dual[:, n:] - dual[:, :n]
        right[:, n + m :, 0] = bend[:, 2 * n :]
        d = terms.factor.solve(right)[:, :, 0]
        dx = d[:, :n]
        ds = np.where(self.active, np.concatenate([dx, -dx, self.stack.G.dot(dx)], axis=1), 0.0)
        ratio = point.z[:, : 2 * n] / point.s[:, : 2 * n]
        bounds = np.where(self.active[:, : 2 * n], -dual - ratio * ds[:, : 2 * n], 0.0)
        return Point(dx, d[:, n : n + m], ds, np.concatenate([bounds, d[:, n + m :]], axis=1))

    def _direction(self, point: Point, terms: Terms, d: Floats, affine: bool) -> Point:
        n, m = self.n, self.m
        dx, dnu, dz = d[:, :n], d[:, n : n + m], d[:, n + m :]
        ds = np.concatenate([dx, -dx, self.stack.G.dot(dx)], axis=1) + (terms.gap if affine else 0.0)
        ds = np.where(self.active, ds, 0.0)
        s, z = point.s[:, : 2 * n], point.z[:, : 2 * n]
        bounds = (-z if affine else terms.inverse[:, : 2 * n]) - z / s * ds[:, : 2 * n]
        bounds = np.where(self.active[:, : 2 * n], bounds, 0.0)
        return Point(dx, dnu, ds, np.concatenate([bounds, dz], axis=1))

    def product(self, point: Point) -> float:
        """s'z of all blocks."""
        return float(np.einsum("ij,ij->", np.where(self.active, point.s, 0.0), point.z))
