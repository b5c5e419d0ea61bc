"""Masks cancel in sums and hide single messages; the loss of privacy is what hand numbers say."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from gridmodel.errors import ModelError
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.masking import Gaussian, RowMasks, cancelling
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Mixer, Pusher
from tests.runtime.graphs import links_of, metropolis


@pytest.mark.parametrize("graph", [nx.cycle_graph(7), nx.star_graph(5), nx.cycle_graph(6, create_using=nx.DiGraph)])
def test_shares_cancel(graph: nx.Graph[int]) -> None:
    links = links_of(graph)
    masks = cancelling(links, 3, 100.0, np.random.default_rng(0))
    assert np.abs(masks.sum(axis=0)).max() < 1e-14 * np.abs(masks).sum()
    # N(0, size^2) on every edge at both ends: the variance of a node is size^2 times the number of its edges.
    drawn = np.stack([cancelling(links, 1, 2.0, np.random.default_rng(k))[:, 0] for k in range(4000)])
    assert drawn.var(axis=0) == pytest.approx(4.0 * (links.into + links.out_of), rel=0.12)
    assert np.array_equal(masks, cancelling(links, 3, 100.0, np.random.default_rng(0)))


def test_averaging_of_masked_values_is_exact() -> None:
    links = links_of(nx.connected_watts_strogatz_graph(30, 4, 0.3, seed=1))
    values = np.random.default_rng(0).uniform(0, 1, (30, 2))
    for channel in (Channel(mask=100.0), Channel(mask=100.0, drop=0.3), Channel(mask=100.0, awake=0.5)):
        network = Network(links, channel)
        mixer, held = Mixer(network, metropolis(links), "paired"), network.masked(values)
        for _ in range(1500):
            network.tick()
            held = network.keep(mixer(held), held)
        # 100 times larger numbers cost two digits of 1e-16.
        assert np.abs(held - values.mean(axis=0)).max() < 1e-13


def test_shares_that_are_dealt_keep_the_masked_sum() -> None:
    links = links_of(nx.cycle_graph(8, create_using=nx.DiGraph))
    network = Network(links, Channel(mask=10.0, drop=0.3))
    values = np.random.default_rng(0).uniform(0, 1, (8, 1))
    pusher, held = Pusher(network, "sums"), network.masked(values)
    for _ in range(100):
        network.tick()
        held = pusher(held)
    assert np.abs(held.sum(axis=0) + pusher.under_way() - values.sum(axis=0)).max() < 1e-13


def test_single_messages_show_nothing() -> None:
    """Over 4,000 draws of values and masks, what a node sends first does not correlate with its value."""
    links, rng = links_of(nx.cycle_graph(6)), np.random.default_rng(0)
    values = rng.normal(size=(4000, 6, 1))
    sent = np.stack([Network(links, Channel(mask=50.0, seed=k)).masked(v) for k, v in enumerate(values)])
    for node in range(6):
        # 1 / 100 of the spread is the value's; the correlation of independent numbers has deviation 1 / sqrt(4000).
        assert abs(np.corrcoef(sent[:, node, 0], values[:, node, 0])[0, 1]) < 4 / math.sqrt(4000)
    totals = np.corrcoef(sent.sum(axis=1)[:, 0], values.sum(axis=1)[:, 0])[0, 1]
    assert totals == pytest.approx(1.0, abs=1e-12)


def test_row_masks_cancel_in_every_rows_sum_and_hide_each_report() -> None:
    row = np.array([0, 1, 0, 2, 1, 0, 3, 3])
    masks, values = RowMasks(row, 100.0, np.random.default_rng(3)), np.arange(8.0)
    assert masks.messages == 7  # the report alone in row 2 has nobody to hide with
    seen = np.array([masks(values) for _ in range(2000)])
    assert np.abs([np.bincount(row, part - values) for part in seen]).max() < 1e-11
    apart = seen - values
    assert apart[:, 3] == pytest.approx(0.0)
    assert apart.std(axis=0)[[0, 1, 2, 4, 5]] == pytest.approx(100 * math.sqrt(2), rel=0.06)
    assert np.abs(np.diff(seen[:, 0])).min() > 0  # new masks every round


def test_accounting_by_hand() -> None:
    """Delta 1, sigma 10, 50 rounds: rho = 50 / 200 = 1/4; at delta = exp(-16): epsilon = 1/4 + 2 sqrt(16 / 4)."""
    noise = Gaussian(10.0, 1.0)
    assert noise.rho == 1 / 200
    assert noise.epsilon(50, math.exp(-16)) == pytest.approx(4.25, rel=1e-14)
    assert noise.epsilon(0, 1e-5) == 0.0
    # Twice the rounds and the sensitivity cost eight times rho.
    assert Gaussian(10.0, 2.0).epsilon(100, math.exp(-16)) == pytest.approx(2 + 2 * math.sqrt(32), rel=1e-14)


def test_the_inverse_by_hand() -> None:
    made = Gaussian.reaching(4.25, math.exp(-16), 50, 1.0)
    assert made.sigma == pytest.approx(10.0, rel=1e-13)
    for epsilon in (1e-6, 0.5, 30.0):
        made = Gaussian.reaching(epsilon, 1e-5, 1000, 3.0)
        assert made.epsilon(1000, 1e-5) == pytest.approx(epsilon, rel=1e-12)


def test_rho_is_the_divergence_of_two_normals() -> None:
    """Renyi divergence of order a between N(0, s^2) and N(Delta, s^2) is a rho, by quadrature."""
    noise, order = Gaussian(1.3, 0.9), 3.0
    t = np.linspace(-30, 30, 200_001)
    p, q = (np.exp(-((t - m) ** 2) / (2 * noise.sigma**2)) / (noise.sigma * math.sqrt(2 * math.pi)) for m in (0, 0.9))
    total = np.trapezoid(np.exp(order * np.log(p) + (1 - order) * np.log(q)), t)
    assert math.log(total) / (order - 1) == pytest.approx(order * noise.rho, rel=1e-9)


def test_what_is_sent_is_cut_and_noised() -> None:
    noise, rng = Gaussian(0.5, 2.0), np.random.default_rng(0)
    sent = np.stack([noise(np.array([[3.0, 4.0], [0.3, 0.4]]), rng) for _ in range(20_000)])
    assert np.allclose(sent.mean(axis=0), [[0.6, 0.8], [0.3, 0.4]], atol=0.02)
    assert np.allclose(sent.std(axis=0), 0.5, rtol=0.03)


@pytest.mark.parametrize(("sigma", "sensitivity"), [(0.0, 1.0), (1.0, -1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_careless_noise_is_named(sigma: float, sensitivity: float) -> None:
    with pytest.raises(ModelError, match="must be a number above 0"):
        Gaussian(sigma, sensitivity)


def test_careless_targets_are_named() -> None:
    with pytest.raises(ModelError, match="delta=2 must be above 0 and below 1"):
        Gaussian(1.0, 1.0).epsilon(3, 2)
    with pytest.raises(ModelError, match="delta='a' must be above 0"):
        Gaussian(1.0, 1.0).epsilon(3, "a")  # type: ignore[arg-type]
    for releases in (-1, "a"):
        with pytest.raises(ModelError, match=r"releases=.* must be a number above 0"):
            Gaussian(1.0, 1.0).epsilon(releases, 1e-5)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="epsilon=0 must be a number above 0"):
        Gaussian.reaching(0, 1e-5, 10, 1.0)
    with pytest.raises(ModelError, match="mask=-1"):
        Channel(mask=-1)
