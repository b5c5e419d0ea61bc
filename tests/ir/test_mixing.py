"""Weights of every kind against their definitions, an SDP solved by a conic solver, and what must be refused."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridmodel.errors import TopologyError
from gridmodel.ir.fastest import MOST_EDGES
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import WEIGHTS, edge_weights
from gridmodel.ir.spectrum import modulus
from gridmodel.language.topology import Topology

EVEN = [kind for kind in WEIGHTS if kind not in ("row", "column")]


def square(links: Links, values: NDArray[np.float64], by_columns: bool = False) -> NDArray[np.float64]:
    """The whole matrix, own weights included, in the order of ``links.nodes``."""
    matrix = np.zeros((links.size, links.size))
    matrix[links.receiver, links.sender] = values
    return matrix + np.diag(1.0 - matrix.sum(axis=0 if by_columns else 1))


def radius(matrix: NDArray[np.float64]) -> float:
    return float(np.abs(np.linalg.eigvals(matrix - 1.0 / len(matrix))).max())


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 14), st.integers(0, 10_000))
def test_even_weights_are_doubly_stochastic_and_bring_agreement(n: int, seed: int) -> None:
    links = Topology.erdos_renyi(n, seed=seed).links
    rates = {}
    for kind in EVEN:
        values = edge_weights(links, kind, sums="both", symmetric=True)
        matrix = square(links, values)
        assert np.abs(matrix.sum(axis=0) - 1.0).max() < 1e-14
        assert np.abs(matrix.sum(axis=1) - 1.0).max() < 1e-14
        assert (matrix == matrix.T).all()
        rates[kind] = radius(matrix)
        assert rates[kind] < 1.0
        assert modulus(links, values) == pytest.approx(rates[kind], abs=1e-10)
    assert rates["fastest"] <= min(rates.values()) + 1e-9
    assert rates["lazy"] == pytest.approx((1 + np.linalg.eigvalsh(square(links, edge_weights(links)))[-2]) / 2)


@given(st.integers(2, 14), st.integers(0, 10_000))
def test_weights_follow_their_formulas(n: int, seed: int) -> None:
    topology = Topology.erdos_renyi(n, seed=seed)
    links, degree = topology.links, dict(topology.graph.degree)
    found = {kind: edge_weights(links, kind) for kind in WEIGHTS if kind != "fastest"}
    for e in range(links.edges):
        i, j = degree[links.nodes[links.receiver[e]]], degree[links.nodes[links.sender[e]]]
        assert found["metropolis"][e] == 1 / (1 + max(i, j))
        assert found["lazy"][e] == 0.5 / (1 + max(i, j))
        assert found["max-degree"][e] == 1 / (1 + max(degree.values()))
        assert found["row"][e] == 1 / (1 + i)
        assert found["column"][e] == 1 / (1 + j)
        assert found["laplacian"][e] == pytest.approx(topology.optimal_gamma)


@given(st.integers(2, 12), st.integers(0, 10_000))
def test_one_sided_weights_on_directed_graphs(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph([(k, (k + 1) % n) for k in range(n)])
    graph.add_edges_from((int(a), int(b)) for a, b in rng.integers(n, size=(n, 2)) if a != b)
    links = Topology(graph).links
    row = square(links, edge_weights(links, "row", sums="rows"))
    column = square(links, edge_weights(links, "column", sums="columns"), by_columns=True)
    for matrix, axis in ((row, 1), (column, 0)):
        assert np.abs(matrix.sum(axis=axis) - 1.0).max() < 1e-15 * n
        assert matrix.min() >= 0
        assert np.diag(matrix).min() > 0
        assert radius(matrix) < 1.0


def reference(graph: nx.Graph) -> float:
    """The least rate of any symmetric W on the graph's edges, by a conic solver."""
    n, place = len(graph), {node: k for k, node in enumerate(graph)}
    mixing, rate = cp.Variable((n, n), symmetric=True), cp.Variable()
    off = mixing - np.full((n, n), 1.0 / n)
    apart = [mixing[place[a], place[b]] == 0 for a, b in nx.non_edges(graph)]
    bounds = [off << rate * np.eye(n), off >> -rate * np.eye(n)]
    cp.Problem(cp.Minimize(rate), [*bounds, cp.sum(mixing, axis=1) == 1, *apart]).solve(solver=cp.CLARABEL)
    return float(rate.value)


@pytest.mark.parametrize("seed", range(6))
def test_the_fastest_weights_are_those_of_the_semidefinite_program(seed: int) -> None:
    topology = Topology.random_geometric(14, radius=[0.35, 0.4, 0.5, 0.6, 0.8, 1.0][seed], seed=seed)
    links = topology.links
    assert radius(square(links, edge_weights(links, "fastest"))) == pytest.approx(reference(topology.graph), abs=2e-7)


@pytest.mark.parametrize("n", range(3, 11))
def test_the_fastest_weights_of_graphs_whose_edges_are_alike(n: int) -> None:
    """Best weights of an edge-transitive graph are equal (by convexity), so its rate is rho; a path's is cos(pi/n)."""
    for shape, rate in [
        (Topology.ring, Topology.ring(n).rho),
        (Topology.star, (n - 1) / (n + 1)),
        (Topology.complete, 0.0),
        (Topology.path, np.cos(np.pi / n)),
    ]:
        links = shape(n).links
        assert modulus(links, edge_weights(links, "fastest")) == pytest.approx(rate, abs=1e-9)


def test_the_fastest_weights_of_fifty_nodes_beat_one_gamma_for_all() -> None:
    topology = Topology.random_geometric(50, 0.25, seed=7)
    assert topology.rate("fastest") < topology.rate("laplacian") - 0.01


def test_fastest_is_refused_where_it_would_take_too_long() -> None:
    links = Topology.path(MOST_EDGES + 2).links
    with pytest.raises(TopologyError, match=r"1501 edges.*above 1500; use 'laplacian' or 'metropolis'"):
        edge_weights(links, "fastest")


def test_gamma_is_taken_within_its_bound() -> None:
    links = Topology.star(5).links
    assert (edge_weights(links, "laplacian", gamma=0.39) == 0.39).all()
    for bad in (0.4, 0.0, -1.0, np.nan, "a"):
        with pytest.raises(TopologyError, match=r"needs it in \(0, 0\.4\), best 0\.333333"):
            edge_weights(links, "laplacian", gamma=bad)
    with pytest.raises(TopologyError, match="goes with weights='laplacian' only"):
        edge_weights(links, "metropolis", gamma=0.1)


@given(st.permutations(["a", "b", "c", "d", "e"]))
def test_a_users_matrix_is_in_the_order_of_the_users_graph(order: list[str]) -> None:
    topology = Topology(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "a"), ("a", "d")]))
    given_ = {("b", "a"): 0.3, ("c", "b"): 0.4, ("d", "c"): 0.2, ("e", "d"): 0.6, ("a", "e"): 0.5, ("d", "a"): 0.1}
    matrix = np.zeros((5, 5))
    for (to, origin), value in given_.items():
        matrix["abcde".index(to), "abcde".index(origin)] = value
    matrix += np.diag(1 - matrix.sum(axis=1))
    links = topology.links.reordered(order)
    for form in (matrix, sp.csc_matrix(matrix), sp.coo_array(matrix), matrix.tolist()):
        values = edge_weights(links, form)
        found = {(order[r], order[s]): w for r, s, w in zip(links.receiver, links.sender, values.tolist(), strict=True)}
        assert found == given_


@settings(deadline=None)
@given(st.integers(2, 10), st.integers(0, 1000), st.sampled_from(EVEN))
def test_what_mixing_gives_is_taken_back(n: int, seed: int, kind: str) -> None:
    topology = Topology.erdos_renyi(n, seed=seed)
    values = edge_weights(topology.links, topology.mixing(kind), sums="both", symmetric=True)
    assert values == pytest.approx(edge_weights(topology.links, kind), abs=1e-15)


def test_columns_of_a_users_matrix() -> None:
    topology = Topology(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("a", "c")]))
    column = topology.mixing("column")
    expected = edge_weights(topology.links, "column")
    assert edge_weights(topology.links, column, sums="columns") == pytest.approx(expected)
    with pytest.raises(TopologyError, match=r"the row of c in the weights sums to 1\.333333333, expected 1"):
        edge_weights(topology.links, column)


def path3(**entries: float) -> NDArray[np.float64]:
    matrix = np.array([[0.6, 0.4, 0.0], [0.4, 0.2, 0.4], [0.0, 0.4, 0.6]])
    for name, value in entries.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (
            np.eye(2),
            r"shape \(2, 2\), expected \(3, 3\): a row and a column for each node in the order of .*\(x, y, z\)",
        ),
        (np.ones(3), r"shape \(3,\), expected \(3, 3\)"),
        (0.5, r"shape \(1,\), expected \(3, 3\)"),
        ([[1, "p"], [0, 1]], r"no matrix of numbers .*give shape \(3, 3\)"),
        (None, r"no matrix of numbers|shape"),
        (path3(w12=np.nan), "the weight that y gives to z is nan; every entry must be a finite number"),
        (path3(w22=np.inf), "the weight that z gives to z is inf"),
        (path3(w02=0.1, w00=0.5), r"let x hear z \(row 0, column 2: 0\.1\).*no edge z -> x; add the edge, or set"),
        (path3(w11=0.1), r"the row of y in the weights sums to 0\.9, expected 1; put what is left on the diagonal"),
        (path3(w01=-0.2, w00=1.2), r"the weight that x gives to y is -0\.2; weights must not be negative unless"),
        (np.eye(3), "0 on so many edges that nodes never agree"),
        (np.array([[2.0, -1, 0], [-1, 3, -1], [0, -1, 2]]), "is -1; weights must not be negative unless the matrix is"),
    ],
)
def test_a_users_matrix_that_does_not_fit(weights: Any, text: str) -> None:
    with pytest.raises(TopologyError, match=text):
        edge_weights(Topology.path(["x", "y", "z"]).links, weights)


def test_pairs_of_a_users_matrix_must_be_equal_where_asked() -> None:
    links = Topology.path(["x", "y", "z"]).links
    uneven = path3(w01=0.3, w00=0.7)
    assert edge_weights(links, uneven).tolist() == [0.3, 0.4, 0.4, 0.4]
    with pytest.raises(
        TopologyError, match=r"symmetric, and (x gives y 0\.3 but gets 0\.4|y gives x 0\.4 but gets 0\.3)"
    ):
        edge_weights(links, uneven, symmetric=True)
    with pytest.raises(TopologyError, match=r"the column of x in the weights sums to 1\.1"):
        edge_weights(links, uneven, sums="both")


def test_names_and_sums_that_do_not_fit() -> None:
    star = Topology.star(["hub", "x", "y"]).links
    one_way = Topology(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a")])).links
    with pytest.raises(TopologyError, match=r"weights 'metro' are unknown; choose metropolis, .*or give a matrix"):
        edge_weights(star, "metro")
    with pytest.raises(TopologyError, match="sums='row': expected 'rows', 'columns' or 'both'"):
        edge_weights(star, sums="row")
    with pytest.raises(TopologyError, match=r"'row' make rows sum to one, and here columns must \(those of hub"):
        edge_weights(star, "row", sums="columns")
    with pytest.raises(TopologyError, match="'column' make columns sum to one, and here rows must"):
        edge_weights(star, "column", sums="both")
    with pytest.raises(TopologyError, match="'row' are not symmetric on this topology; use 'metropolis'"):
        edge_weights(star, "row", symmetric=True)
    for kind in EVEN:
        with pytest.raises(TopologyError, match=rf"weights '{kind}' holds for edges in both directions only"):
            edge_weights(one_way, kind)
    with pytest.raises(TopologyError, match="symmetric weights holds for"):
        edge_weights(one_way, np.eye(3) * 0.5 + np.roll(np.eye(3), 1, axis=0) * 0.5, symmetric=True)


def test_weights_that_need_a_connected_graph_name_its_parts() -> None:
    links = Topology(nx.Graph([("a", "b"), ("c", "d")])).links
    for kind in ("laplacian", "fastest"):
        with pytest.raises(TopologyError, match=r"\{a, b\}, \{c, d\}"):
            edge_weights(links, kind)
    assert (edge_weights(links) == 0.5).all()


@pytest.mark.parametrize("kind", WEIGHTS)
def test_one_node_has_no_weights(kind: str) -> None:
    assert edge_weights(Topology.path(1).links, kind).shape == (0,)
