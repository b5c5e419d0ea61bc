"""LoadShape and XYcurve."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.tables import binary, table
from gridmodel.grid.dss.values import Value
from gridmodel.grid.elements import Floats

__all__ = ["CurveDraft", "ShapeDraft", "aligned"]

DEFAULT_DAY = (
    0.677, 0.6256, 0.6087, 0.5833, 0.58028, 0.6025, 0.657, 0.7477, 0.832, 0.88, 0.94, 0.989, 0.985, 0.98, 0.9898,
    0.999, 1.0, 0.958, 0.936, 0.913, 0.876, 0.876, 0.828, 0.756,
)  # fmt: skip


class ShapeDraft(Draft):
    """A load shape. interval: its step in hours."""

    kind: ClassVar[str] = "LoadShape"
    properties: ClassVar[tuple[str, ...]] = split(
        "npts interval mult hour mean stddev csvfile sngfile dblfile action qmult useactual pmax qmax sinterval "
        "minterval pbase qbase pmult pqcsvfile memorymapping interpolation"
    )
    silent: ClassVar[frozenset[str]] = frozenset(split("mean stddev pmax qmax qbase memorymapping interpolation"))

    def begin(self) -> None:
        self.count = 0
        self.interval = 1.0
        self.values: Floats = np.zeros(0)
        self.base = 0.0
        self.actual = False

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "npts":
                self.count = value.integer(0)
            case "interval" | "minterval" | "sinterval":
                self.interval = value.number() / {"i": 1, "m": 60, "s": 3600}[key[0]]
            case "mult" | "pmult":
                self.values = self._cut(value, value.numbers())
            case "csvfile" | "pqcsvfile":
                columns = table(value.owner, value.text, value.parameter.place)
                if key == "csvfile" and self.interval == 0:
                    raise value.error("a shape of equal steps, interval above 0")
                self.values = self._cut(value, columns[:, 0])
                if columns.shape[1] > 1:
                    self._only_active()
            case "sngfile" | "dblfile":
                kind = np.float32 if key == "sngfile" else np.float64
                self.values = self._cut(value, binary(value.owner, value.text, value.parameter.place, kind))
            case "action":
                if value.word.startswith("n") and self.values.any():
                    self.values = self.values / (self.base or float(np.abs(self.values).max()))
            case "hour":
                if value.numbers().size and self.interval == 0:
                    raise value.error("a shape of equal steps, interval above 0")
            case "qmult":
                if not np.array_equal(value.numbers()[: self.count or None], self.values):
                    self._only_active()
            case "pbase":
                self.base = value.number()
            case "useactual":
                self.actual = value.flag()
                if self.actual:
                    raise value.error("no; actual kW in a shape are not supported, use multipliers")
            case _:
                return False
        return True

    def _only_active(self) -> None:
        self.drafts.note_of("have reactive multipliers, which are left out; the active ones multiply both", self.title)

    def _cut(self, value: Value, numbers: Floats) -> Floats:
        if self.count and numbers.size < self.count:
            raise value.error(f"at least npts = {self.count} numbers (got {numbers.size})")
        return numbers[: self.count or None]


class CurveDraft(Draft):
    """A curve y(x)."""

    kind: ClassVar[str] = "XYCurve"
    properties: ClassVar[tuple[str, ...]] = split(
        "npts points yarray xarray csvfile sngfile dblfile x y xshift yshift xscale yscale"
    )

    def begin(self) -> None:
        self.x: Floats = np.zeros(0)
        self.y: Floats = np.zeros(0)

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "npts":
                value.integer()
            case "xarray":
                self.x = value.numbers()
            case "yarray":
                self.y = value.numbers()
            case "points":
                self.x, self.y = value.numbers().reshape(-1, 2).T
            case "csvfile":
                self.x, self.y = table(value.owner, value.text, value.parameter.place)[:, :2].T
            case _:
                return False
        return True

    def at(self, x: float) -> float:
        """The curve at x, straight between its points and at its ends beyond them."""
        if not self.x.size or self.x.size != self.y.size:
            raise self.error(f"{self.x.size} x and {self.y.size} y values, expected as many of each.")
        return float(np.interp(x, self.x, self.y))


def aligned(shapes: list[ShapeDraft]) -> tuple[dict[str, Floats], float]:
    """All shapes on the finest step among them, in hours; longer steps are held.

    Raises:
        NetworkFileError: a step that is no multiple of the finest.
    """
    shapes = [shape for shape in shapes if shape.values.size and shape.interval > 0]
    if not shapes:
        return {}, 1.0
    step = min(shape.interval for shape in shapes)
    found = {}
    for shape in shapes:
        times = round(shape.interval / step)
        if abs(times * step - shape.interval) > 1e-9 * shape.interval:
            raise shape.error(
                f"its step is {shape.interval:g} h and the finest of the file {step:g} h; expected a multiple of it."
            )
        found[shape.name] = np.repeat(shape.values, times)
    return found, step
