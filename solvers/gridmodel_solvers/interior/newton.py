"""Newton's steps of one round: agents send their Schur complements, a coordinator the changes of the prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from gridmodel_solvers.interior.hub import Hub, Side
from gridmodel_solvers.interior.part import AbstractPart, Point, T

__all__ = ["Newton", "Position"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Position:
    """points: of each part. side, mu: the coordinator's, (rows,). As a direction: changes of all these."""

    points: tuple[Point, ...]
    side: Side
    mu: Floats

    def moved(self, primal: float, dual: float, by: Position) -> Position:
        """The position after a step."""
        points = tuple(at.moved(primal, dual, one) for at, one in zip(self.points, by.points, strict=True))
        return Position(points, self.side.moved(primal, dual, by.side), self.mu + dual * by.mu)

    @property
    def finite(self) -> bool:
        """Whether all are numbers."""
        return bool(
            np.isfinite(self.mu).all() and all(np.isfinite(p.x).all() and np.isfinite(p.z).all() for p in self.points)
        )


class Newton(Generic[T]):
    """The systems of one round: every part's factor, and the coordinator's Schur complement of them all.

    apart: sum_i C_i x_i - y, shape (rows,).
    """

    def __init__(
        self, parts: Sequence[AbstractPart[T]], hub: Hub, at: Position, terms: Sequence[T], apart: Floats
    ) -> None:
        self._parts, self._hub, self._at, self._apart = list(zip(parts, terms, strict=True)), hub, at, apart
        schur = np.zeros((len(apart), len(apart)))
        for part, term in self._parts:
            part.schur(term, schur)
        self._schur = hub.factored(schur, at.side)

    def step(self, share: float, gamma: float, by: Position | None = None) -> Position:
        """The step that mends a share of the residuals and goes to the centre of height gamma, ``by`` counted in.

        Without ``by`` it is linear in both, so that one message holds all that such steps need of a part.
        """
        hub, side, parts = self._hub, self._at.side, self._parts
        turns = [None] * len(parts) if by is None else by.points
        targets = [
            part.target(at, term, gamma, turn)
            for (part, term), at, turn in zip(parts, self._at.points, turns, strict=True)
        ]
        free = [part.towards(term, share, target) for (part, term), target in zip(parts, targets, strict=True)]
        right = share * self._apart
        for (part, _), d in zip(parts, free, strict=True):
            part.report(d[..., : part.n], right)
        target = hub.target(side, gamma, None if by is None else by.side)
        pull = hub.pull(side, self._at.mu, share, target)
        du = self._schur.solve(right, pull)
        points = tuple(
            part.direction(term, share, t, d, du) for (part, term), t, d in zip(parts, targets, free, strict=True)
        )
        return Position(points, hub.direction(side, share, target, pull, du), du)
