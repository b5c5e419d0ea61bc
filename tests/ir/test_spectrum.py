"""Eigenvalues and distances against closed forms, dense eigenvalues, brute force and networkx."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.errors import TopologyError
from gridmodel.ir.distance import diameter
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.spectrum import best_gamma, laplacian, laplacian_spectrum, modulus
from gridmodel.language.topology import Topology


def closed_form(shape: str, n: int) -> tuple[float, float]:
    """lambda_2 and lambda_N."""
    match shape:
        case "path":
            return 2 - 2 * np.cos(np.pi / n), 2 + 2 * np.cos(np.pi / n)
        case "ring":
            return 2 - 2 * np.cos(2 * np.pi / n), 4.0 if n % 2 == 0 else 2 + 2 * np.cos(np.pi / n)
        case "star":
            return 1.0, float(n)
        case _:
            return float(n), float(n)


@pytest.mark.parametrize("shape", ["path", "ring", "star", "complete"])
@pytest.mark.parametrize("n", range(3, 11))
def test_closed_forms(shape: str, n: int) -> None:
    links = getattr(Topology, shape)(n).links
    low, high = closed_form(shape, n)
    assert laplacian_spectrum(links) == pytest.approx((low, high), rel=1e-12)
    assert best_gamma(links) == pytest.approx(2 / (low + high), rel=1e-12)
    rate = modulus(links, edge_weights(links, "laplacian"))
    assert rate == pytest.approx((high - low) / (high + low), abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "n"), [("path", 3000), ("path", 10_000), ("ring", 3000), ("ring", 10_000), ("star", 10_000)]
)
def test_closed_forms_of_large_graphs(shape: str, n: int) -> None:
    assert laplacian_spectrum(getattr(Topology, shape)(n).links) == pytest.approx(closed_form(shape, n), rel=1e-6)


def test_large_random_graphs_as_all_eigenvalues_have_it() -> None:
    for topology in (Topology.random_geometric(420, seed=1), Topology.erdos_renyi(420, seed=2)):
        links = topology.links
        values = np.linalg.eigvalsh(nx.laplacian_matrix(topology.graph).toarray().astype(float))
        assert laplacian_spectrum(links) == pytest.approx((values[1], values[-1]), rel=1e-8)
        weights = edge_weights(links, "row")
        root = np.sqrt(1.0 + links.into)  # D^-1 (I + A) has the eigenvalues of D^-1/2 (I + A) D^-1/2
        alike = (np.eye(420) + nx.to_numpy_array(topology.graph)) / np.outer(root, root)
        assert modulus(links, weights) == pytest.approx(np.sort(np.abs(np.linalg.eigvalsh(alike)))[-2], rel=1e-6)


@settings(deadline=None)
@given(st.integers(3, 9), st.integers(0, 1000))
def test_no_gamma_of_a_fine_grid_beats_the_best(n: int, seed: int) -> None:
    topology = Topology.erdos_renyi(n, seed=seed)
    matrix = nx.laplacian_matrix(topology.graph).toarray().astype(float)

    def rates(*gammas: float) -> Any:
        every = np.eye(n) - np.array(gammas)[:, None, None] * matrix - 1.0 / n
        return np.abs(np.linalg.eigvalsh(every)).max(axis=1)

    best = best_gamma(topology.links)
    found, more, less = rates(best, best * 1.001, best * 0.999)
    assert found == pytest.approx(topology.rho, abs=1e-12)
    assert rates(*np.linspace(0.0, 2.0, 501)).min() >= found - 1e-12
    assert min(more, less) > found


def test_the_rate_of_one_sided_weights_is_that_of_long_runs() -> None:
    graph = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("c", "d"), ("d", "a")])
    topology = Topology(graph)
    for kind in ("row", "column"):
        mixing = topology.mixing(kind).toarray()
        limit = np.linalg.matrix_power(mixing, 2000)
        far = [np.linalg.norm(np.linalg.matrix_power(mixing, k) - limit) for k in (8, 28)]
        measured = (far[1] / far[0]) ** (1 / 20)
        rate = modulus(topology.links, edge_weights(topology.links, kind), by_columns=kind == "column")
        assert rate == pytest.approx(measured, rel=0.02)
        assert rate == pytest.approx(np.sort(np.abs(np.linalg.eigvals(mixing)))[-2], rel=1e-12)


@pytest.mark.parametrize("n", [6, 500])
def test_the_rate_of_graphs_in_turn_is_that_of_their_product(n: int) -> None:
    whole = Topology.small_world(n, seed=4).graph
    ends = list(whole.edges)
    turns = [nx.create_empty_copy(whole) for _ in range(3)]
    for k, graph in enumerate(turns):
        graph.add_edges_from(ends[k::3])
    topology = Topology(turns)
    product = np.eye(n)
    for k in range(3):
        product = topology.mixing(round=k).toarray() @ product
    expected = np.abs(np.linalg.eigvals(product - 1.0 / n)).max() ** (1 / 3)
    assert topology.rate() == pytest.approx(expected, rel=1e-6)
    assert topology.rate() > Topology(whole).rate()


@settings(max_examples=50)
@given(st.integers(2, 30), st.integers(0, 1000), st.booleans())
def test_the_diameter_is_that_of_all_searches(n: int, seed: int, one_way: bool) -> None:
    graph = Topology.erdos_renyi(n, seed=seed).graph
    if one_way:
        order = list(graph)
        graph = nx.DiGraph(graph.edges)
        graph.add_edges_from(zip(order, [*order[1:], order[0]], strict=True))
    assert diameter(Topology(graph).links) == nx.diameter(graph)


def test_the_laplacian_is_that_of_networkx() -> None:
    topology = Topology.random_geometric(40, seed=3)
    assert (laplacian(topology.links) != nx.laplacian_matrix(topology.graph)).nnz == 0


@pytest.mark.parametrize("fact", [laplacian_spectrum, best_gamma, diameter, lambda links: modulus(links, np.ones(2))])
def test_a_graph_that_falls_apart_is_refused_by_its_parts(fact) -> None:
    links: Links = Topology(nx.Graph([("a", "b"), ("c", "d"), ("d", "e")])).links
    with pytest.raises(TopologyError, match=r"2 separate parts: \{a, b\}, \{c, d, e\} .*join them by edges"):
        fact(links)


def test_one_node_has_no_spectrum() -> None:
    links = Topology.path(1).links
    with pytest.raises(TopologyError, match="at least two nodes, got 1"):
        laplacian_spectrum(links)
    assert modulus(links, np.empty(0)) == 0.0
    assert diameter(links) == 0


def test_edges_without_a_way_back_are_named() -> None:
    links = Topology(nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")])).links
    with pytest.raises(TopologyError, match=r"(b -> c|c -> a) has no way back.*use weights 'row' or 'column'"):
        laplacian_spectrum(links)
