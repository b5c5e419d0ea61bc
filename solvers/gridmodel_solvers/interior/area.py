"""One smooth block in the interior point method: its KKT system condensed onto the coupling rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.smooth import SmoothBlock
from gridmodel_solvers.interior.part import NEAR, AbstractPart, Point, Residuals, reach
from gridmodel_solvers.interior.sizes import row_sizes

__all__ = ["Area", "AreaTerms"]

Floats = NDArray[np.float64]

_EPS = 1e-9
_CURVED = 1e-8


@dataclass(frozen=True)
class AreaTerms:
    """Residuals and derivatives at a point, K^-1, and what it makes of C'.

    delta: what was added to the curvature. ratio: s/z. answers: K^-1 C', (n + m + limits, k).
    """

    rest: Residuals
    hessian: sp.csr_array
    limits: sp.csr_array
    delta: float
    ratio: Floats
    solve: Callable[[Floats], Floats]
    answers: Floats


@final
class Area(AbstractPart[AreaTerms]):
    """minimise f(x) / cost  s.t.  h(x) = 0, g(x) <= 0 (bounds and c), in columns x / sizes and rows of size one.

    With s the slacks of g, Newton's step for the central path:

        [H + delta   h'     g'   ] [dx ]   [-(gradient of the Lagrangian)]
        [h           -eps   0    ] [dnu] = [-h                           ] - C' dmu
        [g           0      -s/z ] [dz ]   [-g - sigma gamma / z         ]
    """

    def __init__(self, block: SmoothBlock, sizes: Floats, cost: float, rows: Floats, room: float) -> None:
        """room: the least scaled slack at the start."""
        self.block, self.sizes, self.cost, self.room = block, sizes, cost, room
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

    def start(self, barrier: float) -> Point:
        """The start of the search, within the bounds."""
        block = self.block
        inside = np.clip(block.start, block.lower, block.upper) / self.sizes
        s = np.maximum(-self.violations(inside)[1], self.room)
        return Point(inside, np.zeros(self.m), s, barrier / s)

    def near(self, x: Floats, nu: Floats, zeta: Floats, mu: Floats) -> Point:
        """A start near an earlier answer in the given units; multipliers of bounds are found from the gradient."""
        block, bounds = self.block, len(self.low) + len(self.high)
        at = np.clip(x, block.lower, block.upper) / self.sizes
        own = np.concatenate([nu * self.h_size / self.cost, np.zeros(len(self.pinned))])
        z = np.concatenate([np.zeros(bounds), zeta * self.c_size / self.cost])
        s = np.maximum(-self.violations(at)[1], NEAR**0.75)
        slope = self.gradient(Point(at, own, s, z), mu)
        own[block.functions.equations :] = -slope[self.pinned]
        z[:bounds] = np.concatenate([slope[self.low], -slope[self.high]])
        return Point(at, own, s, np.maximum(z, NEAR / s))

    def violations(self, x: Floats) -> tuple[Floats, Floats]:
        """h and g at scaled columns."""
        block, true = self.block, x * self.sizes
        h, c = block.functions.residuals(true)
        pins = (true - block.lower)[self.pinned] / self.sizes[self.pinned]
        low = (block.lower - true)[self.low] / self.sizes[self.low]
        high = (true - block.upper)[self.high] / self.sizes[self.high]
        return np.concatenate([h / self.h_size, pins]), np.concatenate([low, high, c / self.c_size])

    def worst(self, x: Floats) -> tuple[float, str]:
        """How far the limit is off that is violated most, over its size, and which it is."""
        h, g = self.violations(x)
        bounds = np.concatenate([self.low, self.high])
        f, (equations, inequalities) = self.block.functions, self.block.names
        names = [*(equations or _counted("equation", range(f.equations))), *_counted("fixed column", self.pinned),
                 *_counted("the bound of column", bounds),
                 *(inequalities or _counted("inequality", range(f.inequalities)))]  # fmt: skip
        far, name = max(zip(np.concatenate([np.abs(h), g]).tolist(), names, strict=True), default=(0.0, "nothing"))
        return far, f"{name} of {self.block.label}"

    def gradient(self, point: Point, mu: Floats) -> Floats:
        """The gradient of the Lagrangian by the scaled columns."""
        return self._gradient(point, mu, *self._jacobians(point.x))

    def residuals(self, point: Point, mu: Floats) -> Residuals:
        """What is off at a point."""
        h, g = self.violations(point.x)
        return Residuals(self.gradient(point, mu), -h, -g - point.s)

    def linearised(self, point: Point, mu: Floats, delta: float) -> AreaTerms:
        """Factors the system, with ``delta`` added to its curvature."""
        of_h, of_g = self._jacobians(point.x)
        h, g = self.violations(point.x)
        H, ratio = self._hessian(point), point.s / point.z
        top = sp.hstack([H + delta * sp.eye_array(self.n), of_h.T, of_g.T])
        equal = sp.hstack([of_h, -_EPS * sp.eye_array(self.m), sp.csr_array((self.m, len(ratio)))])
        above = sp.hstack([of_g, sp.csr_array((len(ratio), self.m)), -sp.diags_array(ratio)])
        K = sp.csc_matrix(sp.vstack([top, equal, above]))
        lu = splu(K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=1e-2, options={"SymmetricMode": True})

        def solve(right: Floats) -> Floats:
            answer = lu.solve(right)
            return np.asarray(answer + lu.solve(right - K @ answer))

        rest = Residuals(self._gradient(point, mu, of_h, of_g), -h, -g - point.s)
        return AreaTerms(rest, H, of_g, delta, ratio, solve, solve(self._right))

    def report(self, x: Floats, total: Floats) -> None:
        """Adds C x."""
        total[self.block.rows] += self.C @ x

    def schur(self, terms: AreaTerms, total: Floats) -> None:
        """Adds C K^-1 C'."""
        total[np.ix_(self.block.rows, self.block.rows)] += self.C @ terms.answers[: self.n]

    def target(self, point: Point, terms: AreaTerms, gamma: float, by: Point | None) -> Floats:
        """The t of ds + s/z dz = t."""
        product = 0.0 if by is None else by.s * by.z
        return np.asarray((gamma - product) / point.z - point.s)

    def towards(self, terms: AreaTerms, share: float, target: Floats) -> Floats:
        """K^-1 of the right side, shape (n + m + limits,)."""
        rest = terms.rest
        return terms.solve(np.concatenate([-share * rest.slope, share * rest.side, share * rest.gap - target]))

    def direction(self, terms: AreaTerms, share: float, target: Floats, free: Floats, du: Floats) -> Point:
        """The step."""
        d = free - terms.answers @ du[self.block.rows]
        dx, dnu, dz = np.split(d, [self.n, self.n + self.m])
        return Point(dx, dnu, share * terms.rest.gap - terms.limits @ dx, dz)

    def reach(self, point: Point, by: Point) -> tuple[float, float]:
        """The largest primal and dual steps that keep slacks and multipliers positive."""
        return reach(point.s, by.s), reach(point.z, by.z)

    def product(self, point: Point) -> float:
        """s'z."""
        return float(point.s @ point.z)

    def curved(self, terms: AreaTerms, point: Point, by: Point) -> bool:
        """Whether the system curves upwards along a direction."""
        along = terms.limits @ by.x
        square = float(by.x @ by.x)
        bend = float(by.x @ (terms.hessian @ by.x)) + terms.delta * square + float(along @ (along / terms.ratio))
        return bend >= _CURVED * square

    def _gradient(self, point: Point, mu: Floats, of_h: sp.csr_array, of_g: sp.csr_array) -> Floats:
        slope = self.block.functions.gradient(point.x * self.sizes) * self.sizes / self.cost
        return np.asarray(slope + of_h.T @ point.nu + of_g.T @ point.z + self.C.T @ mu[self.block.rows])

    def _jacobians(self, x: Floats) -> tuple[sp.csr_array, sp.csr_array]:
        of_h, of_c = self.block.functions.jacobians(x * self.sizes)
        across = self.sizes[None, :]
        equal = of_h.multiply(across).multiply(1.0 / self.h_size[:, None])
        above = of_c.multiply(across).multiply(1.0 / self.c_size[:, None])
        return sp.csr_array(sp.vstack([equal, self._pin])), sp.csr_array(sp.vstack([self._bounds, above]))

    def _hessian(self, point: Point) -> sp.csr_array:
        f, cost = self.block.functions, self.cost
        nu = cost * point.nu[: f.equations] / self.h_size
        zeta = cost * point.z[len(self.low) + len(self.high) :] / self.c_size
        H = f.hessian(point.x * self.sizes, nu, zeta)
        return sp.csr_array(H.multiply(self.sizes[None, :] / cost).multiply(self.sizes[:, None]))

    def outward(self, point: Point) -> tuple[Floats, Floats, Floats]:
        """Columns and multipliers of h and c in the given units."""
        f: Any = self.block.functions
        nu = self.cost * point.nu[: f.equations] / self.h_size
        zeta = self.cost * point.z[len(self.low) + len(self.high) :] / self.c_size
        return point.x * self.sizes, nu, zeta


def _counted(kind: str, places: Iterable[int]) -> list[str]:
    return [f"{kind} {k}" for k in places]
