"""The topology is checked against the agents when it is given."""

from __future__ import annotations

import networkx as nx
import pytest

from gridmodel.errors import TopologyError
from gridmodel.language.model import Model


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


def test_components_of_a_topology_that_falls_apart(model):
    graph = nx.Graph([("home[0]", "home[1]")])
    graph.add_node("g")
    model.connect(graph, coordinator=False)
    assert not model.topology.coordinator
    assert model.topology.components == [["g"], ["home[0]", "home[1]"]]


def test_the_callers_graph_is_copied(model):
    graph = nx.path_graph(["home[0]", "g", "home[1]"])
    model.connect(graph)
    graph.remove_edge("g", "home[1]")
    assert model.topology.are_neighbours("g", "home[1]")


def looped() -> nx.Graph:
    graph = nx.path_graph(["home[0]", "g", "home[1]"])
    graph.add_edge("g", "g")
    return graph


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        ([("g", "home[0]")], "expects a networkx graph, got list"),
        (nx.DiGraph([("g", "home[0]")]), "directed graph; give graph.to_undirected()"),
        (nx.path_graph(["g", "home"]), "nodes that are no agents: home. Agents are g, home"),
        (nx.path_graph(["g", "home[0]"]), r"lacks 1 of 3 agents, e\.g\. home\[1\]; add them with graph.add_node"),
        (nx.Graph(), "lacks 3 of 3 agents"),
        (looped(), "joins g to itself; remove the self-loop"),
    ],
)
def test_graphs_that_do_not_fit(model, graph, text):
    with pytest.raises(TopologyError, match=text):
        model.connect(graph)
    assert model.topology is None
