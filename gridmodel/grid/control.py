"""Automatic voltage regulators: taps moved around a load flow until no control wants to act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, UnknownNameError
from gridmodel.grid.elements import RegulatorControl, Transformer, Winding
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.primitives import transformer, winding_ends, winding_voltage

__all__ = ["Regulation", "Solve", "regulate", "regulation", "tap_change"]

_CAUTION = 0.7  # of the way to the set point that is gone at once

Complexes = NDArray[np.complex128]
Solve: TypeAlias = Callable[[Mapping[tuple[str, int], float]], Complexes]
"""Node voltages in V, shape (nodes,), from the turns ratios in pu by (transformer, position of the winding)."""


@dataclass(frozen=True)
class Regulation:
    """Where the regulators ended.

    taps: turns ratio in pu by (transformer, position of the winding), of every regulated winding. settled: whether no
    control wants to act; False where they hunt, or where a load flow failed. rounds: load flows that were solved.
    moving: names of the controls that still act.
    """

    taps: dict[tuple[str, int], float]
    settled: bool
    rounds: int
    moving: tuple[str, ...] = ()


def regulate(feeder: Feeder, solve: Solve, most: int = 100) -> dict[tuple[str, int], float]:
    """The taps of ``regulation``, settled or not; arguments as there."""
    return regulation(feeder, solve, most).taps


def regulation(feeder: Feeder, solve: Solve, most: int = 100) -> Regulation:
    """Solves and lets the controls act, again and again, from the feeder's own taps until none is out of its band.

    In each round all controls read the same voltages, and of those out of band the ones with the shortest delay act
    together, as OpenDSS does in its static mode; where several resting points exist, the way there decides.

    solve: the load flow at fixed taps. most: rounds.

    Raises:
        UnknownNameError: a control names a transformer that does not exist.
        DataError: it names a winding or phase that its transformer does not have.
    """
    watched = [(control, _unit(feeder, control)) for control in feeder.regulators if control.enabled]
    taps = {(unit.name, one.winding): unit.windings[one.winding].tap for one, unit in watched}
    if not taps:
        return Regulation({}, True, 0)
    moving: tuple[str, ...] = ()
    for done in range(1, most + 1):
        v = solve(taps)
        if not np.all(np.isfinite(v)):
            return Regulation(taps, False, done, moving)
        wanted = [(one, unit, tap_change(feeder, one, v, taps)) for one, unit in watched]
        wanted = [row for row in wanted if row[2] != 0.0]
        first = min((one.delay for one, _, _ in wanted), default=0.0)
        acting = [row for row in wanted if row[0].delay == first]
        moving = tuple(one.name for one, _, _ in acting)
        if not acting:
            return Regulation(taps, True, done)
        for one, unit, change in acting:
            taps[unit.name, one.winding] = _moved(unit.windings[one.winding], taps[unit.name, one.winding], change)
    return Regulation(taps, False, most, moving)


def tap_change(feeder: Feeder, control: RegulatorControl, v: Complexes, taps: Mapping[tuple[str, int], float]) -> float:
    """By how much the control wants to move its tap, pu: 0 within the band and where the tap is at its end.

    With u = |V / pt_ratio - (r + j x) I / ct_rating|, I leaving the winding, (set_point - u) pt_ratio / rated voltage
    rounded to whole steps of the tap would mend it; of these, 70 % are taken, at least one and at most max_change.

    v: node voltages in V, shape (nodes,). taps: the present turns ratios, those of ``regulation``.
    """
    unit = _unit(feeder, control)
    winding = unit.windings[control.winding]
    off = control.set_point - abs(_reading(feeder, control, unit, v, taps))
    if abs(off) <= control.band / 2:
        return 0.0
    step = (winding.tap_max - winding.tap_min) / winding.tap_steps
    steps = round(off * control.pt_ratio / winding_voltage(unit, winding) / step)
    present = taps.get((unit.name, control.winding), winding.tap)
    free = present < winding.tap_max if steps > 0 else present > winding.tap_min
    if steps == 0 or not free:
        return 0.0
    # In this order of operations, so that the number of steps is cut off as OpenDSS cuts it.
    taken = min(max(int(_CAUTION * abs(steps * step) / step), 1), control.max_change)
    return taken * step if steps > 0 else -taken * step


def _reading(
    feeder: Feeder, control: RegulatorControl, unit: Transformer, v: Complexes, taps: Mapping[tuple[str, int], float]
) -> complex:
    """What the control compares, V on its own base: with line drop compensation, unless read at a remote bus."""
    if control.bus is not None:
        return complex(
            v[feeder.position[f"{control.bus.bus}.{control.bus.nodes[control.phase - 1]}"]] / control.pt_ratio
        )
    primitive = transformer(unit, {w: tap for (name, w), tap in taps.items() if name == unit.name})
    at = np.array([v[feeder.position[f"{bus}.{number}"]] if number else 0.0 for bus, number in primitive.nodes])
    offset = sum(len(winding.terminal.nodes) for winding in unit.windings[: control.winding])
    near, far = (offset + k for k in winding_ends(unit, unit.windings[control.winding], control.phase - 1))
    into = primitive.y[near] @ at
    return complex((at[near] - at[far]) / control.pt_ratio + complex(control.r, control.x) * into / control.ct_rating)


def _moved(winding: Winding, tap: float, change: float) -> float:
    return min(max(tap + change, winding.tap_min), winding.tap_max)


def _unit(feeder: Feeder, control: RegulatorControl) -> Transformer:
    units = [unit for unit in feeder.transformers if unit.name == control.transformer]
    if not units:
        raise UnknownNameError(
            f"regulator {control.name} names transformer {control.transformer!r}, which {feeder.name} does not have."
        )
    if not (0 <= control.winding < len(units[0].windings) and 1 <= control.phase <= units[0].phases):
        raise DataError(
            f"regulator {control.name} watches phase {control.phase} of winding {control.winding}, but transformer "
            f"{control.transformer} has {units[0].phases} phases and windings 0 to {len(units[0].windings) - 1}."
        )
    return units[0]
