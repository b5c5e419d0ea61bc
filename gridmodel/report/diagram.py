"""A network drawn: buses where they lie, what joins them, values and areas in colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from gridmodel.grid.feeder import Feeder
from gridmodel.grid.network import Network
from gridmodel.report.style import COLORS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagram", "diagram", "one_line"]

_SPRING = 400
"""Buses up to which the slow layout that looks best is used."""
_LABELLED = 45


@dataclass(frozen=True)
class Diagram:
    """Where to draw what.

    place: the point of every bus by its name. edges: what joins two buses, (bus, bus, kind), kind "line", "switch",
    "open" or "transformer". sources: buses that feed the network.
    """

    place: Mapping[str, tuple[float, float]]
    edges: tuple[tuple[str, str, str], ...]
    sources: frozenset[str] = field(default_factory=frozenset)


def diagram(net: Feeder | Network) -> Diagram:
    """Where the buses of a network lie: at the coordinates of its file, the others in the middle of their neighbours.

    A network without coordinates is laid out so that neighbours are close.
    """
    if isinstance(net, Network):
        numbers = [str(number) for number in net.buses.number]
        units = (net.branches.tap != 1.0) | (net.branches.shift != 0.0)
        edges = tuple(
            (numbers[i], numbers[j], "transformer" if unit else "line")
            for i, j, unit in zip(net.branches.start, net.branches.end, units, strict=True)
        )
        given: dict[str, tuple[float, float]] = {}
        return Diagram(_placed(numbers, edges, given), edges, frozenset(numbers[k] for k in net.reference))
    edges = (
        *((line.start.bus, line.end.bus, _kind(line)) for line in net.lines),
        *((unit.windings[0].terminal.bus, other.terminal.bus, "transformer")
          for unit in net.transformers for other in unit.windings[1:]),
    )  # fmt: skip
    given = {bus.name: (bus.x, bus.y) for bus in net.buses if bus.x is not None and bus.y is not None}
    names = [bus.name for bus in net.buses]
    return Diagram(_placed(names, edges, given), edges, frozenset(one.terminal.bus for one in net.sources))


def one_line(
    axes: Axes,
    drawn: Diagram,
    values: Mapping[str, float] | None = None,
    areas: Mapping[str, str] | None = None,
    label: str = "",
    span: tuple[float, float] | None = None,
) -> None:
    """Draws the buses, coloured by their values, and the lines, coloured by the area of both their ends.

    Args:
        values: by bus; buses without one are hollow.
        areas: the area of every bus; lines between two areas are dashed.
        label: of the colour bar. span: its ends, so that two pictures can be compared; those of the values where None.
    """
    names = list(dict.fromkeys((areas or {}).values()))
    color = {name: COLORS[k % len(COLORS)] for k, name in enumerate(names)}
    for one, other, kind in drawn.edges:
        ends = [(areas or {}).get(bus) for bus in (one, other)]
        inside = ends[0] is not None and ends[0] == ends[1]
        (x, y), (u, v) = drawn.place[one], drawn.place[other]
        style = ":" if kind == "open" else "--" if areas and not inside else "-"
        ink = color[str(ends[0])] if inside else "#bbbbbb" if kind == "open" else INK
        axes.plot([x, u], [y, v], style, color=ink, linewidth=2.2 if kind == "transformer" else 1.3, zorder=1)
    known = {bus: value for bus, value in (values or {}).items() if np.isfinite(value)}
    small = len(drawn.place) <= _LABELLED
    size = 46 if small else 18
    rest = np.array([at for bus, at in drawn.place.items() if bus not in known]).reshape(-1, 2)
    axes.scatter(rest[:, 0], rest[:, 1], s=0.5 * size, facecolors="white", edgecolors=INK, linewidths=0.7, zorder=2)
    if known:
        spots = np.array([drawn.place[bus] for bus in known])
        points = axes.scatter(
            spots[:, 0], spots[:, 1], s=size, c=list(known.values()), cmap="viridis", edgecolors="white",
            linewidths=0.4, zorder=3, vmin=None if span is None else span[0], vmax=None if span is None else span[1],
        )  # fmt: skip
        figure: Any = axes.figure
        figure.colorbar(points, ax=axes, label=label, shrink=0.8)
    for bus in drawn.sources:
        x, y = drawn.place[bus]
        axes.scatter([x], [y], s=3.2 * size, marker="s", facecolors="none", edgecolors=INK, zorder=2)
    if small:
        for bus, at in drawn.place.items():
            axes.annotate(bus, at, textcoords="offset points", xytext=(4, 4), fontsize=7, color=INK)
    for name in names[: len(COLORS)]:
        axes.plot([], [], color=color[name], label=name)
    if names:
        axes.legend(fontsize=8, framealpha=0.85, edgecolor="none")
    axes.axis("off")


def _kind(line: Any) -> str:
    return "open" if not line.closed else "switch" if line.switch else "line"


def _placed(
    buses: list[str], edges: tuple[tuple[str, str, str], ...], given: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(buses)
    graph.add_edges_from((one, other) for one, other, kind in edges if kind != "open")
    place = {bus: given[bus] for bus in buses if bus in given}
    if not place:
        layout = nx.kamada_kawai_layout(graph) if 1 < len(buses) <= _SPRING else nx.spring_layout(graph, seed=0)
        return {bus: (float(at[0]), float(at[1])) for bus, at in layout.items()}
    waiting = [bus for bus in buses if bus not in place]
    while waiting:
        ready = [bus for bus in waiting if any(near in place for near in graph[bus])]
        if not ready:  # an island without coordinates
            center = np.mean(list(place.values()), axis=0)
            return place | {bus: (float(center[0]), float(center[1])) for bus in waiting}
        found = {bus: np.mean([place[near] for near in graph[bus] if near in place], axis=0) for bus in ready}
        place |= {bus: (float(at[0]), float(at[1])) for bus, at in found.items()}
        waiting = [bus for bus in waiting if bus not in place]
    return place
