"""Topologies for separable models, runs over them, and the problems that several tests of dispatch share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.networked import AbstractNetworked
from tests.solvers.build import dispatch
from tests.solvers.reference import links_of
from tests.solvers.runs import residual

Floats = NDArray[np.float64]

FAULTS = {
    "ideal": Channel(),
    "drop": Channel(drop=0.3, seed=1),
    "burst": Channel(drop=0.3, burst=5, seed=1),
    "delay": Channel(delay=3),
    "jitter": Channel(delay=1, jitter=2, seed=1),
    "outage": Channel(outages={"g2": (20, 60)}),
    "noise": Channel(noise=1e-3, seed=1),
    "bits": Channel(bits=8),
    "async": Channel(awake=0.5, seed=1),
    "all": Channel(drop=0.2, delay=1, jitter=1, noise=1e-4, awake=0.7, outages={"g3": (10, 30)}, seed=2),
}
EXACT = ("ideal", "drop", "burst", "delay", "jitter", "outage", "async")


def linked(problem: Separable, graph: Any) -> Separable:
    """The problem with the graph between its blocks, taken in the order of the graph's nodes."""
    names = [label for stack in problem.stacks for label in stack.labels]
    stacks = problem.stacks
    if len(set(names)) < len(names):
        names = [f"a{k}" for k in range(len(names))]
        ends = np.cumsum([0, *(stack.size for stack in stacks)])
        stacks = tuple(replace(s, labels=names[a:b]) for s, a, b in zip(stacks, ends, ends[1:], strict=False))
    return replace(
        problem, stacks=stacks, links=links_of(nx.relabel_nodes(graph, dict(zip(graph, names, strict=True))))
    )


def path() -> Separable:
    """The dispatch of three generators on a path."""
    return linked(dispatch(), nx.path_graph(3))


def random_graph(nodes: int, seed: int, directed: bool = False) -> Any:
    """A tree and some edges more; directed, a cycle and some edges more."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(nodes)
    made: Any = nx.DiGraph() if directed else nx.Graph()
    made.add_nodes_from(range(nodes))
    for k in range(1, nodes):
        made.add_edge(int(order[k - 1 if directed else rng.integers(0, k)]), int(order[k]))
    if directed and nodes > 1:
        made.add_edge(int(order[-1]), int(order[0]))
    more = rng.integers(0, nodes, (nodes // 2, 2))
    made.add_edges_from((int(a), int(b)) for a, b in more if a != b)
    return made


def settled(
    algorithm: AbstractNetworked, problem: Separable, tolerance: float = 1e-8, limit: int = 20_000, every: int = 20
) -> Iterate:
    """Steps until coupling rows, prices and their products agree to the tolerance; fails the test at the limit."""
    state: Any = algorithm.init(problem, None, tolerance)
    for rounds in range(1, limit + 1):
        state = algorithm.step(state)
        if rounds % every == 0:
            seen = algorithm.observe(state)
            if max(residual(problem, seen), seen.dual_residual, _idle(problem, seen)) <= tolerance:
                return seen
    raise AssertionError(f"not within {tolerance} after {limit} rounds: {residual(problem, seen)}, {seen}")


def _idle(problem: Separable, seen: Iterate) -> float:
    """The largest product of a price and the room that its row leaves, over the cost."""
    y, value = problem.couplings, problem.coupling_value(list(seen.x))
    side = np.where(seen.mu > 0, y.upper, np.where(seen.mu < 0, y.lower, value))
    return float(np.abs(seen.mu * (side - value)).max(initial=0) / max(abs(problem.cost(list(seen.x))), 1e-3))


def after(algorithm: AbstractNetworked, problem: Separable, rounds: int) -> Any:
    """The state after some rounds."""
    state = algorithm.init(problem, None, 1e-8)
    for _ in range(rounds):
        state = algorithm.step(state)
    return state


def off(algorithm: AbstractNetworked, state: Any) -> float:
    """How far the conserved sum is off, over its size."""
    found = algorithm.conserved(state)
    return 0.0 if found is None else float(np.abs(found.off).max(initial=0) / max(found.size, 1e-300))
