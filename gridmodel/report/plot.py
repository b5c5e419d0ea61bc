"""A picture of a result: how it converged, and its prices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.result import AbstractVerifiable, Result, Trace
from gridmodel.report.style import COLORS, FORMATS, INK, dress, legend, literal, rounds_axis
from gridmodel.units import per

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from gridmodel.learning.policy import Policy
    from gridmodel.solve import Comparison

__all__ = ["FORMATS", "convergence", "plot"]

Floats = NDArray[np.float64]

_NAMED = 6
_BARS = 16


def plot(result: Result | Comparison | Policy | Mapping[str, Policy], path: str | Path) -> None:
    """Writes residuals and gap against rounds, prices against rounds, and the final prices.

    A result of an algorithm over a topology shows the graph with what agents hold, at the start, on the way and at
    the end, and what each agent holds against rounds; a comparison shows the error of all algorithms against rounds.
    Prices of different units get axes of their own. A result without history (e.g. the centralized optimum) gets
    the final prices alone; a result of an optimal power flow shows the prices of its buses as the final ones, and
    below the network with prices, voltages and areas; one of flexibility shows its band. Policies show the feeder's
    voltages without and with them, actions over a held-out day, and how training went; several of them, by name, how
    training went.

    Args:
        result: any result, a comparison, a policy, or policies by name.
        path: where to write; the ending chooses the format, one of ``FORMATS``.

    Raises:
        DataError: another ending.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise DataError(f"plot(..., {str(path)!r}): the ending must be one of {', '.join(FORMATS)}.")
    from matplotlib.figure import Figure

    from gridmodel.report.plot_band import draw_band, has_band
    from gridmodel.report.plot_network import draw_comparison, draw_states
    from gridmodel.report.plot_opf import draw_grid, has_grid
    from gridmodel.solve import Comparison

    if isinstance(result, (AbstractVerifiable, Mapping)):  # asked by this class, since policies load torch
        from gridmodel.report.plot_policy import draw_histories, draw_policy

        figure = draw_histories(result) if isinstance(result, Mapping) else draw_policy(result)
        figure.savefig(Path(path))
        return
    if isinstance(result, Comparison):
        draw_comparison(result).savefig(Path(path))
        return
    if has_band(result):
        draw_band(result, _title(result)).savefig(Path(path))
        return
    if result.trace is not None and result.trace.states is not None and len(result.trace.rounds):
        draw_states(result, _title(result)).savefig(Path(path))
        return
    trace = result.trace if result.trace is not None and len(result.trace.rounds) else None
    groups = _groups(result)
    grid = has_grid(result)
    size = (15.0 if trace or grid else 6.5, 10.4 if grid else 4.8)
    figure = Figure(figsize=size, layout="constrained", dpi=120)
    upper = figure
    if grid:
        upper, lower = figure.subfigures(2, 1, height_ratios=(1.0, 1.15), squeeze=False)[:, 0]
    columns = list(upper.subfigures(1, 3 if trace else 1, squeeze=False)[0])
    if trace is not None:
        convergence(columns[0].subplots(), result, trace)
        for axes, (unit, names) in _axes(columns[1], groups, "Prices on the way"):
            _history(axes, trace, [result.coupling_rows.get(int(row)) for row in trace.rows], names)
            axes.set(xlabel="rounds", ylabel=unit)
            rounds_axis(axes, float(trace.rounds[-1]))
            _not_too_close(axes)
    buses = _bus_prices(result)
    if buses:
        _dots(columns[-1].subplots(), buses, _price_label(result, "MW"))
    else:
        for axes, (unit, names) in _axes(columns[-1], groups, "Final prices"):
            _final(axes, {name: np.ravel(result.price[name]) for name in names}, unit)
    dress(figure, _title(result))
    if grid:
        draw_grid(lower, result)
    figure.savefig(Path(path))


def _title(result: Result) -> str:
    title = f"{result.model_name}: {result.algorithm}, {result.status.value}"
    if np.isfinite(result.value):
        title += f", cost {result.value:.6g}" + ("" if result.currency == "cost" else f" {result.currency}")
    return literal(title)


def _groups(result: Result) -> dict[str, list[str]]:
    """The couplings that have a price, by the label of their unit; at most three units."""
    groups: dict[str, list[str]] = {}
    for name, price in result.price.items():
        of_agent = name.partition(".")[0] in result.variables
        if price is not None and name in result.units and not of_agent and np.isrealobj(price):
            groups.setdefault(_price_label(result, result.units[name]), []).append(name)
    return dict(list(groups.items())[:3])


def _axes(column: SubFigure, groups: dict[str, list[str]], title: str) -> list[tuple[Axes, tuple[str, list[str]]]]:
    """Axes below each other, one a group; without any group an empty field that says so."""
    axes = list(column.subplots(max(len(groups), 1), 1, squeeze=False)[:, 0])
    axes[0].set_title(title)
    if not groups:
        axes[0].text(0.5, 0.5, "no prices", ha="center", va="center", transform=axes[0].transAxes, color=INK)
        axes[0].set_xticks([])
        axes[0].set_yticks([])
    return list(zip(axes, groups.items(), strict=False))


def _bus_prices(result: Result) -> dict[str, tuple[Any, Any]]:
    """Bus numbers and their prices by area, where the model is an optimal power flow."""
    from gridmodel.physics.layout import Layout

    layout = getattr(result.model, "layout", None)
    if not isinstance(layout, Layout):
        return {}
    found = {area: (numbers, result.price.get(f"{area}.balance")) for area, numbers in layout.buses.items()}
    return {area: (numbers, np.ravel(price)) for area, (numbers, price) in found.items() if price is not None}


def convergence(axes: Axes, result: Result, trace: Trace) -> None:
    size = np.abs(trace.value) if result.certificate is None else result.certificate.size
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(trace.value - trace.bound) / size  # below zero while infeasible, which a log axis cannot show
    curves = [("primal residual", trace.primal), ("dual residual", trace.dual), ("gap to the lower bound", gap)]
    drawn = False
    for (label, values), color, width in zip(curves, COLORS, (3.0, 1.5, 1.5), strict=False):
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if np.isfinite(shown).any():
            style: dict[str, Any] = {"linewidth": width, "marker": _marker(trace), "markersize": 2 + width}
            axes.semilogy(trace.rounds, shown, label=label, color=color, **style)
            drawn = True
    if result.certificate is not None:
        axes.axhline(result.certificate.tolerance, color=INK, linestyle="--", linewidth=1, label="tolerance")
    axes.set(title="Convergence", xlabel="rounds", ylabel="relative size")
    rounds_axis(axes, float(trace.rounds[-1]))
    if drawn:
        legend(axes)


def _history(axes: Axes, trace: Trace, rows: list[str | None], names: list[str]) -> None:
    """Prices against rounds: one color a coupling, or one color for all where they are many."""
    if len(names) > _NAMED:
        own = [k for k, name in enumerate(rows) if name in names]
        axes.plot(
            trace.rounds,
            trace.prices[:, own],
            color=COLORS[0],
            linewidth=0.8,
            alpha=0.4,
            marker=_single(trace),
            markersize=3.5,
        )
        return
    for name, color in zip(names, COLORS, strict=False):
        own = [k for k, other in enumerate(rows) if other == name]
        style: dict[str, Any] = {"linewidth": 1.2, "alpha": 0.85, "marker": _single(trace), "markersize": 3.5}
        lines = axes.plot(trace.rounds, trace.prices[:, own], color=color, **style)
        if lines:
            lines[0].set_label(literal(name))
    if len(names) == 1:
        legend(axes)
    else:  # the lines may fill the field, so the names stand beside it
        axes.legend(fontsize=8, edgecolor="none", loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.0)


def _final(axes: Axes, prices: dict[str, Floats], unit: str) -> None:
    """The last prices: lines over the entries of vectors, bars of a few numbers, dots of many."""
    scalars = {name: float(p[0]) for name, p in prices.items() if p.size == 1}
    vectors = {name: p for name, p in prices.items() if p.size > 1}
    if vectors:
        _lines(axes, vectors, scalars)
        axes.set(xlabel="entry of the coupling", ylabel=unit)
    elif len(scalars) <= _BARS:
        _bars(axes, scalars)
        axes.set_xlabel(unit)
    else:
        axes.plot(np.arange(1, len(scalars) + 1), list(scalars.values()), "o", color=COLORS[0], markersize=3)
        axes.set(xlabel="coupling, in the order of declaration", ylabel=unit)


def _dots(axes: Axes, buses: dict[str, tuple[Any, Any]], unit: str) -> None:
    every = np.sort(np.concatenate([numbers for numbers, _ in buses.values()]))
    gaps = every[-1] > 2 * every.size  # numbers with wide gaps would squeeze the buses into corners
    for rank, (area, (numbers, prices)) in enumerate(buses.items()):
        color = COLORS[rank % len(COLORS)]
        at = np.searchsorted(every, numbers) + 1 if gaps else numbers
        axes.plot(at, prices, "o", color=color, markersize=3.5, label=literal(area) if rank < _NAMED else None)
    place = "bus, counted by rising number" if gaps else "bus"
    axes.set(title="Locational marginal prices", xlabel=place, ylabel=unit)
    axes.margins(y=0.15)
    _not_too_close(axes)
    legend(axes)


def _not_too_close(axes: Axes) -> None:
    """Plain numbers, and prices that hardly differ look as if they hardly differ."""
    low, high = axes.get_ylim()
    least = 0.02 * max(abs(low), abs(high))
    if high - low < least:
        axes.set_ylim((low + high - least) / 2, (low + high + least) / 2)
    axes.ticklabel_format(axis="y", useOffset=False)


def _lines(axes: Axes, vectors: dict[str, Floats], scalars: dict[str, float]) -> None:
    for rank, (name, values) in enumerate(vectors.items()):
        color = COLORS[rank % len(COLORS)]
        entries = np.arange(1, len(values) + 1)
        label = literal(name) if rank < _NAMED else None
        axes.plot(entries, values, "o-", color=color, label=label, markersize=3, linewidth=1.2)
    for rank, (name, value) in enumerate(list(scalars.items())[:_NAMED]):
        axes.axhline(value, linestyle=":", color=COLORS[(len(vectors) + rank) % len(COLORS)], label=literal(name))
    legend(axes)


def _bars(axes: Axes, scalars: dict[str, float]) -> None:
    at = np.arange(len(scalars))
    values = list(scalars.values())
    bars = axes.barh(at, values, color=COLORS[0], height=min(0.6, 0.2 * len(scalars)))
    axes.bar_label(bars, fmt="%.4g", padding=3, fontsize=9, color=INK)
    axes.set_yticks(at, [literal(name if len(name) <= 24 else f"{name[:22]}...") for name in scalars])
    axes.set_ylim(len(scalars) - 0.4, -0.6)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)


def _price_label(result: Result, unit: str | None) -> str:
    return f"price in {literal(per(result.currency, unit))}"


def _marker(trace: Trace) -> Any:
    return "o" if len(trace.rounds) <= 60 else None


def _single(trace: Trace) -> str:
    """The marker of prices: a single check draws no line."""
    return "o" if len(trace.rounds) == 1 else ""
