"""Pictures of an optimal power flow: prices and voltages on the network, areas in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.physics.layout import Layout
from gridmodel.physics.multiphase.opf import FeederLayout
from gridmodel.physics.multiphase.recover import feeder_prices, recover
from gridmodel.physics.prices import bus_prices
from gridmodel.report.diagram import diagram, one_line

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

__all__ = ["areas_by_bus", "draw_grid", "has_grid", "prices_by_bus", "voltages_by_bus"]

Values = dict[str, float]


def has_grid(result: Result) -> bool:
    """Whether the result is of an optimal power flow whose network can be drawn."""
    model = result.model
    known = isinstance(getattr(model, "network", None), Network | Feeder)
    return known and isinstance(model.layout, Layout | FeederLayout) and bool(result.variables)


def draw_grid(field: SubFigure, result: Result) -> None:
    """Draws the one-line diagram with the prices of the buses, and with their voltages where the model has them."""
    net, areas = result.model.network, areas_by_bus(result)
    unit = result.currency.removesuffix("/h")
    shown = [
        ("price [" + unit.replace("$", r"\$") + "/MWh]", prices_by_bus(result)),
        ("voltage [pu]", voltages_by_bus(result)),
    ]
    shown = [(label, values) for label, values in shown if values]
    where = diagram(net)
    for axes, (label, values) in zip(
        field.subplots(1, max(len(shown), 1), squeeze=False)[0], shown or [("", {})], strict=True
    ):
        one_line(axes, where, values, areas if len(set(areas.values())) > 1 else None, label)


def areas_by_bus(result: Result) -> dict[str, str]:
    """The area of every bus."""
    layout = result.model.layout
    if isinstance(layout, FeederLayout):
        frames = layout.plan.frames
        return {frames[bus].bus: area.name for area in layout.areas for bus in area.buses}
    return {str(bus): area for area, buses in layout.buses.items() for bus in buses}


def prices_by_bus(result: Result) -> Values:
    """The price of active power at every bus, of a feeder the mean over its phases; empty where there is none."""
    model = result.model
    try:
        if isinstance(model.layout, FeederLayout):
            return _mean({label: active for label, (active, _) in feeder_prices(result).items()})
        return {str(bus): price for bus, price in bus_prices(result, model.network).items()}
    except ModelError:
        return {}


def voltages_by_bus(result: Result) -> Values:
    """The size of the voltage at every bus in pu, of a feeder the mean over its phases; empty where there is none."""
    layout = result.model.layout
    if isinstance(layout, FeederLayout):
        return _mean(recover(result).magnitudes()) if layout.formulation == "sdp" else {}
    found: Values = {}
    for area, buses in layout.buses.items():
        size = _size(result[area])
        if size is None:
            return {}
        found.update(zip(map(str, buses), np.atleast_1d(size).tolist(), strict=True))
    return found


def _size(own: Any) -> Any:
    if "v" in own:
        return own["v"]
    if "e" in own and "f" in own:
        return np.hypot(own["e"], own["f"])
    return np.sqrt(np.maximum(own["w"], 0.0)) if "w" in own else None


def _mean(by_port: Values) -> Values:
    groups: dict[str, list[float]] = {}
    for label, value in by_port.items():
        groups.setdefault(label.rpartition(".")[0], []).append(value)
    return {bus: float(np.mean(values)) for bus, values in groups.items()}
