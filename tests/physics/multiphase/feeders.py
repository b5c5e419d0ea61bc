"""Feeders for tests: a small one by hand, and the shipped ones with generation and taps that fit the limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gridmodel.grid.elements import Bus, Line, Load, Source, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.read import read_network
from gridmodel.physics.multiphase.generation import load_places, with_generation

DATA = Path(__file__).parents[3] / "models" / "data" / "feeders"

_SHIPPED = {
    13: ("13Bus/IEEE13Nodeckt.dss", 6),
    37: ("37Bus/ieee37.dss", 13),
    123: ("123Bus/IEEE123Master.dss", 21),
}
OPTIONS: dict[int, dict[str, Any]] = {
    13: {"v_min": 0.92, "taps": {("reg1", 1): 1.04375, ("reg2", 1): 1.03125, ("reg3", 1): 1.04375}},
    37: {"taps": {("subxf", 1): 1.05, ("reg1a", 1): 1.03125, ("reg1c", 1): 1.03125}},
    123: {"taps": "auto"},
}


def shipped(number: int) -> Feeder:
    """An IEEE feeder with one-phase generators of 50 kW and 30 kvar at its loads."""
    path, count = _SHIPPED[number]
    feeder = read_network(DATA / path)
    assert isinstance(feeder, Feeder)
    return with_generation(feeder, load_places(feeder, count))


def two_bus(phases: int = 1, load: complex = 0.3 + 0.1j) -> Feeder:
    """z = .1 + .2j and a load a conductor, in pu of 1 kV and 1 MVA."""
    nodes, v = tuple(range(1, phases + 1)), 1000.0
    start, end = Terminal("a", nodes), Terminal("b", nodes)
    angles = np.exp(-2j * np.pi / 3 * np.arange(phases))
    none = np.zeros((phases, phases), dtype=np.complex128)
    return Feeder(
        "two", 60.0, (Bus("a", nodes, v), Bus("b", nodes, v)),
        (Source("grid", start, v * angles, none),),
        lines=(Line("line", start, end, (np.eye(phases) * (0.1 + 0.2j)).astype(np.complex128), none),),
        loads=tuple(Load(f"load{k}", Terminal("b", (k, 0)), 1, "wye", 1e6 * load, v) for k in nodes),
    )  # fmt: skip


def small(delta: bool = True) -> Feeder:
    """Nine buses, one with two conductors; loads to ground and, if delta, between conductors; three generators."""
    nodes, v = (1, 2, 3), 2400.0
    z = np.array([[0.35, 0.16, 0.15], [0.16, 0.34, 0.15], [0.15, 0.15, 0.34]]) + 1j * np.array(
        [[1.02, 0.5, 0.42], [0.5, 1.05, 0.38], [0.42, 0.38, 1.03]]
    )
    y = 1e-5j * (6 * np.eye(3) - np.ones((3, 3)))
    random = np.random.default_rng(0)
    buses, lines = [Bus("s", nodes, v)], []
    for k, parent in enumerate(["s", "n1", "n2", "n2", "n4", "n4", "n1", "n7"], 1):
        own = (1, 3) if k == 5 else nodes
        pick = np.ix_([n - 1 for n in own], [n - 1 for n in own])
        length = 0.3 + 0.3 * random.random()
        buses.append(Bus(f"n{k}", own, v))
        ends = Terminal(parent, own), Terminal(f"n{k}", own)
        z_own, y_own = (np.asarray(m[pick] * length, dtype=np.complex128) for m in (z, y))
        lines.append(Line(f"l{k}", *ends, z_own, y_own))
    loads = [
        Load(f"d{k}{p}", Terminal(f"n{k}", (p, 0)), 1, "wye", (30 + 40 * random.random()) * (1e3 + 500j), v)
        for k in range(2, 9)
        for p in buses[k].nodes
    ]
    if delta:
        across = v * float(np.sqrt(3.0))
        loads.append(Load("pair", Terminal("n4", (1, 2)), 1, "delta", 60e3 + 20e3j, across))
        loads.append(Load("three", Terminal("n8", nodes), 3, "delta", 90e3 + 20e3j, across))
    angles = np.exp(-2j * np.pi / 3 * np.arange(3))
    source = Source("grid", Terminal("s", nodes), v * angles, np.zeros((3, 3), dtype=np.complex128))
    feeder = Feeder("small", 60.0, tuple(buses), (source,), tuple(lines), loads=tuple(loads))
    return with_generation(feeder, ["n3.1", "n5.3", "n8.1-2"])
