"""Homes with solar panels, storage and load learn one forecast of their energy use; no data leaves a home.

minimise    sum_i 1/(2 n) sum_s (y_is - x_is' theta_i)^2 + ridge/2 |theta_i|^2
subject to  theta_i = theta_j for all homes i, j

y_is is what home i drew from the grid in hour s, in units of its own mean load; x_is holds what it knew the day
before: the hour, the temperature and sunshine of the weather forecast, its panel, and its draw 24 hours earlier. Homes
talk to a few neighbours, to whom they show their theta (and nothing of x and y).

`gridmodel solve hundred_homes --algorithm diffusion` is diffusion learning; its step leaves it O(step) beside the
common optimum, `exact-diffusion` reaches it. `--faults outage=home[17]:100-200,join=home[99]:300` lets a home fail
and a new one come. The data are made by `data`, not measured.

Source: Chen and Sayed (2012), Diffusion adaptation strategies for distributed optimization and learning over networks.
"""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import numpy as np
from numpy.typing import NDArray

import gridmodel as gm

Floats = NDArray[np.float64]

FEATURES = ("one", "sin day", "cos day", "sin half day", "cos half day", "temperature", "sun", "day before")


def build(homes: int = 100, days: int = 28, seed: int = 0, neighbours: int = 6, ridge: float = 1e-3) -> gm.Model:
    """The learning problem as a model.

    Args:
        homes: number of homes.
        days: days of data that every home has; a day more serves for the lag.
        seed: of the generator that makes data and graph.
        neighbours: mean number of neighbours a home talks to.
        ridge: weight of |theta|^2, which keeps every home's own problem well posed.
    """
    for name, value, least in (
        ("homes", homes, 2),
        ("days", days, 2),
        ("seed", seed, 0),
        ("neighbours", neighbours, 1),
    ):
        if not isinstance(value, int | np.integer) or value < least:
            raise gm.ModelError(f"hundred_homes: {name} must be a whole number of at least {least}, got {value}.")
    if not 0 < ridge < float("inf"):
        raise gm.ModelError(f"hundred_homes: ridge must be a number above 0, got {ridge}.")
    x, y = data(homes, days, seed)
    # |y - X theta|^2 = |Q'y - R theta|^2 + const with X = Q R: each home needs d numbers of its own data a row of R.
    q, r = np.linalg.qr(x)
    target = np.einsum("isj,is->ij", q, y)
    count, d = y.shape[1], x.shape[2]
    model = gm.Model(f"{homes} homes")
    fleet = model.fleet("home", homes)
    theta = fleet.variable("theta", d)
    misfit = sum(cp.square(target[:, k] - cp.sum(cp.multiply(r[:, k], theta), axis=1)) for k in range(d))
    fleet.minimize(misfit / (2 * count) + ridge / 2 * cp.sum(cp.square(theta), axis=1))
    model.agree("theta")
    model.connect(village(homes, neighbours, seed), coordinator=False)
    return model


def village(homes: int, neighbours: int, seed: int) -> nx.Graph[str]:
    """Homes at random places; each talks to those nearby, and the nearest of separate groups are joined."""
    place = np.random.default_rng([seed, 1]).random((homes, 2))
    apart = np.linalg.norm(place[:, None] - place, axis=2)
    near = apart <= np.sqrt(neighbours / (np.pi * homes))
    graph: nx.Graph[str] = nx.Graph()
    for k in range(homes):
        graph.add_node(f"home[{k}]", pos=tuple(place[k]))
    graph.add_edges_from((f"home[{i}]", f"home[{j}]") for i, j in np.argwhere(np.triu(near, 1)))
    while not nx.is_connected(graph):
        group = np.array(sorted(int(name[5:-1]) for name in nx.node_connected_component(graph, "home[0]")))
        rest = np.setdiff1d(np.arange(homes), group)
        i, j = np.unravel_index(np.argmin(apart[np.ix_(group, rest)]), (len(group), len(rest)))
        graph.add_edge(f"home[{group[i]}]", f"home[{rest[j]}]")
    return graph


def data(homes: int, days: int, seed: int) -> tuple[Floats, Floats]:
    """What homes knew, (homes, 24 days, features), and what they drew, (homes, 24 days), in mean loads."""
    rng = np.random.default_rng(seed)
    hours = 24 * (days + 1)
    hour = np.arange(hours)
    cloud = np.repeat(rng.uniform(0.1, 0.9, days + 1), 24)
    cold = np.repeat(rng.normal(0.0, 1.0, days + 1), 24) - 0.8 * np.cos(2 * np.pi * (hour - 3) / 24)
    sun = np.clip(np.sin(np.pi * (hour % 24 - 6) / 12), 0, None) * (1 - cloud)
    peaks = 0.5 * np.exp(-(((hour % 24 - 8) / 1.5) ** 2)) + 1.2 * np.exp(-(((hour % 24 - 19) / 2.5) ** 2))
    habit = rng.uniform(0.7, 1.3, (homes, 1))
    load = np.clip(0.6 + habit * peaks - 0.15 * cold + rng.normal(0, 0.15, (homes, hours)), 0.05, None)
    load = load / load.mean(axis=1, keepdims=True)
    panel, store = rng.uniform(0.0, 3.0, (homes, 1)), rng.uniform(0.0, 4.0, homes)
    solar = panel * sun * rng.uniform(0.9, 1.1, (homes, hours))
    y = _after_storage(load - solar, store)
    day = 2 * np.pi * hour / 24
    common = np.stack([np.ones(hours), np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day), cold])
    own = np.stack([panel * sun, np.roll(y, 24, axis=1)], axis=2)
    x = np.concatenate([np.broadcast_to(common.T, (homes, hours, 6)), own], axis=2)
    return x[:, 24:], y[:, 24:]


def forecast_error(theta: Floats, x: Floats, y: Floats) -> float:
    """Mean absolute error of the forecasts x' theta, in mean loads; theta of shape (d,) or (homes, d)."""
    return float(np.abs(np.einsum("isj,ij->is", x, np.broadcast_to(theta, (len(x), x.shape[2]))) - y).mean())


def _after_storage(need: Floats, capacity: Floats) -> Floats:
    """What is drawn from the grid when a battery takes up what is over and gives it back when there is need."""
    out, stored = np.empty_like(need), np.zeros(len(capacity))
    for t in range(need.shape[1]):
        moved = np.clip(-need[:, t], -stored, capacity - stored)
        stored += moved
        out[:, t] = need[:, t] + moved
    return out
