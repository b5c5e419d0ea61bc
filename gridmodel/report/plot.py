"""A picture of a result: how it converged, and its prices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.result import Result, Trace
from gridmodel.units import per

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FORMATS", "plot"]

FORMATS = (".png", ".pdf", ".svg", ".jpg")
"""File endings that ``plot`` knows."""

_INK = "#333333"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_NAMED = 6
_BARS = 16


def plot(result: Result, path: str | Path) -> None:
    """Writes residuals and gap against rounds, prices against rounds, and the final prices.

    A result without history (e.g. the centralized optimum) gets the final prices alone.

    Args:
        result: any result.
        path: where to write; the ending chooses the format, one of ``FORMATS``.
    """
    from matplotlib.figure import Figure

    trace = result.trace if result.trace is not None and len(result.trace.rounds) else None
    figure = Figure(figsize=(15.0, 4.6) if trace else (6.5, 4.6), layout="constrained", dpi=120)
    axes = list(figure.subplots(1, 3 if trace else 1, squeeze=False)[0])
    if trace is not None:
        _convergence(axes[0], result, trace)
        _history(axes[1], result, trace)
    _final(axes[-1], result)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.title.set_fontsize(11)
    title = f"{result.model_name}: {result.algorithm}, {result.status.value}"
    if np.isfinite(result.value):
        title += f", cost {result.value:.6g}" + ("" if result.currency == "cost" else f" {result.currency}")
    figure.suptitle(_literal(title), fontsize=13, color=_INK)
    figure.savefig(Path(path))


def _convergence(ax: Axes, result: Result, trace: Trace) -> None:
    with np.errstate(invalid="ignore"):
        gap = (trace.value - trace.bound) / np.maximum(1.0, np.abs(trace.value))
    curves = [("primal residual", trace.primal), ("dual residual", trace.dual), ("gap to the lower bound", gap)]
    drawn = False
    for (label, values), color in zip(curves, _COLORS, strict=False):
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        if np.isfinite(shown).any():
            ax.semilogy(trace.rounds, shown, label=label, color=color, marker=_marker(trace), markersize=3.5)
            drawn = True
    if result.certificate is not None:
        ax.axhline(result.certificate.tolerance, color=_INK, linestyle="--", linewidth=1, label="tolerance")
    ax.set(title="Convergence", xlabel="rounds", ylabel="relative size")
    if drawn:
        _legend(ax)


def _history(ax: Axes, result: Result, trace: Trace) -> None:
    """Prices against rounds: one color a coupling, or one color for all where they are many."""
    names = [result.coupling_rows.get(int(row), f"row {row}") for row in trace.rows]
    order = list(dict.fromkeys(names))
    ax.set(title="Prices on the way", xlabel="rounds", ylabel=_price_label(result, order))
    if len(order) > _NAMED:
        ax.plot(trace.rounds, trace.prices, color=_COLORS[0], linewidth=0.8, alpha=0.4)
        ax.set_title(f"Prices on the way ({len(order)} couplings)")
        return
    for name, color in zip(order, _COLORS, strict=False):
        own = trace.prices[:, [k for k, other in enumerate(names) if other == name]]
        lines = ax.plot(trace.rounds, own, color=color, linewidth=1.2, alpha=0.85)
        lines[0].set_label(_literal(name))
    if order:
        _legend(ax)


def _final(ax: Axes, result: Result) -> None:
    """The last prices: lines over the entries of vectors, bars of a few numbers, dots of many."""
    prices = {name: np.ravel(np.asarray(p, dtype=float)) for name, p in result.price.items() if p is not None}
    scalars = {name: float(p[0]) for name, p in prices.items() if p.size == 1}
    vectors = {name: p for name, p in prices.items() if p.size > 1}
    unit = _price_label(result, list(prices))
    ax.set_title("Final prices")
    if not prices:
        ax.text(0.5, 0.5, "no prices", ha="center", va="center", transform=ax.transAxes, color=_INK)
        ax.set_axis_off()
    elif vectors:
        _lines(ax, vectors, scalars)
        ax.set(xlabel="entry of the coupling", ylabel=unit)
    elif len(scalars) <= _BARS:
        _bars(ax, scalars)
        ax.set_xlabel(unit)
    else:
        ax.plot(np.arange(1, len(scalars) + 1), list(scalars.values()), "o", color=_COLORS[0], markersize=3)
        ax.set(xlabel="coupling, in the order of declaration", ylabel=unit)


def _lines(ax: Axes, vectors: dict[str, NDArray[np.float64]], scalars: dict[str, float]) -> None:
    for rank, (name, values) in enumerate(vectors.items()):
        color = _COLORS[rank % len(_COLORS)]
        entries = np.arange(1, len(values) + 1)
        label = _literal(name) if rank < _NAMED else None
        ax.plot(entries, values, "o-", color=color, label=label, markersize=3, linewidth=1.2)
    for rank, (name, value) in enumerate(list(scalars.items())[:_NAMED]):
        ax.axhline(value, linestyle=":", color=_COLORS[(len(vectors) + rank) % len(_COLORS)], label=_literal(name))
    _legend(ax)


def _bars(ax: Axes, scalars: dict[str, float]) -> None:
    at = np.arange(len(scalars))
    values = list(scalars.values())
    bars = ax.barh(at, values, color=_COLORS[0], height=min(0.6, 0.2 * len(scalars)))
    ax.bar_label(bars, fmt="%.4g", padding=3, fontsize=9, color=_INK)
    ax.set_yticks(at, [_literal(name if len(name) <= 24 else f"{name[:22]}...") for name in scalars])
    ax.set_ylim(len(scalars) - 0.4, -0.6)
    ax.axvline(0, color=_INK, linewidth=0.8)
    ax.margins(x=0.18)
    ax.tick_params(axis="y", length=0)


def _price_label(result: Result, names: list[str]) -> str:
    units = {result.units.get(name) for name in names}
    currency = "cost" if result.currency == "cost" else result.currency
    return f"price in {_literal(per(currency, units.pop()))}" if len(units) == 1 else "price, each in its own unit"


def _legend(ax: Axes) -> None:
    ax.legend(fontsize=9, framealpha=0.85, edgecolor="none")


def _marker(trace: Trace) -> Any:
    return "o" if len(trace.rounds) <= 60 else None


def _literal(text: str) -> str:
    """Text in which matplotlib sees no mathematics."""
    return text.replace("$", r"\$")
