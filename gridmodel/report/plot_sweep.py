"""A picture of a sweep from meshed to radial: lines and losses against the weight, and the radial network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gridmodel.report.diagram import diagram, one_line
from gridmodel.report.style import COLORS, INK, dress, literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gridmodel.sweep import Sweep

__all__ = ["draw_sweep"]

_NAMED = 30
_LABELLED = 12


def draw_sweep(found: Sweep, path: str | Path) -> None:
    """Writes which lines are closed at which weight, the losses beside, and the network of fewest loops.

    Lines are sorted by how long they stay closed. Opened ones are dotted in the one-line diagram, that of the topology
    with the fewest loops and least losses.

    Args:
        path: where to write; the ending chooses the format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 6.0), layout="constrained", dpi=120)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.0, 1.1))[0]
    lines, losses = left.subplots(2, 1, height_ratios=(1.6, 1.0), sharex=True)
    net = right.subplots()
    _closed(lines, found)
    _losses(losses, found)
    last = min(found.topologies, key=lambda one: (one.loops, not one.within, one.losses))
    dress(figure, literal(f"{found.feeder.name}: from {found.topologies[0].kind} to {last.kind}"))
    lines.grid(False)
    network = found.network(last)
    shape = diagram(network)
    one_line(net, shape)
    for line in network.lines:
        if line.name in last.opened and len(last.opened) <= _LABELLED:
            (x, y), (u, v) = shape.place[line.start.bus], shape.place[line.end.bus]
            net.annotate(literal(line.name), ((x + u) / 2, (y + v) / 2), fontsize=8, color=COLORS[1], ha="center",
                         bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
    opened = f"{len(last.opened)} line{'' if len(last.opened) == 1 else 's'} opened (dotted)"
    net.set_title(f"{last.kind}, weight {last.weight:g} kW, {opened}")
    figure.savefig(Path(path))


def _closed(axes: Axes, found: Sweep) -> None:
    """A cell for every line and weight, filled where the line is closed."""
    first = found.topologies[0]
    closed = {*first.closed, *first.opened}
    names = [line.name for line in found.feeder.lines if line.name in closed]
    names.sort(key=lambda name: -sum(name in one.closed for one in found.topologies))
    cells = np.array([[name in one.closed for one in found.topologies] for name in names], dtype=np.float64)
    axes.pcolormesh(
        np.arange(len(found.topologies) + 1) - 0.5, np.arange(len(names) + 1) - 0.5, cells, cmap="Blues",
        vmin=0.0, vmax=1.6, edgecolors="white", linewidth=1.0,
    )  # fmt: skip
    axes.set(ylabel="lines that may be opened", title="Closed lines (blue) by weight")
    axes.set_yticks(range(len(names)) if len(names) <= _NAMED else [])
    axes.set_yticklabels([literal(name) for name in names] if len(names) <= _NAMED else [], fontsize=7)


def _losses(axes: Axes, found: Sweep) -> None:
    """Losses by weight, coloured by the kind of network."""
    at = np.arange(len(found.topologies))
    axes.plot(at, [one.losses for one in found.topologies], color=INK, linewidth=0.8, zorder=1)
    for k, kind in enumerate(("meshed", "weakly meshed", "radial")):
        own = [i for i in at if found.topologies[i].kind == kind]
        if not own:
            continue
        axes.scatter(own, [found.topologies[i].losses for i in own], color=COLORS[k], label=kind, zorder=2)
    axes.set(xlabel="weight of a closed line [kW]", ylabel="losses [kW]")
    axes.set_xticks(at)
    axes.set_xticklabels([f"{one.weight:g}" for one in found.topologies], fontsize=8)
    axes.legend(fontsize=8, framealpha=0.85, edgecolor="none")
