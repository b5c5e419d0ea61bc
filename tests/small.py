"""Two small models that tests of the public door share."""

from __future__ import annotations

import cvxpy as cp
import numpy as np

import gridmodel as gm


def dispatch(demand: float = 4.1, unit: str | None = "kW") -> gm.Model:
    model = gm.Model("dispatch", currency="EUR")
    for name, beta, cap in [("g1", 3, 2.1), ("g2", 2, 1.0), ("g3", 2, 5.0)]:
        p = model.agent(name).variable("p", bounds=(0, cap), unit=unit)
        model[name].minimize(cp.square(p + 1) / (2 * beta))
    model.couple(sum(a["p"] for a in model.agents) == demand, name="balance")
    return model


def homes(size: int = 6, hours: int = 4) -> gm.Model:
    """Homes that follow a wish under a shared limit; prices and wishes are parameters, the plant's cap is, too."""
    rng = np.random.default_rng(1)
    model = gm.Model("homes")
    fleet = model.fleet("home", size)
    x = fleet.variable("x", hours, bounds=(0, 4), unit="kW")
    wish = fleet.parameter("wish", hours, value=rng.uniform(1, 3, (size, hours)))
    energy = fleet.parameter("energy", value=rng.uniform(3, 7, size))
    fleet.minimize(cp.sum(cp.square(x - wish), axis=1))
    fleet.subject_to(cp.sum(x, axis=1) == energy, name="energy")
    fleet.subject_to(cp.diff(x, axis=1) <= 0.5, name="ramp")
    plant = model.agent("plant")
    y = plant.variable("y", hours, bounds=(0, 30), unit="kW")
    price = plant.parameter("price", hours, value=rng.uniform(0, 2, hours))
    cap = plant.parameter("cap", value=40.0)
    plant.minimize(0.05 * cp.sum_squares(y) + price @ y)
    plant.subject_to(cp.sum(y) <= cap, name="cap")
    model.couple(cp.sum(x, axis=0) == y, name="balance")
    return model
