"""Edges as arrays: sorted by receiver, with the way back, the components and the user's order at hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridmodel.ir.links import Links
from gridmodel.ir.stack import Stack
from gridmodel.language.topology import Topology
from gridmodel.passes.links import links_of


@st.composite
def directed(draw: st.DrawFn) -> nx.DiGraph:
    size = draw(st.integers(1, 8))
    graph = nx.empty_graph([f"n{k}" for k in range(size)], create_using=nx.DiGraph)
    pairs = [(a, b) for a in graph for b in graph if a != b]
    graph.add_edges_from(pair for pair in pairs if draw(st.booleans()))
    return graph


def pairs_of(links: Links) -> list[tuple[str, str]]:
    return [(links.nodes[s], links.nodes[r]) for s, r in zip(links.sender, links.receiver, strict=True)]


@given(directed())
def test_edges_are_those_of_the_graph_sorted_with_their_way_back(graph: nx.DiGraph) -> None:
    links = Topology(graph).links
    found = pairs_of(links)
    assert sorted(found) == sorted(graph.edges)
    keys = list(zip(links.receiver.tolist(), links.sender.tolist(), strict=True))
    assert keys == sorted(keys)
    for edge, back in zip(found, links.opposite, strict=True):
        assert (found[back] == edge[::-1]) if back >= 0 else not graph.has_edge(*edge[::-1])
    assert links.into.tolist() == [graph.in_degree(n) for n in links.nodes]
    assert links.out_of.tolist() == [graph.out_degree(n) for n in links.nodes]
    assert links.symmetric == all(graph.has_edge(b, a) for a, b in graph.edges)
    parts = sorted(sorted(part) for part in nx.strongly_connected_components(graph))
    assert links.parts == parts
    assert links.connected == (len(parts) == 1)
    dense = links.matrix(np.arange(1.0, links.edges + 1)).toarray()
    assert [dense[links.receiver[e], links.sender[e]] for e in range(links.edges)] == list(range(1, links.edges + 1))


@given(directed(), st.randoms(use_true_random=False))
def test_another_order_keeps_the_edges_and_remembers_the_users(graph: nx.DiGraph, random) -> None:
    links = Topology([graph, nx.create_empty_copy(graph)]).links
    names = list(links.nodes)
    random.shuffle(names)
    moved = links.reordered(names)
    assert sorted(pairs_of(moved)) == sorted(pairs_of(links))
    assert [list(graph)[k] for k in moved.origin] == names
    twice = moved.reordered(sorted(names))
    assert [list(graph)[k] for k in twice.origin] == sorted(names)
    assert twice.present is not None
    assert twice.present[0].all()
    assert not twice.present[1].any()


def test_blocks_take_their_order_from_the_stacks() -> None:
    class Labelled(Stack):
        def __init__(self, *labels: str) -> None:
            object.__setattr__(self, "labels", labels)

    topology = Topology(nx.path_graph(["c", "a", "b"]))
    links = links_of(topology, [Labelled("a"), Labelled("b", "c")])
    assert links is not None
    assert links.nodes == ["a", "b", "c"]
    assert links.origin.tolist() == [1, 2, 0]
    assert sorted(pairs_of(links)) == [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")]
    assert links_of(None, [Labelled("a")]) is None
    assert links_of(topology, [Labelled("a"), Labelled("b", "c", "operator")]) is None


def test_a_lone_node_has_no_edges() -> None:
    links = Topology(nx.empty_graph(["a"])).links
    assert (links.size, links.edges, links.connected, links.opposite.shape) == (1, 0, True, (0,))
