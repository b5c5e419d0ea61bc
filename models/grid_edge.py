"""Devices at the edge of a feeder, each with a policy of its own, that earn on prices and keep every phase's voltage.

minimise    the mean over days of what batteries, heat pumps and generators pay for energy, wear and fuel
subject to  their limits, and v_min <= |U| <= v_max at every node and phase in every half hour, by the exact load flow

IEEE 123 (see `data/feeders/LICENSE-EPRI.txt`) with its loads over the day and solar panels that nobody controls. The
regulators' taps are fixed where they stand at light load, an eighth of the file's: panels lift voltages above the
limits at noon, and the evening's loads pull them below. `gridmodel train grid_edge` learns a policy for every
agent, without messages; the days are made by `gridmodel.devices.synthetic_days`, not measured.

All devices of a kind have the same power and capacity together, `SIZES`, whatever the number of agents: with 1,000
agents each is a tenth of one of 100, and what they cost and save in all can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.devices import battery, generator, heat_pump, pv, synthetic_days
from gridmodel.grid.assemble import Taps
from gridmodel.grid.elements import VoltVar
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.read import read_feeder
from gridmodel.ir.scenarios import Scenarios
from gridmodel.language.horizon import Horizon

__all__ = ["SIZES", "Sizes", "build", "load_sites"]

Floats = NDArray[np.float64]

_FEEDER = Path(__file__).parent / "data" / "feeders" / "123Bus" / "IEEE123Master.dss"
_STEPS, _HOURS = 48, 0.5
_AHEAD = (1, 2, 4, 8, 12, 16, 24)
_KINDS = {"battery": 0.4, "heat_pump": 0.4, "generator": 0.2}
_WEATHER = ("price", "temperature", "sun")
_LIGHT = 0.125  # of the file's loads
_ROOFS = 0.6  # of the places with loads have solar panels


@dataclass(frozen=True)
class Sizes:
    """Of all devices of a kind together.

    batteries, heat_pumps, generators: kW. stored: kWh. walls: K/kW of all heated buildings. rooms: kWh/K of them.
    fuel: currency/kWh of generators at no load, and what it is more at full load.
    """

    batteries: float = 1200.0
    stored: float = 2400.0
    heat_pumps: float = 900.0
    walls: float = 0.014
    rooms: float = 1700.0
    generators: float = 900.0
    fuel: tuple[float, float] = (0.16, 0.08)


SIZES = Sizes()


def build(
    agents: int = 100,
    days: int = 512,
    held_out: int = 64,
    seed: int = 0,
    droop: str = "devices",
    v_min: float = 0.96,
    v_max: float = 1.035,
    load_scale: float = 0.37,
    pv_share: float = 0.8,
    local_load: bool = True,
) -> gm.Model:
    """The agents on their feeder, with days to learn from and days to be judged on.

    Args:
        agents: 40 % batteries, 40 % heat pumps, 20 % generators.
        days: to learn from. held_out: to be judged on.
        seed: of days, sizes and places.
        droop: "devices" for a volt-var droop on batteries and generators, "all" on solar panels too, or "none".
        v_min, v_max: limits of the voltages in pu.
        load_scale: mean of the loads, and pv_share: power of the solar panels, in parts of the file's loads.
        local_load: whether agents see the load at their place, which takes 200 bytes an agent and day.
    """
    _check(agents, days, held_out, droop, load_scale, pv_share)
    feeder = _feeder()
    year = synthetic_days(days + held_out, _STEPS, seed, homes=len(feeder.loads))
    series = {name: year.series[name] for name in _WEATHER}
    model = gm.Model(f"grid_edge of {agents} agents", currency="currency")
    model.place(feeder, v_min, v_max)
    sites = load_sites(feeder)
    rng = np.random.default_rng([seed, 1])
    law = None if droop == "none" else VoltVar()
    for kind, count in _counts(agents).items():
        spread = np.exp(0.2 * rng.normal(size=count))
        chosen = _spread(rng, len(sites), count)
        day = model.fleet(kind, count).horizon(_STEPS, hours=_HOURS)
        _declare(kind, day, spread / spread.sum(), [sites[k][0] for k in chosen], law)
        if local_load:
            near: Any = year.series["load"][:, [sites[k][1] for k in chosen]].astype(np.float32)
            series[f"{kind}.load"] = near
            day.series("load", value=near[days])
        _observe(day)
        for name in _WEATHER:
            day.known[name].parameter.value = series[name][days]
    roofs = rng.permutation(len(sites))[: round(_ROOFS * len(sites))]
    panels = model.fleet("pv", len(roofs)).horizon(_STEPS, hours=_HOURS)
    nominal = np.array([load.s for load in feeder.loads], dtype=np.complex128)
    pv(
        panels, pv_share * nominal.real.sum() / 1e3 / len(roofs), curtail=False, paid=False, sun=series["sun"][days],
        at=[sites[k][0] for k in roofs], droop=law if droop == "all" else None,
    )  # fmt: skip
    loads: NDArray[np.complex128] = load_scale * nominal * year.series["load"].swapaxes(1, 2)
    whole = Scenarios(series, loads)
    model.days(whole.take(slice(0, days)), whole.take(slice(days, None)))
    return model


def _feeder() -> Feeder:
    """IEEE 123 with fixed taps: where the regulators stand at light load."""
    file = read_feeder(_FEEDER)
    return file.with_taps(cast(Taps, file.load_flow(loads=_LIGHT, taps="auto").taps))


def load_sites(feeder: Feeder) -> list[tuple[str, int]]:
    """Places of the feeder's loads, "60.1" or between two phases "35.1-2", each with the position of its load."""
    found: dict[str, int] = {}
    for position, load in enumerate(feeder.loads):
        nodes = [node for node in load.terminal.nodes if node]
        for k in range(load.phases):
            ends = {nodes[k], nodes[(k + 1) % len(nodes)]} if load.connection == "delta" else {nodes[k]}
            found.setdefault(f"{load.terminal.bus}.{'-'.join(str(node) for node in sorted(ends))}", position)
    return list(found.items())


def _counts(agents: int) -> dict[str, int]:
    """How many of each kind, which are ``agents`` together."""
    ends = np.round(np.cumsum([0.0, *_KINDS.values()]) * agents).astype(int)
    return {kind: int(count) for kind, count in zip(_KINDS, np.diff(ends), strict=True)}


def _spread(rng: np.random.Generator, sites: int, count: int) -> list[int]:
    """Sites for agents, each used as often as any other, or once more."""
    return [int(k) for _ in range(-(-count // sites)) for k in rng.permutation(sites)][:count]


def _declare(kind: str, day: Horizon, share: Floats, at: Sequence[str], law: VoltVar | None) -> None:
    """The devices of one kind; share: of each in the whole, shape (N,)."""
    if kind == "battery":
        battery(day, SIZES.batteries * share, SIZES.stored * share, loss=2e-4, wear=0.01, at=at, droop=law)
    elif kind == "heat_pump":
        # A limit, not a cost: the pump's own thermostat keeps the band, which its power allows in any weather.
        power, walls, rooms = SIZES.heat_pumps * share, SIZES.walls / share, SIZES.rooms * share
        heat_pump(day, power, walls, rooms, outside=None, at=at, factor=0.98)
    else:
        first, more = SIZES.fuel
        power = SIZES.generators * share
        generator(day, power, first, more / power / 2, at=at, droop=law)


def _observe(day: Horizon) -> None:
    """States, prices now and ahead, and the weather and load of now; the time of day is always seen."""
    price = day.known["price"].parameter
    day.observe(*(state.variable for state in day.states.values()), price)
    day.observe(price, ahead=_AHEAD)
    for name in ("temperature", "sun"):
        if name not in day.known:
            day.series(name, shared=True)
        day.observe(day.known[name].parameter)
    if "load" in day.known:
        day.observe(day.known["load"].parameter)


def _check(agents: int, days: int, held_out: int, droop: str, load_scale: float, pv_share: float) -> None:
    for name, value, least in (("agents", agents, 3), ("days", days, 1), ("held_out", held_out, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise gm.ModelError(f"grid_edge: {name} is a whole number of at least {least}, got {value}.")
    if droop not in ("devices", "all", "none"):
        raise gm.ModelError(f"grid_edge: droop={droop!r}, expected 'devices', 'all' or 'none'.")
    for name, part in (("load_scale", load_scale), ("pv_share", pv_share)):
        if not 0 <= part < float("inf"):
            raise gm.ModelError(f"grid_edge: {name} is a number of at least 0, got {part}.")
