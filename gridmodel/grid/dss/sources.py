"""Vsource: the circuit's source and others."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import Draft, sequences, split
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import Complexes, Source

__all__ = ["VsourceDraft"]


class VsourceDraft(Draft):
    """A voltage behind an impedance, given by short-circuit power, by short-circuit current or in ohm."""

    kind: ClassVar[str] = "Vsource"
    properties: ClassVar[tuple[str, ...]] = split(
        "bus1 basekv pu angle frequency phases mvasc3 mvasc1 x1r1 x0r0 isc3 isc1 r1 x1 r0 x0 scantype sequence bus2 z1 "
        "z0 z2 puz1 puz0 puz2 basemva yearly daily duty model puzideal"
    )
    silent: ClassVar[frozenset[str]] = frozenset({"scantype", "puzideal", "frequency", "yearly", "daily", "duty"})

    def begin(self) -> None:
        self.bus: BusSpec | None = BusSpec("sourcebus") if self.name == "source" else None
        self.other: BusSpec | None = None
        self.kv, self.pu, self.angle, self.phases = 115.0, 1.0, 0.0, 3
        self.mva3, self.mva1, self.x1r1, self.x0r0 = 2000.0, 2100.0, 4.0, 3.0
        self.isc3, self.isc1 = 0.0, 0.0
        self.given = "mva"
        self.z: dict[str, complex] = {}
        self.pu_z: dict[str, complex] = {}
        self.base_mva = 100.0
        self.turn = 1
        self.settle()

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "bus1":
                self.bus = value.bus()
            case "bus2":
                self.other = value.bus()
            case "basekv":
                self.kv = value.positive()
            case "pu":
                self.pu = value.number()
            case "angle":
                self.angle = value.number()
            case "phases":
                self.phases = value.count()
            case "basemva":
                self.base_mva = value.positive()
            case "sequence":
                turns = {"p": 1, "n": -1, "z": 0}
                if value.word[:1] not in turns:
                    raise value.error("positive, negative or zero")
                self.turn = turns[value.word[:1]]
            case "model":
                if not value.word.startswith("t"):
                    raise value.error("Thevenin")
            case _:
                return self._take_impedance(key, value)
        return True

    def _take_impedance(self, key: str, value: Value) -> bool:
        match key:
            case "mvasc3" | "mvasc1":
                setattr(self, {"mvasc3": "mva3", "mvasc1": "mva1"}[key], value.positive())
                self.given = "mva"
            case "isc3" | "isc1":
                setattr(self, key, value.positive())
                self.given = "isc"
            case "x1r1" | "x0r0":
                setattr(self, key, value.number())
            case "r1" | "r0" | "x1" | "x0":
                self.given = "ohm"
                old = self.z[key[1]]
                new = value.number()
                self.z[key[1]] = complex(new, old.imag) if key[0] == "r" else complex(old.real, new)
            case "z1" | "z0" | "z2" | "puz1" | "puz0" | "puz2":
                self._take_pair(key, value)
            case _:
                return False
        return True

    def _take_pair(self, key: str, value: Value) -> None:
        pair = value.numbers()
        if pair.size != 2:
            raise value.error("two numbers [r, x]")
        if self.given != "ohm":
            self.given, self.z = "ohm", {}
        self.pu_z.pop(key[-1], None)
        target = self.pu_z if key.startswith("pu") else self.z
        target[key[-1]] = complex(pair[0], pair[1])

    def settle(self) -> None:
        """The sequence impedances whose three-phase and one-phase faults draw the given powers or currents."""
        if self.given == "ohm":
            return
        factor = 1.0 if self.phases == 1 else np.sqrt(3)
        if self.given == "mva":
            self.isc3, self.isc1 = self.mva3 * 1000 / (np.sqrt(3) * self.kv), self.mva1 * 1000 / (factor * self.kv)
        else:
            self.mva3, self.mva1 = np.sqrt(3) * self.kv * self.isc3 / 1000, factor * self.kv * self.isc1 / 1000
        x1 = self.kv**2 / self.mva3 / np.sqrt(1 + 1 / self.x1r1**2)
        r1 = x1 / self.x1r1
        a, b = 1 + self.x0r0**2, 4 * (r1 + x1 * self.x0r0)
        c = 4 * (r1**2 + x1**2) - (3 * self.kv * 1000 / factor / self.isc1) ** 2
        under = b * b - 4 * a * c
        if under < 0:
            raise self.error(
                f"no zero-sequence impedance gives MVAsc1 = {self.mva1:g} beside MVAsc3 = {self.mva3:g}; expected "
                "MVAsc1 at most about 1.5 MVAsc3. Give both, or r1, x1, r0 and x0."
            )
        r0 = (-b + np.sqrt(under)) / (2 * a)
        self.z = {"1": complex(r1, x1), "0": complex(r0, r0 * self.x0r0)}

    def _impedance(self) -> Complexes:
        z = self.z | {k: v * self.kv**2 / self.base_mva for k, v in self.pu_z.items()}
        one = z.get("1", z.get("2"))
        if one is None:
            raise self.error("z0 without z1; expected z1=[r, x] too.")
        zero, two = z.get("0", one), z.get("2", one)
        if self.phases == 1:  # given in ohm, one phase alone has no zero sequence
            return np.array([[one if self.given == "ohm" else (2 * one + zero) / 3]])
        try:
            return sequences(zero, one, two, self.phases)
        except ValueError as error:
            raise self.error(str(error)) from None

    def build(self) -> Source:
        """The source."""
        terminal = self.terminal(self.bus, self.phases, self.phases)
        if self.other is not None and any(self.other.filled(self.phases, self.phases)):
            raise self.error("bus2 is not the ground; expected a source from one bus to the ground. Remove bus2.")
        size = self.kv * 1000 * self.pu
        if self.phases > 1:
            size /= 2 * np.sin(np.pi / self.phases)
        degrees = self.angle - self.turn * 360 / self.phases * np.arange(self.phases)
        return Source(self.name, terminal, size * np.exp(1j * np.radians(degrees)), self._impedance())
