"""A picture of a load flow: voltages on the network, and along the feeder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.balanced import BalancedFlow
from gridmodel.grid.flow.result import LoadFlow
from gridmodel.report.diagram import diagram, one_line
from gridmodel.report.style import COLORS, INK, dress, legend, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_flow", "electrical_distance", "voltage_profile"]


def draw_flow(flow: LoadFlow | BalancedFlow, path: str | Path) -> None:
    """Writes the one-line diagram with the mean voltage of every bus, and the voltage of every phase by distance.

    Args:
        flow: of one scenario or of many; of many the mean is drawn, and the range of every phase beside it.
        path: where to write; the ending chooses the format.
    """
    from matplotlib.figure import Figure

    if isinstance(flow, BalancedFlow):
        _draw_balanced(flow, path)
        return
    feeder = flow.feeder
    magnitude = np.abs(np.atleast_2d(flow.v))
    figure = Figure(figsize=(13.0, 5.2), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    by_bus = _by_bus(feeder, magnitude.mean(axis=0))
    voltage_profile(right, feeder, magnitude)
    dress(
        figure, literal(f"{feeder.name}: load flow" + (f", {len(magnitude)} scenarios" if len(magnitude) > 1 else ""))
    )
    one_line(left, diagram(feeder), by_bus, label="voltage [pu]")
    figure.savefig(Path(path))


def _draw_balanced(flow: BalancedFlow, path: str | Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5.6), layout="constrained", dpi=120)
    axes = figure.subplots()
    size = np.abs(np.atleast_2d(flow.v)).mean(axis=0)
    dress(figure, literal(f"{flow.net.name}: load flow"))
    values = {str(bus): float(value) for bus, value in zip(flow.nodes, size, strict=True)}
    one_line(axes, diagram(flow.net), values, label="voltage [pu]")
    figure.savefig(Path(path))


def voltage_profile(axes: Axes, feeder: Feeder, magnitude: NDArray[Any]) -> None:
    """Draws the voltages of the three phases over the electrical distance from the source, along the lines.

    Args:
        magnitude: in pu, shape (scenarios, nodes); the line is their mean, bars are their range.
    """
    far = electrical_distance(feeder)
    mean, low, high = (np.asarray(f(magnitude, axis=0)) for f in (np.mean, np.min, np.max))
    at = feeder.position
    shown = set()
    for line in feeder.lines:
        if not line.closed:
            continue
        for here, there in zip(line.start.nodes, line.end.nodes, strict=True):
            if here != there or not 1 <= here <= 3:
                continue
            one, other = at[f"{line.start.bus}.{here}"], at[f"{line.end.bus}.{there}"]
            label = None if here in shown else f"phase {'abc'[here - 1]}"
            shown.add(here)
            axes.plot([far[line.start.bus], far[line.end.bus]], mean[[one, other]], color=COLORS[here - 1],
                      linewidth=1.2, label=label)  # fmt: skip
            if len(magnitude) > 1:
                axes.plot([far[line.end.bus]] * 2, [low[other], high[other]], color=COLORS[here - 1], alpha=0.35)
    for limit in (0.95, 1.05):
        axes.axhline(limit, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="series impedance from the source [ohm]", ylabel="voltage [pu]", title="Along the feeder")
    legend(axes)


def electrical_distance(feeder: Feeder) -> dict[str, float]:
    """The series impedance |z| of the shortest way from a source to every bus in ohm, of the first conductor.

    Transformers count as none; buses that nothing feeds lie at 0.
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(bus.name for bus in feeder.buses)
    for one, other, key, data in feeder.graph.edges(keys=True, data=True):
        weight = float(abs(data["element"].z[0, 0])) if key[0] == "line" else 0.0
        if not graph.has_edge(one, other) or graph.edges[one, other]["weight"] > weight:
            graph.add_edge(one, other, weight=weight)
    sources = {source.terminal.bus for source in feeder.sources}
    found = nx.multi_source_dijkstra_path_length(graph, sources, weight="weight") if sources else {}
    return {bus.name: float(found.get(bus.name, 0.0)) for bus in feeder.buses}


def _by_bus(feeder: Feeder, values: NDArray[Any]) -> dict[str, float]:
    """The mean over the phases of each bus."""
    found: dict[str, list[float]] = {}
    for name, value in zip(feeder.nodes, values, strict=True):
        bus, _, number = name.rpartition(".")
        if int(number) <= 3:
            found.setdefault(bus, []).append(float(value))
    return {bus: float(np.mean(own)) for bus, own in found.items()}
