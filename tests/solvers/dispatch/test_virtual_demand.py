"""Demand dealt to those who can serve it, by neighbours only."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.errors import ModelError
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel_solvers.dispatch.virtual_demand import VirtualDemand, virtual_demand
from models.economic_dispatch import EDGES, LOADS
from tests.solvers.dispatch.common import random_graph
from tests.solvers.reference import links_of


def test_the_path_deals_two_three_two_sevenths() -> None:
    links = links_of(nx.path_graph(3))
    y = virtual_demand(links, np.array([[4.1], [0.0], [0.0]]), np.ones(3, dtype=bool))
    np.testing.assert_allclose(y.ravel(), 4.1 * np.array([2, 3, 2]) / 7, atol=1e-9)


def test_generators_of_the_eight_nodes_serve_all_loads() -> None:
    links = links_of(nx.Graph([(a - 1, b - 1) for a, b in EDGES]))
    order = [int(name) for name in links.nodes]
    demand = np.array([([0, 0, 0, *LOADS.values()])[k] for k in order])[:, None]
    takers = np.array([k < 3 for k in order])
    y = virtual_demand(links, demand, takers)
    dealt = {k: y[place, 0] for place, k in enumerate(order)}
    np.testing.assert_allclose([dealt[k] for k in range(3)], 4.1 * np.array([2, 3, 2]) / 7, atol=1e-8)
    assert all(dealt[k] == 0 for k in range(3, 8))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 12), st.integers(0, 200), st.booleans())
def test_nothing_is_lost_while_it_is_dealt(nodes: int, seed: int, lossy: bool) -> None:
    rng = np.random.default_rng(seed)
    links = links_of(random_graph(nodes, seed))
    demand = rng.uniform(0, 2, (nodes, 2))
    takers = rng.random(nodes) < 0.5
    takers[0] = True
    network = Network(links, Channel(drop=0.2, seed=seed) if lossy else None)
    dealt = VirtualDemand(network, demand, takers, 400)
    for k in range(3 * 400):
        network.tick()
        dealt.round()
        if not lossy and k < 800:
            np.testing.assert_allclose(dealt.p.sum(axis=0), demand.sum(axis=0), rtol=1e-12)
        if k >= 799:
            np.testing.assert_allclose(dealt.y.sum(axis=0), demand.sum(axis=0), rtol=1e-8)
        if dealt.done:
            break
    assert (dealt.y[~takers] == 0).all()
    assert (dealt.y[takers] > 0).all()


def test_the_limit_before_it_is_evened_out_is_proportional_to_one_plus_neighbours() -> None:
    graph = nx.star_graph(4)
    graph.add_edge(3, 4)
    links = links_of(graph)
    takers = np.array([True, True, False, True, False])
    network = Network(links)
    dealt = VirtualDemand(network, np.full((5, 1), 1.0), takers, 200)
    for _ in range(400):
        network.tick()
        dealt.round()
    weight = np.where(takers, 1.0 + links.out_of, 0.0)
    np.testing.assert_allclose(dealt.y.ravel(), 5.0 * weight / weight.sum(), atol=1e-10)


def test_what_cannot_be_dealt_is_refused() -> None:
    links = links_of(nx.path_graph(3))
    with pytest.raises(ModelError, match="2 has a demand below zero"):
        virtual_demand(links_of(nx.path_graph(3)), np.array([[1.0], [1.0], [-1.0]]), np.ones(3, dtype=bool))
    with pytest.raises(ModelError, match="no agent can serve"):
        virtual_demand(links, np.ones((3, 1)), np.zeros(3, dtype=bool))
