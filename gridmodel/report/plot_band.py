"""A picture of flexibility: the band at the substation, and what a path within it asks of every device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gridmodel.ir.result import Result
from gridmodel.physics.disaggregate import band_of, disaggregate
from gridmodel.physics.flexibility import FlexibilityLayout
from gridmodel.report.style import COLORS, INK, dress, legend, literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_band", "has_band"]

_NAMED = 8


def has_band(result: Result) -> bool:
    """Whether the result is of a model of flexibility, and has an answer."""
    return isinstance(getattr(result.model, "layout", None), FlexibilityLayout) and bool(result.variables)


def draw_band(result: Result, title: str) -> Figure:
    """The band over time with a path in its middle and what the load flow says to it; below, the devices' powers."""
    from matplotlib.figure import Figure

    layout: FlexibilityLayout = result.model.layout
    band = band_of(result)
    middle = 0.5 * (band.low + band.high)
    split = disaggregate(result, middle)
    hours = layout.step * np.arange(middle.size + 1)
    figure = Figure(figsize=(11.0, 7.6), layout="constrained", dpi=120)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1.0))
    upper.stairs(band.high, hours, baseline=band.low, fill=True, color=COLORS[5], alpha=0.45, label="band")
    upper.stairs(layout.base, hours, color=INK, linestyle=":", baseline=None, label="without devices")
    upper.stairs(middle, hours, color=COLORS[0], linewidth=1.6, baseline=None, label="a path in the middle")
    upper.plot(hours[:-1] + layout.step / 2, split.power, ".", color=COLORS[1], label="its load flow")
    upper.set(ylabel="from the substation [kW]", title=f"Flexibility: {band.energy:.0f} kWh between the paths")
    every = np.concatenate([band.low, band.high, layout.base])
    edge = 0.05 * max(float(np.ptp(every)), 1.0)
    upper.set_ylim(every.min() - edge, every.max() + edge)
    legend(upper)
    for rank, (name, power) in enumerate(split.powers.items()):
        label = literal(name) if rank < _NAMED else None
        lower.stairs(power, hours, baseline=None, color=COLORS[rank % len(COLORS)], linewidth=1.2, label=label)
    lower.set(xlabel="hours", ylabel="drawn [kW]", title="What the path asks of the devices")
    lower.legend(fontsize=8, ncols=4, framealpha=0.85, edgecolor="none")
    dress(figure, title)
    return figure
