"""The interior point method on stacks of convex blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.condense import Condensed, Point, Terms
from gridmodel_solvers.interior.hub import Hub, Side
from gridmodel_solvers.interior.scaled import Scaled

__all__ = ["Convex", "ConvexState"]

Floats = NDArray[np.float64]

_BACK = 0.99
_BETTER = 0.9
_NEAR = 1e-4
_PATIENCE = 12


@dataclass(frozen=True)
class ConvexState:
    """points: of each stack; side and mu: the coordinator's; sigma, steps: of the last round, primal and dual.

    least: the smallest error so far; idle: rounds since then. lost: a step could not be computed.
    """

    engine: Convex
    points: tuple[Point, ...]
    side: Side
    mu: Floats
    steps: tuple[float, float] = (1.0, 1.0)
    sigma: float = 1.0
    least: float = np.inf
    idle: int = 0
    lost: bool = False


@dataclass(frozen=True)
class _Move:
    points: tuple[Point, ...]
    side: Side
    mu: Floats

    def plus(self, factor: float, other: _Move) -> _Move:
        points = tuple(one.plus(factor, two) for one, two in zip(self.points, other.points, strict=True))
        return _Move(points, self.side.plus(factor, other.side), self.mu + factor * other.mu)


class Convex:
    """The method on one problem: what does not change from round to round."""

    def __init__(self, problem: Separable, sigma: float | None, delta: float, barrier: float) -> None:
        self.scaled = Scaled.of(problem)
        self.problem = self.scaled.problem
        self.sigma, self.barrier = sigma, barrier
        pairs = zip(self.problem.stacks, self.scaled.pinned, strict=True)
        self.parts = tuple(Condensed(stack, pinned, delta, delta) for stack, pinned in pairs)
        couplings = self.problem.couplings
        self.hub = Hub(couplings.lower, couplings.upper, np.ones(couplings.size))
        self.degree = max(self.hub.degree + sum(part.degree for part in self.parts), 1)

    def start(self, warm: Iterate | None) -> ConvexState:
        """The first state: the middle of all limits, or near the end of an earlier run."""
        if warm is None:
            points = tuple(part.start(self.barrier) for part in self.parts)
            mu = np.zeros(self.problem.couplings.size)
        else:
            old = self.scaled.inward(warm)
            mu = old.mu
            each = zip(self.parts, old.x, old.nu, old.zeta, strict=True)
            points = tuple(part.near(x, nu, zeta, mu) for part, x, nu, zeta in each)
        value = self.problem.coupling_value([point.x for point in points])
        return ConvexState(self, points, self.hub.start(value, self.barrier if warm is None else _NEAR), mu)

    def step(self, state: ConvexState) -> ConvexState:
        """One round; a state from which no step can be computed stays as it is."""
        if state.lost:
            return state
        gamma = self._gamma(state.points, state.side)
        try:
            terms = [p.linearised(at, state.mu, gamma) for p, at in zip(self.parts, state.points, strict=True)]
            affine, central = self._solve(state, terms, gamma)
            sigma, move, steps = self._choose(state, affine, central, gamma)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return replace(state, lost=True)
        if not all(np.isfinite(by.x).all() and np.isfinite(by.z).all() for by in move.points):
            return replace(state, lost=True)
        now = max(gamma, self._error(state, terms))
        better = now < _BETTER * state.least
        state = replace(state, least=min(now, state.least), idle=0 if better else state.idle + 1)
        points = tuple(at.moved(*steps, by) for at, by in zip(state.points, move.points, strict=True))
        side = state.side.moved(*steps, move.side)
        return replace(state, points=points, side=side, mu=state.mu + steps[1] * move.mu, steps=steps, sigma=sigma)

    def _solve(self, state: ConvexState, terms: Sequence[Terms], gamma: float) -> tuple[_Move, _Move]:
        """Sums up the Schur complements, solves for du, and lets the parts take it back."""
        rows = len(state.mu)
        every = np.arange(rows)
        schur, right = np.zeros((rows, rows)), np.zeros((rows, 2))
        for part, term in zip(self.parts, terms, strict=True):
            part.schur(term, schur, every)
            at = part.stack.rows
            np.add.at(right[:, 0], at, term.reported + part.stack.C.dot(term.affine[:, : part.n]))
            np.add.at(right[:, 1], at, part.stack.C.dot(term.central[:, : part.n]))
        right[:, 0] -= state.side.y
        tally = self.hub.tally(state.side, state.mu, gamma)
        du = self.hub.solve(schur, right, tally)
        found = [p.directions(at, term, du) for p, at, term in zip(self.parts, state.points, terms, strict=True)]
        sides = self.hub.directions(state.side, tally, du)
        one = _Move(tuple(pair[0] for pair in found), sides[0], du[:, 0])
        return one, _Move(tuple(pair[1] for pair in found), sides[1], du[:, 1])

    def _error(self, state: ConvexState, terms: Sequence[Terms]) -> float:
        """The largest residual of equations, limits, rows and gradients, all scaled."""
        value = self.problem.coupling_value([at.x for at in state.points])
        worst = [value - state.side.y, self.hub.residual(state.side, state.mu)]
        for part, at, term in zip(self.parts, state.points, terms, strict=True):
            worst += [term.gap, part.stack.A.dot(at.x) - part.stack.b, part.gradient(at, state.mu)]
        return max(float(np.abs(one).max(initial=0.0)) for one in worst)

    def stuck(self, state: ConvexState) -> str | None:
        """Why further rounds would not help."""
        if state.lost:
            return "the steps are no longer numbers"
        return f"no progress in {_PATIENCE} rounds" if state.idle >= _PATIENCE else None

    def _choose(
        self, state: ConvexState, affine: _Move, central: _Move, gamma: float
    ) -> tuple[float, _Move, tuple[float, float]]:
        """sigma, the step and its lengths."""
        sigma = self.sigma if gamma > 0 else 0.0
        if sigma is None:
            steps = self._reach(state, affine, 1.0)
            after = self._after(state, affine, steps)
            sigma = float(np.clip((after / gamma) ** 3, 1e-6, 1.0))
        move = affine.plus(sigma, central)
        steps = self._reach(state, move, _BACK)
        return sigma, move, steps

    def _reach(self, state: ConvexState, move: _Move, back: float) -> tuple[float, float]:
        primal, dual = self.hub.reach(state.side, move.side)
        for part, at, by in zip(self.parts, state.points, move.points, strict=True):
            primal = min(primal, part.cones.reach(at.s, by.s))
            dual = min(dual, part.cones.reach(at.z + ~part.active, by.z))
        primal, dual = min(1.0, back * primal), min(1.0, back * dual)
        return (min(primal, dual),) * 2

    def _after(self, state: ConvexState, move: _Move, steps: tuple[float, float]) -> float:
        points = [at.moved(*steps, by) for at, by in zip(state.points, move.points, strict=True)]
        return self._gamma(points, state.side.moved(*steps, move.side))

    def _gamma(self, points: Sequence[Point], side: Side) -> float:
        total = sum(part.product(at) for part, at in zip(self.parts, points, strict=True))
        return (total + self.hub.product(side)) / self.degree

    def observe(self, state: ConvexState) -> Iterate:
        """The iterate in the units of the given problem."""
        gradients = [part.gradient(at, state.mu) for part, at in zip(self.parts, state.points, strict=True)]
        worst = max((float(np.abs(g).max(initial=0.0)) for g in gradients), default=0.0)
        residual = max(worst, float(np.abs(self.hub.residual(state.side, state.mu)).max(initial=0.0)))
        return self.scaled.outward(
            Iterate(
                x=[at.x for at in state.points],
                mu=state.mu,
                nu=[at.nu for at in state.points],
                zeta=[at.z[:, 2 * part.n :] for part, at in zip(self.parts, state.points, strict=True)],
                dual_residual=residual,
            )
        )
