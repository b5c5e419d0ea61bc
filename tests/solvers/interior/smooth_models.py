"""Random smooth models with a known feasible point, and what numpy says of an answer to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

import gridmodel as gm

Floats = NDArray[np.float64]

# value, slope and cvxpy's form of a function of one number
LAWS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "line": (lambda u: u, lambda u: 1.0, lambda u: u),
    "square": (np.square, lambda u: 2 * u, cp.square),
    "sin": (np.sin, np.cos, cp.nlp.sin),
    "cos": (np.cos, lambda u: -np.sin(u), cp.nlp.cos),
    "exp": (np.exp, np.exp, cp.exp),
}


@dataclass(frozen=True)
class Term:
    """factor law(x_j), or factor x_j x_k where the law is "product"."""

    factor: float
    law: str
    j: int
    k: int = 0

    def at(self, x: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        slope = np.zeros(len(x))
        if self.law == "product":
            slope[self.j] += x[self.k]
            slope[self.k] += x[self.j]
            return self.factor * float(x[self.j] * x[self.k]), self.factor * slope
        value, derivative, _ = LAWS[self.law]
        slope[self.j] = derivative(x[self.j])
        return self.factor * float(value(x[self.j])), self.factor * slope

    def declared(self, x: cp.Variable) -> cp.Expression:
        """For cvxpy."""
        inner = cp.multiply(x[self.j], x[self.k]) if self.law == "product" else LAWS[self.law][2](x[self.j])
        return self.factor * inner


@dataclass(frozen=True)
class Row:
    """The sum of terms at most, or exactly, ``side``."""

    terms: tuple[Term, ...]
    side: float = 0.0

    def at(self, x: Floats) -> tuple[float, Floats]:
        """sum of terms - side and its gradient."""
        parts = [term.at(x) for term in self.terms]
        return sum((value for value, _ in parts), -self.side), sum((slope for _, slope in parts), np.zeros(len(x)))

    def declared(self, x: cp.Variable) -> cp.Expression:
        """The sum for cvxpy."""
        return sum(term.declared(x) for term in self.terms)


@dataclass(frozen=True)
class Owner:
    """minimise cost  s.t.  equal = side, above <= side, lower <= x <= upper; the search begins at ``start``."""

    cost: Row
    equal: tuple[Row, ...]
    above: tuple[Row, ...]
    lower: Floats
    upper: Floats
    start: Floats | None = None


@dataclass(frozen=True)
class Whole:
    """Owners, and the rows sum_i A_i x_i that are exactly (``exact``) or at most ``sides``."""

    owners: tuple[Owner, ...]
    A: tuple[Floats, ...]
    sides: Floats
    exact: NDArray[np.bool_]

    def declared(self) -> gm.Model:
        """The model."""
        model = gm.Model("random", convex=False)
        columns = []
        for number, owner in enumerate(self.owners):
            agent = model.agent(f"a{number}")
            x = agent.variable("x", len(owner.lower), bounds=(owner.lower, owner.upper))
            agent.minimize(owner.cost.declared(x))
            agent.subject_to(*(row.declared(x) == row.side for row in owner.equal))
            agent.subject_to(*(row.declared(x) <= row.side for row in owner.above))
            if owner.start is not None:
                x.value = owner.start
            columns.append(x)
        for k, (side, exact) in enumerate(zip(self.sides, self.exact, strict=True)):
            total = sum(A[k] @ x for A, x in zip(self.A, columns, strict=True))
            model.couple(total == side if exact else total <= side, name=f"row{k}")
        return model

    def stacked(self, parts: Sequence[Floats]) -> tuple[float, Floats, Floats, Floats, Floats, Floats]:
        """At a point: cost and gradient, equations and their Jacobian, inequalities (with bounds) and theirs."""
        n = [len(x) for x in parts]
        place = np.split(np.arange(sum(n)), np.cumsum(n)[:-1])
        cost, slope = 0.0, np.zeros(sum(n))
        h: list[tuple[float, Floats]] = []
        g: list[tuple[float, Floats]] = []

        def put(into: list[tuple[float, Floats]], row: Row, own: NDArray[np.intp], x: Floats) -> None:
            value, inner = row.at(x)
            full = np.zeros(sum(n))
            full[own] = inner
            into.append((value, full))

        for owner, own, x in zip(self.owners, place, parts, strict=True):
            value, slope[own] = owner.cost.at(x)
            cost += value
            for row in owner.equal:
                put(h, row, own, x)
            for row in owner.above:
                put(g, row, own, x)
            for j in range(len(x)):
                if np.isfinite(owner.lower[j]):
                    put(g, Row((Term(-1.0, "line", j),), -owner.lower[j]), own, x)
                if np.isfinite(owner.upper[j]):
                    put(g, Row((Term(1.0, "line", j),), owner.upper[j]), own, x)
        A, all_x = np.hstack(self.A), np.concatenate(parts)
        for row, side, exact in zip(A, self.sides, self.exact, strict=True):
            (h if exact else g).append((float(row @ all_x - side), row))
        split = [(np.array([v for v, _ in k]), np.array([s for _, s in k]).reshape(-1, sum(n))) for k in (h, g)]
        return cost, slope, *split[0], *split[1]

    def judged(self, parts: Sequence[Floats]) -> tuple[float, float, float]:
        """Cost, largest violation, and the least residual of the Karush-Kuhn-Tucker conditions over all multipliers.

        min over nu, zeta >= 0 of the norm of (gradient of the Lagrangian, zeta s), s the room that limits leave.
        """
        cost, slope, h, of_h, g, of_g = self.stacked(parts)
        violation = max(float(np.abs(h).max(initial=0.0)), float(g.max(initial=0.0)))
        room = np.maximum(-g, 0.0)
        matrix = np.block([[of_h.T, of_g.T], [np.zeros((len(g), len(h))), np.diag(room)]])
        right = np.concatenate([-slope, np.zeros(len(g))])
        if not matrix.shape[1]:
            return cost, violation, float(np.linalg.norm(right))
        least = np.concatenate([np.full(len(h), -np.inf), np.zeros(len(g))])
        fit = lsq_linear(matrix, right, bounds=(least, np.inf), method="bvls", tol=1e-14)
        return cost, violation, float(np.linalg.norm(matrix @ fit.x - right))


def random_whole(seed: int) -> Whole:
    """Two to four owners of two to four numbers each, feasible at a point that the search does not know."""
    rng = np.random.default_rng(seed)
    owners, A, inside = [], [], []
    rows = int(rng.integers(1, 4))
    for _ in range(rng.integers(2, 5)):
        n = int(rng.integers(2, 5))
        x = rng.uniform(-1.5, 1.5, n)
        equal = tuple(_through(rng, x, 0.0) for _ in range(rng.integers(0, 2)))
        above = tuple(_through(rng, x, rng.choice([0.0, 0.3, 2.0])) for _ in range(rng.integers(0, 3)))
        lower = np.where(rng.random(n) < 0.8, x - rng.uniform(0.1, 3, n), -np.inf)
        upper = np.where(rng.random(n) < 0.8, x + rng.uniform(0.1, 3, n), np.inf)
        bowl = tuple(Term(float(rng.uniform(0.2, 2)), "square", j) for j in range(n))  # bounded from below
        cost = Row((*_terms(rng, n, ("line", "sin", "cos", "product"), 0.3), *bowl))
        owners.append(Owner(cost, equal, above, lower, upper))
        A.append(np.where(rng.random((rows, n)) < 0.6, rng.uniform(-2, 2, (rows, n)).round(2), 0.0))
        inside.append(x)
    value = np.asarray(sum(A_i @ x for A_i, x in zip(A, inside, strict=True)))
    there = np.any(np.hstack(A) != 0, axis=1)
    exact = (rng.random(rows) < 0.5)[there]
    sides = value[there] + np.where(exact, 0.0, rng.choice([0.0, 0.5], int(there.sum())))
    return Whole(tuple(owners), tuple(A_i[there] for A_i in A), sides, exact)


def _terms(rng: np.random.Generator, n: int, laws: Sequence[str], size: float) -> tuple[Term, ...]:
    return tuple(
        Term(size * float(rng.uniform(-2, 2)), str(rng.choice(laws)), int(rng.integers(n)), int(rng.integers(n)))
        for _ in range(rng.integers(2, 5))
    )


def _through(rng: np.random.Generator, x: Floats, room: float) -> Row:
    """Terms with the point x on the side, or within it by ``room``."""
    terms = _terms(rng, len(x), ("line", "square", "sin", "cos", "exp", "product"), 1.0)
    return Row(terms, Row(terms).at(x)[0] + float(room))
