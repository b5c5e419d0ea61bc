"""Who may talk to whom: a graph over the model's agents, checked when it is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from gridmodel.errors import TopologyError
from gridmodel.ir.links import Links

__all__ = ["Topology"]


@dataclass(frozen=True)
class Topology:
    """An undirected communication graph and whether a coordinator may be used.

    Source: the words of distributed optimisation; a topology is not a network of wires.
    """

    graph: Any
    coordinator: bool = True

    @classmethod
    def over(cls, graph: Any, agents: Iterable[str], coordinator: bool) -> Topology:
        """Checks a networkx graph against the agents' names.

        Raises:
            TopologyError: not a graph, empty, self-looped, directed, or of other nodes than the agents.
        """
        if not isinstance(graph, nx.Graph):
            raise TopologyError(f"connect(...) expects a networkx graph, got {type(graph).__name__}.")
        if graph.is_directed():
            raise TopologyError("connect(...) got a directed graph; give graph.to_undirected().")
        known = set(agents)
        strange = [str(node) for node in graph.nodes if node not in known]
        if strange:
            raise TopologyError(
                f"the topology has nodes that are no agents: {', '.join(strange[:5])}. "
                f"Agents are {', '.join(sorted(known)[:5])}{', ...' if len(known) > 5 else ''}; "
                "relabel with networkx.relabel_nodes."
            )
        loops = [str(node) for node in nx.nodes_with_selfloops(graph)]
        if loops:
            raise TopologyError(f"the topology joins {loops[0]} to itself; remove the self-loop.")
        missing = known - set(graph.nodes)
        if missing:
            raise TopologyError(
                f"the topology lacks {len(missing)} of {len(known)} agents, e.g. {sorted(missing)[0]}; "
                "add them with graph.add_node and join them by edges."
            )
        return cls(graph.copy(), coordinator)

    @cached_property
    def links(self) -> Links:
        """The edges as arrays, nodes in the graph's order."""
        nodes = list(self.graph.nodes)
        place = {node: k for k, node in enumerate(nodes)}
        ends = np.array([(place[a], place[b]) for a, b in self.graph.edges], dtype=np.intp).reshape(-1, 2)
        if not self.graph.is_directed():
            ends = np.concatenate([ends, ends[:, ::-1]])
        return Links.build(nodes, ends[:, 0], ends[:, 1], self.graph.is_directed())

    @property
    def components(self) -> list[list[str]]:
        """The connected components, each as a sorted list of names."""
        return sorted(sorted(part) for part in nx.connected_components(self.graph))

    def are_neighbours(self, first: str, second: str) -> bool:
        """Whether two agents may talk to each other directly."""
        return bool(self.graph.has_edge(first, second))
