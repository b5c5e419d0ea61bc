"""The reference problem of the table of claims: 100 agents on a geometric graph, as arrays, with known optima.

Graph: points of the unit square from ``numpy.random.default_rng(7)``, an edge where they are within .19 of each other:
447 links, degrees 3 to 13, diameter 9, Metropolis weights with eigenvalues from -.181 to .97265.
"""

from __future__ import annotations

from functools import cache

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.networked import AbstractNetworked
from tests.solvers.build import stack

Floats = NDArray[np.float64]

AGENTS = 100


@cache
def graph(directed: bool = False) -> nx.Graph:
    """Nodes n0 ... n99; the directed one keeps .7 of the edges (seed 3), 612, and is strongly connected."""
    spots = np.random.default_rng(7).random((AGENTS, 2))
    near = np.linalg.norm(spots[:, None] - spots[None], axis=2) <= 0.19
    linked = near & ~np.eye(AGENTS, dtype=bool)
    if directed:
        linked &= np.random.default_rng(3).random(linked.shape) < 0.7
    sender, receiver = np.nonzero(linked)
    made = nx.DiGraph() if directed else nx.Graph()
    made.add_nodes_from(f"n{i}" for i in range(AGENTS))
    made.add_edges_from((f"n{a}", f"n{b}") for a, b in zip(sender, receiver, strict=True))
    return made


def links_of(made: nx.Graph) -> Links:
    """A graph's edges, both ways where it is undirected, nodes in its own order."""
    place = {name: k for k, name in enumerate(made.nodes)}
    both = made if made.is_directed() else made.to_directed()
    ends = np.array([(place[a], place[b]) for a, b in both.edges], dtype=np.intp).reshape(-1, 2)
    return Links.build(list(made.nodes), ends[:, 0], ends[:, 1], made.is_directed())


def agreeing(curvature: Floats, centre: Floats, links: Links, **limits: Floats) -> Separable:
    """Agents 1/2 sum h (x - c)^2 (constant part left out) that agree on x, tied in a chain of equations.

    Args:
        curvature: h, shape (N, d); or (N, d, d) for 1/2 (x - c)' H (x - c).
        centre: c, shape (N, d).
        links: who may talk to whom.
        limits: further arguments of ``stack`` with N rows: lower, upper.
    """
    size, d = centre.shape
    pull = curvature * centre if curvature.ndim == 2 else np.einsum("ijk,ik->ij", curvature, centre)
    # The ends of the chain touch half as many rows as the others, so they are stacks of their own.
    stacks = []
    for own in (slice(0, 1), slice(1, size - 1), slice(size - 1, size)):
        at = np.arange(size)[own]
        if not len(at):
            continue
        before, after = own.start > 0, own.stop < size
        signs = np.concatenate([-np.eye(d)] * before + [np.eye(d)] * after)
        first = (at[:, None] - before) * d
        rows = first + np.arange(d * (before + after))
        own_limits = {name: np.broadcast_to(value, centre.shape)[own] for name, value in limits.items()}
        names = [links.nodes[k] for k in at]
        stacks.append(stack(curvature[own], -pull[own], signs, rows, labels=names, **own_limits))
    zeros = np.zeros((size - 1) * d)
    return Separable(tuple(stacks), Couplings(zeros, zeros, ()), links)


def agreement(seed: int, directed: bool = False) -> tuple[Separable, Floats]:
    """f_i = 1/2 sum h (x - c)^2, h in U(.5, 3), c in N(1, 1), two numbers; and the optimum of all agents, (100, 2)."""
    rng = np.random.default_rng(seed)
    h, c = rng.uniform(0.5, 3, (AGENTS, 2)), rng.normal(1, 1, (AGENTS, 2))
    best = (h * c).sum(axis=0) / h.sum(axis=0)
    return agreeing(h, c, links_of(graph(directed))), np.tile(best, (AGENTS, 1))


def dispatch(seed: int, directed: bool = False) -> tuple[Separable, Floats]:
    """f_i = 1/2 q (p - a)^2, q in U(.5, 3), a in N(-1, .5), 0 <= p <= U(.3, 2); demand .55 of capacity.

    Returns:
        the problem, one coupling row sum_i p_i = demand, and the optimum p, shape (100, 1).
    """
    rng = np.random.default_rng(seed)
    q, a, top = rng.uniform(0.5, 3, AGENTS), rng.normal(-1, 0.5, AGENTS), rng.uniform(0.3, 2, AGENTS)
    demand = 0.55 * top.sum()
    low, high = -100.0, 100.0
    for _ in range(200):  # the price by halving
        price = (low + high) / 2
        short = np.clip(a + price / q, 0, top).sum() < demand
        low, high = (price, high) if short else (low, price)
    made = links_of(graph(directed))
    one = stack(q[:, None], -(q * a)[:, None], [[1.0]], [0], 0.0, top[:, None], labels=list(made.nodes))
    sides = np.array([demand])
    return Separable((one,), Couplings(sides, sides, ()), made), np.clip(a + price / q, 0, top)[:, None]


def error(algorithm: AbstractNetworked, problem: Separable, optimum: Floats, rounds: int, tail: float = 0.05) -> float:
    """The largest |x - x*| over agents, their columns, and the last ``tail`` of the rounds."""
    worst, state = 0.0, algorithm.init(problem, None, 1e-8)
    for k in range(rounds):
        state = algorithm.step(state)
        if k >= rounds - max(1, round(tail * rounds)):
            seen: Iterate = algorithm.observe(state)
            worst = max(worst, float(np.abs(np.concatenate(list(seen.x)) - optimum).max()))
    return worst
