"""What carries current in a feeder, and what is drawn at its nodes, as a linear network in A, V and ohm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError
from gridmodel.grid.elements import Line, Terminal, Transformer
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.port_law import Ports, current, ports
from gridmodel.grid.primitives.transformer import winding_ends, winding_voltage

__all__ = ["Carrier", "Nodes", "carriers", "demand", "nodes_of"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Carrier:
    """A line or transformer with k currents xi of its own, in A.

    name: "line sw3". buses: its two ends. nodes: positions in the feeder's nodes. takes: shape (nodes, k); it takes
    takes @ xi out of the network at ``nodes``. r: resistance in ohm, shape (k, k): it turns xi^H r xi into heat, in W.
    rating: largest |xi| of a conductor in A.
    """

    name: str
    buses: tuple[str, str]
    nodes: Indices
    takes: Floats
    r: Floats
    rating: float = np.inf

    @property
    def size(self) -> int:
        """k, the number of currents."""
        return int(self.takes.shape[1])


def carriers(feeder: Feeder) -> tuple[Carrier, ...]:
    """Every closed line, from start to end, and every transformer, from its first winding to its second.

    The currents of a transformer are those of its second windings, one a phase; what it takes at the first is scaled
    by the turns ratio with its taps. What it draws without load is left out, and so are line admittances (``demand``).

    Raises:
        ModelError: a transformer that has not two windings.
        DataError: a resistance that is not finite or would create power.
    """
    lines = [_line(feeder, one) for one in feeder.lines if one.closed]
    return (*lines, *(_unit(feeder, one) for one in feeder.transformers))


def _line(feeder: Feeder, line: Line) -> Carrier:
    k = len(line.start.nodes)
    nodes = [*_nodes(feeder, line.start), *_nodes(feeder, line.end)]
    return _made(f"line {line.name}", (line.start.bus, line.end.bus), nodes, np.vstack([np.eye(k), -np.eye(k)]),
                 line.z.real, line.rating)  # fmt: skip


def _unit(feeder: Feeder, unit: Transformer) -> Carrier:
    if len(unit.windings) != 2:
        raise ModelError(
            f"transformer {unit.name} has {len(unit.windings)} windings; reconfiguration takes two. Replace it by "
            "transformers of two windings, or leave it and what it feeds out of the feeder."
        )
    first, second = unit.windings
    across = winding_voltage(unit, second)
    takes, nodes = [], []
    for winding, sign in ((first, 1.0), (second, -1.0)):
        part = np.zeros((len(winding.terminal.nodes), unit.phases))
        ratio = sign * across / (winding_voltage(unit, winding) * winding.tap)
        for phase in range(unit.phases):
            near, far = winding_ends(unit, winding, phase)
            part[near, phase] += ratio
            part[far, phase] -= ratio
        takes.append(part)
        nodes += _nodes(feeder, winding.terminal)
    # in pu of the first winding's rating, at the second winding's voltage
    r = (first.r + second.r * first.s / second.s) * across**2 * unit.phases / first.s
    # a rating in VA of all phases at the rated voltage
    rating = unit.rating / unit.phases / across
    return _made(f"transformer {unit.name}", (first.terminal.bus, second.terminal.bus), nodes, np.vstack(takes),
                 r * np.eye(unit.phases), rating)  # fmt: skip


def _made(name: str, buses: tuple[str, str], nodes: list[int], takes: Floats, r: Floats, rating: float) -> Carrier:
    """Entries of the ground left out, those of one node added up."""
    if not np.isfinite(r).all():
        raise DataError(f"{name} has a resistance that is not finite; give every entry a number in ohm.")
    r = (r + r.T) / 2
    least = float(np.linalg.eigvalsh(r)[0])
    if least < -1e-9 * max(float(np.abs(r).max()), 1e-12):
        raise DataError(
            f"{name} has the resistance matrix {r.tolist()} ohm with the negative eigenvalue {least:.3g}: it would "
            "create power. Correct its impedance."
        )
    where = sorted({node for node in nodes if node >= 0})
    total = np.zeros((len(where), takes.shape[1]))
    for node, row in zip(nodes, takes, strict=True):
        if node >= 0:
            total[where.index(node)] += row
    return Carrier(name, buses, np.array(where, dtype=np.intp), total, r, rating)


def _nodes(feeder: Feeder, terminal: Terminal) -> list[int]:
    return [feeder.position[f"{terminal.bus}.{number}"] if number else -1 for number in terminal.nodes]


@dataclass(frozen=True)
class Nodes:
    """Which nodes of a feeder are fed, conductor by conductor.

    fed: shape (nodes,). source: whether a source holds it, shape (nodes,). floating: positions of the nodes of each fed
    zone without a path to the ground.
    """

    fed: NDArray[np.bool_]
    source: NDArray[np.bool_]
    floating: tuple[Indices, ...]

    @cached_property
    def balanced(self) -> NDArray[np.bool_]:
        """Where currents must balance: at all fed nodes but the sources', and one of each floating zone, whose sum is
        zero anyway."""
        wanted = self.fed & ~self.source
        for zone in self.floating:
            wanted[zone[-1]] = False
        return wanted


def nodes_of(feeder: Feeder, elements: tuple[Carrier, ...]) -> Nodes:
    """What the sources feed through these elements, conductor by conductor."""
    count = len(feeder.nodes)
    source = np.zeros(count, dtype=np.bool_)
    for one in feeder.sources:
        source[[node for node in _nodes(feeder, one.terminal) if node >= 0]] = True
    paths: nx.Graph[int] = nx.empty_graph(count)
    zones: nx.Graph[int] = nx.empty_graph(count)
    grounded = set(np.flatnonzero(source).tolist())
    for element in elements:
        bus = [feeder.nodes[node].rpartition(".")[0] for node in element.nodes]
        for column in element.takes.T:
            touched = element.nodes[column != 0].tolist()
            nx.add_path(paths, touched)
            if element.name.startswith("line "):
                nx.add_path(zones, touched)
                continue
            for end in element.buses:
                side = np.array([name == end for name in bus]) & (column != 0)
                tied = element.nodes[side].tolist()
                nx.add_path(zones, tied)
                if abs(column[side].sum()) > 1e-9 * np.abs(column[side]).max(initial=1e-300):
                    grounded.update(tied)
    fed = np.zeros(count, dtype=np.bool_)
    for part in nx.connected_components(paths):
        own = np.array(sorted(part), dtype=np.intp)
        fed[own] = source[own].any()
    floating = [
        np.array(sorted(zone), dtype=np.intp)
        for zone in nx.connected_components(zones)
        if not zone & grounded and fed[min(zone)]
    ]
    return Nodes(fed, source, tuple(floating))


def demand(feeder: Feeder, found: Nodes, v: Complexes, load_scale: float = 1.0) -> Complexes:
    """What loads, capacitors and half of each line's admittance at each end draw at node voltages v, A, shape (nodes,).

    Loads follow their own law at v; generators are left out. In zones without a path to the ground nothing can flow
    there: what admittances would send is left out.

    v: V to ground, shape (nodes,).

    Raises:
        ModelError: a load that nothing feeds (an island), or one to the ground in a zone without a path to it.
    """
    table = ports(feeder)
    loads = sum(load.phases for load in feeder.loads)
    scaled = np.concatenate([table.s[:loads] * load_scale, np.zeros(len(table.s) - loads)])
    drawn = current(table, np.asarray(table.incidence @ v), scaled)
    _all_fed(feeder, found, table, scaled)
    out = np.asarray(table.incidence.T @ drawn, dtype=np.complex128)
    for zone in found.floating:
        if abs(out[zone].sum()) > 1e-6 * np.abs(out[zone]).max(initial=1e-300):
            raise ModelError(
                f"{feeder.name}: around bus {feeder.nodes[zone[0]].rpartition('.')[0]} nothing is grounded, and a load "
                "there is connected to the ground. Connect it between conductors, or ground a winding."
            )
    shunts = np.zeros(len(v), dtype=np.complex128)
    for terminal, y in _admittances(feeder):
        at = np.array(_nodes(feeder, terminal))
        live = at >= 0
        np.add.at(shunts, at[live], (y @ np.where(live, v[at], 0.0))[live])
    shunts[~found.fed] = 0.0
    for zone in found.floating:
        shunts[zone] -= shunts[zone].mean()
    return out + shunts


def _admittances(feeder: Feeder) -> Iterator[tuple[Terminal, Complexes]]:
    for line in feeder.lines:
        if line.closed:
            yield line.start, line.y / 2
            yield line.end, line.y / 2
    for shunt in feeder.shunts:
        yield shunt.terminal, shunt.y


def _all_fed(feeder: Feeder, found: Nodes, table: Ports, s: Complexes) -> None:
    dead = np.asarray(abs(table.incidence) @ (~found.fed).astype(np.float64)) > 0
    lost = np.flatnonzero(dead & (s != 0))
    if lost.size:
        name = table.names[int(lost[0])]
        where = next(load.terminal for load in feeder.loads if load.name == name)
        raise ModelError(
            f"{feeder.name}: load {name} at {where} is on an island that no source feeds; close a switch, or remove it."
        )
