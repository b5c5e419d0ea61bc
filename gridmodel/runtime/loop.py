"""Runs an algorithm round by round, judges it now and then, and keeps what it has whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.result import Status, Trace
from gridmodel.ir.separable import Separable
from gridmodel.runtime.bound import Bound, Bounder
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.residuals import Residuals, cost_size, residuals
from gridmodel.runtime.scale import Scale

__all__ = ["Judgement", "Limits", "Outcome", "Progress", "Suspect", "judge", "run"]

Floats = NDArray[np.float64]
Progress = Callable[[int, float, float | None], None]
Suspect = Callable[[], tuple[Status, str] | None]

_PRICES_KEPT = 60
_REFINE_BELOW = 0.05
_STUCK = 1e-2
_FIRST_LOOK = 100
"""Rounds until the first look for a proof of infeasibility; later ones come at twice the rounds."""


@dataclass(frozen=True)
class Limits:
    """When a run ends.

    tolerance: relative, on residuals and on the gap. max_rounds, seconds: stop there all the same.
    check_every: rounds between two judgements; they grow apart as the run gets long.
    """

    tolerance: float = 1e-4
    max_rounds: int = 20_000
    seconds: float | None = None
    check_every: int = 10


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


@dataclass(frozen=True)
class Outcome:
    """How a run ended, its best point, and the state to go on from.

    ray: multipliers that prove infeasibility, where they were found.
    """

    status: Status
    message: str
    judgement: Judgement
    rounds: int
    trace: Trace
    state: Any
    ray: Iterate | None = None


@dataclass
class _History:
    rows: NDArray[np.intp]
    start: float = field(default_factory=time.perf_counter)
    entries: list[tuple[float, ...]] = field(default_factory=list)
    prices: list[Floats] = field(default_factory=list)

    def add(self, rounds: int, judged: Judgement) -> None:
        bound = judged.bound.value if np.isfinite(judged.bound.value) else np.nan
        dual = judged.iterate.dual_residual
        took = time.perf_counter() - self.start
        self.entries.append((rounds, judged.value, bound, judged.residuals.primal, dual, took))
        self.prices.append(judged.iterate.mu[self.rows].copy())

    def trace(self) -> Trace:
        rounds, value, bound, primal, dual, seconds = np.array(self.entries, dtype=np.float64).reshape(-1, 6).T
        prices = np.array(self.prices).reshape(len(self.prices), len(self.rows))
        return Trace(rounds, value, bound, primal, dual, seconds, prices, self.rows)


def judge(problem: Separable, scale: Scale, bounder: Bounder, iterate: Iterate) -> Judgement:
    """Residuals, value, bound and gap of an iterate."""
    found = residuals(problem, scale, iterate.x)
    value = problem.cost(list(iterate.x))
    bound = bounder(iterate)
    size = max(abs(value), 0.01 * cost_size(problem, iterate.x), 1e-300)
    return Judgement(iterate, found, value, bound, size, (value - bound.value) / size)


# A run without an optimum overflows before it is stopped.
@np.errstate(over="ignore", invalid="ignore")
def run(
    problem: Separable,
    algorithm: AbstractAlgorithm,
    limits: Limits,
    warm: Iterate | None = None,
    progress: Progress | None = None,
    scale: Scale | None = None,
    suspect: Suspect | None = None,
) -> Outcome:
    """Steps until the answer is within the tolerance, proven infeasible, or a limit is reached.

    Ctrl-C ends the run with the best point so far.

    Args:
        problem: the model as matrices.
        algorithm: its state is made and stepped here.
        limits: tolerance and budgets.
        warm: the end of an earlier run on the same structure.
        progress: called at every judgement with rounds, primal residual and gap.
        scale: sizes of columns and rows, computed where left out.
        suspect: asked once, when the run makes no headway, whether the model has an optimum at all.
    """
    scale = scale or Scale(problem)
    bounder = Bounder(problem, scale)
    history = _History(_kept_rows(problem))
    state = algorithm.init(problem, warm, limits.tolerance)
    refiner = _Refiner(problem, scale, bounder, algorithm, limits.tolerance)
    next_look = _FIRST_LOOK
    rounds, next_check = 0, 1 if warm is not None else limits.check_every
    best = last = judge(problem, scale, bounder, algorithm.observe(state))
    status, message, ray = Status.STOPPED, f"no answer within the tolerance in {limits.max_rounds} rounds", None
    try:
        while rounds < limits.max_rounds:
            state = algorithm.step(state)
            rounds += 1
            if rounds < min(next_check, limits.max_rounds):
                continue
            next_check = rounds + max(limits.check_every, rounds // 20)
            judged = plain = judge(problem, scale, bounder, algorithm.observe(state))
            judged, extra = refiner.improve(state, judged)
            rounds, next_check = rounds + extra, next_check + extra
            history.add(rounds, judged if judged.within(limits.tolerance) else plain)
            if progress is not None:
                progress(rounds, judged.residuals.primal, judged.gap)
            if judged.badness() < best.badness() or not np.isfinite(best.badness()):
                best = judged
            if not np.isfinite(plain.residuals.primal + plain.iterate.dual_residual):
                message = "the iteration left the range of numbers"
                break
            if judged.within(limits.tolerance):
                status, message = Status.CERTIFIED, Status.CERTIFIED.sentence
                break
            if rounds >= next_look:
                ray = _infeasible(problem, bounder, last.iterate, plain.iterate)
                if ray is not None:
                    status, message = Status.INFEASIBLE, Status.INFEASIBLE.sentence
                    break
                if suspect is not None and best.badness() > _STUCK and plain.badness() > 0.5 * last.badness():
                    verdict = suspect()
                    if verdict is not None:
                        status, message = verdict
                        break
                    suspect = None
                last, next_look = plain, 2 * rounds
            if limits.seconds is not None and time.perf_counter() - history.start > limits.seconds:
                message = f"no answer within the tolerance in {limits.seconds:g} seconds"
                break
    except KeyboardInterrupt:
        status, message = Status.INTERRUPTED, Status.INTERRUPTED.sentence
    return Outcome(status, message, best, rounds, history.trace(), state, ray)


@dataclass
class _Refiner:
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


def _kept_rows(problem: Separable) -> NDArray[np.intp]:
    """Which coupling rows' prices the history keeps: all, or evenly chosen ones where there are many."""
    rows = problem.couplings.size
    if rows <= _PRICES_KEPT:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, _PRICES_KEPT).astype(np.intp))


def _infeasible(problem: Separable, bounder: Bounder, before: Iterate, now: Iterate) -> Iterate | None:
    """The change of the multipliers, where it separates: a bound above zero without any cost proves infeasibility."""
    ray = Iterate(
        now.x,
        now.mu - before.mu,
        [b - a for a, b in zip(before.nu, now.nu, strict=True)],
        [b - a for a, b in zip(before.zeta, now.zeta, strict=True)],
        now.dual_residual,
    )
    found = bounder(ray, costs=False)
    weight = sum(float(np.abs(part * stack.b).sum()) for part, stack in zip(ray.nu, problem.stacks, strict=True))
    sides = np.where(np.isfinite(problem.couplings.lower), problem.couplings.lower, problem.couplings.upper)
    weight += float(np.abs(ray.mu * np.where(np.isfinite(sides), sides, 0.0)).sum())
    return ray if found.value > 1e-7 * max(weight, 1e-300) and found.value > 0 else None
