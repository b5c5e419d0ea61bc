"""Runs an algorithm round by round, judges it now and then, and keeps what it has whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.result import Status, Trace
from gridmodel.ir.separable import Separable
from gridmodel.runtime.bound import Bounder
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.interrupt import noted_interrupts
from gridmodel.runtime.judgement import Judgement, Refiner, infeasibility, judge
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel.runtime.scale import Scale

__all__ = ["Limits", "Outcome", "Progress", "Suspect", "run"]

Floats = NDArray[np.float64]
Progress = Callable[[int, float, float | None], None]
Suspect = Callable[[], tuple[Status, str] | None]

_PRICES_KEPT = 60
_AGENTS_KEPT = 200
_AT_REST = 1e-12
_STUCK = 1e-2
_FIRST_LOOK = 100
"""Rounds until the first look for a proof of infeasibility; later ones come at twice the rounds."""


@dataclass(frozen=True)
class Limits:
    """When a run ends.

    tolerance: relative, on residuals and on the gap. max_rounds, seconds: stop there all the same.
    check_every: rounds between two judgements; they grow apart as the run gets long.
    least_rounds: no end before them but by budget, e.g. while agents still leave or join.
    """

    tolerance: float = 1e-4
    max_rounds: int = 20_000
    seconds: float | None = None
    check_every: int = 10
    least_rounds: int = 0


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
    states: list[Floats] = field(default_factory=list)
    agents: tuple[str, ...] = ()

    def add(self, rounds: int, judged: Judgement, shown: Floats | None) -> None:
        bound = judged.bound.value if np.isfinite(judged.bound.value) else np.nan
        dual = judged.iterate.dual_residual
        took = time.perf_counter() - self.start
        self.entries.append((rounds, judged.value, bound, judged.residuals.primal, dual, took))
        self.prices.append(judged.iterate.mu[self.rows].copy())
        if shown is not None:
            self.states.append(shown[:_AGENTS_KEPT, 0].copy())

    def trace(self) -> Trace:
        rounds, value, bound, primal, dual, seconds = np.array(self.entries, dtype=np.float64).reshape(-1, 6).T
        prices = np.array(self.prices).reshape(len(self.prices), len(self.rows))
        states = np.array(self.states) if self.states else None
        return Trace(rounds, value, bound, primal, dual, seconds, prices, self.rows, states, self.agents)


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
    judged: Separable | None = None,
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
        judged: the model by which iterates are judged, where it is another: that of those who are there at the end.
    """
    state = algorithm.init(problem, warm, limits.tolerance)
    measure = problem if judged is None else judged
    scale = scale if scale is not None and judged is None else Scale(measure)
    bounder = Bounder(measure, scale)
    first = judge(measure, scale, bounder, algorithm.observe(state))
    refiner = Refiner(measure, scale, bounder, algorithm, limits.tolerance)
    history = _History(_kept_rows(measure), agents=_kept_agents(problem, algorithm))
    going = _Run(measure, scale, bounder, limits, refiner, history, suspect, first, first)
    if isinstance(algorithm, AbstractNetworked):
        history.add(0, first, algorithm.shown(state))
    next_check = 1 if warm is not None or algorithm.every_round else limits.check_every
    if limits.max_rounds < 1:
        going.budget()
    try:
        with noted_interrupts() as interrupted:
            while going.status is None:
                state = algorithm.step(state)
                going.rounds += 1
                if going.rounds >= min(next_check, limits.max_rounds) or interrupted():
                    going.look(state, algorithm.observe(state), progress)
                    if going.status is None and isinstance(algorithm, AbstractNetworked):
                        going.rest(algorithm, state)
                    apart = max(limits.check_every, going.rounds // 20)
                    next_check = going.rounds + (1 if algorithm.every_round else apart)
                if going.status is None:
                    going.stuck(algorithm.stuck(state))
                if going.status is None and interrupted():
                    going.end(Status.INTERRUPTED)
    except KeyboardInterrupt:
        going.end(Status.INTERRUPTED)
    assert going.status is not None
    return Outcome(going.status, going.message, going.best, going.rounds, going.history.trace(), state, going.ray)


@dataclass
class _Run:
    """A run between two judgements: the best so far, and, once it has ended, how."""

    problem: Separable
    scale: Scale
    bounder: Bounder
    limits: Limits
    refiner: Refiner
    history: _History
    suspect: Suspect | None
    best: Judgement
    last: Judgement
    next_proof: int = _FIRST_LOOK
    rounds: int = 0
    status: Status | None = None
    message: str = ""
    ray: Iterate | None = None
    shown: Floats | None = None

    def end(self, status: Status, message: str = "") -> None:
        """Ends the run."""
        self.status, self.message = status, message or status.sentence

    def look(self, state: Any, iterate: Iterate, progress: Progress | None) -> None:
        """Judges an iterate, and ends the run where that is due."""
        plain = judge(self.problem, self.scale, self.bounder, iterate)
        judged, extra = self.refiner.improve(state, plain)
        self.rounds += extra
        done = judged.within(self.limits.tolerance) and self.rounds >= self.limits.least_rounds
        algorithm = self.refiner.algorithm
        shown = algorithm.shown(state) if isinstance(algorithm, AbstractNetworked) else None
        self.history.add(self.rounds, judged if done else plain, shown)
        if progress is not None:
            progress(self.rounds, judged.residuals.primal, judged.gap)
        if judged.badness() < self.best.badness() or not np.isfinite(self.best.badness()):
            self.best = judged
        if done:
            self.end(Status.CERTIFIED)
        elif not np.isfinite(plain.residuals.primal + plain.iterate.dual_residual):
            self.end(Status.STOPPED, "the iteration left the range of numbers")
        elif self.rounds >= self.next_proof:
            self._doubt(plain)
        if self.status is None:
            self.budget()

    def rest(self, algorithm: AbstractNetworked, state: Any) -> None:
        """Ends a run whose iterates no longer move, though they are not within the tolerance."""
        shown, last = algorithm.shown(state), self.shown
        self.shown = shown
        if not algorithm.rests or last is None or self.rounds < self.limits.least_rounds:
            return
        if float(np.abs(shown - last).max(initial=0)) <= _AT_REST * float(np.abs(shown).max(initial=0)):
            self.end(Status.STOPPED, f"came to rest beside the optimum: {algorithm.rests}")

    def stuck(self, reason: str | None) -> None:
        """Ends a run of which the algorithm itself says that more rounds would not better the answer."""
        if reason is not None and self.rounds >= self.limits.least_rounds:
            self.end(Status.STOPPED, f"no answer within the tolerance: {reason}")

    def _doubt(self, now: Judgement) -> None:
        """Looks for a proof that the model has no optimum, now and then."""
        self.ray = infeasibility(self.problem, self.bounder, self.last.iterate, now.iterate)
        if self.ray is not None:
            self.end(Status.INFEASIBLE)
            return
        stuck = self.best.badness() > _STUCK and now.badness() > 0.5 * self.last.badness()
        if self.suspect is not None and stuck:
            verdict = self.suspect()
            if verdict is not None:
                self.end(*verdict)
            self.suspect = None
        self.last, self.next_proof = now, 2 * self.rounds

    def budget(self) -> None:
        """Ends the run where its rounds or seconds are used up."""
        seconds = self.limits.seconds
        if seconds is not None and time.perf_counter() - self.history.start > seconds:
            self.end(Status.STOPPED, f"no answer within the tolerance in {seconds:g} seconds")
        elif self.rounds >= self.limits.max_rounds:
            self.end(Status.STOPPED, f"no answer within the tolerance in {self.limits.max_rounds} rounds")


def _kept_agents(problem: Separable, algorithm: AbstractAlgorithm) -> tuple[str, ...]:
    """Whose states the history keeps."""
    if not isinstance(algorithm, AbstractNetworked):
        return ()
    return tuple(label for stack in problem.stacks for label in stack.labels)[:_AGENTS_KEPT]


def _kept_rows(problem: Separable) -> NDArray[np.intp]:
    """Which coupling rows' prices the history keeps: all, or evenly chosen ones where there are many."""
    rows = problem.couplings.size
    if rows <= _PRICES_KEPT:
        return np.arange(rows)
    return np.unique(np.linspace(0, rows - 1, _PRICES_KEPT).astype(np.intp))
