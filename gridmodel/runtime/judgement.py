"""What can be said of an iterate: residuals, cost, bound, gap; and its refinement on the active set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridmodel.ir.separable import Separable
from gridmodel.runtime.bound import Bound, Bounder
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.residuals import Residuals, cost_and_size, residuals
from gridmodel.runtime.scale import Scale

__all__ = ["Judgement", "Refiner", "infeasibility", "judge"]

_REFINE_BELOW = 0.05


@dataclass(frozen=True)
class Judgement:
    """An iterate and what can be said of it.

    gap: (value - bound) / size, size the value's own or a hundredth of the sum of its terms' sizes.
    """

    iterate: Iterate
    residuals: Residuals
    value: float
    bound: Bound
    size: float
    gap: float

    def within(self, tolerance: float) -> bool:
        """Feasible, agreed on marginal costs, and proven, to the tolerance."""
        return self.badness() <= tolerance

    def valued(self, value: float) -> Judgement:
        """The same with another value of the cost, where that is a number."""
        if not np.isfinite(value):
            return self
        return replace(self, value=value, gap=(value - self.bound.value) / self.size)

    def badness(self) -> float:
        """The largest of all measures: the best iterate has the least.

        A cost below the bound shows what the remaining violations save, and the optimum may lie above the bound still:
        such a gap counts three times.
        """
        return max(self.residuals.primal, self.iterate.dual_residual, self.gap, -3.0 * self.gap)


def judge(problem: Separable, scale: Scale, bounder: Bounder, iterate: Iterate) -> Judgement:
    """Residuals, value, bound and gap of an iterate."""
    found = residuals(problem, scale, iterate.x)
    value, terms = cost_and_size(problem, iterate.x)
    bound = bounder(iterate)
    # An optimum of exactly zero is measured against what a column's range typically costs.
    size = max(abs(value), 0.01 * terms, 1e-6 * scale.cost)
    return Judgement(iterate, found, value, bound, size, (value - bound.value) / size)


@dataclass
class Refiner:
    """Asks the algorithm for a refined answer when its guess of active limits has settled, once for each guess."""

    problem: Separable
    scale: Scale
    bounder: Bounder
    algorithm: AbstractAlgorithm
    tolerance: float
    last: bytes | None = None
    tried: bytes | None = None
    tried_at: float = np.inf

    def improve(self, state: Any, judged: Judgement) -> tuple[Judgement, int]:
        """The better of the judged and the refined answer, and the rounds that refining took."""
        guess = self.algorithm.guess(state)
        # The same guess is worth a second try only from a much better point.
        new = guess != self.tried or judged.badness() < 0.3 * self.tried_at
        settled = guess is not None and guess == self.last and new
        self.last = guess
        done = judged.within(self.tolerance)
        if guess is None or not (done or (settled and judged.badness() < _REFINE_BELOW)):
            return judged, 0
        self.tried, self.tried_at = guess, judged.badness()
        found = self.algorithm.refine(state)
        if found is None:
            return judged, 0
        refined = judge(self.problem, self.scale, self.bounder, found[0])
        return (refined if refined.badness() < judged.badness() else judged), found[1]


def infeasibility(problem: Separable, bounder: Bounder, before: Iterate, now: Iterate) -> Iterate | None:
    """The change of the multipliers, where it separates: a bound above zero without any cost proves infeasibility.

    A bound that had to be paid for within the reach of unbounded columns proves nothing about points beyond it.
    """
    ray = Iterate(
        now.x,
        now.mu - before.mu,
        [b - a for a, b in zip(before.nu, now.nu, strict=True)],
        [b - a for a, b in zip(before.zeta, now.zeta, strict=True)],
        now.dual_residual,
    )
    found = bounder(ray, costs=False)
    if found.paid > 0.0:
        return None
    weight = sum(float(np.abs(part * stack.b).sum()) for part, stack in zip(ray.nu, problem.stacks, strict=True))
    sides = np.where(np.isfinite(problem.couplings.lower), problem.couplings.lower, problem.couplings.upper)
    weight += float(np.abs(ray.mu * np.where(np.isfinite(sides), sides, 0.0)).sum())
    return ray if found.value > 1e-7 * max(weight, 1e-300) and found.value > 0 else None
