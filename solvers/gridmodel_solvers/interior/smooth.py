"""The interior point method on smooth blocks that need not be convex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.area import NEAR, Area, AreaPoint, AreaTerms
from gridmodel_solvers.interior.hub import Hub, Side
from gridmodel_solvers.interior.sizes import column_sizes, reaches, row_sizes, typical_cost

__all__ = ["Smooth", "SmoothState"]

Floats = NDArray[np.float64]

_BACK = 0.9995
_ROOM = 0.1
_EVEN_ROOM = 1.0
_HALVINGS = 6
_GROWTH = 4.0
_MENDED = 1e-3
_LEAST = 1e-9
_SIGMAS = (0.1, 0.4)
_BETTER = 0.9
_PATIENCE = 40


@dataclass(frozen=True)
class SmoothState:
    """points: of each block; side and mu: the coordinator's.

    extra: what each block adds to its curvature beyond what all add. lost: a step could not be computed.
    """

    engine: Smooth
    points: tuple[AreaPoint, ...]
    side: Side
    mu: Floats
    extra: tuple[float, ...]
    steps: tuple[float, float] = (1.0, 1.0)
    sigma: float = 1.0
    least: float = np.inf
    idle: int = 0
    lost: bool = False


@dataclass(frozen=True)
class _Move:
    points: tuple[AreaPoint, ...]
    side: Side
    mu: Floats

    def plus(self, factor: float, other: _Move) -> _Move:
        points = tuple(one.plus(factor, two) for one, two in zip(self.points, other.points, strict=True))
        return _Move(points, self.side.plus(factor, other.side), self.mu + factor * other.mu)


class Smooth:
    """The method on one problem: what does not change from round to round."""

    def __init__(
        self,
        problem: SmoothProblem,
        sigma: float | None,
        delta: float,
        barrier: float,
        sizes: Sequence[Floats] | None = None,
        room: float = _ROOM,
    ) -> None:
        """sizes: of each block's columns; left out, how far they may be expected to move, and, where a search from
        there gets stuck, sizes that even the equations out. room: least scaled slack.
        """
        self.room, self._first = room, sizes is None
        self.problem, self.sigma, self.delta, self.barrier = problem, sigma, delta, barrier
        sizes = [reaches(block) for block in problem.blocks] if sizes is None else list(sizes)
        self.cost = typical_cost(problem, sizes)
        rows = np.zeros(problem.couplings.size)
        for block, size in zip(problem.blocks, sizes, strict=True):
            np.maximum.at(rows, block.rows, row_sizes(block.C, size))
        self.rows = np.where(rows > 0, rows, 1.0)
        pairs = zip(problem.blocks, sizes, strict=True)
        self.areas = tuple(Area(block, size, self.cost, self.rows) for block, size in pairs)
        couplings = problem.couplings
        self.hub = Hub(couplings.lower / self.rows, couplings.upper / self.rows, np.ones(couplings.size))
        self.degree = max(self.hub.degree + sum(area.degree for area in self.areas), 1)

    def start(self, warm: Iterate | None) -> SmoothState:
        """The first state: the blocks' own starts, or near the end of an earlier run."""
        if warm is None:
            mu = np.zeros(len(self.rows))
            points = tuple(area.start(self.barrier, self.room) for area in self.areas)
        else:
            mu = warm.mu * self.rows / self.cost
            points = tuple(
                area.near(x[0], nu[0], zeta[0], mu[area.block.rows])
                for area, x, nu, zeta in zip(self.areas, warm.x, warm.nu, warm.zeta, strict=True)
            )
        side = self.hub.start(self._value(points), self.barrier if warm is None else NEAR)
        return SmoothState(self, points, side, mu, (0.0,) * len(points))

    def step(self, state: SmoothState) -> SmoothState:
        """One round."""
        after = self._step(state)
        if self._first and (after.lost or after.idle >= _PATIENCE):
            even = [column_sizes(block) for block in self.problem.blocks]
            return Smooth(self.problem, self.sigma, self.delta, self.barrier, even, _EVEN_ROOM).start(None)
        return after

    def _step(self, state: SmoothState) -> SmoothState:
        if state.lost:
            return state
        gamma = self._gamma(state.points, state.side)
        delta = self.delta * min(1.0, np.sqrt(gamma))
        deltas = tuple(max(delta, _LEAST, extra) for extra in state.extra)
        try:
            terms = [
                area.linearised(at, state.mu[area.block.rows], gamma, delta)
                for area, at, delta in zip(self.areas, state.points, deltas, strict=True)
            ]
            affine, central = self._solve(state, terms, gamma)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return replace(state, lost=True)
        sigma = self._sigma(state, affine, gamma)
        move = affine.plus(sigma, central)
        if not np.isfinite(move.mu).all() or not all(np.isfinite(by.x).all() for by in move.points):
            return replace(state, lost=True)
        primal, dual = self._reach(state, move, _BACK)
        primal = self._guarded(state, move, primal)
        points = tuple(at.moved(primal, dual, by) for at, by in zip(state.points, move.points, strict=True))
        extra = tuple(
            used / 3.0 if area.curved(term, at, by, used) else max(10.0 * used, _MENDED)
            for area, term, at, by, used in zip(self.areas, terms, state.points, move.points, deltas, strict=True)
        )
        now = self.error(state)
        better = now < _BETTER * state.least
        state = replace(state, least=min(now, state.least), idle=0 if better else state.idle + 1)
        side = state.side.moved(primal, dual, move.side)
        mu = state.mu + dual * move.mu
        return replace(state, points=points, side=side, mu=mu, extra=extra, steps=(primal, dual), sigma=sigma)

    def _value(self, points: Sequence[AreaPoint]) -> Floats:
        total = np.zeros(len(self.rows))
        for area, at in zip(self.areas, points, strict=True):
            np.add.at(total, area.block.rows, area.C @ at.x)
        return total

    def _solve(self, state: SmoothState, terms: Sequence[AreaTerms], gamma: float) -> tuple[_Move, _Move]:
        """Sums up the Schur complements, solves for du, and lets the areas take it back."""
        rows = len(state.mu)
        schur, right = np.zeros((rows, rows)), np.zeros((rows, 2))
        for area, at, term in zip(self.areas, state.points, terms, strict=True):
            own = area.block.rows
            schur[np.ix_(own, own)] += term.schur
            right[own] += area.reports(at, term)
        right[:, 0] -= state.side.y
        tally = self.hub.tally(state.side, state.mu, gamma)
        du = self.hub.solve(schur, right, tally)
        found = [
            area.directions(at, term, du[area.block.rows])
            for area, at, term in zip(self.areas, state.points, terms, strict=True)
        ]
        sides = self.hub.directions(state.side, tally, du)
        one = _Move(tuple(pair[0] for pair in found), sides[0], du[:, 0])
        return one, _Move(tuple(pair[1] for pair in found), sides[1], du[:, 1])

    def _sigma(self, state: SmoothState, affine: _Move, gamma: float) -> float:
        """The share of complementarity to aim at: little where the plain step towards the optimum goes far."""
        if self.sigma is not None or gamma <= 0:
            return self.sigma or 0.0
        steps = self._reach(state, affine, 1.0)
        points = [at.moved(*steps, by) for at, by in zip(state.points, affine.points, strict=True)]
        after = self._gamma(points, state.side.moved(*steps, affine.side))
        return float(np.clip((after / gamma) ** 3, *_SIGMAS))

    def stuck(self, state: SmoothState) -> str | None:
        """Why further rounds would not help."""
        if state.lost:
            return "the steps are no longer numbers"
        return f"no progress in {_PATIENCE} rounds" if state.idle >= _PATIENCE else None

    def error(self, state: SmoothState) -> float:
        """The largest residual of equations, limits, rows, gradients and complementarity, all scaled."""
        worst = [self._value(state.points) - state.side.y, self.hub.residual(state.side, state.mu)]
        for area, at in self._pairs(state.points):
            h, g = area.violations(at.x)
            worst += [h, g + at.s, area.gradient(at, state.mu[area.block.rows])]
        gamma = self._gamma(state.points, state.side)
        return max(gamma, *(float(np.abs(one).max(initial=0.0)) for one in worst))

    def _reach(self, state: SmoothState, move: _Move, back: float) -> tuple[float, float]:
        primal, dual = self.hub.reach(state.side, move.side)
        for at, by in zip(state.points, move.points, strict=True):
            primal, dual = min(primal, _reach(at.s, by.s)), min(dual, _reach(at.z, by.z))
        return min(1.0, back * primal), min(1.0, back * dual)

    def _guarded(self, state: SmoothState, move: _Move, primal: float) -> float:
        """Halves the step while equations get much worse: the worst of all agents decides."""
        now = max(
            (float(np.abs(a.violations(p.x)[0]).max(initial=0.0)) for a, p in self._pairs(state.points)), default=0.0
        )
        apart = float(np.abs(self._value(state.points) - state.side.y).max(initial=0.0))
        limit = _GROWTH * max(now, apart, 1e-3)
        for _ in range(_HALVINGS):
            worst = 0.0
            for area, at, by in zip(self.areas, state.points, move.points, strict=True):
                worst = max(worst, float(np.abs(area.violations(at.x + primal * by.x)[0]).max(initial=0.0)))
            if worst <= limit:
                break
            primal *= 0.5
        return primal

    def _pairs(self, points: Sequence[AreaPoint]) -> list[tuple[Area, AreaPoint]]:
        return list(zip(self.areas, points, strict=True))

    def _gamma(self, points: Sequence[AreaPoint], side: Side) -> float:
        return (sum(float(at.s @ at.z) for at in points) + self.hub.product(side)) / self.degree

    def observe(self, state: SmoothState) -> Iterate:
        """The iterate in the units of the given problem."""
        found = [area.outward(at) for area, at in self._pairs(state.points)]
        worst = float(np.abs(self.hub.residual(state.side, state.mu)).max(initial=0.0))
        for area, at in self._pairs(state.points):
            worst = max(worst, float(np.abs(area.gradient(at, state.mu[area.block.rows])).max(initial=0.0)))
        return Iterate(
            x=[x[None] for x, _, _ in found],
            mu=state.mu * self.cost / self.rows,
            nu=[nu[None] for _, nu, _ in found],
            zeta=[zeta[None] for _, _, zeta in found],
            dual_residual=worst,
        )


def _reach(s: Floats, ds: Floats) -> float:
    most = float((-ds / s).max(initial=0.0))
    return 1.0 / most if most > 0 else np.inf
