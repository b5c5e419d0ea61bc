"""Small random models of agreement: boxes, linear costs, cones, and variables of the agents' own."""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import numpy as np

import gridmodel as gm

KINDS = ("square", "linear", "abs", "norm", "logistic", "huber", "reserve", "split", "ball")
BOXED = ("linear", "split")


def convex_model(seed: int) -> gm.Model:
    """3 to 5 agents on a connected graph that agree on one or two numbers, each of its own unit."""
    rng = np.random.default_rng(seed)
    count, d = int(rng.integers(3, 6)), int(rng.integers(1, 3))
    units, money = 10.0 ** rng.integers(-2, 3, d), 10.0 ** rng.integers(-1, 2)
    model = gm.Model("agreeing")
    for i in range(count):
        kind = KINDS[int(rng.integers(len(KINDS)))]
        _agent(model.agent(f"a{i}"), kind, units, money, rng)
    for k in range(d):
        model.agree(f"theta{k}")
    graph = nx.compose(nx.path_graph(count), nx.gnp_random_graph(count, 0.4, seed=seed))
    model.connect(nx.relabel_nodes(graph, {i: f"a{i}" for i in range(count)}))
    return model


def _agent(agent, kind, units, money, rng):
    boxed = kind in BOXED or rng.random() < 0.4
    thetas = [
        agent.variable(f"theta{k}", bounds=(-3 * unit, 3 * unit) if boxed else None) for k, unit in enumerate(units)
    ]
    u = cp.hstack([theta / unit for theta, unit in zip(thetas, units, strict=True)]) - rng.normal(size=len(units))
    if kind == "square":
        cost = cp.sum(cp.multiply(rng.uniform(0.5, 3, len(units)), cp.square(u)))
    elif kind == "linear":
        cost = rng.normal(size=len(units)) @ u
    elif kind == "abs":
        cost = cp.sum(cp.abs(u))
    elif kind == "norm":
        cost = cp.norm(u, 2)
    elif kind == "logistic":
        cost = cp.sum(cp.logistic(3 * u)) + cp.sum(cp.logistic(-3 * u))
    elif kind == "huber":
        cost = cp.sum(cp.huber(u, 0.5))
    elif kind == "reserve":
        own = agent.variable("own", 2, bounds=(0, 2))
        agent.subject_to(cp.sum(own) >= u[0] - 0.2, own[0] - own[1] <= 0.5)
        cost = 0.5 * cp.sum_squares(u) + cp.sum(own) + 0.3 * cp.square(own[0])
    elif kind == "split":
        own = agent.variable("own", 2, bounds=(0, 5))
        agent.subject_to(own[0] - own[1] == u[0])
        cost = own[0] + 2 * own[1] + 0.1 * cp.sum(cp.abs(u))
    else:
        agent.subject_to(cp.norm(u - 0.3, 2) <= 2.5)
        cost = cp.sum_squares(u)
    agent.minimize(money * float(rng.uniform(0.5, 2)) * cost)
