"""A topology: made, checked when it is given, read, and set on a model."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.compile import compile_model
from gridmodel.errors import TopologyError
from gridmodel.ir.mixing import WEIGHTS
from gridmodel.language.model import Model
from gridmodel.language.topology import Topology


@pytest.fixture
def model() -> Model:
    model = Model()
    model.agent("g")
    model.fleet("home", 2)
    return model


def test_a_fleets_agents_are_nodes_of_their_own(model):
    model.connect(nx.path_graph(["home[0]", "g", "home[1]"]))
    assert model.topology.coordinator
    assert model.topology.are_neighbours("g", "home[1]")
    assert not model.topology.are_neighbours("home[0]", "home[1]")
    assert model.topology.components == [["g", "home[0]", "home[1]"]]


def test_an_agent_that_came_after_connect_is_named(model):
    model.connect(nx.path_graph(["home[0]", "g", "home[1]"]))
    model["g"].variable("x")
    model.agent("late").variable("x")
    with pytest.raises(TopologyError, match=r"lacks 1 of 4 agents, e\.g\. late; .* connect once all agents are"):
        compile_model(model)


def test_components_of_a_topology_that_falls_apart(model):
    graph = nx.Graph([("home[0]", "home[1]")])
    graph.add_node("g")
    model.connect(graph, coordinator=False)
    assert not model.topology.coordinator
    assert model.topology.components == [["g"], ["home[0]", "home[1]"]]
    assert not model.topology.is_connected


def test_the_callers_graph_is_copied(model):
    graph = nx.path_graph(["home[0]", "g", "home[1]"])
    model.connect(graph)
    graph.remove_edge("g", "home[1]")
    assert model.topology.are_neighbours("g", "home[1]")


def test_a_directed_topology_has_neighbours_where_both_hear(model):
    model.connect(nx.DiGraph([("g", "home[0]"), ("home[0]", "g"), ("home[0]", "home[1]"), ("home[1]", "g")]))
    topology = model.topology
    assert topology.is_directed
    assert topology.is_connected
    assert topology.are_neighbours("g", "home[0]")
    assert not topology.are_neighbours("home[0]", "home[1]")
    assert not topology.are_neighbours("home[1]", "home[0]")
    assert topology.degrees == {"g": 2, "home[0]": 1, "home[1]": 1}


def test_components_of_a_directed_topology_are_strong():
    topology = Topology(nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")]))
    assert topology.components == [["a", "b"], ["c"]]
    assert not topology.is_connected
    with pytest.raises(TopologyError, match=r"needs a strongly connected topology.*2 separate parts"):
        topology.rounds_to(1e-6, "row")


def test_a_model_takes_a_topology_or_graphs_in_turn(model):
    names = ["home[0]", "g", "home[1]"]
    model.connect(Topology.ring(names))
    assert model.topology.nodes == names
    assert model.topology.coordinator
    model.connect(Topology(nx.path_graph(names), coordinator=False))
    assert not model.topology.coordinator
    model.connect(Topology.ring(names), coordinator=False)
    assert not model.topology.coordinator
    first, second = nx.Graph([names[:2]]), nx.Graph([names[1:]])
    first.add_nodes_from(names)
    second.add_nodes_from(names)
    model.connect([first, second])
    assert model.topology.is_connected
    assert model.topology.links.present.shape == (2, 4)
    model.connect(model.topology)
    assert len(model.topology.periods) == 2


@settings(max_examples=50)
@given(st.integers(2, 7), st.integers(1, 4), st.integers(0, 10_000), st.booleans())
def test_graphs_in_turn_have_their_edges_in_their_round(n: int, periods: int, seed: int, directed: bool) -> None:
    kind: Any = nx.DiGraph if directed else nx.Graph
    rng = np.random.default_rng(seed)
    turns = []
    for _ in range(periods):
        graph = nx.empty_graph(n, create_using=kind)
        graph.add_edges_from((int(a), int(b)) for a, b in rng.integers(n, size=(n, 2)) if a != b)
        turns.append(graph)
    topology = Topology(turns)
    links = topology.links
    for k in range(2 * periods):
        matrix = topology.mixing("row", round=k)
        assert np.abs(matrix.sum(axis=1) - 1.0).max() < 1e-15 * n
        found = {(s, r) for r, s in zip(*matrix.nonzero(), strict=True) if s != r}
        turn = turns[k % periods]
        assert found == set(turn.edges) | (set() if directed else {(b, a) for a, b in turn.edges})
    assert (links.present is None) == (periods == 1)


def test_one_directed_graph_in_turn_makes_all_directed():
    topology = Topology([nx.Graph([("a", "b")]), nx.DiGraph([("a", "b")])])
    assert topology.is_directed
    assert topology.links.present.tolist() == [[True, True], [False, True]]  # b -> a, then a -> b


def looped() -> nx.Graph:
    graph = nx.path_graph(["home[0]", "g", "home[1]"])
    graph.add_edge("g", "g")
    return graph


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        ([("g", "home[0]")], r"graph 0 of the topology expects a networkx graph .*got tuple; make one by"),
        ("path", r"expects a networkx graph \(or a sequence of them\), got str"),
        (np.eye(3), "expects a networkx graph .*got ndarray"),
        (None, "expects a networkx graph .*got NoneType"),
        ([], "needs at least one graph, got an empty sequence"),
        (nx.path_graph(["g", "home"]), "nodes that are no agents: home. Agents are g, home"),
        (nx.path_graph(["g", "home[0]"]), r"lacks 1 of 3 agents, e\.g\. home\[1\]; add them with graph.add_node"),
        (nx.Graph(), "has no nodes; add them with graph.add_nodes_from"),
        (looped(), "joins g to itself; remove the self-loop"),
        (nx.MultiGraph([("g", "home[0]")]), r"is a multigraph; .*give networkx\.Graph\(graph\)"),
        (nx.Graph([("g", float("nan"))]), "has a node that is NaN"),
        (
            [nx.path_graph(["g", "home[0]", "home[1]"]), nx.path_graph(["g", "home[0]"])],
            r"graph 1 of the topology and graph 0 have different nodes \(home\[1\] in one only\)",
        ),
        ([nx.path_graph(["g", "home[0]", "home[1]"]), looped()], "graph 1 of the topology joins g to itself"),
    ],
)
def test_graphs_that_do_not_fit(model, graph, text):
    with pytest.raises(TopologyError, match=text):
        model.connect(graph)
    assert model.topology is None


def test_edge_attributes_are_left_aside():
    heavy = nx.Graph()
    heavy.add_edge("a", "b", weight=np.nan)
    heavy.add_edge("b", "c", weight=7.0)
    topology = Topology(heavy)
    assert topology.spectrum == Topology.path(3).spectrum
    assert list(topology.graph.edges(data=True)) == [("a", "b", {}), ("b", "c", {})]


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (Topology.path, nx.path_graph),
        (Topology.ring, nx.cycle_graph),
        (Topology.star, lambda n: nx.star_graph(n - 1)),
        (Topology.complete, nx.complete_graph),
        (lambda n: Topology.grid(2, n), lambda n: nx.convert_node_labels_to_integers(nx.grid_2d_graph(2, n))),
    ],
)
@pytest.mark.parametrize("n", [3, 4, 7])
def test_shapes_are_those_of_networkx(made: Callable[..., Topology], same: Callable[[int], nx.Graph], n: int) -> None:
    topology = made(n)
    assert topology.nodes == [f"a{k + 1}" for k in range(len(topology.nodes))]
    graph = nx.relabel_nodes(same(n), {k: f"a{k + 1}" for k in range(2 * n)})
    assert {frozenset(edge) for edge in topology.edges} == {frozenset(edge) for edge in graph.edges}
    assert topology.diameter == nx.diameter(graph)
    assert topology.algebraic_connectivity == pytest.approx(nx.laplacian_spectrum(graph)[1], rel=1e-10)


@pytest.mark.parametrize("draw", [Topology.erdos_renyi, Topology.random_geometric, Topology.small_world])
def test_random_graphs_are_connected_and_repeat(draw: Callable[..., Topology]) -> None:
    names = [f"home[{k}]" for k in range(30)]
    first, again, other = draw(names, seed=5), draw(names, seed=5), draw(names, seed=6)
    assert first.nodes == names
    assert first.is_connected
    assert first.edges == again.edges
    assert first.edges != other.edges


def test_random_graphs_follow_their_law() -> None:
    drawn = [Topology.erdos_renyi(100, 0.2, seed=seed) for seed in range(20)]
    count = np.mean([len(t.edges) for t in drawn])
    assert abs(count - 990) < 4 * np.sqrt(4950 * 0.2 * 0.8 / 20)
    near = Topology.random_geometric(60, 0.3, seed=1).graph
    points = nx.get_node_attributes(near, "pos")
    for one in near:
        for other in near:
            apart = np.hypot(*np.subtract(points[one], points[other]))
            assert near.has_edge(one, other) == (one != other and apart <= 0.3)
    still = Topology.small_world(20, 4, rewire=0.0)
    assert set(still.degrees.values()) == {4}
    assert still.diameter == 5
    assert len(Topology.small_world(20, 4, rewire=0.5, seed=1).edges) == 40


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Topology.path(0), "at least 1 nodes, got 0"),
        (lambda: Topology.ring(2), "at least 3 nodes, got 2"),
        (lambda: Topology.star("hub"), "'hub' is one name; give a list of names"),
        (lambda: Topology.path(2.5), r"nodes=2\.5: expected a list of names, or how many"),
        (lambda: Topology.path(["a", "b", "a"]), "node a is named twice"),
        (lambda: Topology.grid(0, 3), "rows=0: expected a whole number of at least 1"),
        (lambda: Topology.grid(2, 2, ["a", "b", "c"]), "grid of 2 x 2 has 4 nodes, got 3 names"),
        (lambda: Topology.erdos_renyi(5, 1.5), r"probability=1\.5: expected a number above 0 and at most 1"),
        (lambda: Topology.erdos_renyi(200, 0.001), r"none of 100 random graphs of 200 nodes with probability=0\.001"),
        (lambda: Topology.random_geometric(50, float("nan")), "radius=nan"),
        (lambda: Topology.random_geometric(200, 0.01), r"none of 100 .*radius=0\.01 was connected; choose a larger"),
        (lambda: Topology.small_world(10, 3), "neighbours=3: expected an even number from 2 and below the 10 nodes"),
        (lambda: Topology.small_world(10, rewire=-0.1), r"rewire=-0\.1"),
        (lambda: Topology.small_world(10, "4"), "neighbours='4': expected an even number"),
        (lambda: Topology.erdos_renyi(5, "a"), "probability='a': expected a number"),
        (lambda: Topology.random_geometric(5, "a"), "radius='a': expected a number"),
        (lambda: Topology.erdos_renyi(5, seed=-1), "seed=-1: expected a whole number, 0 or more"),
        (lambda: Topology.erdos_renyi(5, seed="a"), "seed='a': expected a whole number"),
        (lambda: Topology(nx.path_graph(3), coordinator="no"), "coordinator='no': expected True or False"),
    ],
)
def test_shapes_that_cannot_be_made(make: Callable[[], Topology], text: str) -> None:
    with pytest.raises(TopologyError, match=text):
        make()


@pytest.mark.parametrize("n", range(3, 11))
def test_facts_of_a_star(n: int) -> None:
    star = Topology.star(n)
    assert star.algebraic_connectivity == pytest.approx(1.0, rel=1e-12)
    assert star.optimal_gamma == pytest.approx(2 / (n + 1), rel=1e-12)
    assert star.rho == pytest.approx((n - 1) / (n + 1), rel=1e-12)
    assert star.diameter == 2
    best = star.mixing("laplacian").toarray()
    assert best == pytest.approx(np.eye(n) - star.optimal_gamma * star.laplacian.toarray(), abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(3, 12), st.integers(0, 1000), st.sampled_from(["metropolis", "lazy", "laplacian"]), st.floats(1e-9, 0.9)
)
def test_the_rounds_told_are_the_rounds_taken(n: int, seed: int, kind: str, tolerance: float) -> None:
    topology = Topology.erdos_renyi(n, seed=seed)
    rounds = topology.rounds_to(tolerance, kind)
    apart = topology.mixing(kind).toarray() - 1.0 / n
    left = np.linalg.norm(np.linalg.matrix_power(apart, rounds), 2)
    before = np.linalg.norm(np.linalg.matrix_power(apart, rounds - 1), 2)
    assert left <= tolerance * (1 + 1e-6) + 1e-15
    assert before >= tolerance * (1 - 1e-6)


def test_one_round_suffices_where_all_hear_all() -> None:
    assert Topology.complete(6).rounds_to(1e-12) == 1
    values = np.arange(6.0)
    assert Topology.complete(6).mixing() @ values == pytest.approx(np.full(6, 2.5))


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1e-6, 2.0, np.nan, "a"])
def test_tolerances_that_are_no_factor(tolerance: float) -> None:
    with pytest.raises(TopologyError, match="expected a factor between 0 and 1"):
        Topology.path(3).rounds_to(tolerance)


def test_weights_that_swap_forever() -> None:
    with pytest.raises(TopologyError, match=r"does not shrink \(rate 1\); use weights='lazy'"):
        Topology.path(2).rounds_to(1e-3, [[0, 1], [1, 0]])


@pytest.mark.parametrize("fact", ["rho", "optimal_gamma", "algebraic_connectivity", "diameter"])
def test_facts_that_need_connection_name_the_parts(fact: str) -> None:
    with pytest.raises(TopologyError, match=r"2 separate parts: \{a, b\}, \{c, d\} .*join them by edges"):
        getattr(Topology(nx.Graph([("a", "b"), ("c", "d")])), fact)


@pytest.mark.parametrize("fact", ["rho", "optimal_gamma", "algebraic_connectivity", "laplacian"])
def test_facts_of_the_laplacian_need_both_ways(fact: str) -> None:
    with pytest.raises(TopologyError, match=r"has no way back .the Laplacian of a directed graph is not symmetric"):
        getattr(Topology(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a")])), fact)


@pytest.mark.parametrize(
    ("topology", "text"),
    [
        (
            Topology.ring(4),
            "4 nodes, 4 edges, degree 2\nconnected, diameter 2\n"
            "Laplacian: lambda_2 = 2, lambda_N = 4; best gamma = 0.333333, rho = 0.333333\n"
            "agreement to 1e-6 with metropolis weights: 13 rounds",
        ),
        (
            # W has eigenvalues 1 and a pair of product 1/12: log(1e-6) / log(sqrt(1/12)) = 11.1.
            Topology(nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")])),
            "3 nodes, 4 directed edges, degrees 1 to 2\nstrongly connected, diameter 2\n"
            "agreement to 1e-6 with row weights: 12 rounds",
        ),
        (
            Topology(nx.Graph([("a", "b"), ("c", "d")])),
            "4 nodes, 2 edges, degree 1\nnot connected: 2 separate parts {a, b}, {c, d}",
        ),
        (Topology.path(1), "1 node, 0 edges, degree 0\nconnected, diameter 0"),
    ],
)
def test_a_topology_in_words(topology: Topology, text: str) -> None:
    assert str(topology) == text


def test_a_slow_path_in_words() -> None:
    assert "rho = 1 - 3.08e-05" in str(Topology.path(400))
    assert "varies with time: 2 graphs in turn" in str(Topology([nx.path_graph(3), nx.cycle_graph(3)]))


def test_the_page_on_topologies_shows_what_happens() -> None:
    text = (Path(__file__).parents[2] / "docs" / "topology.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    page = doctest.DocTestParser().get_doctest(code, {}, "topology.md", None, 0)
    told: list[str] = []
    done = doctest.DocTestRunner().run(page, out=told.append)
    assert done.failed == 0, "".join(told)
    assert done.attempted == len(re.findall("^>>> ", code, re.MULTILINE))
    kinds = re.findall(r"^\| `([a-z-]+)` \|", text.split("## Weights")[1], re.MULTILINE)
    assert sorted(kinds) == sorted(WEIGHTS)
