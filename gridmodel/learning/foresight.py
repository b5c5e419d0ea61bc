"""What agents could do at best if they knew the day, the network left out: a bound that no policy beats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.result import Status
from gridmodel.ir.scenarios import Scenarios
from gridmodel.language.model import Model
from gridmodel.plan import Plan
from gridmodel.solve import compile

__all__ = ["bounds", "day_of", "foresight"]

Floats = NDArray[np.float64]


def foresight(model: Model, scenarios: Scenarios, method: str = "central", tolerance: float = 1e-4) -> Floats:
    """The least cost of each day under perfect foresight and without the network's limits, shape (days,).

    Parts of an action may both be positive in it, which no device can do: still a lower bound.

    Raises:
        ModelError: a day has no solution; its number and what was found are named.
    """
    found = np.empty(len(scenarios))
    plan = _plan(model, scenarios, method)
    for k in range(len(scenarios)):
        least = _least(plan, model, scenarios, k, tolerance)
        if isinstance(least, str):
            raise ModelError(f"the optimum of day {k} with perfect foresight: {least}")
        found[k] = least
    return found


def bounds(
    model: Model, scenarios: Scenarios, method: str = "central", tolerance: float = 1e-4
) -> tuple[Floats, dict[int, str]]:
    """The same with NaN for days that have no solution, and why they have none."""
    found, failed = np.full(len(scenarios), np.nan), dict[int, str]()
    try:
        plan = _plan(model, scenarios, method)
    except ModelError as error:
        return found, dict.fromkeys(range(len(scenarios)), str(error))
    for k in range(len(scenarios)):
        try:
            least = _least(plan, model, scenarios, k, tolerance)
        except ModelError as error:
            least = str(error)
        if isinstance(least, str):
            failed[k] = least
        else:
            found[k] = least
    return found, failed


def _plan(model: Model, scenarios: Scenarios, method: str) -> Plan:
    with day_of(model, scenarios, 0):
        return compile(model, method)


def _least(plan: Plan, model: Model, scenarios: Scenarios, day: int, tolerance: float) -> float | str:
    """Of one day; in words why not, where it has no solution."""
    with day_of(model, scenarios, day):
        result = plan.solve(tolerance=tolerance)
    if result.status not in (Status.CERTIFIED, Status.SOLVED):
        return result.message
    bound = result.certificate.lower_bound if result.certificate is not None else None
    return result.value if bound is None else bound


@contextmanager
def day_of(model: Model, scenarios: Scenarios, day: int) -> Iterator[None]:
    """The model's series at one day's values; afterwards at those from before."""
    before = []
    for party in model.agents:
        for name, series in (party.day.known if party.day is not None else {}).items():
            parameter = series.parameter
            before.append((parameter, parameter.value))
            values = scenarios.of(party.name, name)[day]
            if values.shape != parameter.shape:
                values = (
                    np.broadcast_to(values, parameter.shape) if values.ndim == 1 else values.reshape(parameter.shape)
                )
            parameter.value = values
    try:
        yield
    finally:
        for parameter, value in before:
            parameter.value = value
