"""From meshed to radial: which lines of a feeder stay closed as keeping one closed costs more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.language.model import Model
from gridmodel.physics.carriers import carriers, demand, nodes_of
from gridmodel.physics.reconfiguration import Layout, dispatchable, reconfiguration, with_closed
from gridmodel.plan import Plan
from gridmodel.solve import compile as compile_plan

__all__ = ["Sweep", "Topology", "loops", "sweep"]

Floats = NDArray[np.float64]
Kind = Literal["meshed", "weakly meshed", "radial"]
_OPEN = 1e-3
_CORNER = 0.1


@dataclass(frozen=True)
class Topology:
    """What is left of a feeder at one weight.

    weight: kW for every line kept closed. closed, opened: of the lines that may be opened. loops: independent ones.
    kind: "meshed" with all loops that there can be, "radial" with none, "weakly meshed" between. losses: kW, of the
    load flow; nan where it failed. v_min, v_max: pu, of the load flow; within: whether these respect the limits.
    rounds: reweighted problems that were solved.
    """

    weight: float
    closed: tuple[str, ...]
    opened: tuple[str, ...]
    loops: int
    kind: Kind
    losses: float
    v_min: float
    v_max: float
    within: bool
    rounds: int


@dataclass(frozen=True)
class Sweep:
    """The topologies over the weights. feeder: with all lines closed that may be. limits: of voltages, pu."""

    feeder: Feeder
    topologies: tuple[Topology, ...]
    limits: tuple[float, float]

    def __iter__(self) -> Iterator[Topology]:
        return iter(self.topologies)

    def best(self, kind: Kind = "radial") -> Topology:
        """The topology of a kind with the least losses, one within the voltage limits if there is any.

        Raises:
            ModelError: no weight led to this kind.
        """
        found = [one for one in self.topologies if one.kind == kind]
        if not found:
            kinds = ", ".join(dict.fromkeys(one.kind for one in self.topologies))
            raise ModelError(f"no weight of the sweep led to a {kind} network, only to {kinds}; try larger weights.")
        return min(found, key=lambda one: (not one.within, one.losses))

    def network(self, topology: Topology) -> Feeder:
        """The feeder with the lines opened that the topology opens."""
        return _opened(self.feeder, topology.opened)


def sweep(
    feeder: Feeder,
    weights: Iterable[float],
    switchable: Iterable[str] | None = None,
    load_scale: float = 1.0,
    voltages: Literal["no load", "load flow"] = "load flow",
    algorithm: Any = "central",
    v_min: float = 0.95,
    v_max: float = 1.05,
    taps: Literal["auto"] | None = None,
    most: int = 12,
) -> Sweep:
    """The topologies that a reweighted group lasso leaves, for every weight.

    At a weight w the reconfiguration is solved up to ``most`` times with  weight_e = w / (|xi_e| + eps),  xi_e from the
    time before and, at first, from the mesh, so that a line that carries anything costs about w; a line that carries
    less than a thousandth of the largest current is open. A plain group lasso rather shrinks all currents alike.
    This is a heuristic: a tree that it finds need not be the one of least losses.

    Args:
        feeder: with lines that may be closed, open or not.
        weights: kW that it must save to keep one more line closed.
        switchable, load_scale, voltages: as in ``reconfiguration``.
        algorithm: any that solves the reconfiguration.
        v_min, v_max: pu, to which the voltages of the load flow are held.
        taps: of the load flow: None, the file's, or "auto", where the regulators put them.
        most: reweighted problems a weight, at most.

    Raises:
        DataError: a weight that is no finite number of at least 0.
        ModelError: lines were opened that leave a load on an island; and what ``reconfiguration`` raises.
    Source: Candes, Wakin and Boyd (2008), Enhancing sparsity by reweighted l1 minimization; Dall'Anese and Giannakis
        (2013), Sparsity-leveraging reconfiguration of smart distribution systems.
    """
    asked = [float(weight) for weight in weights]
    if wrong := [weight for weight in asked if not 0 <= weight < np.inf]:
        raise DataError(f"weights: got {wrong[0]}, expected finite numbers of at least 0 in kW a line.")
    model = reconfiguration(feeder, 0.0, switchable, load_scale, voltages)
    layout: Layout = model.layout
    search = _Search(model, layout, compile_plan(model, algorithm))
    mesh, _ = search.solved(np.zeros(len(layout.switchable)))
    found = []
    for weight in asked:
        keep, powers, rounds = search.at(weight, mesh, most)
        found.append(_judged(layout, weight, keep, powers, rounds, (v_min, v_max), load_scale, taps))
    return Sweep(layout.feeder, tuple(found), (v_min, v_max))


@dataclass(frozen=True)
class _Search:
    """The compiled model, solved for many weights."""

    model: Model
    layout: Layout
    plan: Plan

    def solved(self, weights: Floats) -> tuple[Floats, dict[str, complex]]:
        """The lengths |xi| of the switchable lines in A, and what generators inject in VA."""
        for name, weight in zip(self.layout.switchable, weights, strict=True):
            self.model[f"line {name}"].parameters["weight"].value = float(weight)
        result = self.plan.solve(tolerance=1e-6)
        if not np.isfinite(result.value):
            raise ModelError(f"{self.model.name}: {result.status.value}: {result.message}")
        lengths = np.array([np.linalg.norm(result[f"line {name}"]["xi"]) for name in self.layout.switchable])
        powers = {}
        for unit in filter(dispatchable, self.layout.feeder.generators):
            p, q = result[f"generator {unit.name}"]["power"]
            powers[unit.name] = 1000 * complex(p, q)
        return lengths, powers

    def at(self, weight: float, mesh: Floats, most: int) -> tuple[frozenset[str], dict[str, complex], int]:
        """The lines that stay closed."""
        floor, eps = _OPEN * mesh.max(initial=0.0), _CORNER * mesh.max(initial=0.0)
        lengths, powers, rounds = mesh, dict[str, complex](), 0
        while rounds < most:
            before = lengths
            lengths, powers = self.solved(weight / (lengths + eps) if weight else np.zeros(len(mesh)))
            rounds += 1
            if np.abs(lengths - before).max(initial=0.0) <= floor:
                break
        names = self.layout.switchable
        return frozenset(name for name, one in zip(names, lengths, strict=True) if one > floor), powers, rounds


def _judged(
    layout: Layout,
    weight: float,
    keep: frozenset[str],
    powers: dict[str, complex],
    rounds: int,
    limits: tuple[float, float],
    load_scale: float,
    taps: Literal["auto"] | None,
) -> Topology:
    """A topology by its load flow."""
    opened = tuple(name for name in layout.switchable if name not in keep)
    network = _opened(layout.feeder, opened)
    elements = carriers(network)
    # refuses islands
    demand(network, nodes_of(network, elements), layout.v, load_scale)
    flow = network.load_flow(loads=load_scale, generation=powers or None, taps=taps)
    fed = nodes_of(network, elements).fed
    size = np.abs(flow.v[fed])
    low, high = (float(size.min()), float(size.max())) if bool(flow.converged) else (np.nan, np.nan)
    count, most = loops(network), loops(layout.feeder)
    kind: Kind = "radial" if not count else "meshed" if count == most else "weakly meshed"
    within = limits[0] <= low and high <= limits[1]
    closed = tuple(name for name in layout.switchable if name in keep)
    losses = float(flow.losses.real) / 1000
    return Topology(weight, closed, opened, count, kind, losses, low, high, within, rounds)


def loops(feeder: Feeder) -> int:
    """The number of independent loops of buses; parallel elements on different conductors, as of a bank, make none."""
    beside: dict[tuple[str, ...], list[set[int]]] = {}
    for element in carriers(feeder):
        ends = tuple(sorted(element.buses))
        beside.setdefault(ends, []).append({int(node) for node in element.nodes})
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(bus.name for bus in feeder.buses)
    graph.add_edges_from((ends[0], ends[-1]) for ends in beside)
    ways = sum(max(sum(node in one for one in sets) for node in set().union(*sets)) for sets in beside.values())
    return int(ways - graph.number_of_nodes() + nx.number_connected_components(graph))


def _opened(feeder: Feeder, opened: Sequence[str]) -> Feeder:
    """The feeder with these lines open."""
    return with_closed(feeder, {line.name for line in feeder.lines if line.closed} - set(opened))
