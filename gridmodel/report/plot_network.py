"""Pictures of agents that talk: the graph with what they hold over the rounds, and algorithms side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.result import Result, Trace
from gridmodel.report.style import COLORS, INK, dress, legend, literal, rounds_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gridmodel.solve import Comparison

__all__ = ["draw_comparison", "draw_states"]

Floats = NDArray[np.float64]

_LABELLED = 30
_LAID_OUT = 150
_DASHES = ("-", "--", ":", "-.")


def draw_states(result: Result, title: str) -> Figure:
    """The graph at the start, on the way and at the end, colored by what agents hold; below, how that converged."""
    from matplotlib.figure import Figure

    trace = result.trace
    assert trace is not None
    assert trace.states is not None
    figure = Figure(figsize=(15.0, 9.2), layout="constrained", dpi=120)
    upper, lower = figure.subfigures(2, 1, height_ratios=(1.15, 1.0), squeeze=False)[:, 0]
    snapshots = upper.subplots(1, 3)
    graph, place = _layout(result, trace)
    shown = _moments(trace)
    low, high = _span(trace.states[shown])
    for axes, moment in zip(snapshots, shown, strict=True):
        dots = _graph(axes, graph, place, trace, moment, (low, high))
        axes.set_title(f"round {int(trace.rounds[moment])}")
    label = _what(result)
    upper.colorbar(dots, ax=list(snapshots), label=label, shrink=0.85)
    left, right = lower.subplots(1, 2)
    from gridmodel.report.plot import convergence

    convergence(left, result, trace)
    _histories(right, trace, label)
    dress(figure, title)
    for axes in snapshots:
        axes.grid(False)
        axes.axis("off")
    return figure


def draw_comparison(found: Comparison) -> Figure:
    """The error of every algorithm against rounds: the larger of the primal residual and the distance in cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 5.6), layout="constrained", dpi=120)
    axes = figure.subplots()
    central = found.results["central"].value
    rank, ends = 0, (np.inf, 2.0)
    for name, result in found.results.items():
        if result.trace is None or not len(result.trace.rounds) or not np.isfinite(central):
            continue
        error = _error(result, result.trace, central)
        style: dict[str, Any] = {"color": COLORS[rank % len(COLORS)], "linestyle": _DASHES[rank // len(COLORS) % 4]}
        mark = "o" if len(error) == 1 else None
        axes.plot(result.trace.rounds, error, label=literal(name), linewidth=1.4, marker=mark, markersize=4, **style)
        seen = result.trace.rounds[result.trace.rounds > 0]
        ends = min(ends[0], *seen), max(ends[1], *seen)
        rank += 1
    axes.set(xscale="log", yscale="log", xlabel="rounds", ylabel="error to the central optimum, relative")
    if rank:
        axes.set_xlim(0.9 * ends[0], 1.1 * ends[1])
        axes.legend(fontsize=9, framealpha=0.85, edgecolor="none", loc="center left", bbox_to_anchor=(1.0, 0.5))
    dress(figure, literal(f"{found.results['central'].model_name}: algorithms side by side"))
    return figure


def _error(result: Result, trace: Trace, central: float) -> Floats:
    size = max(abs(central), 1e-300) if result.certificate is None else result.certificate.size
    error = np.maximum(trace.primal, np.abs(trace.value - central) / size)
    return np.where(np.isfinite(error), np.maximum(error, 1e-16), np.nan)


def _layout(result: Result, trace: Trace) -> tuple[nx.Graph[Any], dict[str, Any]]:
    """The topology over the agents whose states are kept, and where they are drawn."""
    topology = getattr(result.model, "topology", None)
    graph: nx.Graph[Any] = nx.Graph() if topology is None else nx.Graph(topology.graph.subgraph(trace.agents))
    graph.add_nodes_from(trace.agents)
    place = nx.get_node_attributes(graph, "pos")
    if len(place) < len(graph):
        close = len(graph) <= _LAID_OUT and len(graph) > 1 and nx.is_connected(graph)
        place = nx.kamada_kawai_layout(graph) if close else nx.spring_layout(graph, seed=0)
    return graph, dict(place)


def _moments(trace: Trace) -> list[int]:
    """The first check, the one nearest to the middle of the rounds on a logarithmic scale, the last."""
    rounds = np.maximum(trace.rounds, 1.0)
    middle = np.sqrt(rounds[0] * rounds[-1])
    return [0, int(np.argmin(np.abs(rounds - middle))), len(rounds) - 1]


def _span(states: Floats) -> tuple[float, float]:
    known = states[np.isfinite(states)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    pad = 1e-9 * max(abs(low), abs(high), 1e-300)
    return low - pad, high + pad


def _graph(
    axes: Axes, graph: nx.Graph[Any], place: dict[str, Any], trace: Trace, moment: int, span: tuple[float, float]
) -> Any:
    assert trace.states is not None
    at = np.array([place[name] for name in trace.agents])
    for a, b in graph.edges:
        (x0, y0), (x1, y1) = place[a], place[b]
        axes.plot([x0, x1], [y0, y1], color="#bbbbbb", linewidth=0.8, zorder=1)
    size = float(np.clip(4000 / len(at), 25, 420))
    dots = axes.scatter(
        at[:, 0], at[:, 1], c=trace.states[moment], vmin=span[0], vmax=span[1], cmap="viridis", s=size, zorder=2,
        edgecolors=INK, linewidths=0.6,
    )  # fmt: skip
    if len(at) <= _LABELLED:
        for name, (x, y) in zip(trace.agents, at, strict=True):
            axes.annotate(literal(name), (x, y), textcoords="offset points", xytext=(0, 11), ha="center", fontsize=8)
    axes.margins(0.12)
    return dots


def _histories(axes: Axes, trace: Trace, label: str) -> None:
    assert trace.states is not None
    few = len(trace.agents) <= len(COLORS)
    for k, name in enumerate(trace.agents):
        style: dict[str, Any] = (
            {"color": COLORS[k], "label": literal(name)} if few else {"color": COLORS[0], "alpha": 0.3}
        )
        axes.plot(trace.rounds, trace.states[:, k], linewidth=1.2 if few else 0.7, **style)
    axes.set(title="What each agent holds", xlabel="rounds", ylabel=label)
    rounds_axis(axes, float(trace.rounds[-1]))
    axes.ticklabel_format(axis="y", useOffset=False)
    if few:
        legend(axes)


def _what(result: Result) -> str:
    """What the states are: an agreed number, or the price of the first coupling row."""
    first = next(iter(result.coupling_rows.values()), "")
    if ": " in first:
        return literal(f"{first.partition(': ')[0]}, first number")
    return literal(f"price of {first} at each agent") if first else "state"
