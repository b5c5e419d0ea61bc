"""Whether a balanced network is radial."""

from __future__ import annotations

import networkx as nx

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network

__all__ = ["need_radial"]


def need_radial(net: Network, formulation: str) -> None:
    """Checks that every island is a tree.

    Raises:
        ModelError: naming the buses of a loop, or of two lines in parallel.
    """
    try:
        loop = nx.find_cycle(net.graph)
    except nx.NetworkXNoCycle:
        return
    buses = "-".join(str(edge[0]) for edge in [*loop, loop[0]])
    raise ModelError(
        f"formulation {formulation!r} needs a radial network, and {net.name} has the loop {buses}. Take a line of it "
        'out of service in the case file, or take opf(net, formulation="soc").'
    )
