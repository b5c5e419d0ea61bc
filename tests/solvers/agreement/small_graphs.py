"""Small problems of agreement with known optima, and matrices to write iterations out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.separable import Separable
from gridmodel.runtime.networked import AbstractNetworked
from tests.solvers.reference import agreeing, links_of

Floats = NDArray[np.float64]

FAULTS = {
    "ideal": {},
    "drop": {"drop": 0.3},
    "burst": {"drop": 0.3, "burst": 5.0},
    "delay": {"delay": 3},
    "jitter": {"delay": 1, "jitter": 2, "drop": 0.1},
    "outage": {"outages": {"n1": (20, 40)}},
    "bits": {"bits": 8},
    "difference": {"bits": 4, "coding": "difference"},
    "async": {"awake": 0.5},
    "all": {"drop": 0.2, "delay": 1, "jitter": 1, "awake": 0.7, "bits": 10},
}
"""Options of channels that keep sums edge by edge."""


@dataclass(frozen=True)
class Known:
    """f_i = 1/2 (x - c_i)'H_i(x - c_i) on a graph; h of shape (N, d) or (N, d, d)."""

    problem: Separable
    h: Floats
    c: Floats

    @property
    def optimum(self) -> Floats:
        return self.optimum_of(np.ones(len(self.c), dtype=bool))

    def optimum_of(self, there: NDArray[np.bool_]) -> Floats:
        h, c = self.h[there], self.c[there]
        if h.ndim == 2:
            return (h * c).sum(axis=0) / h.sum(axis=0)
        return np.linalg.solve(h.sum(axis=0), np.einsum("ijk,ik->j", h, c))

    def gradient(self, x: Floats) -> Floats:
        return self.h * (x - self.c) if self.h.ndim == 2 else np.einsum("ijk,ik->ij", self.h, x - self.c)


def known(graph: nx.Graph, seed: int = 0, d: int = 2, dense: bool = False, spread: float = 3.0) -> Known:
    """Random data; curvatures between 1 / spread and spread."""
    made = links_of(nx.relabel_nodes(graph, {node: f"n{k}" for k, node in enumerate(graph.nodes)}))
    rng = np.random.default_rng(seed)
    h, c = np.exp(rng.uniform(-np.log(spread), np.log(spread), (made.size, d))), rng.normal(1, 1, (made.size, d))
    if dense:
        root = rng.normal(size=(made.size, d, d))
        h = root @ root.transpose(0, 2, 1) + 0.3 * np.eye(d)
    return Known(agreeing(h, c, made), h, c)


def matrix(links: Links, kind: str = "metropolis") -> Floats:
    """W as a dense matrix."""
    off = links.matrix(edge_weights(links, kind)).toarray()
    return off + np.diag(1 - off.sum(axis=1))


def shown_after(algorithm: AbstractNetworked, problem: Separable, rounds: int) -> Floats:
    """What the agents hold after so many rounds."""
    state = algorithm.init(problem, None, 1e-9)
    for _ in range(rounds):
        state = algorithm.step(state)
    return algorithm.shown(state)
