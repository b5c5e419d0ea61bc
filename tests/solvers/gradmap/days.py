"""Small models over a day for tests of training."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import torch

import gridmodel as gm
from gridmodel.ir.training import AbstractNetwork, Draw, Flow, Leaf, StepMap, TrainingGraph
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.training import AbstractTrainer

FEEDER = Path(__file__).parents[3] / "models" / "data" / "feeders" / "13Bus" / "IEEE13Nodeckt.dss"
STEPS = 6


def scenarios(count: int, steps: int = STEPS) -> gm.Scenarios:
    rng = np.random.default_rng(0)
    nominal = np.array([load.s for load in gm.read_network(str(FEEDER)).loads])
    series = {
        "price": rng.uniform(0.1, 0.4, (count, steps)), "heat": rng.uniform(1, 3, (count, 2, steps)),
        "sun": rng.uniform(0, 1, (count, steps)),
    }  # fmt: skip
    return gm.Scenarios(series, 0.3 * rng.uniform(0.8, 1.2, (count, steps, 1)) * nominal)


def model(network: bool = False) -> gm.Model:
    """Batteries with losses that see their last action, heaters of two states, generators without a state."""
    made = gm.Model("day")
    ones = np.ones((2, STEPS))
    day = made.fleet("battery", 3).horizon(STEPS, hours=0.5)
    price = day.series("price", shared=True, known=True)
    p = day.action("p", bounds=(-200, 200), unit="kW")
    e = day.state("e", start=[100, 200, 390], bounds=(0, 400), unit="kWh")
    up, down = day.parts("p")
    day.next("e", 0.99 * e[:, :-1] + 0.5 * (0.9 * up - down / 0.9))
    day.minimize(0.5 * cp.multiply(price, p) + 0.001 * cp.square(p))
    day.observe(e, p, price)
    day.observe(price, ahead=[1, 2])
    heat = made.fleet("heater", 2).horizon(STEPS, hours=0.5)
    cost, need = heat.series("price", shared=True, known=True), heat.series("heat")
    h = heat.action("h", bounds=(0, 100))
    room, wall = heat.state("room", start=20, bounds=(10, 24)), heat.state("wall", start=15)
    heat.next("room", 0.8 * room[:, :-1] + 0.15 * wall[:, :-1] + 0.05 * h - cp.multiply(0.3 * ones, need))
    heat.next("wall", 0.9 * wall[:, :-1] + 0.1 * room[:, :-1])
    heat.minimize(0.5 * cp.multiply(cost, h) + 0.5 * cp.square(room[:, 1:] - 20))
    plant = made.agent("plant").horizon(STEPS, hours=0.5)
    sun = plant.series("sun")
    g = plant.action("g", bounds=(-300 * sun, 0))
    plant.minimize(0.1 * g + 0.001 * cp.square(g))
    if network:
        made.place(gm.read_network(str(FEEDER)), 0.99, 1.04)
        day.draw(p, at=["671", "692.3", "634"])
        heat.draw(h, at=["675.1", "645.2"])
        plant.draw(g, at="671")
    return made


def environment(network: bool, count: int = 3) -> tuple[Environment, gm.Scenarios]:
    days = scenarios(count)
    return Environment(training_graph(model(network), days), torch.float64), days


class Wire(AbstractNetwork):
    """One node whose voltage falls with what is drawn; rows that draw more than ``most`` kW have no load flow."""

    nodes = ("1.1",)

    def __init__(self, ports: int, most: float, lower: float) -> None:
        self.ports, self.most = tuple(f"port {k}" for k in range(ports)), most
        self.lower, self.upper = np.array([lower]), np.array([1.05])

    def flow(self, p: Any, q: Any, loads: Any) -> Flow:
        total = p.sum(dim=1, keepdim=True)
        solved = total[:, 0] <= self.most
        return Flow(torch.where(solved[:, None], 1.0 - total / 1e4, torch.full_like(total, torch.nan)), solved)

    def exact(self, p: Any, q: Any, loads: Any) -> Flow:
        raise NotImplementedError


def on_wire(graph: TrainingGraph, most: float, lower: float) -> TrainingGraph:
    """The same agents on a wire, each kind at a port of its own."""
    kinds = []
    for k, kind in enumerate(graph.kinds):
        p = StepMap({Leaf("action", kind.actions[0].name): np.ones((1, 1))}, np.zeros((1, 1)))
        kinds.append(replace(kind, draws=(Draw(p, None, np.full(kind.size, k)),)))
    return replace(graph, kinds=tuple(kinds), network=Wire(len(kinds), most, lower))


def resumed(trainer: AbstractTrainer) -> tuple[Environment, dict[str, Any], dict[str, Any]]:
    """States after four rounds, straight on and taken up after two from what torch saved; their rounds are equal."""
    env = Environment(environment(network=True)[0].graph)
    days = scenarios(6)
    straight = trainer.init(env, 3)
    for k in range(4):
        straight, seen = trainer.step(straight, env, days, k / 4)
        if k == 1:
            file = io.BytesIO()
            torch.save(straight, file)
    assert seen.calls == 4
    file.seek(0)
    again = torch.load(file, weights_only=True)
    for k in (2, 3):
        again, once = trainer.step(again, env, days, k / 4)
    assert once == seen
    return env, straight, again
