"""Topology as a variable: which lines of a feeder stay closed, for least losses and few closed lines.

minimise    losses + sum over lines that may be opened of weight * |currents of the line|
subject to  the currents into every bus and phase add up to what is drawn there

The length of a line's currents over all phases is not smooth at zero, so that a larger weight leaves whole lines
without current: from meshed through weakly meshed to radial. `gridmodel.sweep.sweep` follows this over many weights.

IEEE 123 (`123Bus/IEEE123Master.dss`) ends its two tie switches at open points of their own, `300_open` and `94_open`;
here they end at buses 300 and 94, so that with all eight switches closed it has two loops. "grid" is a generated
network of 12 buses and 17 three-phase lines, all of which may be opened. Any other OpenDSS file works by its path.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Bus, Line, Load, Source, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.read import read_network
from gridmodel.language.model import Model
from gridmodel.physics.reconfiguration import reconfiguration

_DATA = Path(__file__).parent / "data" / "feeders"
_OPEN = "_open"


def build(
    feeder: str = "123Bus/IEEE123Master.dss",
    weight: float = 0.01,
    load_scale: float = 1.0,
    voltages: str = "no load",
    agents: str = "sections",
    seed: int = 0,
) -> Model:
    """The reconfiguration of a feeder as a model.

    Args:
        feeder: "grid", a shipped feeder such as "123Bus/IEEE123Master.dss", or the path of an OpenDSS file.
        weight: kW/A on the currents of lines that may be opened: the feeder's switches, or all lines without any.
        load_scale: factor on the loads.
        voltages: at which loads draw their current, "no load" or "load flow" (with all those lines closed).
        agents: "sections", what hangs together without a switch is one agent, or "lines", every line is one.
        seed: of the generated grid's loads and lines.
    """
    net = grid(seed) if feeder == "grid" else tied(feeder)
    return reconfiguration(net, weight, None, load_scale, voltages, agents)  # type: ignore[arg-type]


def tied(feeder: str = "123Bus/IEEE123Master.dss") -> Feeder:
    """A feeder whose switches to open points "<bus>_open" end at <bus> instead."""
    shipped = _DATA / feeder
    net = read_network(shipped if shipped.is_file() else feeder)
    if not isinstance(net, Feeder):
        raise ModelError(f"{feeder} is no multiphase feeder; give an OpenDSS file (.dss), or feeder=grid.")
    names = {bus.name for bus in net.buses}
    points = {name: name.removesuffix(_OPEN) for name in names if name.endswith(_OPEN)}
    points = {point: bus for point, bus in points.items() if bus in names}
    lines = tuple(
        replace(line, end=replace(line.end, bus=points[line.end.bus])) if line.end.bus in points else line
        for line in net.lines
    )
    return replace(net, lines=lines, buses=tuple(bus for bus in net.buses if bus.name not in points))


def grid(seed: int = 0) -> Feeder:
    """A generated network of 3 by 4 buses and 17 three-phase lines without switches, fed at a corner: 4.16 kV."""
    rng = np.random.default_rng(seed)
    base = 4160 / np.sqrt(3)
    v = np.asarray(base * np.exp(-2j * np.pi / 3 * np.arange(3)), dtype=np.complex128)
    names = [[f"{row}{column}" for column in range(4)] for row in range(3)]
    buses = tuple(
        Bus(names[row][column], (1, 2, 3), base, float(column), -float(row)) for row in range(3) for column in range(4)
    )
    pairs = [(names[r][c], names[r][c + 1]) for r in range(3) for c in range(3)]
    pairs += [(names[r][c], names[r + 1][c]) for r in range(2) for c in range(4)]
    coupled = np.asarray(0.09 * np.eye(3) + 0.03 + 1j * (0.17 * np.eye(3) + 0.09), dtype=np.complex128)
    none = np.zeros((3, 3), dtype=np.complex128)
    lines = tuple(
        Line(f"{one}-{other}", _at(one), _at(other), coupled * rng.uniform(0.5, 1.5), none) for one, other in pairs
    )
    loads = tuple(
        Load(f"{bus.name}.{phase}", Terminal(bus.name, (phase, 0)), 1, "wye",
             complex(power, 0.4 * power), base)
        for bus in buses[1:] for phase in (1, 2, 3) for power in [1000 * rng.uniform(10, 50)]
    )  # fmt: skip
    source = Source("source", _at(buses[0].name), v, np.asarray(1e-4j * np.eye(3), dtype=np.complex128))
    return Feeder(f"grid {seed}", 60.0, buses, (source,), lines, loads=loads)


def _at(bus: str) -> Terminal:
    return Terminal(bus, (1, 2, 3))
