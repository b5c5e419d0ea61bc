"""A multiphase distribution network: its parts, its nodes, its graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import UnknownNameError
from gridmodel.grid.elements import (
    Bus,
    CapacitorControl,
    Floats,
    Generator,
    Line,
    Load,
    RegulatorControl,
    Shunt,
    Source,
    Transformer,
)

if TYPE_CHECKING:
    from gridmodel.grid.assemble import Taps
    from gridmodel.grid.flow.result import LoadFlow
    from gridmodel.grid.flow.scenarios import Powers

__all__ = ["Feeder"]


@dataclass(frozen=True)
class Feeder:
    """A multiphase network in physical units, without islands and open ends unless the file has them.

    name: of the circuit. frequency in Hz. source_file: the name of the file it came from.
    profiles: load shapes by name, multipliers of shape (steps,). step: their step in hours.
    notes: what a reader should know, e.g. what the file holds that was left out.
    """

    name: str
    frequency: float
    buses: tuple[Bus, ...]
    sources: tuple[Source, ...]
    lines: tuple[Line, ...] = ()
    transformers: tuple[Transformer, ...] = ()
    regulators: tuple[RegulatorControl, ...] = ()
    shunts: tuple[Shunt, ...] = ()
    loads: tuple[Load, ...] = ()
    generators: tuple[Generator, ...] = ()
    profiles: Mapping[str, Floats] = field(default_factory=dict)
    step: float = 1.0
    source_file: str = ""
    notes: tuple[str, ...] = ()
    capacitor_controls: tuple[CapacitorControl, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Feeder({self.name!r}, {len(self.buses)} buses, {len(self.nodes)} nodes, {len(self.lines)} lines, "
            f"{len(self.transformers)} transformers, {len(self.loads)} loads)"
        )

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """The nodes as "bus.number", bus by bus; every array over nodes is in this order."""
        return tuple(f"{bus.name}.{number}" for bus in self.buses for number in bus.nodes)

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The position of every node in ``nodes``."""
        return {name: k for k, name in enumerate(self.nodes)}

    @cached_property
    def base(self) -> NDArray[np.float64]:
        """The voltage in V that is 1 pu at each node, shape (nodes,)."""
        return np.array([bus.base for bus in self.buses for _ in bus.nodes])

    @cached_property
    def _by_name(self) -> Mapping[str, Bus]:
        return {bus.name: bus for bus in self.buses}

    def bus(self, name: str) -> Bus:
        """The bus of this name.

        Raises:
            UnknownNameError: there is none.
        """
        if name not in self._by_name:
            raise UnknownNameError(f"{self.name} has no bus {name!r}.")
        return self._by_name[name]

    @cached_property
    def graph(self) -> nx.MultiGraph[str]:
        """Buses and what joins them; an edge's key is ("line" | "transformer", name), its data the element."""
        graph: nx.MultiGraph[str] = nx.MultiGraph(name=self.name)
        graph.add_nodes_from(bus.name for bus in self.buses)
        for line in self.lines:
            if line.closed:
                graph.add_edge(line.start.bus, line.end.bus, key=("line", line.name), element=line)
        for unit in self.transformers:
            first, *others = unit.windings
            for other in others:
                key = ("transformer", unit.name)
                graph.add_edge(first.terminal.bus, other.terminal.bus, key=key, element=unit)
        return graph

    def with_taps(self, taps: Taps) -> Feeder:
        """The same feeder at other turns ratios, by (transformer, winding from 0), and nothing to move them.

        A switched capacitor is in service in parts of its size, by ("capacitor NAME", 0).

        Raises:
            UnknownNameError: no such winding.
        """
        known = {(unit.name, k) for unit in self.transformers for k in range(len(unit.windings))}
        known |= {(f"capacitor {one.shunt}", 0) for one in self.capacitor_controls}
        if strange := [key for key in taps if key not in known]:
            raise UnknownNameError(f"{self.name} has no winding {strange[0]!r}; give (transformer, winding from 0).")
        units = tuple(
            replace(unit, windings=tuple(
                replace(winding, tap=float(taps.get((unit.name, k), winding.tap)))
                for k, winding in enumerate(unit.windings)
            ))
            for unit in self.transformers
        )  # fmt: skip
        shunts = self.switched(taps)
        return replace(self, transformers=units, shunts=shunts, regulators=(), capacitor_controls=())

    def switched(self, taps: Taps | None) -> tuple[Shunt, ...]:
        """The shunts, capacitors in service as far as ``taps`` says."""
        full = {f"capacitor {one.shunt}": one.y for one in self.capacitor_controls}
        part = {name: share for (name, _), share in (taps or {}).items() if name in full}
        if not part:
            return self.shunts
        names = (f"{one.kind} {one.name}" for one in self.shunts)
        return tuple(
            replace(one, y=part[name] * full[name]) if name in part else one
            for one, name in zip(self.shunts, names, strict=True)
        )

    def load_flow(
        self,
        loads: Powers = None,
        generation: Powers = None,
        taps: Taps | Literal["auto"] | None = None,
        tolerance: float = 1e-8,
        dtype: Any = np.complex128,
    ) -> LoadFlow:
        """The voltages at given powers, v = b - K i(v, s) over the ports of loads and generators, for one case or many.

        loads: None, the file's; a mapping from names to complex powers in VA, numbers or arrays of shape (scenarios,),
        the others as in the file; a complex array in VA of shape (scenarios, loads) or (loads,); or real multiples of
        the file's, a number or of shape (scenarios,) or (scenarios, loads). generation: what is injected, likewise.
        taps: None, the file's; turns ratios by (transformer, winding); or "auto", where the regulators and the controls
        of capacitors put them, in every scenario. tolerance: distance of any port's voltage from the solution in pu.
        dtype: complex128, or complex64 for half the time and 1e-6 pu.

        What the fixed point does not solve is tried by Newton in float64; what that does not solve either is "failed"
        in the answer's status, and its voltages are NaN.

        Raises:
            ModelError: powers of a wrong shape or name, numbers that are not finite, no source, or a wrong option.
        """
        from gridmodel.grid.flow.load_flow import load_flow

        return load_flow(self, loads, generation, taps, tolerance, dtype)
