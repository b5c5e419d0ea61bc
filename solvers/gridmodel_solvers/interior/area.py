"""One smooth block in the interior point method: its KKT system condensed onto the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.smooth import SmoothBlock
from gridmodel_solvers.interior.sizes import row_sizes

__all__ = ["NEAR", "Area", "AreaPoint", "AreaTerms"]

Floats = NDArray[np.float64]

NEAR = 1e-4
"""Complementarity of limits that do not bind, where a search starts near an answer."""

_EPS = 1e-9
_CURVED = 1e-8


@dataclass(frozen=True)
class AreaPoint:
    """Columns, multipliers of equations, slacks s and multipliers z of limits, all scaled; as a direction: changes.

    x: (n,). nu: (equations and pinned columns,). s, z: (lower bounds, upper bounds, inequalities).
    """

    x: Floats
    nu: Floats
    s: Floats
    z: Floats

    def moved(self, primal: float, dual: float, by: AreaPoint) -> AreaPoint:
        """The point after a step."""
        return AreaPoint(
            self.x + primal * by.x, self.nu + dual * by.nu, self.s + primal * by.s, self.z + dual * by.z
        )  # fmt: skip

    def plus(self, factor: float, other: AreaPoint) -> AreaPoint:
        """self + factor other."""
        return self.moved(factor, factor, other)


@dataclass(frozen=True)
class AreaTerms:
    """Derivatives at a point, the factor, and the answers to both right sides and to C', columns in this order."""

    hessian: sp.csr_array
    limits: sp.csr_array
    value: Floats
    gamma: float
    answers: Floats
    schur: Floats


class Area:
    """minimise f(x) / cost  s.t.  h(x) = 0, g(x) <= 0 (bounds and c), in columns x / sizes and rows of size one."""

    def __init__(self, block: SmoothBlock, sizes: Floats, cost: float, rows: Floats) -> None:
        self.block, self.sizes, self.cost = block, sizes, cost
        f = block.functions
        of_h, of_c = f.jacobians(block.start)
        self.h_size, self.c_size = row_sizes(of_h, sizes), row_sizes(of_c, sizes)
        pinned = np.flatnonzero(block.lower == block.upper)
        free = block.lower != block.upper
        self.low = np.flatnonzero(np.isfinite(block.lower) & free)
        self.high = np.flatnonzero(np.isfinite(block.upper) & free)
        n, eye = len(sizes), sp.eye_array(len(sizes), format="csr")
        self.n, self.m = n, f.equations + len(pinned)
        self.pinned = pinned
        self._pin = eye[pinned]
        self._bounds = sp.csr_array(sp.vstack([-eye[self.low], eye[self.high]]))
        self.degree = len(self.low) + len(self.high) + f.inequalities
        self.C = sp.csr_array(block.C.multiply(sizes[None, :]).multiply(1.0 / rows[block.rows][:, None]))
        self._right = np.vstack([self.C.T.toarray(), np.zeros((self.m + self.degree, self.C.shape[0]))])

    def start(self, barrier: float, room: float) -> AreaPoint:
        """The start of the search, within the bounds, with scaled slacks of at least ``room``."""
        block = self.block
        inside = np.clip(block.start, block.lower, block.upper) / self.sizes
        s = np.maximum(-self.violations(inside)[1], room)
        return AreaPoint(inside, np.zeros(self.m), s, barrier / s)

    def near(self, x: Floats, nu: Floats, zeta: Floats, mu: Floats) -> AreaPoint:
        """A start near an earlier answer in the given units; multipliers of bounds are found from the gradient."""
        block, bounds = self.block, len(self.low) + len(self.high)
        at = np.clip(x, block.lower, block.upper) / self.sizes
        own = np.concatenate([nu * self.h_size / self.cost, np.zeros(len(self.pinned))])
        z = np.concatenate([np.zeros(bounds), zeta * self.c_size / self.cost])
        s = np.maximum(-self.violations(at)[1], NEAR**0.75)
        slope = self.gradient(AreaPoint(at, own, s, z), mu)
        own[block.functions.equations :] = -slope[self.pinned]
        z[:bounds] = np.concatenate([slope[self.low], -slope[self.high]])
        return AreaPoint(at, own, s, np.maximum(z, NEAR / s))

    def violations(self, x: Floats) -> tuple[Floats, Floats]:
        """h and g at scaled columns."""
        block, true = self.block, x * self.sizes
        h, c = block.functions.residuals(true)
        pins = (true - block.lower)[self.pinned] / self.sizes[self.pinned]
        low = (block.lower - true)[self.low] / self.sizes[self.low]
        high = (true - block.upper)[self.high] / self.sizes[self.high]
        return np.concatenate([h / self.h_size, pins]), np.concatenate([low, high, c / self.c_size])

    def gradient(self, point: AreaPoint, mu: Floats) -> Floats:
        """The gradient of the Lagrangian by the scaled columns; mu belongs to the block's own rows."""
        of_h, of_g = self._jacobians(point.x)
        return np.asarray(self._slope(point.x) + of_h.T @ point.nu + of_g.T @ point.z + self.C.T @ mu)

    def linearised(self, point: AreaPoint, mu: Floats, gamma: float, delta: float) -> AreaTerms:
        """Factors the system; solves towards the optimum, towards the centre of height gamma, and with C'."""
        of_h, of_g = self._jacobians(point.x)
        h, g = self.violations(point.x)
        H = self._hessian(point)
        ratio = point.s / point.z
        eye = sp.eye_array(self.n)
        top = sp.hstack([H + delta * eye, of_h.T, of_g.T])
        equal = sp.hstack([of_h, -_EPS * sp.eye_array(self.m), sp.csr_array((self.m, len(ratio)))])
        above = sp.hstack([of_g, sp.csr_array((len(ratio), self.m)), -sp.diags_array(ratio)])
        K = sp.csc_matrix(sp.vstack([top, equal, above]))
        slope = self._slope(point.x) + of_h.T @ point.nu + of_g.T @ point.z + self.C.T @ mu
        affine = np.concatenate([-slope, -h, -g])
        central = np.concatenate([np.zeros(self.n + self.m), -gamma / point.z])
        right = np.column_stack([affine, central, self._right])
        lu = splu(K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-2, options={"SymmetricMode": True})
        answers = lu.solve(right)
        answers += lu.solve(right - K @ answers)
        return AreaTerms(H, of_g, g, gamma, answers, self.C @ answers[: self.n, 2:])

    def reports(self, point: AreaPoint, terms: AreaTerms) -> Floats:
        """C x + C K^-1 of both right sides, shape (k, 2)."""
        out = np.asarray(self.C @ terms.answers[: self.n, :2])
        out[:, 0] += self.C @ point.x
        return out

    def directions(self, point: AreaPoint, terms: AreaTerms, du: Floats) -> tuple[AreaPoint, AreaPoint]:
        """Both directions once the changes du of the block's rows are known, shape (k, 2)."""
        d = terms.answers[:, :2] - terms.answers[:, 2:] @ du
        return self._direction(point, terms, d[:, 0], True), self._direction(point, terms, d[:, 1], False)

    def curved(self, terms: AreaTerms, point: AreaPoint, by: AreaPoint, delta: float) -> bool:
        """Whether the system curves upwards along a direction."""
        along = terms.limits @ by.x
        square = float(by.x @ by.x)
        bend = float(by.x @ (terms.hessian @ by.x)) + delta * square + float(along @ (point.z / point.s * along))
        return bend >= _CURVED * square

    def _direction(self, point: AreaPoint, terms: AreaTerms, d: Floats, affine: bool) -> AreaPoint:
        dx, dnu, dz = d[: self.n], d[self.n : self.n + self.m], d[self.n + self.m :]
        ds = -(terms.limits @ dx)
        if affine:
            ds = ds - terms.value - point.s
        return AreaPoint(dx, dnu, ds, dz)

    def _slope(self, x: Floats) -> Floats:
        return np.asarray(self.block.functions.gradient(x * self.sizes) * self.sizes / self.cost)

    def _jacobians(self, x: Floats) -> tuple[sp.csr_array, sp.csr_array]:
        of_h, of_c = self.block.functions.jacobians(x * self.sizes)
        across = self.sizes[None, :]
        equal = of_h.multiply(across).multiply(1.0 / self.h_size[:, None])
        above = of_c.multiply(across).multiply(1.0 / self.c_size[:, None])
        return sp.csr_array(sp.vstack([equal, self._pin])), sp.csr_array(sp.vstack([self._bounds, above]))

    def _hessian(self, point: AreaPoint) -> sp.csr_array:
        f, cost = self.block.functions, self.cost
        nu = cost * point.nu[: f.equations] / self.h_size
        zeta = cost * point.z[len(self.low) + len(self.high) :] / self.c_size
        H = f.hessian(point.x * self.sizes, nu, zeta)
        return sp.csr_array(H.multiply(self.sizes[None, :] / cost).multiply(self.sizes[:, None]))

    def outward(self, point: AreaPoint) -> tuple[Floats, Floats, Floats]:
        """Columns and multipliers of h and c in the given units."""
        f: Any = self.block.functions
        nu = self.cost * point.nu[: f.equations] / self.h_size
        zeta = self.cost * point.z[len(self.low) + len(self.high) :] / self.c_size
        return point.x * self.sizes, nu, zeta
