"""Who may talk to whom: a graph over the model's agents, checked when it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse as sp

from gridmodel.errors import TopologyError
from gridmodel.ir import distance
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.spectrum import laplacian, laplacian_spectrum, modulus, need_connected, need_symmetric
from gridmodel.language import graphs
from gridmodel.language.graphs import Names
from gridmodel.language.topology_text import describe

__all__ = ["Topology"]


@dataclass(frozen=True, eq=False)
class Topology:
    """Who may talk to whom, and whether a coordinator may be used; it is not a network of wires.

    graph: a networkx Graph, or a DiGraph whose edge (a, b) lets a send to b; or a sequence of graphs over the same
        nodes: round k uses graph k modulo their number, and facts that need one graph are those of all edges
        together. It is copied; attributes of its edges, weights too, are left aside: who mixes how strongly is
        chosen by ``mixing``. coordinator: whether algorithms may gather all agents' messages at one place.

    >>> t = Topology.ring(["north", "east", "south", "west"])
    >>> t.diameter, round(t.rho, 6), round(t.optimal_gamma, 6)
    (2, 0.333333, 0.333333)

    Raises:
        TopologyError: no graph, no nodes, parallel edges, self-loops, or graphs over different nodes.
    """

    graph: Any
    coordinator: bool = True
    periods: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.coordinator, bool):
            raise TopologyError(f"coordinator={self.coordinator!r}: expected True or False.")
        given = self.graph
        if isinstance(given, Topology):
            object.__setattr__(self, "coordinator", self.coordinator and given.coordinator)
            given = given.periods or given.graph
        several = isinstance(given, Sequence) and not isinstance(given, str)
        kept = [_checked(graph, k if several else None) for k, graph in enumerate(given if several else [given])]
        if not kept:
            raise TopologyError("a topology that varies with time needs at least one graph, got an empty sequence.")
        if any(graph.is_directed() for graph in kept):
            kept = [graph if graph.is_directed() else graph.to_directed() for graph in kept]
        for k, graph in enumerate(kept):
            if odd := set(graph) ^ set(kept[0]):
                raise TopologyError(
                    f"graph {k} of the topology and graph 0 have different nodes ({_few(odd)} in one only); "
                    "every graph needs all nodes, joined or not: graph.add_nodes_from."
                )
        object.__setattr__(self, "graph", nx.compose_all(kept))
        object.__setattr__(self, "periods", tuple(kept) if len(kept) > 1 else ())

    @classmethod
    def over(cls, graph: Any, agents: Iterable[str], coordinator: bool) -> Topology:
        """Checks a topology, a graph or a sequence of graphs against the agents' names.

        Raises:
            TopologyError: as the constructor, or of other nodes than the agents.
        """
        topology = cls(graph, coordinator)
        topology.check(agents)
        return topology

    def check(self, agents: Iterable[str]) -> None:
        """Checks that the nodes are the agents.

        Raises:
            TopologyError: of other nodes than the agents.
        """
        known = set(agents)
        strange = [str(node) for node in self.graph if node not in known]
        if strange:
            raise TopologyError(
                f"the topology has nodes that are no agents: {', '.join(strange[:5])}. "
                f"Agents are {', '.join(sorted(known)[:5])}{', ...' if len(known) > 5 else ''}; "
                "relabel with networkx.relabel_nodes."
            )
        missing = known - set(self.graph)
        if missing:
            raise TopologyError(
                f"the topology lacks {len(missing)} of {len(known)} agents, e.g. {sorted(missing)[0]}; "
                "add them with graph.add_node, join them by edges, and connect once all agents are declared."
            )

    @classmethod
    def path(cls, nodes: Names) -> Topology:
        """Each of the nodes (names, or how many: a1, a2, ...) joined to the next."""
        return cls(graphs.path(nodes))

    @classmethod
    def ring(cls, nodes: Names) -> Topology:
        """A path whose last node is joined to its first."""
        return cls(graphs.ring(nodes))

    @classmethod
    def star(cls, nodes: Names) -> Topology:
        """The first node joined to all others."""
        return cls(graphs.star(nodes))

    @classmethod
    def complete(cls, nodes: Names) -> Topology:
        """Every node joined to every other."""
        return cls(graphs.complete(nodes))

    @classmethod
    def grid(cls, rows: int, columns: int, nodes: Names | None = None) -> Topology:
        """Rows times columns nodes, named row by row, each joined to those beside, above and below it."""
        return cls(graphs.grid(rows, columns, nodes))

    @classmethod
    def erdos_renyi(cls, nodes: Names, probability: float | None = None, seed: int = 0) -> Topology:
        """Every pair joined with a probability, 2 log(N) / N where left out; drawn up to 100 times until connected."""
        return cls(graphs.erdos_renyi(nodes, probability, seed))

    @classmethod
    def random_geometric(cls, nodes: Names, radius: float | None = None, seed: int = 0) -> Topology:
        """Points of the unit square joined up to a radius, sqrt(2 log(N) / (pi N)) where left out; drawn as above."""
        return cls(graphs.random_geometric(nodes, radius, seed))

    @classmethod
    def small_world(cls, nodes: Names, neighbours: int = 4, rewire: float = 0.1, seed: int = 0) -> Topology:
        """A ring of nearest neighbours (Watts, Strogatz) with some edges moved at random; drawn as above."""
        return cls(graphs.small_world(nodes, neighbours, rewire, seed))

    @cached_property
    def links(self) -> Links:
        """The edges as arrays, nodes in the graph's order."""
        place = {node: k for k, node in enumerate(self.graph)}
        size = len(place)
        keys = [_keys(graph, place) for graph in (self.graph, *self.periods)]
        every = np.unique(keys[0])
        present = np.stack([np.isin(every, part) for part in keys[1:]]) if self.periods else None
        return Links.build(list(place), every // size, every % size, self.is_directed, present)

    @property
    def nodes(self) -> list[Any]:
        """The nodes in the graph's order, that of the rows of every matrix."""
        return list(self.graph)

    @property
    def edges(self) -> list[tuple[Any, Any]]:
        """Pairs that may talk, (sender, receiver) in a directed graph, each pair once in an undirected one."""
        return list(self.graph.edges)

    @property
    def degrees(self) -> dict[Any, int]:
        """From how many others each node hears."""
        return dict(zip(self.links.nodes, self.links.into.tolist(), strict=True))

    @property
    def is_directed(self) -> bool:
        """Whether the graph was given as a directed one."""
        return bool(self.graph.is_directed())

    @property
    def is_connected(self) -> bool:
        """Whether every node reaches every other, in a topology that varies with time by all graphs together."""
        return self.links.connected

    @property
    def components(self) -> list[list[str]]:
        """The (strongly) connected components, each as a sorted list of names."""
        return self.links.parts

    def are_neighbours(self, first: str, second: str) -> bool:
        """Whether two agents may talk to each other directly, both ways."""
        return bool(self.graph.has_edge(first, second) and self.graph.has_edge(second, first))

    @property
    def laplacian(self) -> sp.csr_array:
        """L = diag(degrees) - adjacency, shape (N, N).

        Raises:
            TopologyError: an edge without a way back.
        """
        need_symmetric(self.links, "the Laplacian")
        return laplacian(self.links)

    @cached_property
    def spectrum(self) -> tuple[float, float]:
        """lambda_2 and lambda_N, the least and the largest eigenvalue of L apart from that of the constant vector.

        Raises:
            TopologyError: fewer than two nodes, separate parts, or an edge without a way back.
        """
        return laplacian_spectrum(self.links)

    @property
    def algebraic_connectivity(self) -> float:
        """lambda_2 of L; raises as ``spectrum``."""
        return self.spectrum[0]

    @property
    def optimal_gamma(self) -> float:
        """2 / (lambda_2 + lambda_N): I - gamma L agrees fastest with this gamma; raises as ``spectrum``."""
        return 2.0 / sum(self.spectrum)

    @property
    def rho(self) -> float:
        """(lambda_N - lambda_2) / (lambda_N + lambda_2), by which a round of I - gamma L shrinks disagreement then."""
        return (self.spectrum[1] - self.spectrum[0]) / sum(self.spectrum)

    @cached_property
    def diameter(self) -> int:
        """The most hops between two nodes.

        Raises:
            TopologyError: separate parts.
        """
        return distance.diameter(self.links)

    def mixing(self, weights: Any = "metropolis", gamma: float | None = None, round: int | None = None) -> sp.csr_array:
        """W with w_ij what node i gives to node j, shape (N, N), in the order of ``nodes``.

        Args:
            weights: a name or a matrix, and gamma: see ``gridmodel.ir.mixing.edge_weights``.
            round: of a topology that varies with time, the W of that round: absent edges have weight 0, and what they
                had is kept; left out, that of all edges together.

        Raises:
            TopologyError: the weights do not suit the graph, or are unknown.
        """
        links = self.links
        values = edge_weights(links, weights, gamma=gamma)
        if round is not None and links.present is not None:
            values = np.where(links.present[round % len(links.present)], values, 0.0)
        by_columns = isinstance(weights, str) and weights == "column"
        own = 1.0 - np.bincount(links.sender if by_columns else links.receiver, values, links.size)
        return sp.csr_array(links.matrix(values) + sp.diags_array(own))

    def rate(self, weights: Any = "metropolis", gamma: float | None = None) -> float:
        """The factor by which a round of mixing shrinks disagreement in the long run: the spectral radius of W - 11'/N.

        Raises:
            TopologyError: as ``mixing``; separate parts; fewer than two nodes.
        """
        need_connected(self.links, "a rate of agreement")
        by_columns = isinstance(weights, str) and weights == "column"
        return modulus(self.links, edge_weights(self.links, weights, gamma=gamma), by_columns)

    def rounds_to(self, tolerance: float, weights: Any = "metropolis", gamma: float | None = None) -> int:
        """Rounds of mixing until disagreement has shrunk by the factor ``tolerance``: ceil(log tolerance / log rate).

        With symmetric weights no more are needed; with others a constant of the matrix comes on top.

        Raises:
            TopologyError: a tolerance outside (0, 1); as ``rate``; weights with which nodes never agree.
        """
        if not isinstance(tolerance, float | np.floating) or not 0.0 < tolerance < 1.0:
            raise TopologyError(f"tolerance={tolerance!r}: expected a factor between 0 and 1, e.g. 1e-6.")
        rate = self.rate(weights, gamma)
        if rate >= 1.0:
            raise TopologyError(
                f"with these weights disagreement does not shrink (rate {rate:.6g}); use weights='lazy', whose "
                "eigenvalues are not negative."
            )
        return max(1, ceil(log(tolerance) / log(max(rate, 1e-300)) - 1e-9))

    def __str__(self) -> str:
        return describe(self)


def _checked(graph: Any, number: int | None) -> Any:
    """A copy of one graph without attributes of its edges."""
    which = "the topology" if number is None else f"graph {number} of the topology"
    if not isinstance(graph, nx.Graph):
        raise TopologyError(
            f"{which} expects a networkx graph (or a sequence of them), got {type(graph).__name__}; "
            "make one by networkx.Graph(edges) or gridmodel.Topology.ring(names)."
        )
    if graph.is_multigraph():
        raise TopologyError(f"{which} is a multigraph; two agents talk or they do not: give networkx.Graph(graph).")
    if not len(graph):
        raise TopologyError(f"{which} has no nodes; add them with graph.add_nodes_from(names).")
    if any(node != node for node in graph):
        raise TopologyError(f"{which} has a node that is NaN; name every node.")
    loops = [str(node) for node in nx.nodes_with_selfloops(graph)]
    if loops:
        raise TopologyError(f"{which} joins {loops[0]} to itself; remove the self-loop.")
    kept: Any = nx.DiGraph() if graph.is_directed() else nx.Graph()
    kept.add_nodes_from(graph.nodes(data=True))
    kept.add_edges_from(graph.edges)
    return kept


def _keys(graph: Any, place: dict[Any, int]) -> Any:
    """sender * N + receiver of every directed edge."""
    size = len(place)
    ends = np.array([(place[a], place[b]) for a, b in graph.edges], dtype=np.int64).reshape(-1, 2)
    keys = ends[:, 0] * size + ends[:, 1]
    return keys if graph.is_directed() else np.concatenate([keys, ends[:, 1] * size + ends[:, 0]])


def _few(names: Iterable[Any]) -> str:
    shown = sorted(map(str, names))
    return ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
