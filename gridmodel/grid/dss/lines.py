"""LineCode and Line."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.conductors import Conductor
from gridmodel.grid.dss.draft import Draft, coupled, reduced, split
from gridmodel.grid.dss.geometry import LineGeometry, LineSpacing, placed
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import Complexes, Floats, Line
from gridmodel.grid.line_constants import Earth

__all__ = ["LineCode", "LineDraft", "earth_model"]

_KFT = 304.8
_SEQUENCE = ("r1", "x1", "r0", "x0", "c1", "c0")


class _Impedance(Draft):
    """The impedance per unit of length: from sequence values, or matrices once one is given.

    r, x in ohm, c in nF, all per unit of length. unit: that length in m, None where the file does not say.
    """

    def begin(self) -> None:
        self.phases = 3
        self.sequence = dict(zip(_SEQUENCE, (0.058, 0.1206, 0.1784, 0.4047, 3.4, 1.6), strict=True))
        self.matrices: dict[str, Floats] | None = None
        self.unit: float | None = None
        self.earth = {"rg": 0.01805, "xg": 0.155081, "rho": 100.0}
        self.rating = np.inf

    def take_impedance(self, key: str, value: Value) -> bool:
        """Takes a property of the impedance; False for another property."""
        if key in _SEQUENCE:
            self.sequence[key] = value.number()
            self.matrices = None
        elif key in ("b1", "b0"):
            self.sequence[f"c{key[1]}"] = value.number() / (2 * np.pi * self.base_frequency) * 1e3
            self.matrices = None
        elif key in ("rmatrix", "xmatrix", "cmatrix"):
            self.matrices = {**self.dense(), key[0]: value.matrix(self.phases)}
        elif key in self.earth:
            self.earth[key] = value.number()
        elif key == "normamps":
            self.rating = value.positive()
        else:
            return False
        return True

    def dense(self) -> dict[str, Floats]:
        """The matrices r, x and c per unit of length."""
        if self.matrices is not None:
            return dict(self.matrices)
        s = self.sequence
        return {k: coupled(s[f"{k}1"], s[f"{k}0"], self.phases).real for k in "rxc"}


class LineCode(_Impedance):
    """A kind of line."""

    kind: ClassVar[str] = "LineCode"
    properties: ClassVar[tuple[str, ...]] = split(
        "nphases r1 x1 r0 x0 c1 c0 units rmatrix xmatrix cmatrix basefreq normamps emergamps faultrate pctperm repair "
        "kron rg xg rho neutral b1 b0 seasons ratings linetype"
    )
    silent: ClassVar[frozenset[str]] = frozenset({"linetype"})

    def begin(self) -> None:
        super().begin()
        self.neutral = 0

    def assign(self, key: str, value: Value) -> bool:
        if key == "nphases":
            phases = value.count()
            if phases != self.phases:
                self.phases, self.matrices = phases, None
        elif key == "units":
            self.unit = value.unit()
        elif key == "neutral":
            self.neutral = value.integer()
        elif key == "kron":
            if value.flag():
                self._reduce(value)
        else:
            return self.take_impedance(key, value)
        return True

    def _reduce(self, value: Value) -> None:
        k = (self.neutral or self.phases) - 1
        if not 0 <= k < self.phases or self.phases < 2:
            raise value.error(f"no, for a code of {self.phases} phases without conductor {k + 1} to eliminate")
        m = self.dense()
        z = reduced(m["r"] + 1j * m["x"], k)
        keep = np.arange(self.phases) != k
        self.phases -= 1
        # A grounded conductor drops out of the capacitance matrix: its voltage is 0.
        self.matrices = {"r": z.real, "x": z.imag, "c": m["c"][np.ix_(keep, keep)]}


class LineDraft(_Impedance):
    """A line or switch."""

    kind: ClassVar[str] = "Line"
    properties: ClassVar[tuple[str, ...]] = split(
        "bus1 bus2 linecode length phases r1 x1 r0 x0 c1 c0 rmatrix xmatrix cmatrix switch rg xg rho geometry units "
        "spacing wires earthmodel cncables tscables b1 b0 seasons ratings linetype"
    )
    silent: ClassVar[frozenset[str]] = frozenset({"linetype"})

    def begin(self) -> None:
        super().begin()
        self.geometry: LineGeometry | None = None
        self.spacing: LineSpacing | None = None
        self.wires: list[Conductor | None] = []
        self.earth_model = self.drafts.earth
        self.rho_given = False
        self.bus1: BusSpec | None = None
        self.bus2: BusSpec | None = None
        self.length = 1.0
        self.own_unit: float | None = None
        self.charged = False
        self.switch = False
        self.opened: set[int] = set()

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "bus1":
                self.bus1 = value.bus()
            case "bus2":
                self.bus2 = value.bus()
            case "length":
                self.length = value.number()
            case "linecode":
                self._take_code(value)
            case "phases":
                self._take_phases(value)
            case "units":
                self.own_unit = value.unit()
            case "switch":
                self.switch = value.flag()
                if self.switch:
                    self._forget_wires()
                    self.sequence = dict(zip(_SEQUENCE, (1.0, 1.0, 1.0, 1.0, 1.1, 1.0), strict=True))
                    self.matrices = self.unit = self.own_unit = None
                    self.length, self.charged = 0.001, False
            case "geometry" | "spacing" | "wires" | "cncables" | "tscables" | "earthmodel":
                self._take_wires(key, value)
            case _:
                if key in (*_SEQUENCE, "b1", "b0", "rmatrix", "xmatrix", "cmatrix"):
                    self.unit = None  # given for the line's own unit of length
                    self.charged |= key[0] in "bc"
                    self._forget_wires()
                found = self.take_impedance(key, value)
                self.rho_given |= key == "rho"
                self._tell_rho()
                return found
        return True

    def _take_wires(self, key: str, value: Value) -> None:
        """Takes a property that says which wires the line has, or what lies under them."""
        if key == "earthmodel":
            self.earth_model = earth_model(value)
        elif key == "geometry":
            geometry = self.drafts.find("LineGeometry", value)
            assert isinstance(geometry, LineGeometry)
            self._forget_wires()
            self.geometry, self.phases, self.rating = geometry, geometry.order, geometry.rating
            self._tell_rho()
        elif key == "spacing":
            spacing = self.drafts.find("LineSpacing", value)
            assert isinstance(spacing, LineSpacing)
            self._forget_wires()
            self.spacing, self.phases, self.wires = spacing, spacing.phases, [None] * spacing.count
        elif self.spacing is None:
            raise value.error("spacing=NAME before it")
        else:
            self.wires = placed(self, key, value, self.wires, self.spacing.phases)
            self.rating = min((one.rating for one in self.wires[:1] if one is not None), default=np.inf)

    def _forget_wires(self) -> None:
        """Another kind of impedance stands in their place."""
        if self.geometry is not None or self.spacing is not None:
            self.matrices = None
        self.geometry = self.spacing = None

    def _tell_rho(self) -> None:
        """As OpenDSS: a line's earth becomes that of its geometry, for all lines that share it."""
        if self.rho_given and self.geometry is not None:
            self.geometry.rho = self.earth["rho"]

    def _take_code(self, value: Value) -> None:
        code = self.drafts.find("LineCode", value)
        assert isinstance(code, LineCode)
        self._forget_wires()
        if self.switch and code.matrices is not None:  # as OpenDSS: the switch keeps its own impedance
            self.phases = code.phases
            return
        self.phases, self.sequence, self.earth = code.phases, dict(code.sequence), dict(code.earth)
        self.charged = True
        self.matrices = None if code.matrices is None else dict(code.matrices)
        self.base_frequency, self.unit = code.base_frequency, code.unit
        if np.isfinite(code.rating):
            self.rating = code.rating

    def _take_phases(self, value: Value) -> None:
        phases = value.count()
        fixed = self.matrices is not None or self.geometry is not None or self.spacing is not None
        if phases != self.phases and fixed:
            raise value.error(f"{self.phases}, the order that its matrices, line code, geometry or spacing gives")
        self.phases = phases

    def dense(self) -> dict[str, Floats]:
        if self.matrices is None and self.phases == 1:  # one phase alone has no zero sequence
            found = {k: np.array([[self.sequence[f"{k}1"]]]) for k in "rxc"}
        else:
            found = super().dense()
        if not self.charged and self.own_unit is not None:  # the usual capacitance is one of 1000 ft
            found["c"] = found["c"] * (self.own_unit / _KFT)
        return found

    def series_and_shunt(self) -> tuple[Complexes, Complexes]:
        """z in ohm and y in S of the whole length, at the circuit's frequency."""
        geometry = self.geometry
        if self.spacing is not None:
            if None in self.wires:
                raise self.error("its spacing has no conductors; expected wires=[..], cncables=[..] or tscables=[..].")
            rho = self.earth["rho"] if self.rho_given else 100.0
            geometry = LineGeometry.of(self.spacing, self.wires, rho)
        if geometry is not None:
            metres = self.length * (self.own_unit or 1.0)
            z, y = geometry.constants(self.drafts.frequency, self.earth_model)
            return z * metres, y * metres
        m = self.dense()
        own, per = self.own_unit, self.unit
        length = self.length * (own / per if own is not None and per is not None else 1.0)
        hertz = self.drafts.frequency
        ratio = hertz / self.base_frequency
        r, x = m["r"], m["x"]
        if ratio != 1:  # the earth's part of the impedance does not grow in proportion
            r = r + self.earth["rg"] * (ratio - 1)
            depth = np.log(658.5 * np.sqrt(self.earth["rho"] / self.base_frequency))
            x = (x - 0.5 * self.earth["xg"] / depth * np.log(ratio)) * ratio
        z = np.asarray((r + 1j * x) * length, dtype=np.complex128)
        return z, np.asarray(2j * np.pi * hertz * m["c"] * 1e-9 * length, dtype=np.complex128)

    def build(self) -> Line:
        """The line."""
        start = self.terminal(self.bus1, self.phases, self.phases)
        end = self.terminal(self.bus2, self.phases, self.phases, "bus2")
        z, y = self.series_and_shunt()
        return Line(self.name, start, end, z, y, not self.opened, self.switch, self.rating)


def earth_model(value: Value) -> Earth:
    """The model of the return through the earth that a word means."""
    models: dict[str, Earth] = {"c": "carson", "f": "fullcarson", "d": "deri"}
    if value.word[:1] not in models:
        raise value.error("Carson, FullCarson or Deri")
    return models[value.word[:1]]
