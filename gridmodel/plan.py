"""A compiled model with its algorithm: solved as often as data change."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.compile import Compiled
from gridmodel.errors import ModelError
from gridmodel.ir.properties import Properties
from gridmodel.ir.result import Certificate, Result, Seconds, Status, Trace
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.local import LocalProblem
from gridmodel.runtime.loop import Judgement, Limits, Outcome, Progress, run
from gridmodel.verify.central import Central, solve_central
from gridmodel.verify.certificate import certificate_of
from gridmodel.verify.culprit import find_culprit

__all__ = ["Plan"]

Floats = NDArray[np.float64]


class Plan:
    """A model compiled for one algorithm; ``solve`` reads the parameters' present values every time."""

    def __init__(self, compiled: Compiled, algorithm: AbstractAlgorithm | None, label: str) -> None:
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
            ModelError: a result of another structure to start from, or a tolerance that is no positive number.
        """
        if not (np.isfinite(tolerance) and tolerance > 0):
            raise ModelError(f"the tolerance must be a positive number, got {tolerance!r}.")
        start = time.perf_counter()
        compiled = self._compiled if self._fresh else self._compiled.refreshed()
        # The first solve uses the matrices of the compile, unless parameters have moved since: values are cheap to read.
        if self._fresh and any(party.parameters for party in self.model.agents):
            compiled = self._compiled.refreshed()
        self._fresh, self._compiled = False, compiled
        refreshed = time.perf_counter() - start
        if self._algorithm is None:
            return _central_result(compiled, tolerance, self._label)
        if compiled.lowered.conflicts:
            return _conflict_result(compiled, self._label)
        limits = Limits(tolerance=tolerance, seconds=seconds)
        if max_rounds is not None:
            limits = replace(limits, max_rounds=max_rounds)
        try:
            outcome = run(
                compiled.lowered.separable, self._algorithm, limits, _warm(warm, compiled), progress, compiled.scale
            )
        except LocalProblem as found:
            return _local_result(compiled, self._label, found)
        took = time.perf_counter() - start - refreshed
        return self._result(compiled, outcome, tolerance, Seconds(compiled.seconds, took))

    def _result(self, compiled: Compiled, outcome: Outcome, tolerance: float, seconds: Seconds) -> Result:
        if outcome.status in (Status.STOPPED, Status.INFEASIBLE):
            status = _diagnosed(compiled.model, outcome)
            if status is not None:
                return _no_answer(compiled, self._label, *status, outcome=outcome, seconds=seconds)
        assert self._algorithm is not None
        traffic = self._algorithm.traffic(compiled.lowered.separable)
        judged = outcome.judgement
        price, dual = _prices(compiled, judged.iterate)
        model = compiled.model
        return Result(
            model_name=model.name, algorithm=self._label, status=outcome.status, message=outcome.message,
            value=judged.value, variables=compiled.lowering.values(compiled.lowered, judged.iterate.x),
            price=price, dual=dual, certificate=certificate_of(judged, tolerance),
            trace=_priced(outcome.trace, compiled),
            rounds=outcome.rounds, messages=outcome.rounds * traffic.messages, bytes=outcome.rounds * traffic.bytes,
            seconds=seconds, units=_units(model), currency=model.currency,
            coupling_rows=dict(enumerate(compiled.lowered.separable.couplings.name_of_rows())),
            model=model, state=judged.iterate,
        )  # fmt: skip


def _warm(result: Result | None, compiled: Compiled) -> Iterate | None:
    if result is None or result.state is None:
        return None
    state: Iterate = result.state
    problem = compiled.lowered.separable
    fits = (
        len(state.x) == len(problem.stacks)
        and all(x.shape == s.q.shape for x, s in zip(state.x, problem.stacks, strict=True))
        and len(state.mu) == problem.couplings.size
    )
    if not fits:
        raise ModelError(
            f"warm=: the result of {result.model_name!r} has another structure than this model; "
            "start from a result of the same plan, or leave warm out."
        )
    return state


def _prices(compiled: Compiled, iterate: Iterate) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prices and cvxpy's duals of couplings and of named limits, in the shapes that the user wrote."""
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    for info in compiled.lowered.separable.couplings.infos:
        if not len(info.rows):
            continue
        flat = info.dual_sign * iterate.mu[info.rows]
        dual[info.name] = _shaped(flat, info.shape)
        if info.price_sign is not None:
            price[info.name] = _shaped(info.price_sign * flat, info.shape)
    for party in compiled.model.agents:
        for limit in party.limits:
            found = compiled.lowered.named.get(f"{party.name}.{limit.name}") if party.size is None else None
            if limit.name is None or found is None:
                continue
            k, position, rows, sign = found
            flat = sign * iterate.nu[k][position, rows]
            shape = tuple(int(n) for n in limit.constraint.shape)
            dual[f"{party.name}.{limit.name}"] = _shaped(flat, shape)
            factor = price_sign(limit.constraint)
            if factor is not None:
                price[f"{party.name}.{limit.name}"] = _shaped(factor * flat, shape)
    return price, dual


def _priced(trace: Trace, compiled: Compiled) -> Trace:
    """The history with prices in place of multipliers; rows without a price (cones, copies) keep their multiplier."""
    couplings = compiled.lowered.separable.couplings
    factor = np.ones(couplings.size)
    for info in couplings.infos:
        if info.price_sign is not None:
            factor[info.rows] = info.price_sign * info.dual_sign
    return replace(trace, prices=trace.prices * factor[trace.rows])


def _shaped(flat: Floats, shape: tuple[int, ...]) -> Any:
    return float(flat[0]) if shape == () else flat.reshape(shape, order="F")


def _units(model: Model) -> Mapping[str, str | None]:
    units: dict[str, str | None] = {coupling.name: coupling.unit for coupling in model.couplings}
    for party in model.agents:
        units |= {f"{party.name}.{name}": party.unit(name) for name in party.variables}
    return units


def _diagnosed(model: Model, outcome: Outcome) -> tuple[Status, str] | None:
    """Why a run found no answer: infeasible or unbounded, with the agent or coupling, judged by a central solve."""
    if outcome.status is Status.INFEASIBLE:
        culprit = find_culprit(model, "infeasible")
        return (Status.INFEASIBLE, culprit or Status.INFEASIBLE.sentence)
    measure = max(outcome.judgement.residuals.primal, outcome.judgement.iterate.dual_residual)
    if np.isfinite(measure) and measure < 1e-3:
        return None
    central = solve_central(model)
    if central.status == "infeasible":
        return Status.INFEASIBLE, central.culprit or Status.INFEASIBLE.sentence
    if central.status == "unbounded":
        return Status.UNBOUNDED, central.culprit or Status.UNBOUNDED.sentence
    return None


def _no_answer(
    compiled: Compiled, label: str, status: Status, culprit: str, outcome: Outcome | None = None,
    seconds: Seconds | None = None,
) -> Result:  # fmt: skip
    value = {Status.INFEASIBLE: np.inf, Status.UNBOUNDED: -np.inf}.get(status, np.nan)
    return Result(
        model_name=compiled.model.name, algorithm=label, status=status, message=f"{status.sentence}: {culprit}",
        value=value, variables={}, price={}, dual={}, certificate=None,
        trace=None if outcome is None else outcome.trace, rounds=0 if outcome is None else outcome.rounds,
        seconds=seconds or Seconds(compiled.seconds), culprit=culprit, units=_units(compiled.model),
        currency=compiled.model.currency, model=compiled.model,
    )  # fmt: skip


def _conflict_result(compiled: Compiled, label: str) -> Result:
    first = compiled.lowered.conflicts[0]
    name = compiled.lowered.names[first.block]
    culprit = find_culprit(compiled.model, "infeasible") or f"agent {name!r}: {first.reason}"
    return _no_answer(compiled, label, Status.INFEASIBLE, culprit)


def _local_result(compiled: Compiled, label: str, found: LocalProblem) -> Result:
    """An agent without an optimum of its own: the model's fault if it is infeasible, else only the central solve knows."""
    if found.kind == "infeasible":
        culprit = find_culprit(compiled.model, "infeasible") or f"agent {found.label!r}: {found}"
        return _no_answer(compiled, label, Status.INFEASIBLE, culprit)
    central = solve_central(compiled.model)
    if central.status in ("infeasible", "unbounded"):
        return _no_answer(compiled, label, Status(central.status), central.culprit or str(found))
    return _no_answer(compiled, label, Status.FAILED, str(found))


def _central_result(compiled: Compiled, tolerance: float, label: str) -> Result:
    """The centralized optimum as a result; its proof is the solver's own."""
    model = compiled.model
    central = solve_central(model, min(1e-8, tolerance))
    statuses = {"optimal": Status.CERTIFIED, "optimal_inaccurate": Status.SOLVED, "infeasible": Status.INFEASIBLE}
    status = statuses.get(central.status, Status.UNBOUNDED if central.status == "unbounded" else Status.FAILED)
    message = status.sentence if central.culprit is None else f"{status.sentence}: {central.culprit}"
    return Result(
        model_name=model.name, algorithm=label, status=status, message=f"{message} ({central.solver})",
        value=central.value, variables=central.variables, price=central.price, dual=central.dual,
        certificate=_central_certificate(central, tolerance), trace=None, seconds=Seconds(compiled.seconds, central.seconds),
        culprit=central.culprit, units=_units(model), currency=model.currency, model=model,
    )  # fmt: skip


def _central_certificate(central: Central, tolerance: float) -> Certificate | None:
    """The solver's word for the optimum, with the violations that remain."""
    if not central.solved:
        return None
    return Certificate(
        tolerance=tolerance, value=central.value, size=max(abs(central.value), 1e-300),
        primal_residual=max(central.coupling_residual, central.local_residual),
        coupling_residual=central.coupling_residual, local_residual=central.local_residual,
        no_bound="the central solver proves its own answer", central_solver=central.solver,
        central_status=central.status, central_value=central.value, central_gap=0.0, price_error=0.0, variable_error=0.0,
    )  # fmt: skip
