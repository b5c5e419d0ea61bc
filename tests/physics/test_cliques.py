"""Cliques of a chordal extension: they cover the graph, and the graph that they make is chordal."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.physics.cliques import chordal_cliques, clique_pairs
from tests.physics.cases import shipped


def extension(count: int, cliques) -> nx.Graph:
    graph = nx.empty_graph(count)
    for clique in cliques:
        graph.add_edges_from(combinations(clique.tolist(), 2))
    return graph


def check(count: int, edges: list[tuple[int, int]]) -> None:
    cliques = chordal_cliques(count, edges)
    graph = extension(count, cliques)
    assert all(graph.has_edge(i, j) for i, j in edges)
    assert nx.is_chordal(graph)
    # the blocks are exactly the maximal cliques of what they make: none lies in another, none is missing
    assert {frozenset(c.tolist()) for c in cliques} == set(map(frozenset, nx.find_cliques(graph)))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 14), st.floats(0.05, 0.7), st.integers(0, 10**6))
def test_any_graph_gets_a_chordal_extension(count: int, density: float, seed: int):
    check(count, list(nx.gnp_random_graph(count, density, seed=seed).edges))


@pytest.mark.parametrize("name", ["case5_pjm", "case14_ieee", "case30_ieee", "case118_ieee"])
def test_networks_get_small_cliques(name: str):
    net = shipped(name)
    edges = list(zip(net.branches.start.tolist(), net.branches.end.tolist(), strict=True))
    check(net.buses.number.size, edges)
    assert max(c.size for c in chordal_cliques(net.buses.number.size, edges)) <= 6


def test_a_tree_stays_as_it_is():
    cliques = chordal_cliques(5, [(0, 1), (1, 2), (1, 3), (3, 4)])
    assert [c.tolist() for c in cliques] == [[0, 1], [1, 2], [1, 3], [3, 4]]


def test_pairs_of_a_clique():
    first, second = clique_pairs(np.array([2, 5, 9]))
    assert list(zip(first, second, strict=True)) == [(2, 5), (2, 9), (5, 9)]
