"""Flows over edges against their definition."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from gridmodel_solvers.flows import flow_into
from tests.solvers.reference import links_of


def test_a_flow_carries_what_is_asked_into_every_node_and_back_the_same() -> None:
    links = links_of(nx.relabel_nodes(nx.lollipop_graph(4, 3), str))
    p = np.random.default_rng(0).normal(size=(7, 2))
    p -= p.mean(axis=0)
    y = flow_into(links, p)
    into = np.zeros_like(p)
    np.add.at(into, links.receiver, y)
    assert into == pytest.approx(p, abs=1e-12)
    assert y[links.opposite] == pytest.approx(-y)
