"""What an optimal power flow needs of a feeder: a tree of series blocks between ports, in pu, and what hangs on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Bus, Generator, Source
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.ports import ports
from gridmodel.physics.multiphase.frames import Frame, floats, frame_of
from gridmodel.physics.multiphase.hermitian import to_numbers
from gridmodel.physics.multiphase.series import POWER, Series, core, joined, rows_of
from gridmodel.physics.multiphase.tree import Step, tree_of

__all__ = ["Branch", "LoadPort", "Plan", "UnitPort", "plan_of"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Branch:
    """A series block from bus ``parent`` to bus ``child`` (positions in ``Plan.frames``)."""

    name: str
    parent: int
    child: int
    series: Series


@dataclass(frozen=True)
class LoadPort:
    """Constant power s (pu) drawn between conductors of a bus whose voltage is row @ v_ports, shape (d,)."""

    bus: int
    row: tuple[float, ...]
    s: complex


@dataclass(frozen=True)
class UnitPort:
    """One phase of a generator: p in [p_min, p_max], q in [q_min, q_max], |p + j q| <= s_max, all pu; cost in $/MWh."""

    name: str
    bus: int
    row: tuple[float, ...]
    p: tuple[float, float]
    q: tuple[float, float]
    s_max: float
    cost: float


@dataclass(frozen=True)
class Plan:
    """A feeder as a tree; bus 0 is the source, with the voltage v[0].

    frames: the ports of every bus, parents first. v: port voltages without load, pu of the line-to-neutral base;
    around: those at which linear parts are taken, v unless others are given.
    shunts: admittances between ports, pu. branches: branch k feeds bus k + 1.
    Power in MW and Mvar a conductor is pu: the base is 1 MVA a conductor.
    """

    name: str
    frames: tuple[Frame, ...]
    v: tuple[Complexes, ...]
    around: tuple[Complexes, ...]
    shunts: tuple[Complexes, ...]
    branches: tuple[Branch, ...]
    loads: tuple[LoadPort, ...]
    units: tuple[UnitPort, ...]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The buses that each bus feeds."""
        found: list[list[int]] = [[] for _ in self.frames]
        for branch in self.branches:
            found[branch.parent].append(branch.child)
        return tuple(tuple(one) for one in found)

    @cached_property
    def stiff(self) -> frozenset[int]:
        """Buses whose voltage is given: the source, and what mere ratios join to it."""
        found = {0}
        for branch in self.branches:
            if branch.parent in found and branch.series.ideal:
                found.add(branch.child)
        return frozenset(found)

    def lift(self, bus: int) -> Complexes:
        """V of the ports is lift X lift^H of the matrix X that is looked for; a given V = v v^H has rank one."""
        if bus in self.stiff:
            return self.v[bus][:, None]
        return np.eye(self.frames[bus].size, dtype=np.complex128)

    def width(self, bus: int) -> int:
        """The side of the matrix X that is looked for at a bus."""
        return 1 if bus in self.stiff else self.frames[bus].size

    def moving(self, bus: int) -> int:
        """How many numbers of X at a bus are looked for; none where the voltage is given."""
        return 0 if bus in self.stiff else self.frames[bus].size ** 2

    def still(self, bus: int) -> Floats:
        """The numbers of X at a bus without load."""
        v = np.ones(1, dtype=np.complex128) if bus in self.stiff else self.v[bus]
        return to_numbers(np.outer(v, v.conj()))

    @cached_property
    def reach(self) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
        """More power than ever arrives at the ports of each bus, and than is drawn for it where its branch starts, pu.

        Half more than all loads, generators and shunts below add up to, without regard to their signs.
        """
        total = [1e-3 + np.abs(Y).sum(axis=1) for Y in self.shunts]
        hanging = [(load.bus, load.row, abs(load.s)) for load in self.loads]
        hanging += [(u.bus, u.row, float(np.hypot(np.abs(u.p).max(), np.abs(u.q).max()))) for u in self.units]
        for bus, numbers, size in hanging:
            row, v = np.array(numbers), self.v[bus]
            total[bus] = total[bus] + size * np.abs(v * row / (row @ v))
        drawn = [np.zeros(0)] * len(self.frames)
        for branch in reversed(self.branches):
            R, v = branch.series.R, self.v[branch.parent]
            drawn[branch.child] = np.abs(v[:, None] * R.T / (R @ v)[None, :]) @ total[branch.child]
            total[branch.parent] = total[branch.parent] + drawn[branch.child]
        return tuple(1.5 * one for one in total), tuple(1.5 * one for one in drawn)

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of every bus by name."""
        return {frame.bus: k for k, frame in enumerate(self.frames)}


def plan_of(
    feeder: Feeder, loads: Literal["power", "zip"] = "power", load_scale: float = 1.0, negligible: float = 0.0
) -> Plan:
    """The tree of a feeder.

    Regulators keep the taps that they have. Loads: "power" takes all as constant power at their rated value; "zip"
    keeps constant impedance and power, and takes constant current as half of each (exact to first order at 1 pu).
    Behind ungrounded windings voltages are measured between conductors; shunts there carry no current to the ground.

    Args:
        negligible: impedances up to this size (pu, 1 MVA a conductor) are mere ratios.

    Raises:
        ModelError: a loop, an island with loads, an element without such a form, or data out of range.
    """
    if loads not in ("power", "zip"):
        raise ModelError(f'loads={loads!r} is not known; available: "power", "zip".')
    if not 0 <= load_scale < np.inf:
        raise ModelError(
            f"load_scale={load_scale!r}: expected a finite number of at least 0; 1 is the load of the file."
        )
    steps = tree_of(feeder)
    frames, branches, v = _grown(feeder, steps, negligible)
    index = {frame.bus: k for k, frame in enumerate(frames)}
    drawn, impedances = _loads(feeder, frames, index, loads, load_scale)
    shunts = _shunts(feeder, frames, index, steps)
    for k, Y in impedances:
        shunts[k] += Y
    for branch in branches:
        shunts[branch.parent] += branch.series.Y
    units = tuple(_units(feeder, frames, index))
    return Plan(feeder.name, tuple(frames), tuple(v), tuple(v), tuple(shunts), tuple(branches), drawn, units)


def _grown(
    feeder: Feeder, steps: tuple[Step, ...], negligible: float
) -> tuple[list[Frame], list[Branch], list[Complexes]]:
    """Frames, branches and voltages without load, from the source outwards."""
    source = feeder.sources[0]
    bus = feeder.bus(source.terminal.bus)
    start = _source_v(source, bus)
    frames, branches, v = [frame_of(bus, True)], list[Branch](), [start]
    z = np.asarray(source.z, dtype=np.complex128) / (bus.base**2 / POWER)
    if np.abs(z).max() > negligible:
        ideal = frame_of(Bus(f"source {source.name}", bus.nodes, bus.base), True)
        one = np.eye(len(bus.nodes), dtype=np.complex128)
        inner = Series(one, z, 0 * one, one, np.full(len(bus.nodes), np.inf))
        frames, branches, v = [ideal, *frames], [Branch(f"source {source.name}", 0, 1, inner)], [start, start]
    index = {frame.bus: k for k, frame in enumerate(frames)}
    reference = _reference(feeder)
    for step in steps:
        up, down = feeder.bus(step.parent), feeder.bus(step.child)
        rows = rows_of(step, up, down, negligible)
        near = frames[index[up.name]]
        far = frame_of(down, not floats(rows.E, rows.N, near, str(step)), reference)
        series = joined(rows, near, far, str(step))
        index[down.name] = len(frames)
        branches.append(Branch(_named(step), index[up.name], len(frames), series))
        frames.append(far)
        v.append(series.R @ v[index[up.name]])
    return frames, branches, v


def _named(step: Step) -> str:
    return "+".join([line.name for line in step.lines] + [unit.name for unit in step.transformers])


def _source_v(source: Source, bus: Bus) -> Complexes:
    if sorted(source.terminal.nodes) != list(bus.nodes):
        raise ModelError(f"source {source.name} holds nodes {source.terminal.nodes} of bus {bus.name} {bus.nodes}.")
    order = [source.terminal.nodes.index(node) for node in bus.nodes]
    return np.asarray(source.v, dtype=np.complex128)[order] / bus.base


def _reference(feeder: Feeder) -> int:
    """The phase to which most of what lies between two conductors is connected."""
    table = ports(feeder)
    lone = np.diff(table.incidence.indptr) == 2
    columns = table.incidence[lone].indices
    numbers = np.array([int(feeder.nodes[k].rsplit(".", 1)[1]) for k in columns], dtype=np.intp)
    return int(np.bincount(numbers, minlength=4).argmax()) if numbers.size else 0


def _loads(
    feeder: Feeder, frames: list[Frame], index: dict[str, int], kind: str, scale: float
) -> tuple[tuple[LoadPort, ...], list[tuple[int, Complexes]]]:
    """Constant power by bus and port, and the admittances of what is constant impedance."""
    table = ports(feeder)
    powers: dict[tuple[int, tuple[float, ...]], complex] = {}
    admittances: list[tuple[int, Complexes]] = []
    for k in range(sum(load.phases for load in feeder.loads)):
        entries = slice(table.incidence.indptr[k], table.incidence.indptr[k + 1])
        nodes = [feeder.nodes[column].rsplit(".", 1) for column in table.incidence.indices[entries]]
        bus = nodes[0][0]
        if bus not in index:
            continue
        where = index[bus]
        numbers = [int(number) for _, number in nodes]
        row = frames[where].row(numbers[0], numbers[1] if len(numbers) > 1 else 0)
        s = complex(table.s[k]) * scale / POWER
        z, i, c = np.stack([table.zip_p[k], table.zip_q[k]], axis=1)
        impedance, power = (z + i / 2, c + i / 2) if kind == "zip" else (np.zeros(2), np.ones(2))
        key = (where, _sign(row))
        powers[key] = powers.get(key, 0j) + complex(s.real * power[0], s.imag * power[1])
        if impedance.any():
            rated = float(table.v[k]) / feeder.bus(bus).base
            y = complex(s.real * impedance[0], -s.imag * impedance[1]) / rated**2
            admittances.append((where, (y * np.outer(row, row)).astype(np.complex128)))
    return tuple(LoadPort(bus, row, s) for (bus, row), s in powers.items() if s), admittances


def _sign(row: Floats) -> tuple[float, ...]:
    """A port and its reverse draw the same power: the first entry counts as positive."""
    first = row[np.flatnonzero(row)[0]]
    return tuple((row * np.sign(first)).tolist())


def _shunts(feeder: Feeder, frames: list[Frame], index: dict[str, int], steps: tuple[Step, ...]) -> list[Complexes]:
    """Half of each line's admittance at its ends, and capacitors."""
    total = [np.zeros((frame.size, frame.size), dtype=np.complex128) for frame in frames]
    parts = [(end, line.y / 2) for step in steps for line in step.lines for end in (line.start, line.end)]
    parts += [(shunt.terminal, shunt.y) for shunt in feeder.shunts]
    for terminal, y in parts:
        if terminal.bus not in index:
            continue
        k = index[terminal.bus]
        bus = feeder.bus(terminal.bus)
        pick = np.zeros((len(terminal.nodes), len(bus.nodes)))
        for row, node in enumerate(terminal.nodes):
            if node:
                pick[row, bus.nodes.index(node)] = 1.0
        pick = pick @ frames[k].T
        total[k] += pick.T @ np.asarray(y, dtype=np.complex128) @ pick * (bus.base**2 / POWER)
    for unit in (one for step in steps for one in step.transformers):
        name = unit.windings[1].terminal.bus
        T = frames[index[name]].T
        total[index[name]] += T.T @ core(unit, feeder.bus(name)) @ T
    return total


def _units(feeder: Feeder, frames: list[Frame], index: dict[str, int]) -> Iterator[UnitPort]:
    table = ports(feeder)
    k = sum(load.phases for load in feeder.loads)
    for unit in feeder.generators:
        low, high, q, s_max = _reach(unit)
        for _ in range(unit.phases):
            entries = slice(table.incidence.indptr[k], table.incidence.indptr[k + 1])
            numbers = [int(feeder.nodes[c].rsplit(".", 1)[1]) for c in table.incidence.indices[entries]]
            where = index[unit.terminal.bus]
            row = frames[where].row(numbers[0], numbers[1] if len(numbers) > 1 else 0)
            cost = 0.0 if unit.cost is None else 1000.0 * unit.cost
            yield UnitPort(unit.name, where, _sign(row), (low, high), q, s_max, cost)
            k += 1


def _reach(unit: Generator) -> tuple[float, float, tuple[float, float], float]:
    """The limits of one phase in pu."""
    share = 1.0 / unit.phases / POWER
    s_max = unit.s_max * share
    low, high = unit.p_min * share, min(unit.p_max * share, s_max)
    q = unit.attributes.get("q_min", -unit.s_max) * share, unit.attributes.get("q_max", unit.s_max) * share
    if not np.isfinite([high, *q]).all() or low > high or q[0] > q[1]:
        raise ModelError(
            f"generator {unit.name}: its power has no finite limits (p {low:g}..{high:g}, q {q[0]:g}..{q[1]:g} MW a "
            "phase); give s_max, or p_max and attributes q_min and q_max."
        )
    return low, high, q, s_max
