"""Runs an algorithm on a model that need not be convex, judges every round, and keeps the best point."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.result import Status, Trace
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.interrupt import noted_interrupts
from gridmodel.runtime.loop import Limits, Progress
from gridmodel.runtime.smooth_judgement import SmoothJudgement, SmoothScale, judge_smooth

__all__ = ["STATIONARY", "SmoothOutcome", "run_smooth"]

Floats = NDArray[np.float64]

STATIONARY = "feasible and stationary within the tolerance; the model is not convex, so a better point may exist"
_PATIENCE = 400
"""Rounds without a better point after which a run gives up."""


@dataclass(frozen=True)
class SmoothOutcome:
    """How a run ended, and its best point."""

    status: Status
    message: str
    judgement: SmoothJudgement
    rounds: int
    trace: Trace
    state: Any


@dataclass
class _Run:
    problem: SmoothProblem
    scale: SmoothScale
    limits: Limits
    best: SmoothJudgement
    found: int = 0
    rounds: int = 0
    status: Status | None = None
    message: str = ""
    start: float = field(default_factory=time.perf_counter)
    entries: list[tuple[float, ...]] = field(default_factory=list)
    prices: list[Floats] = field(default_factory=list)

    def end(self, status: Status, message: str = "") -> None:
        self.status, self.message = status, message or status.sentence

    def look(self, iterate: Iterate, progress: Progress | None) -> None:
        """Judges a point, and ends the run where that is due."""
        judged = judge_smooth(self.problem, self.scale, iterate)
        took = time.perf_counter() - self.start
        primal = max(judged.coupling, judged.local)
        self.entries.append((self.rounds, judged.value, np.nan, primal, judged.stationarity, took))
        self.prices.append(iterate.mu.copy())
        if progress is not None:
            progress(self.rounds, primal, None)
        if judged.badness() < self.best.badness():
            self.best, self.found = judged, self.rounds
        seconds = self.limits.seconds
        if self.best.badness() <= self.limits.tolerance:
            self.end(Status.SOLVED, STATIONARY)
        elif seconds is not None and took > seconds:
            self.end(Status.STOPPED, f"no answer within the tolerance in {seconds:g} seconds")
        elif self.rounds >= self.limits.max_rounds:
            self.end(Status.STOPPED, f"no answer within the tolerance in {self.limits.max_rounds} rounds")
        elif self.rounds - self.found >= _PATIENCE:
            self.end(Status.STOPPED, f"no better point for {_PATIENCE} rounds; the best one is of round {self.found}")

    def trace(self) -> Trace:
        columns = np.array(self.entries, dtype=np.float64).reshape(-1, 6).T
        rounds, value, bound, primal, dual, seconds = columns
        rows = np.arange(self.problem.couplings.size)
        prices = np.array(self.prices).reshape(len(self.prices), len(rows))
        return Trace(rounds, value, bound, primal, dual, seconds, prices, rows)


# A run that loses its way overflows before it is stopped.
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def run_smooth(
    problem: SmoothProblem,
    algorithm: AbstractAlgorithm,
    limits: Limits,
    warm: Iterate | None = None,
    progress: Progress | None = None,
) -> SmoothOutcome:
    """Steps until a point is feasible and stationary within the tolerance, or a limit is reached.

    Ctrl-C ends the run with the best point so far.

    Args:
        problem: the model as smooth blocks.
        algorithm: its state is made and stepped here.
        limits: tolerance and budgets.
        warm: the end of an earlier run on the same structure.
        progress: called every round with rounds and violation.
    """
    state = algorithm.init(problem, warm, limits.tolerance)
    scale = SmoothScale.of(problem)
    going = _Run(problem, scale, limits, judge_smooth(problem, scale, algorithm.observe(state)))
    if limits.max_rounds < 1:
        going.end(Status.STOPPED, "no round was allowed")
    try:
        with noted_interrupts() as interrupted:
            while going.status is None:
                state = algorithm.step(state)
                going.rounds += 1
                going.look(algorithm.observe(state), progress)
                why = algorithm.stuck(state)
                if going.status is None and why is not None:
                    going.end(Status.STOPPED, f"{why}; the best point is of round {going.found}")
                if going.status is None and interrupted():
                    going.end(Status.INTERRUPTED)
    except KeyboardInterrupt:
        going.end(Status.INTERRUPTED)
    assert going.status is not None
    return SmoothOutcome(going.status, going.message, going.best, going.rounds, going.trace(), state)
