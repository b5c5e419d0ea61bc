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
from gridmodel.solve import compile

__all__ = ["day_of", "foresight"]

Floats = NDArray[np.float64]


def foresight(model: Model, scenarios: Scenarios, method: str = "central", tolerance: float = 1e-4) -> Floats:
    """The least cost of each day under perfect foresight and without the network's limits, shape (days,).

    Parts of an action may both be positive in it, which no device can do: still a lower bound.

    Raises:
        ModelError: a day has no solution; its number and what was found are named.
    """
    found = np.empty(len(scenarios))
    with day_of(model, scenarios, 0):
        plan = compile(model, method)
    for k in range(len(scenarios)):
        with day_of(model, scenarios, k):
            result = plan.solve(tolerance=tolerance)
            if result.status not in (Status.CERTIFIED, Status.SOLVED):
                raise ModelError(f"the optimum of day {k} with perfect foresight: {result.message}")
            bound = result.certificate.lower_bound if result.certificate is not None else None
            found[k] = result.value if bound is None else bound
    return found


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
            if value is not None:
                parameter.value = value
