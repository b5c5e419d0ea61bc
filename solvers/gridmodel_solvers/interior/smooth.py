"""The interior point method on smooth blocks that need not be convex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.area import Area, AreaTerms
from gridmodel_solvers.interior.hub import Hub
from gridmodel_solvers.interior.newton import Position
from gridmodel_solvers.interior.part import Point
from gridmodel_solvers.interior.search import AbstractSearch, State, largest
from gridmodel_solvers.interior.sizes import column_sizes, reaches, row_sizes, typical_cost

__all__ = ["Smooth"]

Floats = NDArray[np.float64]

_ROOM = 0.1
_EVEN_ROOM = 1.0
_HALVINGS = 6
_GROWTH = 4.0
_MENDED = 1e-3
_LEAST = 1e-9


@final
class Smooth(AbstractSearch[Area, AreaTerms]):
    """The method on one problem: curvature is added where an agent bends down, steps are cut where equations suffer."""

    sigmas: ClassVar[tuple[float, float]] = (0.1, 0.4)
    back: ClassVar[float] = 0.9995
    patience: ClassVar[int] = 40
    convex: ClassVar[bool] = False

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
        self.problem, self.delta, self._first = problem, delta, sizes is None
        sizes = [reaches(block) for block in problem.blocks] if sizes is None else list(sizes)
        self.cost = typical_cost(problem, sizes)
        rows = np.zeros(problem.couplings.size)
        for block, size in zip(problem.blocks, sizes, strict=True):
            np.maximum.at(rows, block.rows, row_sizes(block.C, size))
        self.rows = np.where(rows > 0, rows, 1.0)
        pairs = zip(problem.blocks, sizes, strict=True)
        areas = [Area(block, size, self.cost, self.rows, room) for block, size in pairs]
        couplings = problem.couplings
        super().__init__(areas, Hub(couplings.lower / self.rows, couplings.upper / self.rows), sigma, barrier)

    def _linearised(self, state: State, gamma: float) -> list[AreaTerms]:
        delta = max(self.delta * min(1.0, np.sqrt(gamma)), _LEAST)
        return [
            area.linearised(point, state.at.mu, max(delta, extra))
            for (area, point), extra in zip(self._pairs(state.at), state.extra, strict=True)
        ]

    def _extra(self, at: Position, terms: Sequence[AreaTerms], by: Position) -> tuple[float, ...]:
        return tuple(
            term.delta / 3.0 if area.curved(term, point, turn) else max(10.0 * term.delta, _MENDED)
            for (area, point), term, turn in zip(self._pairs(at), terms, by.points, strict=True)
        )

    def _guarded(self, at: Position, by: Position, primal: float) -> float:
        """Halves the step while equations get much worse: the worst of all agents decides."""
        now = largest([self.apart(at), *(area.violations(point.x)[0] for area, point in self._pairs(at))])
        limit = _GROWTH * max(now, 1e-3)
        for _ in range(_HALVINGS):
            turns = zip(self._pairs(at), by.points, strict=True)
            if largest(area.violations(point.x + primal * turn.x)[0] for (area, point), turn in turns) <= limit:
                break
            primal *= 0.5
        return primal

    def _again(self) -> State | None:
        if not self._first:
            return None
        even = [column_sizes(block) for block in self.problem.blocks]
        return Smooth(self.problem, self.sigma, self.delta, self.barrier, even, _EVEN_ROOM).start(None)

    def _worst(self, at: Position) -> str:
        names = self.problem.couplings.name_of_rows()
        value = self.apart(at) + at.side.y
        away = np.maximum(value - self.hub.upper, self.hub.lower - value)
        limits, slopes = list(zip(away.tolist(), names, strict=True)), []
        for area, point in self._pairs(at):
            limits.append(area.worst(point.x))
            slopes.append((largest([area.gradient(point, at.mu)]), area.block.label))
        far, name = max(limits)
        slope, agent = max(slopes)
        text = f", and at best {name} is off by {far:.1e} of its size"
        return text if far >= slope else f"{text}, prices by {slope:.1e} of typical costs from what {agent} pays"

    def _pairs(self, at: Position) -> list[tuple[Area, Point]]:
        return list(zip(self.parts, at.points, strict=True))

    def _inward(self, warm: Iterate) -> Iterate:
        x, nu, zeta = ([part[0] for part in parts] for parts in (warm.x, warm.nu, warm.zeta))
        return Iterate(x, warm.mu * self.rows / self.cost, nu, zeta, warm.dual_residual)

    def _outward(self, at: Position, residual: float) -> Iterate:
        found = [area.outward(point) for area, point in self._pairs(at)]
        x, nu, zeta = ([each[part][None] for each in found] for part in range(3))
        return Iterate(x, at.mu * self.cost / self.rows, nu, zeta, residual)
