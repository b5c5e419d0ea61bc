"""How many hops a message takes."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import dijkstra

from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import need_connected

__all__ = ["diameter"]

_AT_ONCE = 64


def diameter(links: Links) -> int:
    """The most hops between two nodes.

    One search from a node bounds how far every other node may see; nodes that cannot see farther than the farthest
    pair found so far are left out.

    Raises:
        TopologyError: separate parts.

    Source: Takes, Kosters: Determining the diameter of small world networks (2011).
    """
    need_connected(links, "a diameter")
    graph = links.matrix(np.ones(links.edges)).T.tocsr()
    farthest, reach = 0, np.full(links.size, links.size - 1, dtype=np.int64)
    eager = True
    while (open_ := np.flatnonzero(reach > farthest)).size:
        if not links.symmetric:  # the way back may be longer, so a search bounds nothing
            chosen = open_[:_AT_ONCE]
            farthest = max(farthest, int(dijkstra(graph, indices=chosen, unweighted=True).max()))
            reach[chosen] = 0
            continue
        # The widest bound is sought for a longer pair, the narrowest for a centre that lowers all bounds.
        at = open_[np.argmax(reach[open_]) if eager else np.argmin(reach[open_])]
        hops = dijkstra(graph, indices=at, unweighted=True).astype(np.int64)
        sees = int(hops.max())
        farthest = max(farthest, sees)
        reach = np.minimum(reach, sees + hops)
        reach[at] = 0
        eager = not eager
    return farthest
