"""The proof that goes with an answer, and its completion by the centralized optimum."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.ir.result import AbstractVerifiable, Certificate, Result, Status
from gridmodel.language.model import Model
from gridmodel.runtime.judgement import Judgement
from gridmodel.verify.central import Central, solve_central
from gridmodel.verify.present import without_absent

_NOISE = 1e-6

__all__ = ["certificate_of", "complete", "relaxed", "verify"]

_REACH_NOTE = (
    "The lower bound holds for points whose unbounded variables stay within a hundred times their size in this answer."
)


def certificate_of(judged: Judgement, tolerance: float) -> Certificate:
    """What a run proved by itself, without a central solve."""
    # A bound further off than the cost is large says nothing; its number would only look like a proof.
    known = bool(np.isfinite(judged.bound.value)) and abs(judged.gap) < 1e3
    return Certificate(
        tolerance=tolerance,
        value=judged.value,
        size=judged.size,
        primal_residual=judged.residuals.primal,
        coupling_residual=judged.residuals.coupling,
        local_residual=judged.residuals.local,
        dual_residual=judged.iterate.dual_residual,
        lower_bound=judged.bound.value if known else None,
        gap=judged.gap if known else None,
        no_bound=None if known else "the multipliers so far prove nothing",
        notes=(_REACH_NOTE,) if known and judged.bound.paid > 1e-9 * judged.size else (),
    )


@overload
def verify(result: Result) -> Certificate: ...
@overload
def verify(result: AbstractVerifiable | Sequence[AbstractVerifiable]) -> Any: ...
def verify(result: Result | AbstractVerifiable | Sequence[AbstractVerifiable]) -> Any:
    """Solves the model centrally and completes the result's certificate with the differences.

    Policies are judged on held-out days instead, see ``gridmodel.learning``; a list of policies of one model, e.g. of
    several seeds, gives a table of them with mean and spread.

    The completed certificate is attached to the result; a result that was only "solved" becomes "certified" where the
    central optimum confirms it. A result without an answer gets the central verdict.

    Raises:
        ModelError: the result has no model to solve; a list of anything but policies, or of none.
    """
    if isinstance(result, AbstractVerifiable):
        return result.verified()
    if isinstance(result, Sequence):
        return _together(result)
    if result.model is None:
        raise ModelError("the result carries no model; verify(...) needs one that gridmodel.solve returned.")
    start = time.perf_counter()
    done = result.certificate or Certificate(0.0, result.value, 1.0, np.inf, np.inf, np.inf)
    # A stationary point of the central solver is not compared with itself, but bounded by the relaxation.
    if result.model.convex or result.algorithm != "central":
        central = without_absent(result.model, result.absent) if result.absent else solve_central(result.model)
        done = complete(done, result, central)
    if not result.model.convex:
        done = relaxed(done, result.model)
    if result.model.remarks is not None and result.variables:
        done = replace(done, notes=(*done.notes, *result.model.remarks(result)))
    result.certificate = done
    # The central point of a model that is not convex proves nothing: a better one may exist.
    proven = done.holds if result.model.convex else done.proven
    if result.status is Status.SOLVED and proven:
        result.status = Status.CERTIFIED
    elif result.status is Status.CERTIFIED and not proven:
        result.status = Status.SOLVED
    if result.status is Status.CERTIFIED or (result.status is Status.SOLVED and result.model.convex):
        result.message = result.status.sentence
    result.seconds = replace(result.seconds, verify=time.perf_counter() - start)
    return done


def _together(several: Sequence[Any]) -> Any:
    kinds = {type(one) for one in several}
    if len(kinds) != 1 or not issubclass(kind := kinds.pop(), AbstractVerifiable):
        names = ", ".join(type(one).__name__ for one in several) or "none"
        raise ModelError(
            f"verify([...]) takes policies of one model; got {names}. Results are verified one by one: verify(result)."
        )
    return kind.verified_together(several)


def relaxed(certificate: Certificate, model: Model) -> Certificate:
    """The certificate with the lower bound that the model's relaxation gives, where it has one."""
    if model.relaxation is None:
        return replace(certificate, no_bound="the model is not convex and has no relaxation to bound it")
    found = solve_central(model.relaxation())
    if not found.solved:
        return replace(certificate, no_bound=f"the relaxation ended {found.status}")
    gap = (certificate.value - found.value) / max(certificate.size, abs(found.value), 1e-300)
    note = f"The lower bound is the optimum of a convex relaxation ({found.solver}, {found.status})."
    return replace(certificate, lower_bound=found.value, gap=gap, no_bound=None, notes=(*certificate.notes, note))


def complete(certificate: Certificate, result: Result, central: Central) -> Certificate:
    """The certificate with the differences to the central optimum.

    Args:
        certificate: what the run proved.
        result: its values and prices.
        central: the centralized optimum.
    """
    if not central.solved:
        return replace(certificate, central_solver=central.solver, central_status=central.status)
    quoted = {name: price for name, price in result.price.items() if _quoted(result.model, name)}
    errors = dict(_differences(quoted, central.price))
    apart = [d for k, own in result.variables.items() for _, d in _differences(own, central.variables[k])]
    size = max(certificate.size, abs(central.value), 1e-300)
    return replace(
        certificate,
        central_solver=central.solver,
        central_status=central.status,
        central_value=central.value,
        central_gap=(result.value - central.value) / size,
        price_error=max(errors.values(), default=None),
        price_error_relative=_relative(errors, central.price, _price_groups(result)),
        price_errors=errors,
        variable_error=max(apart) if apart else None,
    )


def _quoted(model: Model, name: str) -> bool:
    return model.quoted is None or name in model.quoted or name.rpartition(".")[2] in model.quoted


def _price_groups(result: Result) -> dict[str, tuple[str, str]]:
    """Which prices compare: those per one unit; without a unit, all couplings, and all limits of one name."""
    couplings = {coupling.name for coupling in result.model.couplings}
    groups = {}
    for name in result.price:
        kind = "coupling" if name in couplings else name.rpartition(".")[2]
        unit = result.units.get(name)
        groups[name] = ("unit", unit) if unit is not None else ("kind", kind)
    return groups


def _relative(
    errors: Mapping[str, float], prices: Mapping[str, Any], groups: Mapping[str, tuple[str, str]]
) -> float | None:
    """The largest error over the largest price of its group; None without prices."""
    largest_of_all = max((float(np.abs(prices[name]).max(initial=0.0)) for name in errors), default=0.0)
    by_unit: dict[tuple[str, str], tuple[float, float]] = {}
    for name, error in errors.items():
        unit = groups[name]
        worst, largest = by_unit.get(unit, (0.0, 0.0))
        by_unit[unit] = max(worst, error), max(largest, float(np.abs(prices[name]).max(initial=0.0)))
    # Prices that are zero but for the solvers' noise have no size to compare with.
    kept = [pair for pair in by_unit.values() if pair[1] > _NOISE * largest_of_all] or list(by_unit.values())
    return max((worst / largest if largest > 0 else worst for worst, largest in kept), default=None)


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The largest entry of the difference, name by name, where both have a value."""
    for name, value in ours.items():
        other = theirs.get(name)
        if other is not None and value is not None:
            apart = np.abs(np.asarray(value) - np.asarray(other))
            yield name, float(np.nan_to_num(apart).max(initial=0.0))  # NaN stands for agents that are absent
