"""The load flow over time: load profiles, step by step in chunks that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.grid.assemble import Taps
from gridmodel.grid.elements import Generator, Load
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.load_flow import load_flow
from gridmodel.grid.flow.result import LoadFlow

__all__ = ["FlowSeries", "flow_chunks", "flow_series"]

Floats = NDArray[np.float64]

CHUNK = 1000  # steps; larger ones leave the processor's cache


@dataclass(frozen=True)
class FlowSeries:
    """What is kept of a load flow over time, arrays of shape (steps,); NaN where it failed.

    hours: time from the start. power: what the sources deliver, p + j q in VA. losses: VA. v_min, v_max: lowest and
    highest |v| of all connected nodes in pu. lowest, highest: positions of these nodes. converged. watched: names of
    the nodes whose complex voltages in pu are kept in v, shape (steps, watched).
    """

    hours: Floats
    power: NDArray[np.complex128]
    losses: NDArray[np.complex128]
    v_min: Floats
    v_max: Floats
    lowest: NDArray[np.intp]
    highest: NDArray[np.intp]
    converged: NDArray[np.bool_]
    watched: tuple[str, ...]
    v: NDArray[np.complex128]

    @property
    def energy(self) -> complex:
        """What the sources delivered in VAh over the steps that converged, p + j q."""
        step = self.hours[1] - self.hours[0] if len(self.hours) > 1 else 0.0
        return complex(self.power[self.converged].sum() * step)


def flow_series(
    feeder: Feeder,
    steps: int | None = None,
    watch: Sequence[str] = (),
    taps: Taps | None = None,
    tolerance: float = 1e-8,
    dtype: Any = np.complex128,
    chunk: int = CHUNK,
) -> FlowSeries:
    """Load flows at s * profile[t] for t = 0, 1, ..., steps - 1 and a summary of each; profiles start over.

    steps: None takes the longest profile that a load or generator uses. watch: nodes "bus.number" whose voltages are
    kept. chunk: steps that are solved at once. The rest: as in ``Feeder.load_flow``.

    Raises:
        ModelError: a node that is none, a profile that does not exist, or steps that are not positive.
    """
    unknown = [name for name in watch if name not in feeder.position]
    if unknown:
        raise UnknownNameError(f"{feeder.name} has no node {unknown[0]!r}; nodes are named like {feeder.nodes[0]!r}.")
    at = [feeder.position[name] for name in watch]
    parts = [_summary(flow, at) for flow in flow_chunks(feeder, steps, taps, tolerance, dtype, chunk)]
    arrays: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return FlowSeries(
        hours=feeder.step * np.arange(len(arrays["power"]), dtype=np.float64), watched=tuple(watch), **arrays
    )


def flow_chunks(
    feeder: Feeder,
    steps: int | None = None,
    taps: Taps | None = None,
    tolerance: float = 1e-8,
    dtype: Any = np.complex128,
    chunk: int = CHUNK,
) -> Iterator[LoadFlow]:
    """The load flows themselves, ``chunk`` steps at a time; arguments as in ``flow_series``."""
    profiles = {name: np.asarray(values, dtype=np.float64) for name, values in feeder.profiles.items()}
    owners: list[Load | Generator] = [*feeder.loads, *feeder.generators]
    for owner in owners:
        if owner.profile and owner.profile not in profiles:
            raise UnknownNameError(f"{owner.name} follows the profile {owner.profile!r}, which {feeder.name} has not.")
    if steps is None:
        steps = max((len(profiles[owner.profile]) for owner in owners if owner.profile), default=0)
    if steps < 1 or chunk < 1:
        raise ModelError(
            f"{steps} steps in chunks of {chunk}: both must be positive; without profiles of its loads a feeder needs "
            "steps=..."
        )
    for start in range(0, steps, chunk):
        times = np.arange(start, min(start + chunk, steps))
        factors = [_factors(owners_, profiles, times) for owners_ in (feeder.loads, feeder.generators)]
        yield load_flow(feeder, factors[0], factors[1], taps, tolerance, dtype)


def _factors(owners: Sequence[Load | Generator], profiles: dict[str, Floats], times: NDArray[Any]) -> Floats:
    """The multipliers of the owners at these steps, shape (times, owners)."""
    out = np.ones((times.size, len(owners)))
    for k, owner in enumerate(owners):
        if owner.profile:
            shape = profiles[owner.profile]
            out[:, k] = shape[times % len(shape)]
    return out


def _summary(flow: LoadFlow, watch: list[int]) -> dict[str, NDArray[Any]]:
    """The arrays of a ``FlowSeries`` but its hours."""
    size = np.abs(flow.v)
    dead = np.nanmax(np.where(np.isnan(size), -1.0, size), axis=0) == 0.0
    low, high = np.where(dead, np.inf, size), np.where(dead, -np.inf, size)
    lowest, highest = low.argmin(axis=1), high.argmax(axis=1)
    rows = np.arange(len(size))
    return {
        "power": flow.power, "losses": flow.losses, "v_min": size[rows, lowest], "v_max": size[rows, highest],
        "lowest": lowest, "highest": highest, "converged": flow.converged, "v": flow.v[:, watch].astype(np.complex128),
    }  # fmt: skip
