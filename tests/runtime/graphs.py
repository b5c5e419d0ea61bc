"""Links of small graphs whose nodes are a0, a1, ..., and their weights."""

from __future__ import annotations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links


def links_of(graph: nx.Graph[int]) -> Links:
    """Both directions of every edge; those of a directed graph as they are."""
    made = graph if graph.is_directed() else graph.to_directed()
    ends = np.array(list(made.edges), dtype=np.intp).reshape(-1, 2)
    return Links.build([f"a{k}" for k in range(len(graph))], ends[:, 0], ends[:, 1], graph.is_directed())


def metropolis(links: Links) -> NDArray[np.float64]:
    """w = 1 / (1 + the larger degree of both ends), shape (E,)."""
    return np.asarray(1.0 / (1.0 + np.maximum(links.into[links.sender], links.into[links.receiver])))
