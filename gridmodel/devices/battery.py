"""Batteries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, wide
from gridmodel.errors import DataError
from gridmodel.language.horizon import Horizon

__all__ = ["battery"]


def battery(
    day: Horizon,
    power: Any,
    capacity: Any,
    start: Any = None,
    efficiency: Any = 0.95,
    loss: Any = 0.0,
    wear: Any = 0.0,
    keep: bool = True,
    price: Any = None,
    at: str | Sequence[str] | None = None,
    rating: Any = None,
    droop: Any = None,
) -> cp.Variable:
    """Declares batteries that charge (above 0) and discharge; returns the power drawn in kW, shape (N, T).

    e_t+1 = (1 - loss)^hours e_t + hours (efficiency p+ - p- / efficiency),  0 <= e <= capacity,  p+ + p- <= power
    cost    hours (price p + wear (p+ + p-))

    Action "battery" (kW), state "stored" (kWh). p+ and p- are the parts of p; an optimum of the convex program may
    have both above 0 where energy is worth less than nothing, and is a lower bound then.

    Args:
        power: kW either way. capacity: kWh. start: kWh stored before the first step, half the capacity where left out.
        efficiency: of charging and of discharging each, above 0 up to 1. loss: share lost in an hour, below 1.
        wear: currency per kWh charged or discharged.
        keep: whether at least ``start`` is stored after the last step.
        price: of the day that is solved centrally, currency/kWh, shape (T,); the series "price".
        at: places on the network, as of ``day.draw``; None for none. rating: kVA of the inverters, 1.1 power where left
            out. droop: their ``VoltVar``.

    Raises:
        ModelError: a number that is not physical, or not one an agent.

    Source: wear by throughput, Naumann et al. (2020), Journal of Power Sources 451, simplified to a constant.
    """
    limit, size = each(day, "power", power), each(day, "capacity", capacity, open_=True)
    first = size / 2 if start is None else each(day, "start", start)
    eta = wide(day, each(day, "efficiency", efficiency, most=1.0, open_=True))
    lost = each(day, "loss", loss, most=1.0)
    worn = wide(day, each(day, "wear", wear))
    if (first > size).any():
        raise DataError(f"{day.party.name}: start is above the capacity; give at most the capacity in kWh.")
    least = wide(day, np.zeros_like(size), day.steps + 1)
    if keep:
        least[..., -1] = first
    p = day.action("battery", bounds=(-wide(day, limit), wide(day, limit)), unit="kW")
    e = day.state("stored", first, bounds=(least, wide(day, size, day.steps + 1)), unit="kWh")
    up, down = day.parts("battery")
    stays = wide(day, (1.0 - lost) ** day.hours)
    moved = cp.multiply(eta, up) - cp.multiply(1.0 / eta, down)
    day.next("stored", cp.multiply(stays, e[..., :-1]) + day.hours * moved)
    pay_energy(day, p, price)
    if worn.any():
        day.minimize(day.hours * cp.multiply(worn, up + down))
    draw(day, p, at, 1.0, 1.1 * limit if rating is None else rating, droop)
    return p
