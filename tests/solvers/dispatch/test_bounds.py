"""Saturation prices, and their extremes over the graph."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.dispatch.bounds import diameter, price_bounds, saturation
from gridmodel_solvers.dispatch.offers import Offers
from tests.solvers.build import separable, stack
from tests.solvers.dispatch.common import path, random_graph
from tests.solvers.reference import graph, links_of


def test_the_dispatch_saturates_between_one_third_and_three() -> None:
    low, high, known = saturation(Offers(path()))
    assert known.all()
    np.testing.assert_allclose(-high.ravel(), [1 / 3, 1 / 2, 1 / 2])
    np.testing.assert_allclose(-low.ravel(), [3.1 / 3, 1.0, 3.0])
    links = path().links
    assert links is not None
    lowest, highest = price_bounds(links, low, high)
    np.testing.assert_allclose(-highest.ravel(), [1 / 3] * 3)
    np.testing.assert_allclose(-lowest.ravel(), [3.0] * 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 15), st.integers(0, 500), st.booleans())
def test_extremes_are_exact_after_the_diameter_and_not_before(nodes: int, seed: int, directed: bool) -> None:
    made = random_graph(nodes, seed, directed)
    links = links_of(made)
    far = nx.diameter(made) if nodes > 1 else 0
    assert diameter(links) == far
    values = np.random.default_rng(seed).normal(size=(nodes, 2))
    low, high = price_bounds(links, values, values)
    np.testing.assert_array_equal(low, np.broadcast_to(values.min(axis=0), low.shape))
    np.testing.assert_array_equal(high, np.broadcast_to(values.max(axis=0), high.shape))
    if nodes > 1:
        hops = dict(nx.all_pairs_shortest_path_length(made))
        end = next(k for k in made if max(hops[k].values()) == far)
        only = np.where(np.arange(nodes) == end, 1.0, 0.0)[:, None]
        assert price_bounds(links, only, only, far - 1)[1].min() == 0.0


def test_losses_only_take_longer() -> None:
    links, values = links_of(graph()), np.arange(100.0)[:, None]
    low, high = price_bounds(links, values, values, rounds=60, channel=Channel(drop=0.5, seed=3))
    assert (low == 0.0).all()
    assert (high == 99.0).all()


def test_large_graphs_have_an_upper_bound_of_the_diameter() -> None:
    links = links_of(nx.path_graph(2000))
    assert 1999 <= diameter(links) <= 2 * 1999


def test_a_graph_that_falls_apart_is_refused() -> None:
    with pytest.raises(ModelError, match="falls apart"):
        diameter(Links.build(["a", "b"], np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)))


def test_what_cannot_saturate_is_a_guess_and_what_is_fixed_says_nothing() -> None:
    free = stack([1.0], [[0.0]], [[1.0]], [0], labels=["free"])
    tied = stack([1.0, 1.0], [[0.0, 0.0]], [[1.0, 1.0]], [0], 0, 1, A=[[1.0, -1.0]], b=[0.0], labels=["tied"])
    fixed = stack([0.0], [[0.0]], [[-1.0]], [0], 2.0, 2.0, labels=["fixed"])
    low, high, known = saturation(Offers(separable([free, tied, fixed], 0.0, 0.0)))
    np.testing.assert_array_equal(known.ravel(), [False, False, True])
    assert (low[:2] < 0).all()
    assert (high[:2] > 0).all()
    assert (low[2, 0], high[2, 0]) == (np.inf, -np.inf)


def test_two_columns_in_a_row_saturate_at_the_outer_prices() -> None:
    made = stack([2.0, 1.0], [[1.0, -3.0]], [[1.0, -2.0]], [0], [[0.0, -1.0]], [[1.0, 4.0]])
    low, high, _ = saturation(Offers(separable([made], 0.0, 0.0)))
    mu = np.linspace(-12, 12, 4801)
    first, second = np.clip(-(1 + mu) / 2, 0, 1), np.clip(3 + 2 * mu, -1, 4)
    report = first - 2 * second
    moving = mu[1:][np.diff(report) != 0]
    assert low.item() == pytest.approx(moving.min(), abs=0.006)
    assert high.item() == pytest.approx(moving.max(), abs=0.006)
