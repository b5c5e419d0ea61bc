"""A feeder as a tree that grows from its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Line, Transformer
from gridmodel.grid.feeder import Feeder

__all__ = ["Step", "tree_of"]


@dataclass(frozen=True)
class Step:
    """All elements between a bus and the bus that feeds it."""

    parent: str
    child: str
    lines: tuple[Line, ...]
    transformers: tuple[Transformer, ...]

    def __str__(self) -> str:
        names = [f"line {line.name}" for line in self.lines] + [f"transformer {t.name}" for t in self.transformers]
        return f"{', '.join(names)} ({self.parent} to {self.child})"


def tree_of(feeder: Feeder) -> tuple[Step, ...]:
    """The steps from the source outwards, every bus after the one that feeds it.

    Buses that no path connects to the source are left out if nothing is connected to them.

    Raises:
        ModelError: not one source, a loop (its buses are named), or loads on an island.
    """
    if len(feeder.sources) != 1:
        names = ", ".join(source.name for source in feeder.sources) or "none"
        raise ModelError(f"{feeder.name}: optimal power flow of a feeder needs one source, got {names}.")
    root = feeder.sources[0].terminal.bus
    graph: nx.Graph[str] = nx.Graph(feeder.graph.to_undirected(as_view=True))
    reached = nx.node_connected_component(graph, root)
    _no_islands(feeder, reached)
    tree = graph.subgraph(reached)
    if tree.number_of_edges() >= tree.number_of_nodes():
        loop = [one for one, _ in nx.find_cycle(tree)]
        raise ModelError(
            f"{feeder.name} has a loop through {', '.join([*loop, loop[0]])}: branch flow is exact on trees only. "
            "Open a switch of it: dataclasses.replace(line, closed=False)."
        )
    return tuple(_step(feeder, parent, child) for parent, child in nx.bfs_edges(tree, root))


def _step(feeder: Feeder, parent: str, child: str) -> Step:
    between: dict[Any, Any] = feeder.graph.get_edge_data(parent, child)
    elements = [data["element"] for data in between.values()]
    return Step(
        parent,
        child,
        tuple(one for one in elements if isinstance(one, Line)),
        tuple(one for one in elements if isinstance(one, Transformer)),
    )


def _no_islands(feeder: Feeder, reached: set[str]) -> None:
    for name, bus in _consumers(feeder):
        if bus not in reached:
            raise ModelError(
                f"{feeder.name}: {name} at bus {bus} is on an island without a source; close a switch or remove it."
            )


def _consumers(feeder: Feeder) -> Iterator[tuple[str, str]]:
    yield from ((f"load {load.name}", load.terminal.bus) for load in feeder.loads if load.s)
    yield from ((f"generator {unit.name}", unit.terminal.bus) for unit in feeder.generators)
