"""Results put together: prices under the user's names, and what to say where there is no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.compile import AbstractCompiled, Compiled
from gridmodel.ir.properties import Traffic
from gridmodel.ir.result import Certificate, Result, Seconds, Status, Trace
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.membership import blanked
from gridmodel.passes.template import limit_labels
from gridmodel.runtime.agreed import all_agreements
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.local import LocalProblem
from gridmodel.runtime.loop import Outcome
from gridmodel.runtime.smooth_run import STATIONARY
from gridmodel.verify.central import Central, solve_central
from gridmodel.verify.culprit import find_culprit
from gridmodel.verify.present import without_absent

__all__ = [
    "central_result",
    "conflict_result",
    "diagnosed",
    "local_result",
    "named_limits",
    "no_answer",
    "priced",
    "prices_of",
    "shaped",
    "units_of",
    "without_optimum",
]

Floats = NDArray[np.float64]


def prices_of(compiled: Compiled, iterate: Iterate) -> tuple[dict[str, Any], dict[str, Any]]:
    """Prices and cvxpy's duals of couplings and of named limits, in the shapes that the user wrote."""
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    for info in compiled.lowered.separable.couplings.infos:
        if not len(info.rows):
            continue
        flat = info.dual_sign * iterate.mu[info.rows]
        dual[info.name] = shaped(flat, info.shape)
        if info.price_sign is not None:
            price[info.name] = shaped(info.price_sign * flat, info.shape)
    limits = named_limits(compiled.model)
    for name, found in compiled.lowering.duals(compiled.lowered, iterate.nu).items():
        dual[name] = found
        factor = price_sign(limits[name])
        if factor is not None:
            price[name] = factor * found
    return price, dual


def priced(trace: Trace, compiled: Compiled) -> Trace:
    """The history with prices in place of multipliers; rows without a price (cones, copies) keep their multiplier."""
    couplings = compiled.lowered.separable.couplings
    factor = np.ones(couplings.size)
    for info in couplings.infos:
        if info.price_sign is not None:
            factor[info.rows] = info.price_sign * info.dual_sign
    states = trace.states
    if states is not None and couplings.size and not all_agreements(compiled.lowered.separable):
        states = states * factor[0]  # what agents hold of the first row is its multiplier
    return replace(trace, prices=trace.prices * factor[trace.rows], states=states)


def named_limits(model: Model) -> dict[str, cp.Constraint]:
    """Every agent's named limits by "agent.limit"."""
    return {
        f"{party.name}.{label}": limit.constraint
        for party in model.agents
        for label, limit in zip(limit_labels(party), party.limits, strict=True)
        if label is not None
    }


def shaped(flat: Floats, shape: tuple[int, ...]) -> Any:
    """Entries column by column as a number or an array of this shape."""
    return float(flat[0]) if shape == () else flat.reshape(shape, order="F")


def units_of(model: Model) -> Mapping[str, str | None]:
    """Units of couplings, variables and named limits; None where there is none, or a limit's variables differ."""
    units: dict[str, str | None] = {coupling.name: coupling.unit for coupling in model.couplings}
    for party in model.agents:
        units |= {f"{party.name}.{name}": party.unit(name) for name in party.variables}
    for name, constraint in named_limits(model).items():
        found = {model.owner(variable).unit for variable in constraint.variables()} - {None}
        # A limit may be called like a variable, whose unit is then the one that is known for sure.
        units.setdefault(name, found.pop() if len(found) == 1 else None)
    return units


def diagnosed(model: Model, outcome: Outcome) -> tuple[Status, str] | None:
    """Why a run found no answer: infeasible or unbounded, with the agent or coupling, judged by a central solve."""
    if outcome.status is Status.INFEASIBLE:
        culprit = find_culprit(model, "infeasible")
        return (Status.INFEASIBLE, culprit or Status.INFEASIBLE.sentence)
    if outcome.judgement.badness() < 1e-3:
        return None
    return without_optimum(model)


def without_optimum(model: Model) -> tuple[Status, str] | None:
    """Infeasible or unbounded with the culprit, by a central solve; None where there is an optimum."""
    central = solve_central(model)
    if central.status == "infeasible":
        return Status.INFEASIBLE, central.culprit or Status.INFEASIBLE.sentence
    if central.status == "unbounded":
        return Status.UNBOUNDED, central.culprit or Status.UNBOUNDED.sentence
    return None


def no_answer(
    compiled: Compiled, label: str, status: Status, culprit: str, outcome: Outcome | None = None,
    seconds: Seconds | None = None, traffic: Traffic | None = None,
) -> Result:  # fmt: skip
    rounds = 0 if outcome is None else outcome.rounds
    sent = traffic or Traffic(0, 0)
    value = {Status.INFEASIBLE: np.inf, Status.UNBOUNDED: -np.inf}.get(status, np.nan)
    return Result(
        model_name=compiled.model.name, algorithm=label, status=status, message=f"{status.sentence}: {culprit}",
        value=value, variables={}, price={}, dual={}, certificate=None,
        trace=None if outcome is None else priced(outcome.trace, compiled), rounds=rounds,
        messages=rounds * sent.messages, bytes=rounds * sent.bytes,
        seconds=seconds or Seconds(compiled.seconds), culprit=culprit, units=units_of(compiled.model),
        currency=compiled.model.currency, model=compiled.model,
    )  # fmt: skip


def conflict_result(compiled: Compiled, label: str) -> Result:
    first = compiled.lowered.conflicts[0]
    name = compiled.lowered.names[first.block]
    culprit = find_culprit(compiled.model, "infeasible") or f"agent {name!r}: {first.reason}"
    return no_answer(compiled, label, Status.INFEASIBLE, culprit)


def local_result(compiled: Compiled, label: str, found: LocalProblem) -> Result:
    """An agent without an optimum of its own: infeasible is the model's fault, else only the central solve knows."""
    if found.kind == "infeasible":
        culprit = find_culprit(compiled.model, "infeasible") or f"agent {found.label!r}: {found}"
        return no_answer(compiled, label, Status.INFEASIBLE, culprit)
    central = solve_central(compiled.model)
    if central.status in ("infeasible", "unbounded"):
        return no_answer(compiled, label, Status(central.status), central.culprit or str(found))
    return no_answer(compiled, label, Status.FAILED, str(found))


def central_result(compiled: AbstractCompiled, tolerance: float, label: str, absent: tuple[str, ...] = ()) -> Result:
    """The centralized optimum (of all but the absent agents) as a result; its proof is the solver's own."""
    model = compiled.model
    central = without_absent(model, absent) if absent else solve_central(model, min(1e-8, tolerance))
    statuses = {
        "optimal": Status.CERTIFIED, "optimal_inaccurate": Status.SOLVED, "stationary": Status.SOLVED,
        "infeasible": Status.INFEASIBLE, "unbounded": Status.UNBOUNDED,
    }  # fmt: skip
    status = statuses.get(central.status, Status.FAILED)
    message = STATIONARY if central.status == "stationary" else status.sentence
    if central.culprit is not None:
        message = f"{message}: {central.culprit}" if compiled.model.convex else central.culprit
    return Result(
        model_name=model.name, algorithm=label, status=status, message=f"{message} ({central.solver})",
        value=central.value, variables=blanked(model, central.variables, absent), absent=absent,
        price=central.price, dual=central.dual, certificate=_central_certificate(central, tolerance), trace=None,
        seconds=Seconds(compiled.seconds, central.seconds),
        culprit=central.culprit, units=units_of(model), currency=model.currency, model=model,
    )  # fmt: skip


def _central_certificate(central: Central, tolerance: float) -> Certificate | None:
    """The solver's word for the optimum, with the violations that remain."""
    if not central.solved:
        return None
    local = "the model is not convex; gm.verify bounds it by its relaxation, where it has one"
    return Certificate(
        tolerance=tolerance, value=central.value, size=max(abs(central.value), 1e-300),
        primal_residual=max(central.coupling_residual, central.local_residual),
        coupling_residual=central.coupling_residual, local_residual=central.local_residual,
        dual_residual=central.slope if np.isfinite(central.slope) else None,
        no_bound=local if central.status == "stationary" else "the central solver proves its own answer",
        central_solver=central.solver,
        central_status=central.status, central_value=central.value, central_gap=0.0, price_error=0.0,
        price_error_relative=0.0, variable_error=0.0,
    )  # fmt: skip
