"""Heat pumps that heat rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, series, wide
from gridmodel.errors import DataError
from gridmodel.language.horizon import Horizon

__all__ = ["heat_pump"]


def heat_pump(
    day: Horizon,
    power: Any,
    resistance: Any,
    capacity: Any,
    cop: Any = 3.0,
    band: tuple[Any, Any] = (19.5, 22.0),
    outside: Any = 1.0,
    start: Any = None,
    set_point: Any = None,
    price: Any = None,
    temperature: Any = None,
    at: str | Sequence[str] | None = None,
    factor: float = 1.0,
) -> cp.Variable:
    """Declares heat pumps; returns the power drawn in kW, shape (N, T).

    x_t+1 = a x_t + (1 - a) (outdoors_t + resistance cop p_t),  a = exp(-hours / (resistance capacity))
    0 <= p <= power
    cost    hours (price p_t + outside (distance of x_t+1 from the band))

    Action "heating" (kW), state "room" (deg C): the exact answer of one wall and one mass to what is constant over a
    step. Without a policy the pump holds the set point as well as it can.

    Args:
        power: electric, kW. resistance: of the walls, K/kW. capacity: kWh/K. cop: heat a unit of electricity.
        band: (lower, upper) of comfort in deg C.
        outside: cost a K and hour out of the band, which weather may break; None makes the band a limit instead.
        start: deg C, the set point where left out. set_point: the middle of the band where left out.
        price, temperature: of the day that is solved centrally, currency/kWh and outdoors in deg C, shape (T,); the
            series "price", known a day ahead, and "temperature", which is not.
        at: places on the network, as of ``day.draw``; None for none. factor: lagging power factor.

    Raises:
        ModelError: a number that is not physical, or not one an agent.

    Source: Hao, Sanandaji, Poolla and Vincent (2015), IEEE Trans. Power Systems 30(1), equation (1).
    """
    limit, wall = each(day, "power", power), each(day, "resistance", resistance, open_=True)
    mass, heat = each(day, "capacity", capacity, open_=True), each(day, "cop", cop, open_=True)
    low, high = (each(day, "band", side, least=-np.inf) for side in band)
    aim = (low + high) / 2 if set_point is None else each(day, "set_point", set_point, least=-np.inf)
    first = aim if start is None else each(day, "start", start, least=-np.inf)
    if (low >= high).any():
        raise DataError(f"{day.party.name}: the comfort band is (lower, upper) with lower < upper, in deg C.")
    outdoors = series(day, "temperature", temperature, known=False)
    p = day.action("heating", bounds=(np.zeros(day.shape), wide(day, limit)), unit="kW")
    hard = outside is None
    sides = (wide(day, low, day.steps + 1), wide(day, high, day.steps + 1)) if hard else (None, None)
    x = day.state("room", first, bounds=sides, unit="deg C")
    keep = wide(day, np.exp(-day.hours / (wall * mass)))
    gain = wide(day, wall * heat)
    air = outdoors if len(day.shape) == 1 else np.ones((day.shape[0], 1)) @ cp.reshape(outdoors, (1, day.steps), "C")
    day.next("room", cp.multiply(keep, x[..., :-1]) + cp.multiply(1 - keep, air + cp.multiply(gain, p)))
    needed = cp.multiply(1 / (1 - keep), wide(day, aim) - cp.multiply(keep, x[..., :-1])) - air
    day.otherwise("heating", cp.multiply(1 / gain, needed))
    pay_energy(day, p, price)
    if not hard:
        after = x[..., 1:]
        apart = cp.maximum(after - wide(day, high), wide(day, low) - after, 0)
        day.minimize(day.hours * cp.multiply(wide(day, each(day, "outside", outside)), apart))
    draw(day, p, at, factor, None, None)
    return p
