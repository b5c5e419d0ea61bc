"""Automatic controls: taps and capacitors moved around a load flow until no control wants to act."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.controls import Regulator, Switch, tap_change
from gridmodel.grid.feeder import Feeder

__all__ = ["Regulation", "Solve", "regulate", "regulation", "tap_change"]

Complexes = NDArray[np.complex128]
Solve: TypeAlias = Callable[[Mapping[tuple[str, int], float]], Complexes]
"""Node voltages in V, shape (nodes,), from the turns ratios in pu by (transformer, position of the winding)."""


@dataclass(frozen=True)
class Regulation:
    """Where the controls ended.

    taps: turns ratio in pu by (transformer, position of the winding), of every regulated winding, and 0 or 1 by
    ("capacitor NAME", 0) of every switched capacitor. settled: whether no
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
    """Solves and lets the controls act, again and again, from the feeder's own state until none wants to.

    In each round all controls read the same voltages, and of those out of band the ones with the shortest delay act
    together, as OpenDSS does in its static mode; where several resting points exist, the way there decides.

    solve: the load flow at fixed taps. most: rounds.

    Raises:
        UnknownNameError: a control names an element that does not exist.
        DataError: it names a winding, terminal or phase that the element does not have.
    """
    actors: list[Regulator | Switch] = [Regulator(feeder, one) for one in feeder.regulators if one.enabled]
    actors += [Switch(feeder, one) for one in feeder.capacitor_controls if one.enabled]
    taps = {one.key: one.first for one in actors}
    moving: tuple[str, ...] = ()
    if not actors:
        return Regulation({}, True, 0)
    for done in range(1, most + 1):
        v = solve(taps)
        if not np.all(np.isfinite(v)):
            return Regulation(taps, False, done, moving)
        wanted = [(one, move) for one in actors for move in one.wanted(v, taps)]
        first = min((move.delay for _, move in wanted), default=0.0)
        acting = [(one, move) for one, move in wanted if move.delay == first]
        moving = tuple(one.name for one, _ in acting)
        if not acting:
            return Regulation(taps, True, done)
        for one, move in acting:
            taps[one.key] = one.act(move, taps[one.key])
    return Regulation(taps, False, most, moving)
