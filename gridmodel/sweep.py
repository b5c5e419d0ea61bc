"""From meshed to radial: which lines of a feeder stay closed as keeping one closed costs more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.language.model import Model
from gridmodel.physics.branch_exchange import Feeds, Lines, Openings, exchanged, openings
from gridmodel.physics.carriers import carriers, nodes_of
from gridmodel.physics.reconfiguration import Layout, dispatchable, reconfiguration, with_closed
from gridmodel.plan import Plan
from gridmodel.solve import compile as compile_plan

__all__ = ["Sweep", "Topology", "loops", "sweep"]

Floats = NDArray[np.float64]
Kind = Literal["meshed", "weakly meshed", "radial"]
_OPEN = 1e-3
_CORNER = 0.1
_NESTED = 0.02
_SHOWN = 6


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
            advice = {"meshed": "smaller weights", "radial": "larger weights"}.get(kind, "weights between")
            raise ModelError(f"no weight of the sweep led to a {kind} network, only to {kinds}; try {advice}.")
        return min(found, key=lambda one: (not one.within, one.losses))

    def network(self, topology: Topology) -> Feeder:
        """The feeder with the lines opened that the topology opens."""
        return _opened(self.feeder, topology.opened)

    def __str__(self) -> str:
        low, high = self.limits
        count = len(self.topologies[0].closed) + len(self.topologies[0].opened)
        lines = [
            f"{self.feeder.name}: {count} line{'s' * (count != 1)} that may be opened, "
            f"voltages within {low:g} to {high:g} pu",
            f"{'weight kW':>9} {'closed':>6} {'loops':>5}  {'kind':<13} {'losses kW':>10} {'lowest':>6} {'highest':>7}"
            "  newly open",
        ]
        before: tuple[str, ...] = ()
        for one in self.topologies:
            remark = _names([name for name in one.opened if name not in before], "")
            remark += _names([name for name in one.closed if name in before], "closed again: ")
            lines.append(
                f"{one.weight:>9.4g} {len(one.closed):>6} {one.loops:>5}  {one.kind:<13} {one.losses:>10.5g} "
                f"{one.v_min:>6.4f} {one.v_max:>7.4f}{'  ' if one.within else '* '}{remark}".rstrip()
            )
            before = one.opened
        if not all(one.within for one in self.topologies):
            lines.append("* outside the voltage limits")
        return "\n".join(lines)


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
    most: int = 6,
    polish: bool = True,
) -> Sweep:
    """The topologies of low losses + weight * closed lines, by a reweighted group lasso and branch exchange.

    At a weight w the reconfiguration is solved up to ``most`` times with  weight_e = w / (|xi_e| + eps),  xi_e from the
    time before and, at first, from the mesh, so that a line that carries anything costs about w; a line that carries
    less than a thousandth of the largest current is open. A plain group lasso rather shrinks all currents alike.
    ``polish`` then opens, closes or exchanges single lines while losses + w * closed lines fall (first: the overload of
    lines with a rating), from where each weight ended and from the mesh, and keeps the lowest that any start reached;
    or, if that costs at most 2 % more, one that opens no line that a larger weight keeps closed. Both are heuristics:
    neither a tree nor a mesh that they find need be the one of least losses. A weight above the losses of all trees
    leads to a tree. Lines whose opening would leave a load without a source stay closed.

    Args:
        feeder: with lines that may be closed, open or not.
        weights: kW that it must save to keep one more line closed, in any order; the topologies are in rising order.
        switchable, load_scale, voltages: as in ``reconfiguration``.
        algorithm: any that solves the reconfiguration.
        v_min, v_max: pu, to which the voltages of the load flow are held.
        taps: of the load flow: None, the file's, or "auto", where the regulators put them.
        most: reweighted problems a weight, at most.
        polish: whether branch exchange follows.

    Raises:
        DataError: no weight, or one that is no finite number of at least 0.
        ModelError: what ``reconfiguration`` raises.
    Source: Candes, Wakin and Boyd (2008), Enhancing sparsity by reweighted l1 minimization; Dall'Anese and Giannakis
        (2013), Sparsity-leveraging reconfiguration of smart distribution systems; Baran and Wu (1989), Network
        reconfiguration in distribution systems for loss reduction and load balancing.
    """
    asked = _checked(weights, most)
    model = reconfiguration(feeder, 0.0, switchable, load_scale, voltages)
    layout: Layout = model.layout
    search = _Search(model, layout, compile_plan(model, algorithm), Feeds(layout.feeder, load_scale))
    mesh = search.solved(np.zeros(len(layout.switchable)))
    ends = [search.at(weight, mesh[0], most) for weight in asked]
    if polish:
        ends = _polished(layout, asked, mesh, ends, search.feeds)
    found = (_judged(layout, weight, end, (v_min, v_max), load_scale, taps)
             for weight, end in zip(asked, ends, strict=True))  # fmt: skip
    return Sweep(layout.feeder, tuple(found), (v_min, v_max))


def _checked(weights: Iterable[float], most: int) -> list[float]:
    """The weights in rising order, each once."""
    try:
        asked = sorted({float(weight) for weight in ([weights] if isinstance(weights, str | float | int) else weights)})
    except (TypeError, ValueError):
        raise DataError(
            f"weights: got {weights!r}, expected numbers in kW a closed line, such as [0, 0.5, 2]."
        ) from None
    if wrong := [weight for weight in asked if not 0 <= weight < np.inf]:
        raise DataError(f"weights: got {wrong[0]}, expected finite numbers of at least 0 in kW a closed line.")
    if not asked:
        raise DataError("weights: got none, expected some in kW a closed line, such as [0, 0.5, 2].")
    if most < 1:
        raise DataError(f"most: got {most}, expected at least 1 reweighted problem a weight.")
    return asked


@dataclass(frozen=True)
class _End:
    """Opened lines, what generators with limits inject in VA, and how many problems led there."""

    opened: Lines
    powers: Mapping[str, complex]
    rounds: int


@dataclass(frozen=True)
class _Search:
    """The compiled model, solved for many weights."""

    model: Model
    layout: Layout
    plan: Plan
    feeds: Feeds

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

    def at(self, weight: float, mesh: Floats, most: int) -> _End:
        """Where the reweighted problems of one weight end."""
        floor, eps = _OPEN * mesh.max(initial=0.0), _CORNER * mesh.max(initial=0.0)
        lengths, powers, rounds = mesh, dict[str, complex](), 0
        while rounds < most:
            before = lengths
            lengths, powers = self.solved(weight / (lengths + eps) if eps else np.zeros(len(mesh)))
            rounds += 1
            if np.abs(lengths - before).max(initial=0.0) <= floor:
                break
        order = np.argsort(-lengths, kind="stable")
        idle = [self.layout.switchable[k] for k in order if lengths[k] <= floor]
        return _End(self.feeds.mended(idle), powers, rounds)


def _polished(
    layout: Layout,
    weights: Sequence[float],
    mesh: tuple[Floats, dict[str, complex]],
    ends: Sequence[_End],
    feeds: Feeds,
) -> list[_End]:
    """The ends after branch exchange, each from all starts, and nested where that costs little."""
    starts = list(dict.fromkeys([Lines(), *(end.opened for end in ends)]))
    found: list[_End] = []
    for weight, end in zip(reversed(weights), reversed(ends), strict=True):
        costs = openings(layout, end.powers or mesh[1], _OPEN * float(mesh[0].max(initial=0.0)))
        best = _least(costs, starts, weight, feeds, None)
        if found:
            outer = found[-1].opened
            inside = _least(costs, (outer, outer & best, Lines()), weight, feeds, outer)
            (over, value), (bound, lowest) = costs.score(inside, weight), costs.score(best, weight)
            if over <= bound and value <= (1 + _NESTED) * lowest:
                best = inside
        found.append(replace(end, opened=best))
    return found[::-1]


def _least(costs: Openings, starts: Iterable[Lines], weight: float, feeds: Feeds, among: Lines | None) -> Lines:
    """The best that branch exchange reaches from any start."""
    reached = dict.fromkeys(exchanged(costs, start, weight, feeds, among) for start in starts)
    return min(reached, key=lambda opened: costs.score(opened, weight))


def _judged(
    layout: Layout,
    weight: float,
    end: _End,
    limits: tuple[float, float],
    load_scale: float,
    taps: Literal["auto"] | None,
) -> Topology:
    """A topology by its load flow."""
    opened = tuple(name for name in layout.switchable if name in end.opened)
    network = _opened(layout.feeder, opened)
    elements = carriers(network)
    flow = network.load_flow(loads=load_scale, generation=dict(end.powers) or None, taps=taps)
    fed = nodes_of(network, elements).fed
    size = np.abs(flow.v[fed])
    low, high = (float(size.min()), float(size.max())) if bool(flow.converged) else (np.nan, np.nan)
    count, most = loops(network), loops(layout.feeder)
    kind: Kind = "radial" if not count else "meshed" if count == most else "weakly meshed"
    within = limits[0] <= low and high <= limits[1]
    closed = tuple(name for name in layout.switchable if name not in end.opened)
    losses = float(flow.losses.real) / 1000
    return Topology(weight, closed, opened, count, kind, losses, low, high, within, end.rounds)


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


def _names(names: Sequence[str], head: str) -> str:
    """The names in one short text."""
    if not names:
        return ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{head}{', '.join(names[:_SHOWN])}{more} "


def _opened(feeder: Feeder, opened: Sequence[str]) -> Feeder:
    """The feeder with these lines open."""
    return with_closed(feeder, {line.name for line in feeder.lines if line.closed} - set(opened))
