"""Cars that charge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, wide
from gridmodel.errors import DataError
from gridmodel.language.horizon import Horizon

__all__ = ["ev"]


def ev(
    day: Horizon,
    power: Any,
    capacity: Any,
    arrive: Any = 18.0,
    depart: Any = 7.5,
    needed: Any = None,
    used: Any = 10.0,
    start: Any = None,
    feed_in: Any = 0.0,
    efficiency: Any = 0.9,
    price: Any = None,
    at: str | Sequence[str] | None = None,
    rating: Any = None,
    droop: Any = None,
) -> cp.Variable:
    """Declares cars that are plugged in for part of the day; returns the power drawn in kW, shape (N, T).

    e_t+1 = e_t + hours (efficiency p+ - p- / efficiency) - away_t,  -feed_in plug_t <= p_t <= power plug_t
    0 <= e <= capacity,  e >= needed at departure,  e >= start after the last step;  cost  hours price p

    plug_t is 1 in steps that lie wholly between arrival and departure, over midnight where depart < arrive. away_t
    spreads ``used`` evenly over the other steps. Action "charging" (kW), state "in car" (kWh). Without a policy the car
    charges as late as it can.

    Args:
        power: kW. feed_in: kW to the grid. capacity: kWh. efficiency: each way, above 0 up to 1.
        arrive, depart: hours after midnight, 0 to 24. needed: kWh at departure, ``used`` and a fifth of the capacity
            where left out. used: kWh on the road. start: kWh at midnight, half of ``needed`` where left out.
        price: of the day that is solved centrally, currency/kWh, shape (T,); the series "price".
        at: places on the network, as of ``day.draw``; None for none. rating: kVA of the chargers, 1.1 power where left
            out. droop: their ``VoltVar``.

    Raises:
        ModelError: a number that is not physical, or not one an agent; a level that the charger cannot reach.

    Source: efficiency of chargers, Thingvad et al. (2021), IEEE Access 9.
    """
    most, back = each(day, "power", power), each(day, "feed_in", feed_in)
    size, road = each(day, "capacity", capacity, open_=True), each(day, "used", used)
    eta = each(day, "efficiency", efficiency, most=1.0, open_=True)
    come, go = (each(day, name, hour, most=24.0) for name, hour in (("arrive", arrive), ("depart", depart)))
    full = np.minimum(size, road + size / 5) if needed is None else each(day, "needed", needed)
    first = full / 2 if start is None else each(day, "start", start)
    begin = day.hours * np.arange(day.steps)
    after, before = begin >= come[..., None] - 1e-9, begin + day.hours <= go[..., None] + 1e-9
    plug = np.where((go < come)[..., None], after | before, after & before)
    gone = np.maximum((~plug).sum(axis=-1, keepdims=True), 1)
    away = np.where(plug, 0.0, road[..., None] / gone)
    least = wide(day, np.zeros_like(size), day.steps + 1)
    leaves = plug & ~np.roll(plug, -1, axis=-1)
    least[..., 1:] = np.where(leaves, full[..., None], 0.0)
    least[..., -1] = np.maximum(least[..., -1], first)
    _reachable(day, size, first, least, eta[..., None] * day.hours * most[..., None] * plug - away)
    p = day.action("charging", bounds=(-back[..., None] * plug, most[..., None] * plug), unit="kW")
    e = day.state("in car", first, bounds=(least, wide(day, size, day.steps + 1)), unit="kWh")
    up, down = day.parts("charging")
    each_way = wide(day, eta)
    moved = cp.multiply(each_way, up) - cp.multiply(1 / each_way, down)
    day.next("in car", e[..., :-1] + day.hours * moved - away)
    pay_energy(day, p, price)
    draw(day, p, at, 1.0, 1.1 * most if rating is None else rating, droop)
    return p


def _reachable(day: Horizon, size: Any, first: Any, least: Any, most: Any) -> None:
    """Charges at full power all day and asks whether every level that is needed is reached."""
    level = np.atleast_1d(first).astype(float)
    size, least, most = np.atleast_1d(size), np.atleast_2d(least), np.atleast_2d(most)
    for t in range(day.steps):
        level = np.minimum(level + most[:, t], size)
        short = np.flatnonzero(level < least[:, t + 1] - 1e-9)
        if len(short):
            who = list(day.party.labels())[short[0]]
            raise DataError(
                f"{who}: at hour {day.hours * (t + 1):g} the car holds at most {level[short[0]]:.3g} kWh of the "
                f"{least[short[0], t + 1]:.3g} needed; give more power or start, or less needed or used."
            )
