"""LineSpacing and LineGeometry: where the conductors of a line hang, and which they are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.errors import DataError
from gridmodel.grid.dss.conductors import CNData, Conductor, TSData
from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.values import Value
from gridmodel.grid.elements import Complexes
from gridmodel.grid.line_constants import Earth, line_constants

__all__ = ["LineGeometry", "LineSpacing", "placed"]

_FOOT = 0.3048


class LineSpacing(Draft):
    """Where conductors hang. unit: m."""

    kind: ClassVar[str] = "LineSpacing"
    properties: ClassVar[tuple[str, ...]] = split("nconds nphases x h units")

    def begin(self) -> None:
        self.count = self.phases = 3
        self.x, self.h = [0.0] * 3, [0.0] * 3
        self.unit: float | None = _FOOT

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "nconds":
                self.count = value.count()
                self.x, self.h, self.unit = [0.0] * self.count, [0.0] * self.count, _FOOT
            case "nphases":
                self.phases = value.count()
            case "x" | "h":
                numbers = value.numbers().tolist()
                if len(numbers) != self.count:
                    raise value.error(f"{self.count} numbers, one a conductor (say nconds before)")
                setattr(self, key, numbers)
            case "units":
                self.unit = value.unit()
            case _:
                return False
        return True

    def settle(self) -> None:
        if self.phases > self.count:
            raise self.error(f"nphases is {self.phases}, expected at most its {self.count} conductors.")


class LineGeometry(Draft):
    """Conductors and where they hang. rho: of the earth in ohm m.

    unit, last: of each place in m; 0.0 is not said yet, and then a metre, as in OpenDSS.
    """

    kind: ClassVar[str] = "LineGeometry"
    properties: ClassVar[tuple[str, ...]] = split(
        "nconds nphases cond wire x h units normamps emergamps reduce spacing wires cncable tscable cncables tscables "
        "seasons ratings linetype"
    )
    silent: ClassVar[frozenset[str]] = frozenset({"linetype"})

    def begin(self) -> None:
        self.phases = 0
        self.reduce = False
        self.own_rating: float | None = None
        self.rho = 100.0
        self._kept: dict[tuple[float, float, Earth], tuple[Complexes, Complexes]] = {}
        self._resize(0)

    def _resize(self, count: int) -> None:
        self.count, self.active, self.last = count, 0, _FOOT
        self.wires: list[Conductor | None] = [None] * count
        self.x, self.h, self.unit = [0.0] * count, [0.0] * count, [0.0] * count

    @classmethod
    def of(cls, spacing: LineSpacing, wires: list[Conductor | None], rho: float) -> LineGeometry:
        """What a line makes of its own spacing and wires."""
        made = cls(spacing.name, spacing.place, spacing.drafts)
        made._resize(spacing.count)
        made.phases, made.rho, made.reduce = spacing.phases, rho, spacing.count > spacing.phases
        made._hang(spacing)
        made.wires = wires
        return made

    def _hang(self, spacing: LineSpacing) -> None:
        self.last = spacing.unit or 1.0
        self.x, self.h, self.unit = list(spacing.x), list(spacing.h), [self.last] * self.count

    def assign(self, key: str, value: Value) -> bool:
        self._kept = {}
        match key:
            case "nconds":
                self._resize(value.count())
            case "nphases":
                self.phases = value.count()
            case "cond":
                self._activate(value)
            case "units":
                self._of(value)
                self.unit[self.active] = self.last = value.unit() or 1.0
            case "x" | "h":
                self._of(value)
                getattr(self, key)[self.active] = value.number()
            case "wire" | "cncable" | "tscable":
                self._of(value)
                self.wires[self.active] = conductor(self, key, value)
            case "wires" | "cncables" | "tscables":
                self.wires = placed(self, key, value, self.wires, self.phases)
                self.active = max(self.count - 1, 0)
            case "spacing":
                self._take_spacing(value)
            case "reduce":
                self.reduce = value.flag()
            case "normamps":
                self.own_rating = value.number()
            case _:
                return False
        return True

    def _of(self, value: Value) -> None:
        if not self.count:
            raise value.error("nconds before it, the number of conductors")

    def _activate(self, value: Value) -> None:
        k = value.integer()
        if k > self.count:
            raise value.error(f"1 to {self.count}; say nconds={k} before")
        self.active = k - 1
        self.unit[k - 1] = self.unit[k - 1] or self.last

    def _take_spacing(self, value: Value) -> None:
        spacing = self.drafts.find("LineSpacing", value)
        assert isinstance(spacing, LineSpacing)
        if spacing.count != self.count:
            raise value.error(f"a spacing of its {self.count} conductors, not {spacing.count}")
        self._hang(spacing)

    @property
    def order(self) -> int:
        """The number of conductors that a line of this geometry has."""
        return self.phases if self.reduce else self.count

    @property
    def rating(self) -> float:
        """A, its own or the first conductor's."""
        first = self.wires[0].rating if self.wires and self.wires[0] is not None else np.inf
        return self.own_rating if self.own_rating else first

    def constants(self, frequency: float, earth: Earth) -> tuple[Complexes, Complexes]:
        """z in ohm/m and y in S/m at a frequency in Hz.

        Raises:
            NetworkFileError: conductors that are missing or cannot be meant.
        """
        key = (frequency, self.rho, earth)
        if key not in self._kept:
            self._kept[key] = self._computed(frequency, earth)
        return self._kept[key]

    def _computed(self, frequency: float, earth: Earth) -> tuple[Complexes, Complexes]:
        if not 0 < self.phases <= self.count:
            raise self.error(f"nphases is {self.phases} and nconds {self.count}, expected 1 to nconds phases.")
        if None in self.wires:
            raise self.error(
                f"conductor {self.wires.index(None) + 1} has no wire; expected wire=NAME for each of them."
            )
        metres = [unit or 1.0 for unit in self.unit]
        wires = [
            one.wire(x * unit, h * unit)
            for one, x, h, unit in zip(self.wires, self.x, self.h, metres, strict=True)
            if one is not None
        ]
        try:
            return line_constants(wires, self.phases, frequency, self.rho, earth, self.reduce)
        except DataError as error:
            raise self.error(str(error)) from None


def conductor(owner: Draft, key: str, value: Value) -> Conductor:
    """The conductor that a property wire(s), cncable(s) or tscable(s) names."""
    found = owner.drafts.find({"w": "WireData", "c": "CNData", "t": "TSData"}[key[0]], value)
    assert isinstance(found, Conductor)
    return found


def placed(owner: Draft, key: str, value: Value, before: list[Conductor | None], phases: int) -> list[Conductor | None]:
    """The conductors with those of an array put in: of all, or of the bare ones beside cables that stand already."""
    found = [conductor(owner, key, one) for one in value.entries()]
    start = phases if key == "wires" and any(isinstance(one, CNData | TSData) for one in before) else 0
    end = start + len(found)
    if end != len(before) and not (key != "wires" and len(found) == phases):
        raise value.error(f"{len(before) - start} conductors, as many as there are places (got {len(found)})")
    return [*before[:start], *found, *before[end:]]
