"""A compiled model with its algorithm: solved as often as data change."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.answers import (
    central_result,
    conflict_result,
    diagnosed,
    local_result,
    no_answer,
    priced,
    prices_of,
    units_of,
    without_optimum,
)
from gridmodel.compile import AbstractCompiled, Compiled, CompiledSmooth
from gridmodel.errors import ModelError
from gridmodel.ir.properties import Properties
from gridmodel.ir.result import Result, Seconds, Status
from gridmodel.ir.separable import Separable
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.language.model import Model
from gridmodel.membership import blanked, channel_of, membership, releases_of
from gridmodel.runtime.absent import without
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.local import LocalProblem
from gridmodel.runtime.loop import Limits, Outcome, Progress, run
from gridmodel.runtime.smooth_run import run_smooth
from gridmodel.smooth_answers import smooth_result
from gridmodel.verify.certificate import certificate_of
from gridmodel.verify.declared import declared_cost

__all__ = ["Plan"]

_EXACT = 1e-7
"""Above it, auxiliary columns may be loose enough to show in the cost."""

Floats = NDArray[np.float64]


class Plan:
    """A model compiled for one algorithm; ``solve`` reads the parameters' present values every time."""

    def __init__(self, compiled: AbstractCompiled, algorithm: AbstractAlgorithm | None, label: str) -> None:
        self._compiled = compiled
        self._algorithm = algorithm
        self._label = label
        self._fresh = True

    @property
    def model(self) -> Model:
        """The model that was compiled."""
        return self._compiled.model

    @property
    def algorithm(self) -> AbstractAlgorithm | None:
        """The algorithm with its options; None stands for the central solver."""
        return self._algorithm

    @property
    def problem(self) -> Separable | SmoothProblem:
        """The model as matrices or as smooth blocks, at the parameters' values of the last solve or of the compile."""
        return self._compiled.problem

    @property
    def properties(self) -> Properties:
        """Facts about the model's structure."""
        return self._compiled.properties

    def solve(
        self,
        *,
        warm: Result | None = None,
        tolerance: float = 1e-4,
        max_rounds: int | None = None,
        seconds: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Runs the algorithm at the parameters' present values.

        Args:
            warm: an earlier result of this plan (or of an equal model) to start from.
            tolerance: relative, on residuals and on the gap.
            max_rounds, seconds: budgets; what was reached until then is returned.
            progress: called now and then with rounds, primal residual and gap.

        Raises:
            DataError: a parameter without a value.
            ModelError: a result of another structure to start from; a tolerance or budget that is no positive number.
        """
        _check_limits(tolerance, max_rounds=max_rounds, seconds=seconds)
        limits = Limits(tolerance=tolerance, seconds=seconds)
        if max_rounds is not None:
            limits = replace(limits, max_rounds=max_rounds)
        start = time.perf_counter()
        compiled = self._compiled = self._refreshed()
        refreshed = time.perf_counter() - start
        if self._algorithm is None:
            return central_result(compiled, tolerance, self._label)
        if isinstance(compiled, CompiledSmooth):
            return self._smooth(compiled, self._algorithm, limits, warm, progress)
        assert isinstance(compiled, Compiled)
        if compiled.lowered.conflicts:
            return conflict_result(compiled, self._label)
        absent, settled = membership(self._algorithm)
        limits = replace(limits, least_rounds=settled)
        separable = compiled.lowered.separable
        try:
            outcome = run(
                separable, self._algorithm, limits, _warm(warm, compiled), progress, compiled.scale,
                None if absent else lambda: without_optimum(compiled.model),
                without(separable, absent) if absent else None,
            )  # fmt: skip
        except LocalProblem as found:
            return local_result(compiled, self._label, found)
        took = time.perf_counter() - start - refreshed
        return self._result(compiled, outcome, tolerance, Seconds(compiled.seconds, took))

    def _refreshed(self) -> AbstractCompiled:
        """The first solve uses the compile's own data, unless there are parameters, which may have moved since."""
        fresh, self._fresh = self._fresh, False
        if fresh and not any(party.parameters for party in self.model.agents):
            return self._compiled
        return self._compiled.refreshed()

    def _smooth(
        self, compiled: CompiledSmooth, algorithm: AbstractAlgorithm, limits: Limits, warm: Result | None,
        progress: Progress | None,
    ) -> Result:  # fmt: skip
        start = time.perf_counter()
        outcome = run_smooth(compiled.problem, algorithm, limits, None if warm is None else warm.state, progress)
        took = Seconds(compiled.seconds, time.perf_counter() - start)
        return smooth_result(compiled, algorithm, self._label, outcome, limits.tolerance, took)

    def _result(self, compiled: Compiled, outcome: Outcome, tolerance: float, seconds: Seconds) -> Result:
        assert self._algorithm is not None
        traffic = self._algorithm.traffic(compiled.lowered.separable)
        sent = self._algorithm.sent(outcome.state, outcome.rounds)
        messages, size = sent or (outcome.rounds * traffic.messages, outcome.rounds * traffic.bytes)
        absent, _ = membership(self._algorithm)
        verdict: tuple[Status, str] | None = None
        if outcome.status is Status.UNBOUNDED or (outcome.status is Status.INFEASIBLE and outcome.ray is None):
            verdict = outcome.status, outcome.message
        elif outcome.status in (Status.STOPPED, Status.INFEASIBLE) and not absent:
            verdict = diagnosed(compiled.model, outcome)
        if verdict is not None:
            return no_answer(compiled, self._label, *verdict, outcome=outcome, seconds=seconds, traffic=traffic)
        judged = outcome.judgement
        variables = compiled.lowering.values(compiled.lowered, judged.iterate.x)
        if judged.badness() > _EXACT and not absent:
            judged = judged.valued(declared_cost(compiled.model, variables))
            if outcome.status is Status.CERTIFIED and abs(judged.gap) > tolerance:
                # The compiled cost was within the tolerance of the bound, the declared one is not quite.
                outcome = replace(outcome, status=Status.SOLVED, message=Status.SOLVED.sentence)
        price, dual = prices_of(compiled, judged.iterate)
        model = compiled.model
        return Result(
            model_name=model.name, algorithm=self._label, status=outcome.status, message=outcome.message,
            value=judged.value, variables=blanked(compiled.model, variables, absent), absent=absent,
            price=price, dual=dual, certificate=certificate_of(judged, tolerance),
            trace=priced(outcome.trace, compiled),
            rounds=outcome.rounds, messages=messages, bytes=size,
            seconds=seconds, units=units_of(model), currency=model.currency,
            coupling_rows=dict(enumerate(compiled.lowered.separable.couplings.name_of_rows())),
            releases=releases_of(self._algorithm, outcome.state, compiled.lowered.separable.blocks),
            reveals=self._algorithm.reveals, channel=channel_of(self._algorithm), model=model, state=judged.iterate,
        )  # fmt: skip


def _check_limits(tolerance: float, **budgets: float | None) -> None:
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise ModelError(f"the tolerance must be a positive number, got {tolerance!r}.")
    for name, budget in budgets.items():
        if budget is not None and not budget > 0:
            raise ModelError(f"{name} must be a positive number, or None for no such budget, got {budget!r}.")


def _warm(result: Result | None, compiled: Compiled) -> Iterate | None:
    if result is None or result.state is None:
        return None
    state: Iterate = result.state
    problem = compiled.lowered.separable
    fits = (
        len(state.x) == len(problem.stacks)
        and all(x.shape == s.q.shape for x, s in zip(state.x, problem.stacks, strict=True))
        and all(nu.shape == s.b.shape for nu, s in zip(state.nu, problem.stacks, strict=True))
        and all(zeta.shape == s.h.shape for zeta, s in zip(state.zeta, problem.stacks, strict=True))
        and len(state.mu) == problem.couplings.size
    )
    if not fits:
        raise ModelError(
            f"warm=: the result of {result.model_name!r} has another structure than this model; "
            "start from a result of the same plan, or leave warm out."
        )
    return state
