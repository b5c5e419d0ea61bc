"""What a regulator or the control of a capacitor wants to do at given voltages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, UnknownNameError
from gridmodel.grid.elements import CapacitorControl, Complexes, Line, RegulatorControl, Shunt, Transformer, Winding
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.primitives import Primitive, line, shunt, transformer, winding_ends, winding_voltage

__all__ = ["Move", "Regulator", "Switch", "tap_change"]

_CAUTION = 0.7  # of the way to the set point that is gone at once

Floats = NDArray[np.float64]
Key = tuple[str, int]


@dataclass(frozen=True)
class Move:
    """What a control would do after a delay in s. to: its new setting; None where it turns its direction around."""

    delay: float
    to: float | None


class Regulator:
    """A regulator's control and whether it looks against its direction at the moment."""

    def __init__(self, feeder: Feeder, control: RegulatorControl) -> None:
        self.feeder, self.control, self.unit = feeder, control, _unit(feeder, control)
        self.name, self.key = control.name, (self.unit.name, control.winding)
        self.first = self.unit.windings[control.winding].tap
        self.reversed = False

    def wanted(self, v: Complexes, taps: Mapping[Key, float]) -> Iterator[Move]:
        """Its next moves at these node voltages in V and these settings."""
        one = self.control
        if one.reversible and one.bus is None:
            power, against = -self._power(v, taps), -1.0 if not self.reversed else 1.0
            if against * power > one.reverse_threshold:
                yield Move(one.reverse_delay, None)
        change = tap_change(self.feeder, one, v, taps, self.reversed)
        if change:
            winding = self.unit.windings[one.winding]
            yield Move(one.delay, min(max(taps[self.key] + change, winding.tap_min), winding.tap_max))

    def act(self, move: Move, now: float) -> float:
        """The setting after a move."""
        if move.to is None:
            self.reversed = not self.reversed
            return now
        return move.to

    def _power(self, v: Complexes, taps: Mapping[Key, float]) -> float:
        """What enters the winding's terminal, W."""
        primitive, at = _state(self.feeder, self.unit, v, taps)
        start = sum(len(winding.terminal.nodes) for winding in self.unit.windings[: self.control.winding])
        rows = slice(start, start + len(self.unit.windings[self.control.winding].terminal.nodes))
        return float((at[rows] * (primitive.y[rows] @ at).conj()).sum().real)


class Switch:
    """The control of a capacitor and whether it has opened it."""

    def __init__(self, feeder: Feeder, control: CapacitorControl) -> None:
        self.feeder, self.control = feeder, control
        self.name, self.key = control.name, (f"capacitor {control.shunt}", 0)
        self.first = 1.0 if control.closed else 0.0
        self.opened = False
        kind, name = control.element
        found: list[Line | Transformer | Shunt] = [
            *(one for one in feeder.lines if (kind, name) == ("line", one.name)),
            *(one for one in feeder.transformers if (kind, name) == ("transformer", one.name)),
            *(one for one in feeder.shunts if (kind, name) == ("capacitor", one.name)),
        ]
        if not found or not any(one.kind == "capacitor" and one.name == control.shunt for one in feeder.shunts):
            raise UnknownNameError(
                f"the control {control.name} names {kind} {name} and capacitor {control.shunt}, one of which "
                f"{feeder.name} does not have."
            )
        self.watched = found[0]

    def wanted(self, v: Complexes, taps: Mapping[Key, float]) -> Iterator[Move]:
        """Its next move at these node voltages in V and these settings."""
        one, closed = self.control, taps[self.key] > 0.0
        to = self._to(v, taps, closed)
        if to and not closed:
            yield Move(one.on_delay + (one.dead_time if self.opened and one.dead_time > 0 else 0.0), 1.0)
        elif to is False and closed:
            yield Move(one.off_delay, 0.0)

    def act(self, move: Move, now: float) -> float:
        """The setting after a move."""
        self.opened = self.opened or move.to == 0.0
        return now if move.to is None else move.to

    def _to(self, v: Complexes, taps: Mapping[Key, float], closed: bool) -> bool | None:
        """Whether it wants its capacitor closed; None where it does not mind."""
        one = self.control
        primitive, at = self._seen(v, taps)
        rows = self._rows(primitive)
        if one.v_min is not None and one.v_max is not None and one.kind != "voltage":
            volts = self._volts(at[rows] if one.bus is None else _at(self.feeder, one.bus.bus, one.bus.nodes, v))
            if (not closed and volts < one.v_min) or (closed and volts > one.v_max):
                return not closed
        if one.kind == "time":  # at midnight, when a day begins
            return one.on <= 0 < one.off if one.off > one.on else one.on <= 0
        if one.kind == "voltage":
            volts = self._volts(at[rows])
            return True if volts < one.on else False if volts > one.off else None
        current = primitive.y @ at
        if one.kind == "kvar":
            seen = float((at[rows] * current[rows].conj()).sum().imag) / 1e3
        else:
            sizes = np.abs(current)
            seen = _one(sizes[rows][: one.phases], one.ct_phase, sizes) / one.ct_ratio
        return True if seen > one.on else False if seen < one.off else None

    def _volts(self, at: Complexes) -> float:
        one, k = self.control, self.control.pt_phase - 1
        if one.delta and k >= 0:
            return float(abs(at[k] - at[(k + 1) % one.phases])) / one.pt_ratio
        phases = self.watched.phases if isinstance(self.watched, Transformer) else len(at)
        return _one(np.abs(at[:phases]), one.pt_phase, np.abs(at)) / one.pt_ratio

    def _rows(self, primitive: Primitive) -> slice:
        """The conductors of the terminal."""
        one = self.watched
        if isinstance(one, Transformer):
            lengths = [len(winding.terminal.nodes) for winding in one.windings]
        else:
            lengths = [len(one.start.nodes)] * 2 if isinstance(one, Line) else [len(primitive.nodes)]
        if not 0 <= self.control.terminal < len(lengths):
            raise DataError(
                f"the control {self.name} watches terminal {self.control.terminal} (from 0) of "
                f"{' '.join(self.control.element)}, which has {len(lengths)}."
            )
        start = sum(lengths[: self.control.terminal])
        return slice(start, start + lengths[self.control.terminal])

    def _seen(self, v: Complexes, taps: Mapping[Key, float]) -> tuple[Primitive, Complexes]:
        """The watched element's admittances and the voltages at its conductors in V."""
        one = self.watched
        if isinstance(one, Transformer):
            return _state(self.feeder, one, v, taps)
        if isinstance(one, Line):
            primitive = line(one)
        else:
            now = next(x for x in self.feeder.switched(taps) if x.kind == "capacitor" and x.name == one.name)
            primitive = shunt(now)
        return primitive, _volts_at(self.feeder, primitive, v)


def _one(sizes: Floats, phase: int, every: Floats) -> float:
    """That of a phase, or the mean (0), the highest (-1) or the lowest (-2) of all."""
    if phase > 0:
        return float(every[min(phase, len(every)) - 1])
    return float(sizes.mean() if phase == 0 else sizes.max() if phase == -1 else sizes.min())


def _at(feeder: Feeder, bus: str, nodes: tuple[int, ...], v: Complexes) -> Complexes:
    return np.array([v[feeder.position[f"{bus}.{node}"]] if node else 0.0 for node in nodes], dtype=np.complex128)


def _volts_at(feeder: Feeder, primitive: Primitive, v: Complexes) -> Complexes:
    found = [v[feeder.position[f"{bus}.{number}"]] if number else 0.0 for bus, number in primitive.nodes]
    return np.array(found, dtype=np.complex128)


def _state(feeder: Feeder, unit: Transformer, v: Complexes, taps: Mapping[Key, float]) -> tuple[Primitive, Complexes]:
    """A transformer's admittances at its present taps and the voltages at its conductors in V."""
    primitive = transformer(unit, {w: tap for (name, w), tap in taps.items() if name == unit.name})
    return primitive, _volts_at(feeder, primitive, v)


def tap_change(
    feeder: Feeder, control: RegulatorControl, v: Complexes, taps: Mapping[Key, float], reverse: bool = False
) -> float:
    """By how much the control wants to move its tap, pu: 0 within the band and where the tap is at its end.

    With u = |V / pt_ratio - (r + j x) I / ct_rating|, I leaving the winding, (set_point - u) pt_ratio / rated voltage
    rounded to whole steps of the tap would mend it; of these, 70 % are taken, at least one and at most max_change.
    In reverse u is divided by the tap, the reverse settings hold, and the tap moves the other way.

    v: node voltages in V, shape (nodes,). taps: the present turns ratios, those of ``regulation``.
    """
    unit = _unit(feeder, control)
    winding = unit.windings[control.winding]
    present = taps.get((unit.name, control.winding), winding.tap)
    reading = abs(_reading(feeder, control, unit, v, taps, reverse))
    if reverse:
        off, band = control.reverse_set_point - reading / present, control.reverse_band
    else:
        off, band = control.set_point - reading, control.band
    if abs(off) <= band / 2:
        return 0.0
    return _steps(control, unit, winding, -off if reverse else off, present)


def _steps(control: RegulatorControl, unit: Transformer, winding: Winding, off: float, present: float) -> float:
    step = (winding.tap_max - winding.tap_min) / winding.tap_steps
    steps = round(off * control.pt_ratio / winding_voltage(unit, winding) / step)
    free = present < winding.tap_max if steps > 0 else present > winding.tap_min
    if steps == 0 or not free:
        return 0.0
    # In this order of operations, so that the number of steps is cut off as OpenDSS cuts it.
    taken = min(max(int(_CAUTION * abs(steps * step) / step), 1), control.max_change)
    return taken * step if steps > 0 else -taken * step


def _reading(
    feeder: Feeder, control: RegulatorControl, unit: Transformer, v: Complexes, taps: Mapping[Key, float], reverse: bool
) -> complex:
    """What the control compares, V on its own base: with line drop compensation, unless read at a remote bus."""
    if control.bus is not None:
        node = control.bus.nodes[control.phase - 1]
        return complex(v[feeder.position[f"{control.bus.bus}.{node}"]] / control.pt_ratio)
    primitive, at = _state(feeder, unit, v, taps)
    offset = sum(len(winding.terminal.nodes) for winding in unit.windings[: control.winding])
    near, far = (offset + k for k in winding_ends(unit, unit.windings[control.winding], control.phase - 1))
    into = primitive.y[near] @ at
    active = control.r or control.x  # OpenDSS compensates in reverse only where it does forward
    drop = complex(control.reverse_r, control.reverse_x) if reverse and active else complex(control.r, control.x)
    return complex((at[near] - at[far]) / control.pt_ratio + drop * into / control.ct_rating)


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
