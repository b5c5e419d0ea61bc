"""Solar panels with inverters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, series, wide
from gridmodel.language.horizon import Horizon

__all__ = ["pv"]


def pv(
    day: Horizon,
    power: Any,
    curtail: bool = True,
    paid: bool = True,
    price: Any = None,
    sun: Any = None,
    at: str | Sequence[str] | None = None,
    rating: Any = None,
    droop: Any = None,
) -> cp.Expression:
    """Declares solar panels; returns the power drawn in kW, shape (N, T), which is never positive.

    p_t = c_t - power sun_t,  0 <= c_t <= power sun_t;  cost  hours price p_t

    Action "curtailed" (kW, c); without a policy nothing is curtailed. Reactive power is the inverter's own, by a droop
    within its rating.

    Args:
        power: kW at full sun. curtail: False for panels without an action, c = 0. paid: whether what is fed in earns
            the price; without action and pay the panels only act on the network.
        price, sun: of the day that is solved centrally, currency/kWh and parts of full sun, shape (T,); the series
            "price", known a day ahead, and "sun", which is not.
        at: places on the network, as of ``day.draw``; None for none. rating: kVA of the inverters, 1.1 power where left
            out. droop: their ``VoltVar``.

    Raises:
        ModelError: a number that is not physical, or not one an agent.
    """
    limit = each(day, "power", power)
    shine = series(day, "sun", sun, known=False)
    row = shine if len(day.shape) == 1 else np.ones((day.shape[0], 1)) @ cp.reshape(shine, (1, day.steps), "C")
    full = cp.multiply(wide(day, limit), row)
    p = -full
    if curtail:
        p = day.action("curtailed", bounds=(np.zeros(day.shape), full), unit="kW") - full
    if paid:
        pay_energy(day, p, price)
    draw(day, p, at, 1.0, 1.1 * limit if rating is None else rating, droop)
    return p
