"""A path within the band, split over the devices, and what the true load flow says to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.measured import measured
from gridmodel.ir.result import Result
from gridmodel.physics.flexibility import FlexibilityLayout, paths_of

__all__ = ["Band", "Split", "band_of", "disaggregate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Band:
    """The band of power at the substation in kW, arrays of shape (T,), and its energy in kWh."""

    low: Floats
    high: Floats
    energy: float


@dataclass(frozen=True)
class Split:
    """A path followed by the devices.

    powers: kW of every device, shape (T,). violation: largest breach of a device's own limits. power: what the
    substation truly delivers by the load flow, kW, shape (T,). error: its largest distance from the path in kW.
    v_min, v_max: lowest and highest voltage by the load flow in pu, shape (T,). outside: largest breach of the
    voltage limits in pu, zero but for the error of the linear model.
    """

    powers: dict[str, Floats]
    violation: float
    power: Floats
    error: float
    v_min: Floats
    v_max: Floats
    outside: float


def band_of(result: Result) -> Band:
    """The band that a solved model of flexibility found.

    Raises:
        ModelError: the result is of another model, or has no values.
    """
    layout = _layout(result)
    low, high = (np.asarray(result["substation"][name], dtype=np.float64) for name in ("low", "high"))
    return Band(low, np.maximum(low, high), float(layout.step * np.maximum(high - low, 0.0).sum()))


def disaggregate(result: Result, path: ArrayLike) -> Split:
    """Splits a path of substation power, kW of shape (T,), over the devices, and checks it by the load flow.

    Raises:
        ModelError: a path of another length, or outside of the band.
    """
    layout, band = _layout(result), band_of(result)
    wanted = np.asarray(path, dtype=np.float64)
    if wanted.shape != band.low.shape:
        raise ModelError(f"path: expected kW of shape {band.low.shape}, got shape {wanted.shape}.")
    slack = 1e-6 * np.maximum(np.abs(band.high), np.abs(band.low))
    outside = (wanted < band.low - slack) | (wanted > band.high + slack) | ~np.isfinite(wanted)
    if outside.any():
        t = int(np.flatnonzero(outside)[0])
        raise ModelError(
            f"path: {wanted[t]:g} kW at step {t} lies outside of the band, {band.low[t]:g} to {band.high[t]:g} kW; "
            "keep every step within it."
        )
    width = band.high - band.low
    share = np.clip(np.divide(wanted - band.low, width, out=np.zeros_like(width), where=width > slack), 0.0, 1.0)
    powers, worst = {}, 0.0
    for device in layout.devices:
        low, high = (np.asarray(result[device.name][name], dtype=np.float64) for name in ("low", "high"))
        powers[device.name] = low + share * (high - low)
        worst = max(worst, device.violation(powers[device.name], layout.step))
    _, where = measured(layout.stages[0])
    flows = [feeder.load_flow(row) for feeder, row in zip(layout.stages, paths_of(layout, powers), strict=True)]
    power = np.array([float(np.real(flow.power)) for flow in flows]) / 1e3
    size = np.abs(np.array([where @ flow.v for flow in flows]))
    size = size[:, size.max(axis=0) > 1e-9]
    least, most = size.min(axis=1), size.max(axis=1)
    breach = float(np.maximum(layout.limits[0] - least, most - layout.limits[1]).max(initial=0.0))
    error = float(np.abs(power - wanted).max())
    return Split(powers, worst, power, error, least, most, max(breach, 0.0))


def _layout(result: Result) -> FlexibilityLayout:
    layout = getattr(result.model, "layout", None)
    if not isinstance(layout, FlexibilityLayout) or not result.variables:
        raise ModelError("expected the answer to a model of flexibility(...); solve one first.")
    return layout
