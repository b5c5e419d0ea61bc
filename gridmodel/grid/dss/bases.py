"""The base voltage of every bus: voltages without load spread from the sources, then the nearest listed base."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

import numpy as np

from gridmodel.grid.elements import Complexes, Line, Source, Terminal, Transformer, Winding
from gridmodel.grid.primitives import winding_ends, winding_voltage

__all__ = ["Volts", "nearest", "rated", "spread"]

Volts = dict[tuple[str, int], complex]
Ends = list[tuple[int, int]]


def nearest(volts: float, bases: Sequence[float]) -> float:
    """The line-to-neutral base in V of a bus: of the listed line-to-line bases in kV, the relatively nearest.

    volts: the bus's voltage to ground without load, in V.
    Source: OpenDSS, CalcVoltageBases.
    """
    kv = volts * np.sqrt(3) / 1000
    return float(min(bases, key=lambda base: abs(1 - kv / base)) * 1000 / np.sqrt(3))


def spread(sources: Iterable[Source], lines: Iterable[Line], units: Iterable[Transformer]) -> Volts:
    """The voltages to ground in V at no load, without impedances; nodes that no source reaches are missing.

    A line has one voltage at both ends of a conductor; the phases of a transformer's windings have voltages in the
    ratio of their rated ones; a winding of which no node is known yet is taken to float evenly around the ground.
    """
    walk = _Walk(list(lines), list(units))
    for source in sources:
        for node, v in zip(source.terminal.nodes, source.v, strict=True):
            walk.know(source.terminal.bus, node, complex(v))
    walk.settle()
    return walk.volts


def rated(terminal: Terminal, volts: float, phases: int, connection: str) -> Volts:
    """The voltages to ground that a rated voltage suggests where nothing else says one."""
    size = volts / np.sqrt(3) if phases > 1 or connection == "delta" else volts
    return {(terminal.bus, node): complex(size) for node in terminal.nodes if node}


class _Walk:
    """The voltages known so far and the elements to look at again."""

    def __init__(self, lines: list[Line], units: list[Transformer]) -> None:
        self.volts: Volts = {}
        self.at: dict[str, list[Line | Transformer]] = defaultdict(list)
        self.waiting: deque[Line | Transformer] = deque()
        self.units = units
        for line in lines:
            for bus in {line.start.bus, line.end.bus}:
                self.at[bus].append(line)
        for unit in units:
            for bus in {winding.terminal.bus for winding in unit.windings}:
                self.at[bus].append(unit)

    def know(self, bus: str, node: int, volts: complex) -> None:
        """Keeps a node's voltage and looks again at what touches its bus."""
        if node and (bus, node) not in self.volts:
            self.volts[bus, node] = volts
            self.waiting.extend(self.at[bus])

    def of(self, bus: str, node: int) -> complex | None:
        """The voltage of a node, None while it is unknown."""
        return 0j if node == 0 else self.volts.get((bus, node))

    def settle(self) -> None:
        """Goes on until nothing new is known; floating windings come last, one at a time."""
        while True:
            while self.waiting:
                element = self.waiting.popleft()
                if isinstance(element, Line):
                    self._line(element)
                else:
                    self._transformer(element, floats=False)
            before = len(self.volts)
            for unit in self.units:
                self._transformer(unit, floats=True)
                if len(self.volts) > before:
                    break
            else:
                return

    def _line(self, line: Line) -> None:
        for one, other in ((line.start, line.end), (line.end, line.start)):
            for a, b in zip(one.nodes, other.nodes, strict=True):
                volts = self.of(one.bus, a)
                if volts is not None:
                    self.know(other.bus, b, volts)

    def _transformer(self, unit: Transformer, floats: bool) -> None:
        turns = next((found for winding in unit.windings if (found := self._turn(unit, winding)) is not None), None)
        if turns is None:
            return
        for winding in unit.windings:
            self._set(winding, _ends(unit, winding), turns * winding_voltage(unit, winding) * winding.tap, floats)

    def _turn(self, unit: Transformer, winding: Winding) -> Complexes | None:
        """The voltage across each phase in pu of the winding's rated one; None while a node of it is unknown."""
        volts = []
        for pair in _ends(unit, winding):
            a, b = (self.of(winding.terminal.bus, node) for node in pair)
            if a is None or b is None:
                return None
            volts.append((a - b) / (winding_voltage(unit, winding) * winding.tap))
        return np.array(volts, dtype=np.complex128)

    def _set(self, winding: Winding, ends: Ends, across: Complexes, floats: bool) -> None:
        bus = winding.terminal.bus
        nodes = dict.fromkeys(node for pair in ends for node in pair)
        known = {node: v for node in nodes if (v := self.of(bus, node)) is not None}
        if not known and floats:
            start = next(iter(nodes))
            shape = _follow({start: 0j}, ends, across)
            neutral = winding.terminal.nodes[-1] if winding.connection == "wye" else None
            around = [v for node, v in shape.items() if node != neutral]
            known = {start: shape[start] - sum(around) / len(around)}
        for node, v in _follow(known, ends, across).items():
            self.know(bus, node, v)


def _ends(unit: Transformer, winding: Winding) -> Ends:
    """The two nodes of each phase of a winding."""
    places = [winding_ends(unit, winding, phase) for phase in range(unit.phases)]
    return [(winding.terminal.nodes[near], winding.terminal.nodes[far]) for near, far in places]


def _follow(known: dict[int, complex], ends: Ends, across: Complexes) -> dict[int, complex]:
    """The nodes that follow from the known ones by the voltages across pairs of them."""
    found = dict(known)
    for _ in ends:
        for (a, b), v in zip(ends, across, strict=True):
            if a in found and b not in found:
                found[b] = found[a] - complex(v)
            elif b in found and a not in found:
                found[a] = found[b] + complex(v)
    return found
