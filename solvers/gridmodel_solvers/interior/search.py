"""What the interior point method does in a round, whatever the agents' blocks are."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.hub import Hub
from gridmodel_solvers.interior.newton import Newton, Position
from gridmodel_solvers.interior.part import NEAR, AbstractPart, Residuals, T

__all__ = ["AbstractSearch", "State", "largest"]

Floats = NDArray[np.float64]
P = TypeVar("P", bound=AbstractPart[Any])

_BETTER = 0.9


@dataclass(frozen=True)
class State:
    """Where a search is.

    extra: what each part adds to its curvature. steps, sigma: of the last round, steps primal and dual.
    least: the smallest error so far; best: where it was; idle: rounds since then. lost: no step could be computed.
    """

    engine: AbstractSearch[Any, Any]
    at: Position
    extra: tuple[float, ...]
    steps: tuple[float, float] = (1.0, 1.0)
    sigma: float = 1.0
    least: float = np.inf
    best: Position | None = None
    idle: int = 0
    lost: bool = False


class AbstractSearch(abc.ABC, Generic[P, T]):
    """The method on one problem: what does not change from round to round.

    sigmas: the least and the largest share of complementarity that a round aims at, where it is chosen anew.
    back: the share of the way to the boundary that a step goes. patience: rounds without progress until it gives up.
    convex: whether steps are made up to second order, with one length for columns and multipliers.
    """

    sigmas: ClassVar[tuple[float, float]]
    back: ClassVar[float]
    patience: ClassVar[int]
    convex: ClassVar[bool]

    def __init__(self, parts: Iterable[P], hub: Hub, sigma: float | None, barrier: float) -> None:
        self.parts, self.hub, self.sigma, self.barrier = tuple(parts), hub, sigma, barrier
        self.degree = max(hub.degree + sum(part.degree for part in self.parts), 1)

    def start(self, warm: Iterate | None) -> State:
        """The first state: the parts' own starts, or near the end of an earlier run."""
        if warm is None:
            mu = np.zeros(self.hub.size)
            points = tuple(part.start(self.barrier) for part in self.parts)
        else:
            old = self._inward(warm)
            mu = old.mu
            each = zip(self.parts, old.x, old.nu, old.zeta, strict=True)
            points = tuple(part.near(x, nu, zeta, mu) for part, x, nu, zeta in each)
        value = self._reported([point.x for point in points])
        side = self.hub.start(value, self.barrier if warm is None else NEAR)
        return State(self, Position(points, side, mu), (0.0,) * len(points))

    def step(self, state: State) -> State:
        """One round; a state from which no step can be computed stays as it is."""
        after = state if state.lost else self._stepped(state)
        return (self._again() if self._over(after) else None) or after

    def stuck(self, state: State) -> str | None:
        """Why further rounds would not help."""
        if not self._over(state):
            return None
        reason = "the steps are no longer numbers" if state.lost else f"no progress in {self.patience} rounds"
        return reason + ("" if state.best is None else self._worst(state.best))

    def error(self, at: Position, rests: Iterable[Residuals] | None = None) -> float:
        """The largest residual of equations, limits, rows, gradients and complementarity, all scaled."""
        if rests is None:
            rests = [part.residuals(point, at.mu) for part, point in zip(self.parts, at.points, strict=True)]
        found = [self.apart(at), self.hub.residual(at.side, at.mu)]
        for rest in rests:
            found += [rest.gap, rest.side, rest.slope]
        return max(self.gamma(at), largest(found))

    def observe(self, state: State) -> Iterate:
        """The iterate in the units of the given problem."""
        at = state.at
        slopes = [part.gradient(point, at.mu) for part, point in zip(self.parts, at.points, strict=True)]
        return self._outward(at, largest([*slopes, self.hub.residual(at.side, at.mu)]))

    def apart(self, at: Position) -> Floats:
        """What the rows miss, shape (rows,)."""
        return self._reported([point.x for point in at.points]) - at.side.y

    def gamma(self, at: Position) -> float:
        """The mean complementarity of limits."""
        total = sum(part.product(point) for part, point in zip(self.parts, at.points, strict=True))
        return (total + self.hub.product(at.side)) / self.degree

    def _reported(self, columns: Sequence[Floats]) -> Floats:
        total = np.zeros(self.hub.size)
        for part, x in zip(self.parts, columns, strict=True):
            part.report(x, total)
        return total

    def _over(self, state: State) -> bool:
        return state.lost or state.idle >= self.patience

    def _stepped(self, state: State) -> State:
        at, gamma = state.at, self.gamma(state.at)
        try:
            terms = self._linearised(state, gamma)
            newton = Newton[T](self.parts, self.hub, at, terms, self.apart(at))
            sigma, by = self._chosen(newton, at, gamma)
            if not by.finite:
                return replace(state, lost=True)
            primal, dual = self._reach(at, by, self.back)
        except (RuntimeError, ValueError, np.linalg.LinAlgError):
            return replace(state, lost=True)
        steps = self._guarded(at, by, primal), dual
        now = self.error(at, [term.rest for term in terms])
        idle = 0 if now < _BETTER * state.least else state.idle + 1
        least, best = (now, at) if now < state.least else (state.least, state.best)
        extra = self._extra(at, terms, by)
        return State(self, at.moved(*steps, by), extra, steps, sigma, least, best, idle)

    def _chosen(self, newton: Newton[T], at: Position, gamma: float) -> tuple[float, Position]:
        """sigma and the step: little is aimed at where the plain step towards the optimum goes far."""
        affine = newton.step(1.0, 0.0)
        sigma = self.sigma if gamma > 0 else 0.0
        if sigma is None:
            after = self.gamma(at.moved(*self._reach(at, affine, 1.0), affine))
            sigma = float(np.clip((after / gamma) ** 3, *self.sigmas))
        if self.convex:
            return sigma, newton.step(1.0 - sigma, sigma * gamma, affine)
        return sigma, newton.step(1.0, sigma * gamma)

    def _reach(self, at: Position, by: Position, back: float) -> tuple[float, float]:
        ends = [part.reach(*pair) for part, *pair in zip(self.parts, at.points, by.points, strict=True)]
        primal, dual = (min(1.0, back * min(end)) for end in zip(self.hub.reach(at.side, by.side), *ends, strict=True))
        return (min(primal, dual),) * 2 if self.convex else (primal, dual)

    @abc.abstractmethod
    def _linearised(self, state: State, gamma: float) -> Sequence[T]:
        """Every part's system."""

    @abc.abstractmethod
    def _inward(self, warm: Iterate) -> Iterate:
        """An iterate as the parts take it."""

    @abc.abstractmethod
    def _outward(self, at: Position, residual: float) -> Iterate:
        """The iterate in the units of the given problem."""

    def _guarded(self, at: Position, by: Position, primal: float) -> float:
        """The primal step once what is not linear has been looked at."""
        return primal

    def _extra(self, at: Position, terms: Sequence[T], by: Position) -> tuple[float, ...]:
        """What each part adds to its curvature in the next round."""
        return (0.0,) * len(terms)

    def _again(self) -> State | None:
        """Another start, for a search that is stuck."""
        return None

    def _worst(self, at: Position) -> str:
        """What is off most, and how far."""
        return ""


def largest(parts: Iterable[Floats]) -> float:
    """The largest entry in size; zero of nothing."""
    return max((float(np.abs(part).max(initial=0.0)) for part in parts), default=0.0)
