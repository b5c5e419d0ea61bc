"""Whether a feeder can be meant as it stands: islands, floating windings, impedances that no wire has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np

from gridmodel.errors import DataError
from gridmodel.grid.elements import Generator, Line, Load, Terminal, Transformer
from gridmodel.grid.feeder import Feeder

__all__ = ["Finding", "check_feeder", "require_sound"]

Node = tuple[str, int]
_GROUND: Node = ("", 0)
_FAR = 2.5  # more than between a line's voltage and a phase's, which a load of one phase may be rated for


@dataclass(frozen=True)
class Finding:
    """Something that a check found. serious: whether no load flow can be trusted, or even computed, with it.

    kind: "duplicate", "zero impedance", "impedance", "unknown bus", "island", "unfed", "floating" or "rated". element:
    such as "line 671692" or "bus 94".
    """

    kind: str
    element: str
    text: str
    serious: bool


def check_feeder(net: Feeder) -> tuple[Finding, ...]:
    """Everything that is doubtful in a feeder: names, impedances, islands, loads without supply, floating parts.

    Serious are names twice, buses that are not declared, and series impedances that are zero, singular, not symmetric
    or of a negative resistance. Islands, loads that nothing feeds, windings without a path to the ground and loads that
    are rated for another voltage, or that stand between a node and itself, are said.
    """
    unknown = tuple(_unknown(net))
    rated = () if unknown else _rated(net)
    return (*_duplicates(net), *unknown, *_impedances(net), *_islands(net), *_floating(net), *rated)


def require_sound(net: Feeder) -> None:
    """Refuses a feeder with serious findings.

    Raises:
        DataError: all of them, one a line.
    """
    serious = [finding for finding in check_feeder(net) if finding.serious]
    if serious:
        raise DataError("\n".join(f"{net.name}: {finding.element} {finding.text}" for finding in serious))


def _duplicates(net: Feeder) -> Iterator[Finding]:
    groups: dict[str, list[str]] = {
        "bus": [bus.name for bus in net.buses], "source": [source.name for source in net.sources],
        "line": [line.name for line in net.lines], "transformer": [unit.name for unit in net.transformers],
        "regulator": [control.name for control in net.regulators], "load": [load.name for load in net.loads],
        "shunt": [f"{shunt.kind} {shunt.name}" for shunt in net.shunts],
        "generator": [f"{unit.kind} {unit.name}" for unit in net.generators],
    }  # fmt: skip
    for kind, names in groups.items():
        for name, times in Counter(names).items():
            if times > 1:
                yield Finding("duplicate", f"{kind} {name}", f"is declared {times} times; rename all but one.", True)


def _parts(net: Feeder) -> Iterator[tuple[str, Terminal]]:
    """All terminals with the title of their element."""
    yield from ((f"source {source.name}", source.terminal) for source in net.sources)
    yield from ((f"{shunt.kind} {shunt.name}", shunt.terminal) for shunt in net.shunts)
    yield from ((f"load {load.name}", load.terminal) for load in net.loads)
    yield from ((f"{unit.kind} {unit.name}", unit.terminal) for unit in net.generators)
    for line in net.lines:
        yield from ((f"line {line.name}", end) for end in (line.start, line.end))
    for unit in net.transformers:
        yield from ((f"transformer {unit.name}", winding.terminal) for winding in unit.windings)


def _unknown(net: Feeder) -> Iterator[Finding]:
    known = {bus.name: {*bus.nodes, 0} for bus in net.buses}
    for title, terminal in _parts(net):
        if terminal.bus not in known:
            yield Finding("unknown bus", title, f"is at the bus {terminal.bus}, which is not declared; add it.", True)
        elif missing := [node for node in terminal.nodes if node not in known[terminal.bus]]:
            text = f"uses node {missing[0]} of bus {terminal.bus}, which has the nodes {sorted(known[terminal.bus])}."
            yield Finding("unknown bus", title, f"{text} Add it to the bus.", True)


def _impedances(net: Feeder) -> Iterator[Finding]:
    for line in net.lines:
        if line.closed:
            yield from _impedance(line)
    for unit in net.transformers:
        title = f"transformer {unit.name}"
        if any(winding.r < 0 for winding in unit.windings):
            yield Finding("impedance", title, "has a winding of negative resistance; expected r >= 0.", True)
        if not any(unit.x) and not any(winding.r for winding in unit.windings):
            yield Finding("zero impedance", title, "has neither resistance nor reactance; give it x > 0.", True)
        elif any(x < 0 for x in unit.x) and len(unit.windings) == 2:
            yield Finding("impedance", title, "has a negative leakage reactance; expected x > 0.", True)


def _impedance(line: Line) -> Iterator[Finding]:
    title = f"line {line.name}"
    z = line.z
    size = float(np.abs(z).max(initial=0.0))
    if not np.isfinite(z).all() or not np.isfinite(line.y).all():
        yield Finding("impedance", title, "has an impedance or admittance that is not a number.", True)
    elif size == 0:
        text = "has zero impedance; give it some (1e-4 ohm for a switch), or merge its buses into one."
        yield Finding("zero impedance", title, text, True)
    elif np.abs(z - z.T).max() > 1e-9 * size:
        yield Finding("impedance", title, "has an impedance matrix that is not symmetric; expected z = z'.", True)
    elif np.diag(z.real).min() < 0:
        text = "has a negative resistance; expected at least 0 on the diagonal of its R matrix."
        yield Finding("impedance", title, text, True)
    elif np.linalg.eigvalsh(z.real).min() < -1e-9 * size:
        text = "has a resistance matrix with a negative eigenvalue: for some currents it gives power."
        yield Finding("impedance", title, text, False)
    elif np.linalg.cond(z) > 1e14:
        yield Finding("zero impedance", title, "has a singular impedance matrix; correct its R and X matrix.", True)


def _wires(net: Feeder) -> nx.Graph[Node]:
    """Nodes and the ground; an edge is a metallic path, so the sides of a transformer stay apart."""
    graph: nx.Graph[Node] = nx.Graph()
    graph.add_node(_GROUND)
    graph.add_nodes_from((bus.name, node) for bus in net.buses for node in bus.nodes)
    for line in net.lines:
        if line.closed:
            ends = zip(_nodes(line.start), _nodes(line.end), strict=False)
            graph.add_edges_from(ends)
            if line.y.any():
                graph.add_edges_from((node, _GROUND) for end in (line.start, line.end) for node in _nodes(end))
    for unit in net.transformers:
        for winding in unit.windings:
            nodes = _nodes(winding.terminal)
            graph.add_edges_from(pairwise(nodes))
    for shunt in net.shunts:
        nodes = _nodes(shunt.terminal)
        rows = np.abs(shunt.y.sum(axis=1)) > 1e-9 * np.abs(shunt.y).max(initial=1e-300)
        graph.add_edges_from((node, _GROUND) for node, grounded in zip(nodes, rows, strict=True) if grounded)
        graph.add_edges_from(pairwise(nodes))
    for source in net.sources:
        graph.add_edges_from((node, _GROUND) for node in _nodes(source.terminal))
    return graph


def _nodes(terminal: Terminal) -> list[Node]:
    return [(terminal.bus, node) if node else _GROUND for node in terminal.nodes]


def _fed(net: Feeder) -> set[Node]:
    """The nodes to which lines and transformers lead from a source, each by its own conductors."""
    paths: nx.Graph[Node] = nx.Graph()
    paths.add_nodes_from((bus.name, node) for bus in net.buses for node in bus.nodes)
    for line in net.lines:
        if line.closed:
            paths.add_edges_from(zip(_nodes(line.start), _nodes(line.end), strict=False))
    for unit in net.transformers:
        nodes = [node for winding in unit.windings for node in _nodes(winding.terminal) if node != _GROUND]
        paths.add_edges_from(pairwise(nodes))
    if _GROUND in paths:
        paths.remove_node(_GROUND)
    starts = [node for source in net.sources for node in _nodes(source.terminal) if node in paths]
    return set(starts).union(*(nx.node_connected_component(paths, node) for node in starts))


def _islands(net: Feeder) -> Iterator[Finding]:
    fed = _fed(net)
    graph = net.graph
    dead = [bus for bus in net.buses if bus.nodes and not any((bus.name, node) in fed for node in bus.nodes)]
    for island in nx.connected_components(graph.subgraph(bus.name for bus in dead)):
        names = sorted(island)
        text = f"no source feeds it ({_some(names)}); close a switch, add a source, or remove it."
        yield Finding("island", f"island of bus {names[0]}", text, False)
    for bus in net.buses:
        if bus not in dead and (loose := [node for node in bus.nodes if (bus.name, node) not in fed]):
            text = f"no line or transformer leads to its node {', '.join(map(str, loose))}; connect or remove it."
            yield Finding("island", f"bus {bus.name}", text, False)
    for title, terminal in _parts(net):
        unfed = [node for node in _nodes(terminal) if node != _GROUND and node not in fed]
        if unfed and title.startswith(("load", "generator", "pv", "storage")):
            yield Finding("unfed", title, f"is at {unfed[0][0]}.{unfed[0][1]}, to which no source leads.", False)


def _floating(net: Feeder) -> Iterator[Finding]:
    """Parts that only transformers join to the rest and nothing ties to the ground."""
    graph = _wires(net)
    grounded = nx.node_connected_component(graph, _GROUND)
    units: dict[Node, list[Transformer]] = defaultdict(list)
    for unit in net.transformers:
        for winding in unit.windings:
            for node in _nodes(winding.terminal):
                units[node].append(unit)
    for part in nx.connected_components(graph):
        if part <= grounded:
            continue
        here = {unit.name: unit for node in part for unit in units[node]}
        if not here:
            continue
        held = any(unit.anti_float > 0 for unit in here.values())
        buses = _some(sorted({bus for bus, _ in part}))
        text = f"nothing ties it to the ground ({buses})" + (
            "; only the tiny anti-float admittance of its transformers holds its voltages to ground."
            if held
            else ": its voltages to ground are not determined. Ground a neutral, or give anti_float > 0."
        )
        yield Finding("floating", f"winding of transformer {min(here)}", text, not held)


def _rated(net: Feeder) -> Iterator[Finding]:
    """Loads and generators whose rated voltage is not that of their bus, and what joins nodes with themselves."""
    owners: list[Load | Generator] = [*net.loads, *net.generators]
    for owner in owners:
        title = f"load {owner.name}" if isinstance(owner, Load) else f"{owner.kind} {owner.name}"
        line = owner.v * np.sqrt(3.0) if owner.phases == 1 and owner.connection == "wye" else owner.v
        usual = net.bus(owner.terminal.bus).base * np.sqrt(3.0)
        if not set(owner.terminal.nodes) - {owner.terminal.nodes[-1]}:
            yield Finding("rated", title, f"stands at {owner.terminal} between a node and itself: no power.", False)
        elif not usual / _FAR < line < usual * _FAR:
            text = f"is rated {line / 1e3:.4g} kV between lines, its bus {usual / 1e3:.4g}; check its kv."
            yield Finding("rated", title, text, False)
    for each in net.lines:
        if _nodes(each.start) == _nodes(each.end):
            yield Finding("rated", f"line {each.name}", f"joins {each.start} with itself; check its buses.", False)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} buses)" if len(names) > 8 else "")
