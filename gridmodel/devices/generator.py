"""Generators whose power can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, series, wide
from gridmodel.language.horizon import Horizon

__all__ = ["generator"]


def generator(
    day: Horizon,
    power: Any,
    linear: Any,
    quadratic: Any = 0.0,
    availability: Any = None,
    price: Any = None,
    at: str | Sequence[str] | None = None,
    rating: Any = None,
    droop: Any = None,
) -> cp.Variable:
    """Declares controllable generators; returns the power drawn in kW, shape (N, T), which is never positive.

    -power availability_t <= p_t <= 0
    cost    hours (price p_t + linear g_t + quadratic g_t^2),  g = -p what is generated

    Action "generation" (kW, negative). Without a policy nothing is generated.

    Args:
        power: kW. linear: currency/kWh. quadratic: currency/(kW kWh).
        availability: "series" for a series "availability" of parts of the power, known a day ahead, or its value on
            the day that is solved centrally, shape (T,); None where it is 1 always.
        price: of the day that is solved centrally, currency/kWh, shape (T,); the series "price".
        at: places on the network, as of ``day.draw``; None for none. rating: kVA of the inverters, 1.1 power where left
            out. droop: their ``VoltVar``.

    Raises:
        ModelError: a number that is not physical, or not one an agent.
    """
    limit = each(day, "power", power)
    lower: Any = -wide(day, limit)
    if availability is not None:
        part = series(day, "availability", None if isinstance(availability, str) else availability)
        row = part if len(day.shape) == 1 else np.ones((day.shape[0], 1)) @ cp.reshape(part, (1, day.steps), "C")
        lower = cp.multiply(lower, row)
    p = day.action("generation", bounds=(lower, np.zeros(day.shape)), unit="kW")
    pay_energy(day, p, price)
    first, second = wide(day, each(day, "linear", linear)), wide(day, each(day, "quadratic", quadratic))
    day.minimize(day.hours * (cp.multiply(second, cp.square(p)) - cp.multiply(first, p)))
    draw(day, p, at, 1.0, 1.1 * limit if rating is None else rating, droop)
    return p
