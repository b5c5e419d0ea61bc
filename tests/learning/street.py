"""A few devices on the smallest feeder, and policies of them that nobody trained."""

from __future__ import annotations

from pathlib import Path

import cvxpy as cp
import numpy as np
import torch

import gridmodel as gm
from gridmodel.ir.scenarios import Scenarios
from gridmodel.language.model import Model
from gridmodel.learning.policy import Policy
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies

FEEDER = Path(__file__).parents[2] / "models" / "data" / "feeders" / "13Bus" / "IEEE13Nodeckt.dss"
STEPS = 12


def build(houses: int = 2, grid: bool = True, days: int = 3, capacity: float = 10.0) -> Model:
    """Batteries that see tomorrow's price, heated rooms, panels that see the sun when it shines, and a plain load."""
    model = gm.Model("street", currency="EUR")
    _batteries(model, houses, grid, capacity)
    _rooms(model, grid)
    _panels(model, grid)
    load = model.agent("lamp").horizon(STEPS, 2.0)
    burns = load.series("burns", unit="kW")
    load.minimize(0.2 * burns)
    if grid:
        model.place(gm.read_network(str(FEEDER)), 0.92, 1.05)
        load.draw(burns, at="652.1")
    model.days(_days(0, days), _days(1, days))
    return model


def policy(model: Model, seed: int = 0) -> Policy:
    """Policies with weights drawn at random, large enough to do something."""
    assert model.scenarios is not None
    graph = training_graph(model, model.scenarios[0])
    env = Environment(graph, torch.float64)
    weights = Policies.drawn(env, (8, 8), torch.Generator().manual_seed(seed)).arrays(graph)
    loud = {name: values * (20 if name.endswith("2/weight") else 1) for name, values in weights.items()}
    return Policy("drawn", seed, graph, loud, (), (), "trained", "by hand", model)


def _batteries(model: Model, houses: int, grid: bool, capacity: float) -> None:
    day = model.fleet("battery", houses).horizon(STEPS, 2.0)
    price = day.series("price", shared=True, known=True)
    p = day.action("p", bounds=(-3, 0.8), unit="kW")
    least = np.r_[np.zeros(STEPS), 5.0]  # full enough for tomorrow, which takes hours to reach
    e = day.state("e", start=5, bounds=(least, capacity * np.arange(1, houses + 1)[:, None]), unit="kWh")
    up, down = day.parts("p")
    day.next("e", 0.99 * e[:, :-1] + 2.0 * (0.95 * up - down / 0.95))
    wide = np.ones((houses, 1)) @ cp.reshape(price, (1, STEPS), order="C")
    day.minimize(2.0 * cp.multiply(wide, p) + 0.01 * cp.square(p))
    day.observe(e, price, p)
    day.observe(price, ahead=(1, 2))
    if grid:
        day.draw(p, at=[["671.1", "634.2", "692.3"][k % 3] for k in range(houses)])


def _rooms(model: Model, grid: bool) -> None:
    day = model.fleet("room", 2).horizon(STEPS, 2.0)
    outside = day.series("outside", shared=True)
    p = day.action("p", bounds=(0, 6), unit="kW")
    x = day.state("x", start=20, bounds=(18, 23), unit="degC")
    mild = np.ones((2, 1)) @ cp.reshape(outside, (1, STEPS), order="C")
    day.next("x", 0.8 * x[:, :-1] + 0.2 * mild + 0.9 * p)
    day.otherwise("p", 1.0 * (21 - x[:, :-1]))
    day.minimize(0.3 * p + cp.abs(x[:, 1:] - 21))
    if grid:
        day.draw(p, at="675.2", q=0.3 * p)


def _panels(model: Model, grid: bool) -> None:
    day = model.fleet("pv", 2).horizon(STEPS, 2.0)
    sun = day.series("sun")
    p, q = day.action("p", bounds=(-200 * sun, 0), unit="kW"), day.action("q", bounds=(-50, 50), unit="kvar")
    day.minimize(0.1 * p + 0.001 * cp.square(q))
    if grid:
        day.draw(p, at=["611.3", "680"], q=q, rating=60, droop=gm.VoltVar(share=0.3))


def _days(seed: int, count: int) -> Scenarios:
    rng = np.random.default_rng(seed)
    shine = np.maximum(np.sin(2 * np.pi * (np.arange(STEPS) / STEPS - 0.25)), 0.0)
    return Scenarios({
        "price": rng.uniform(0.1, 0.4, (count, STEPS)),
        "outside": rng.uniform(-5, 10, (count, STEPS)),
        "sun": shine * rng.uniform(0.3, 1.0, (count, 2, STEPS)),
        "burns": rng.uniform(0, 400, (count, STEPS)),
    })  # fmt: skip
