"""Flexibility of a feeder at its substation: a band of power over a day, every path in which can be followed.

maximise    the energy between the upper and the lower path
subject to  both paths within the limits of storage, solar panels, cars and heat pumps, and of the voltages
            the lower path of every device below its upper path

Any path of substation power within the band is split over the devices by one share a step; that is always feasible,
because a level rises with the power drawn. `gridmodel.disaggregate(result, path)` does it and runs the load flow.

Feeders shipped: IEEE 13, 37 and 123 as OpenDSS files (BSD 3-clause, see `data/feeders/LICENSE-EPRI.txt`). The devices
are drawn from a seed: no measured data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.read import read_network
from gridmodel.language.model import Model
from gridmodel.physics.flexibility import flexibility
from gridmodel.physics.flexible import FlexibleDevice

Floats = NDArray[np.float64]
_DATA = Path(__file__).parent / "data" / "feeders"
_SHIPPED = {"ieee13": "13Bus/IEEE13Nodeckt.dss", "ieee37": "37Bus/ieee37.dss", "ieee123": "123Bus/IEEE123Master.dss"}


def build(
    feeder: str = "ieee37",
    devices: int = 12,
    hours: int = 24,
    load_scale: float = 0.8,
    v_min: float = 0.92,
    v_max: float = 1.06,
    seed: int = 0,
) -> Model:
    """The band of a feeder with devices at its load buses as a model.

    Args:
        feeder: ieee13, ieee37, ieee123, or the path of an OpenDSS file.
        devices: how many, in turn batteries, solar panels, cars and heat pumps.
        hours: length of the day in steps of an hour.
        load_scale: factor on the loads at the evening peak.
        v_min, v_max: limits of the voltages in pu.
        seed: of the devices' places and sizes.
    """
    net = read_network(_DATA / _SHIPPED[feeder] if feeder in _SHIPPED else feeder)
    if not isinstance(net, Feeder):
        raise ModelError(f"flexibility: {feeder} is a balanced network; give an OpenDSS feeder.")
    if devices < 1 or hours < 1:
        raise ModelError(f"flexibility: devices and hours are at least 1, got {devices} and {hours}.")
    clock = np.arange(hours) % 24
    evening = 0.65 + 0.35 * np.exp(-(((clock - 19.0) / 3.5) ** 2)) + 0.1 * np.exp(-(((clock - 8.0) / 2.0) ** 2))
    owned = _devices(net, devices, hours, np.random.default_rng(seed))
    return flexibility(net, owned, load_scale * evening / evening.max(), v_min, v_max)


def _devices(net: Feeder, count: int, hours: int, rng: np.random.Generator) -> list[FlexibleDevice]:
    """Devices of four kinds at the buses of loads, connected as the loads are."""
    clock = np.arange(hours) % 24
    sun = np.maximum(0.0, np.sin((clock - 6.0) / 12.0 * np.pi))
    home = (clock >= 18) | (clock < 7)
    found = []
    for k in range(count):
        load = net.loads[int(rng.integers(len(net.loads)))]
        at = _Place(load.terminal.bus, tuple(n for n in load.terminal.nodes if 1 <= n <= 3), load.connection == "delta")
        size = float(rng.uniform(0.5, 1.5))
        kind = ("battery", "solar", "car", "heat")[k % 4]
        name = f"{kind}{k // 4 + 1}"
        if kind == "battery":
            found.append(FlexibleDevice(name, *at.limits(-40 * size, 40 * size), at.nodes, at.delta, level=60 * size,
                                        level_max=120 * size, charge=0.95, discharge=0.95))  # fmt: skip
        elif kind == "solar":
            found.append(FlexibleDevice(name, *at.limits(-60 * size * sun, 0.0), at.nodes, at.delta, power_factor=0.98))
        elif kind == "car":
            leaves = np.where((clock == 6) & (np.arange(hours) >= 6), 20.0 * size, 0.0)
            used = np.where(clock == 7, -20.0 * size, 0.0) * (np.arange(hours) >= 7)
            plugged = np.where(home, 11.0 * size, 0.0)
            found.append(FlexibleDevice(name, *at.limits(0.0, plugged), at.nodes, at.delta, level=10 * size,
                                        level_min=leaves, level_max=50 * size, charge=0.92, inflow=used))  # fmt: skip
        else:
            # A room that loses half a kW a degree to 4 degrees outside, and a pump that brings 3 kWh of heat a kWh.
            keeps = float(np.exp(-1.0 / 10.0))
            found.append(FlexibleDevice(name, *at.limits(0.0, 4.0 * size), at.nodes, at.delta, level=20.5,
                                        level_min=19.0, level_max=22.5, charge=(1 - keeps) * 6.0 / size,
                                        retention=keeps, inflow=(1 - keeps) * 4.0, power_factor=0.97))  # fmt: skip
    return found


@dataclass(frozen=True)
class _Place:
    bus: str
    nodes: tuple[int, ...]
    delta: bool

    def limits(self, low: Floats | float, high: Floats | float) -> tuple[str, Floats | float, Floats | float]:
        """The bus and the limits of the power, in the order that a device takes them."""
        return self.bus, low, high
