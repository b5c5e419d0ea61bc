"""Capacitor and Reactor: to the ground, between nodes of a bus, or in series between two buses."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import Draft, sequences, split
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import Complexes, Floats, Line, Shunt, Terminal

__all__ = ["CapacitorDraft", "ReactorDraft"]


class _Branch(Draft):
    """What capacitors and reactors share: two terminals, phases, a rating."""

    word: ClassVar[str]

    def begin(self) -> None:
        self.bus1: BusSpec | None = None
        self.bus2: BusSpec | None = None
        self.phases = 3
        self.kv = 12.47
        self.delta = False
        self.kvar = np.array([0.0])

    def take_shared(self, key: str, value: Value) -> bool:
        """Takes a property that both classes have; False for another property."""
        match key:
            case "bus1":
                self.bus1 = value.bus()
            case "bus2":
                self.bus2 = value.bus()
            case "phases":
                self.phases = value.count()
            case "kv":
                self.kv = value.positive()
            case "conn":
                self.delta = value.delta()
            case _:
                return False
        return True

    @abstractmethod
    def admittance(self) -> Complexes:
        """The admittance from the first terminal to the second, shape (phases, phases), S."""

    def port_volts(self) -> float:
        """The rated voltage of a phase in V."""
        return self.kv * 1000 / (np.sqrt(3) if self.phases > 1 and not self.delta else 1.0)

    def build(self) -> Shunt | Line:
        """The element: a shunt where both ends are at one bus or the second is grounded, else a series line."""
        n = self.phases
        if self.delta:
            return self._delta()
        first = self.terminal(self.bus1, n, n)
        y = self.admittance()
        if self.bus2 is None or not any(self.bus2.filled(n, n)):
            return Shunt(self.name, first, y, self.word)
        second = self.terminal(self.bus2, n, n, "bus2")
        if first.bus == second.bus:
            both = Terminal(first.bus, first.nodes + second.nodes)
            return Shunt(self.name, both, np.block([[y, -y], [-y, y]]), self.word)
        z, none = np.asarray(np.linalg.inv(y), dtype=np.complex128), np.zeros((n, n), dtype=np.complex128)
        return Line(f"{self.word}.{self.name}", first, second, z, none)

    def _delta(self) -> Shunt:
        n = self.phases
        ports = 3 if n == 3 else n
        first = self.terminal(self.bus1, n, 3 if n == 3 else n + 1)
        a = np.zeros((ports, len(first.nodes)))
        for k in range(ports):
            a[k, k], a[k, (k + 1) % len(first.nodes)] = 1.0, -1.0
        return Shunt(self.name, first, a.T @ self.admittance() @ a, self.word)


class CapacitorDraft(_Branch):
    """A capacitor bank, with steps of which some may be open."""

    kind: ClassVar[str] = "Capacitor"
    word: ClassVar[str] = "capacitor"
    properties: ClassVar[tuple[str, ...]] = split("bus1 bus2 phases kvar kv conn cmatrix cuf r xl harm numsteps states")
    silent: ClassVar[frozenset[str]] = frozenset({"harm"})

    def begin(self) -> None:
        super().begin()
        self.steps = 1
        self.kvar = np.array([1200.0])
        self.micro: Floats | None = None
        self.nano: Floats | None = None
        self.states: Floats | None = None
        self.r, self.x = 0.0, 0.0

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kvar":
                self.kvar, self.micro, self.nano = self._steps(value), None, None
            case "cuf":
                self.micro, self.nano = self._steps(value), None
            case "cmatrix":
                self.nano = value.matrix(self.phases) * 1e3
            case "numsteps":
                self._divide(value.count())
            case "states":
                self.states = value.numbers()
            case "r":
                self.r = float(value.numbers()[0])
            case "xl":
                self.x = float(value.numbers()[0])
            case _:
                return self.take_shared(key, value)
        return True

    def _steps(self, value: Value) -> Floats:
        """One number a step that has been declared; one number alone is every step's."""
        numbers = value.numbers()
        if numbers.size not in (1, self.steps):
            raise value.error(f"a number for each of {self.steps} steps; say numsteps={numbers.size} before it")
        return np.full(self.steps, numbers[0]) if numbers.size == 1 else numbers

    def _divide(self, steps: int) -> None:
        """Divides what one step had; capacitances are every step's."""
        if self.steps == 1:
            self.kvar = np.full(steps, self.kvar[0] / steps)
            self.micro = None if self.micro is None else np.full(steps, self.micro[0])
        elif steps != self.steps:
            raise self.error(f"numsteps is {self.steps} and then {steps}, expected one of them.")
        self.steps = steps

    def _on(self, each: Floats) -> float:
        states = np.ones(self.steps)
        if self.states is not None:
            states[: self.states.size] = self.states[: self.steps] != 0
        return float(each @ states)

    def admittance(self) -> Complexes:
        ratio = self.drafts.frequency / self.base_frequency
        omega, one = 2 * np.pi * self.drafts.frequency, np.eye(self.phases)
        if self.nano is not None:
            b = omega * self.nano * 1e-9
        elif self.micro is not None:
            b = omega * self._on(self.micro) * 1e-6 * one
        else:
            b = ratio * self._on(self.kvar) * 1000 / self.phases / self.port_volts() ** 2 * one
        if not b.any():
            return np.zeros_like(b, dtype=np.complex128)
        z = np.linalg.inv(1j * b) + (self.r + 1j * self.x * ratio) * one
        return np.asarray(np.linalg.inv(z), dtype=np.complex128)


class ReactorDraft(_Branch):
    """A reactor or any constant impedance."""

    kind: ClassVar[str] = "Reactor"
    word: ClassVar[str] = "reactor"
    properties: ClassVar[tuple[str, ...]] = split(
        "bus1 bus2 phases kvar kv conn rmatrix xmatrix parallel r x rp z1 z2 z0 z rcurve lcurve lmh"
    )

    def begin(self) -> None:
        super().begin()
        self.kvar = np.array([100.0])
        self.given = "kvar"
        self.r, self.x, self.parallel, self.shunt_r = 0.0, 0.0, False, 0.0
        self.matrices: dict[str, Floats] = {}
        self.sequence: dict[str, complex] = {}

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kvar":
                self.kvar, self.given = np.array([value.positive()]), "kvar"
            case "r":
                self.r = value.number()
            case "x":
                self.x, self.given = value.number(), "x"
            case "lmh":
                self.x, self.given = value.number() * 1e-3 * 2 * np.pi * self.base_frequency, "x"
            case "z":
                self.r, self.x = self._pair(value)
                self.given = "x"
            case "rp":
                self.shunt_r = value.number()
            case "parallel":
                self.parallel = value.flag()
            case "rmatrix" | "xmatrix":
                self.matrices[key[0]], self.given = value.matrix(self.phases), "matrix"
            case "z1" | "z2" | "z0":
                self.sequence[key[1]], self.given = complex(*self._pair(value)), "sequence"
            case _:
                return self.take_shared(key, value)
        return True

    @staticmethod
    def _pair(value: Value) -> tuple[float, float]:
        pair = value.numbers()
        if pair.size != 2:
            raise value.error("two numbers [r, x]")
        return float(pair[0]), float(pair[1])

    def admittance(self) -> Complexes:
        n, ratio = self.phases, self.drafts.frequency / self.base_frequency
        one = np.eye(n)
        if self.given == "matrix":
            zero = np.zeros((n, n))
            r, x = self.matrices.get("r", zero), self.matrices.get("x", zero)
        elif self.given == "sequence":
            one_seq = self.sequence.get("1", 0j)
            try:
                z = sequences(self.sequence.get("0", one_seq), one_seq, self.sequence.get("2", one_seq), n)
            except ValueError as error:
                raise self.error(str(error)) from None
            r, x = z.real, z.imag
        else:
            x_one = self.x
            if self.given == "kvar":
                x_one = self.port_volts() ** 2 * n / (float(self.kvar[0]) * 1000)
            r, x = self.r * one, x_one * one
        x = x * ratio
        if self.parallel and self.given == "matrix":
            y = (np.linalg.inv(r) if r.any() else 0 * one) + (np.linalg.inv(1j * x) if x.any() else 0 * one)
        else:
            if not (r.any() or x.any()):
                raise self.error("its impedance is zero; expected r or x. Give one, or merge its buses.")
            y = np.linalg.inv(r + 1j * x)
        return np.asarray(y + (one / self.shunt_r if self.shunt_r else 0))
