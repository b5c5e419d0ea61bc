"""The proof that goes with an answer, and its completion by the centralized optimum."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.ir.result import Certificate, Result, Status
from gridmodel.runtime.loop import Judgement
from gridmodel.verify.central import Central, solve_central

__all__ = ["certificate_of", "complete", "verify"]


def certificate_of(judged: Judgement, tolerance: float) -> Certificate:
    """What a run proved by itself, without a central solve."""
    return Certificate(
        tolerance=tolerance,
        value=judged.value,
        size=judged.size,
        primal_residual=judged.residuals.primal,
        coupling_residual=judged.residuals.coupling,
        local_residual=judged.residuals.local,
        dual_residual=judged.iterate.dual_residual,
        lower_bound=judged.bound.value,
        gap=judged.gap,
        no_bound=judged.bound.reason,
    )


def verify(result: Result) -> Certificate:
    """Solves the model centrally and completes the result's certificate with the differences.

    The completed certificate is attached to the result; a result that was only "solved" becomes "certified" where the
    central optimum confirms it. A result without an answer gets the central verdict.

    Raises:
        ModelError: the result has no model to solve.
    """
    if result.model is None:
        raise ModelError("the result carries no model; verify(...) needs one that gridmodel.solve returned.")
    start = time.perf_counter()
    central = solve_central(result.model)
    base = result.certificate or Certificate(0.0, result.value, 1.0, np.inf, np.inf, np.inf)
    done = complete(base, result, central)
    result.certificate = done
    if result.status is Status.SOLVED and done.holds:
        result.status = Status.CERTIFIED
    elif result.status is Status.CERTIFIED and not done.holds:
        result.status = Status.SOLVED
    result.message = result.status.sentence if result.status in (Status.CERTIFIED, Status.SOLVED) else result.message
    result.seconds = replace(result.seconds, verify=time.perf_counter() - start)
    return done


def complete(certificate: Certificate, result: Result, central: Central) -> Certificate:
    """The certificate with the differences to the central optimum.

    Args:
        certificate: what the run proved.
        result: its values and prices.
        central: the centralized optimum.
    """
    if not central.solved:
        return replace(certificate, central_solver=central.solver, central_status=central.status)
    price_error = _largest_difference(result.price, central.price)
    largest = max((float(np.abs(value).max(initial=0.0)) for value in map(np.asarray, central.price.values())), default=0.0)
    apart = [_largest_difference(result.variables[k], central.variables[k]) for k in result.variables]
    apart = [value for value in apart if value is not None]
    size = max(certificate.size, abs(central.value), 1e-300)
    return replace(
        certificate,
        central_solver=central.solver,
        central_status=central.status,
        central_value=central.value,
        central_gap=(result.value - central.value) / size,
        price_error=price_error,
        price_error_relative=None if price_error is None or largest == 0 else price_error / largest,
        variable_error=max(apart) if apart else None,
    )


def _largest_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float | None:
    """The largest entry of the difference over the names that both have; None where they share none."""
    differences = list(_differences(ours, theirs))
    return max(differences) if differences else None


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[float]:
    for name, value in ours.items():
        other = theirs.get(name)
        if other is not None and value is not None:
            yield float(np.abs(np.asarray(value) - np.asarray(other)).max(initial=0.0))
