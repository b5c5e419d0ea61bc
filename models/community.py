"""Homes with solar panels and batteries behind one transformer.

minimise    sum_it price_t grid_it + loss/2 grid_it^2
subject to  grid_it = load_it - solar_it + charge_it - discharge_it
            soc_i,t+1 = soc_it + eta charge_it - discharge_it / eta,   soc_iT >= soc_i0
            sum_i grid_it <= limit   for every hour t

Steps are hours, so that kW and kWh have the same numbers. A positive grid exchange is an import; exports earn
the same price. The price of the coupling `transformer` is what one more kW of it would save, hour by hour.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

import gridmodel as gm

ETA = 0.95
LOSS = {"qp": 0.025, "lp": 0.0}


def build(homes: int = 20, hours: int = 24, seed: int = 0, kind: str = "qp", limit: float = 0.65) -> gm.Model:
    """The community as a model.

    Args:
        homes: number of homes.
        hours: number of time steps of one hour, from midnight.
        seed: of the generator that makes the homes' data.
        kind: "qp" with a small quadratic loss, "lp" without.
        limit: size of the transformer in kW a home.
    """
    if kind not in LOSS:
        raise gm.ModelError(f"community: kind must be 'qp' or 'lp', got {kind!r}.")
    for name, value, least in (("homes", homes, 1), ("hours", hours, 1), ("seed", seed, 0)):
        if value < least:
            raise gm.ModelError(f"community: {name} must be a whole number of at least {least}, got {value}.")
    price, load, solar, capacity = data(homes, hours, seed)
    model = gm.Model("energy community", currency="EUR")
    fleet = model.fleet("home", homes)

    start = 0.5 * capacity
    low, high = np.zeros((homes, hours + 1)), np.tile(capacity, (1, hours + 1))
    low[:, [0, -1]] = start
    high[:, [0]] = start
    grid = fleet.variable("grid", hours, bounds=(-12, 12), unit="kW")
    charge = fleet.variable("charge", hours, bounds=(0, 0.4 * capacity), unit="kW")
    discharge = fleet.variable("discharge", hours, bounds=(0, 0.4 * capacity), unit="kW")
    soc = fleet.variable("soc", hours + 1, bounds=(low, high), unit="kWh")

    fleet.subject_to(grid == load - solar + charge - discharge, name="power balance")
    fleet.subject_to(soc[:, 1:] == soc[:, :-1] + ETA * charge - discharge / ETA, name="battery")
    fleet.minimize(cp.sum(grid @ price) + LOSS[kind] / 2 * cp.sum_squares(grid))
    model.couple(cp.sum(grid, axis=0) <= limit * homes, name="transformer")
    return model


def data(homes: int, hours: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    """Energy price (hours,) in EUR/kWh; load and solar (homes, hours) in kW; battery (homes, 1) in kWh."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours) % 24
    evening, noon = np.exp(-(((hour - 19) / 2.5) ** 2)), np.exp(-(((hour - 13) / 3.0) ** 2))
    price = 0.22 + 0.08 * evening - 0.06 * noon
    use = 0.5 + 0.3 * np.exp(-(((hour - 8) / 1.5) ** 2)) + 0.8 * evening
    sun = np.clip(np.sin(np.pi * (hour - 6) / 12), 0, None)
    load = rng.uniform(0.8, 1.2, (homes, 1)) * use * rng.uniform(0.8, 1.2, (homes, hours))
    solar = rng.uniform(0.0, 1.2, (homes, 1)) * sun * rng.uniform(0.8, 1.0, (homes, hours))
    capacity = rng.uniform(6.0, 14.0, (homes, 1))
    return price, load, solar, capacity
