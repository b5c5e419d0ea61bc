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


class _Round:
    """The Newton systems of one round: every agent's factor, and the coordinator's Schur complement of them all."""

    def __init__(self, engine: Convex, state: ConvexState, terms: Sequence[Terms]) -> None:
        self.engine, self.state, self.terms = engine, state, terms
        rows = len(state.mu)
        schur = np.zeros((rows, rows))
        for part, term in zip(engine.parts, terms, strict=True):
            part.schur(term, schur)
        self._schur = engine.hub.factored(schur, engine.hub.weight(state.side))
        self._apart = engine.problem.coupling_value([at.x for at in state.points]) - state.side.y

    def move(self, share: float, gamma: float, by: _Move | None) -> _Move:
        """The step that mends a share of the residuals and goes to the centre of height gamma, ``by`` counted in."""
        hub, side, mu = self.engine.hub, self.state.side, self.state.mu
        parts = list(zip(self.engine.parts, self.terms, strict=True))
        turns = [None] * len(parts) if by is None else by.points
        targets = [
            part.target(at, term, gamma, turn)
            for (part, term), at, turn in zip(parts, self.state.points, turns, strict=True)
        ]
        free = [part.towards(term, share, target) for (part, term), target in zip(parts, targets, strict=True)]
        right = share * self._apart
        for (part, _), d in zip(parts, free, strict=True):
            np.add.at(right, part.stack.rows, part.stack.C.dot(d[:, : part.n]))
        target = hub.target(side, gamma, None if by is None else by.side)
        pull = hub.pull(side, mu, share, target)
        du = self._schur.solve(right, pull)
        points = tuple(
            part.direction(term, share, t, d, du) for (part, term), t, d in zip(parts, targets, free, strict=True)
        )
        return _Move(points, hub.direction(side, share, target, pull, du), du)


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
            terms = [part.linearised(at, state.mu) for part, at in zip(self.parts, state.points, strict=True)]
            sigma, move, steps = self._choose(_Round(self, state, terms), gamma)
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

    def _error(self, state: ConvexState, terms: Sequence[Terms]) -> float:
        """The largest residual of equations, limits, rows and gradients, all scaled."""
        value = self.problem.coupling_value([at.x for at in state.points])
        worst = [value - state.side.y, self.hub.residual(state.side, state.mu)]
        for term in terms:
            worst += [term.gap, term.side, term.slope]
        return max(float(np.abs(one).max(initial=0.0)) for one in worst)

    def stuck(self, state: ConvexState) -> str | None:
        """Why further rounds would not help."""
        if state.lost:
            return "the steps are no longer numbers"
        return f"no progress in {_PATIENCE} rounds" if state.idle >= _PATIENCE else None

    def _choose(self, step: _Round, gamma: float) -> tuple[float, _Move, tuple[float, float]]:
        """sigma, the step and its lengths: first towards the optimum, then with what was learnt from that."""
        affine = step.move(1.0, 0.0, None)
        steps = self._reach(step.state, affine, 1.0)
        sigma = self.sigma if gamma > 0 else 0.0
        if sigma is None:
            sigma = float(np.clip((self._after(step.state, affine, steps) / gamma) ** 3, 1e-6, 1.0))
        move = step.move(1.0 - sigma, sigma * gamma, affine)
        return sigma, move, self._reach(step.state, move, _BACK)

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
