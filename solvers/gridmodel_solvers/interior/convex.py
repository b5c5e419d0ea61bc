"""The interior point method on stacks of convex blocks."""

from __future__ import annotations

from typing import ClassVar, final

from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.condense import Condensed, Terms
from gridmodel_solvers.interior.hub import Hub
from gridmodel_solvers.interior.newton import Position
from gridmodel_solvers.interior.scaled import Scaled
from gridmodel_solvers.interior.search import AbstractSearch, State

__all__ = ["Convex"]


@final
class Convex(AbstractSearch[Condensed, Terms]):
    """The method on one problem: a first step towards the optimum, then one with what was learnt from it."""

    sigmas: ClassVar[tuple[float, float]] = (1e-6, 1.0)
    back: ClassVar[float] = 0.99
    patience: ClassVar[int] = 12
    convex: ClassVar[bool] = True

    def __init__(self, problem: Separable, sigma: float | None, delta: float, barrier: float) -> None:
        self.scaled = Scaled.of(problem)
        inner = self.scaled.problem
        pairs = zip(inner.stacks, self.scaled.pinned, strict=True)
        parts = [Condensed(stack, pinned, delta, delta) for stack, pinned in pairs]
        super().__init__(parts, Hub(inner.couplings.lower, inner.couplings.upper), sigma, barrier)

    def _linearised(self, state: State, gamma: float) -> list[Terms]:
        return [part.linearised(at, state.at.mu) for part, at in zip(self.parts, state.at.points, strict=True)]

    def _inward(self, warm: Iterate) -> Iterate:
        return self.scaled.inward(warm)

    def _outward(self, at: Position, residual: float) -> Iterate:
        zeta = [point.z[:, 2 * part.n :] for part, point in zip(self.parts, at.points, strict=True)]
        columns, nu = [point.x for point in at.points], [point.nu for point in at.points]
        return self.scaled.outward(Iterate(x=columns, mu=at.mu, nu=nu, zeta=zeta, dual_residual=residual))
