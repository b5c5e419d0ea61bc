"""Loads and generators of a bus by port: those at its own ports, and those between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.physics.multiphase.plan import LoadPort, UnitPort

__all__ = ["Hanging", "hanging_at"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hanging:
    """What a bus with d ports has: load draws power at its ports, A are the p pairs that lie between ports.

    load: complex, shape (d,). A: shape (p, d), pair voltages are A @ v. between: what loads draw there, shape (p,).
    at, in_pairs: (unit, port) and (unit, pair) of generators, by position among all.
    """

    load: NDArray[np.complex128]
    A: Floats
    between: NDArray[np.complex128]
    at: tuple[tuple[int, int], ...]
    in_pairs: tuple[tuple[int, int], ...]


def hanging_at(bus: int, d: int, loads: Sequence[LoadPort], units: Sequence[tuple[int, UnitPort]]) -> Hanging:
    """Sorts loads and generators (with their positions) of a bus with d ports."""
    own = [load for load in loads if load.bus == bus]
    mine = [(k, unit) for k, unit in units if unit.bus == bus]
    rows = {load.row for load in own} | {unit.row for _, unit in mine}
    pairs = sorted((row for row in rows if not _plain(row)), reverse=True)
    load, between = np.zeros(d, np.complex128), np.zeros(len(pairs), np.complex128)
    for item in own:
        if _plain(item.row):
            load[_port(item.row)] += item.s
        else:
            between[pairs.index(item.row)] += item.s
    return Hanging(
        load,
        np.array(pairs, dtype=np.float64).reshape(-1, d),
        between,
        tuple((k, _port(unit.row)) for k, unit in mine if _plain(unit.row)),
        tuple((k, pairs.index(unit.row)) for k, unit in mine if not _plain(unit.row)),
    )


def _plain(row: tuple[float, ...]) -> bool:
    """Whether the pair is a port itself."""
    return sum(value != 0 for value in row) == 1


def _port(row: tuple[float, ...]) -> int:
    return next(k for k, value in enumerate(row) if value)
