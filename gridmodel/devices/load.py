"""Loads that nobody controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.devices.arguments import draw, each, pay_energy, series, wide
from gridmodel.language.horizon import Horizon

__all__ = ["load"]


def load(
    day: Horizon,
    power: Any = 1.0,
    shared: bool = False,
    paid: bool = True,
    price: Any = None,
    load: Any = None,
    at: str | Sequence[str] | None = None,
    factor: float = 1.0,
) -> cp.Expression:
    """Declares loads without an action; returns the power drawn in kW, shape (N, T): p_t = power load_t.

    Args:
        power: kW where the series "load" is 1. shared: one series for all agents. paid: whether it pays the price.
        price, load: of the day that is solved centrally, currency/kWh, shape (T,), and parts of the power, shape
            (N, T), or (T,) where it is shared; neither load is known ahead.
        at: places on the network, as of ``day.draw``; None for none. factor: lagging power factor.

    Raises:
        ModelError: a number that is not physical, or not one an agent.
    """
    size = wide(day, each(day, "power", power))
    drawn = series(day, "load", load, shared=shared, known=False)
    row = np.ones((day.shape[0], 1)) @ cp.reshape(drawn, (1, day.steps), "C") if drawn.shape != day.shape else drawn
    p = cp.multiply(size, row)
    if paid:
        pay_energy(day, p, price)
    draw(day, p, at, factor, None, None)
    return p
