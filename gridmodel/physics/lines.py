"""What DC power flow needs of every branch: gain, limits of the flow, and how far angles can lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import BoundsError, ModelError
from gridmodel.grid.network import Network

__all__ = ["DcLines", "angle_reach", "dc_lines"]

Floats = NDArray[np.float64]
_CONVENTIONS = ("matpower", "pglib")


@dataclass(frozen=True)
class DcLines:
    """The DC model of the branches, arrays of shape (branches,).

    flow = gain * (theta_start - theta_end - shift), low <= flow <= high

    gain in MW/rad, shift in rad, low and high in MW.
    """

    gain: Floats
    shift: Floats
    low: Floats
    high: Floats

    @property
    def widest(self) -> Floats:
        """The largest |flow| / |gain|, in rad: how far the angles, less the shift, can lie apart."""
        return np.asarray(np.maximum(np.abs(self.low), np.abs(self.high)) / np.abs(self.gain))


def dc_lines(net: Network, susceptance: str) -> DcLines:
    """The branches of a network under one of two conventions.

    "matpower": b = 1 / (x tap), with phase shifts. "pglib": b = x / (r^2 + x^2), without taps and shifts, as in the
    published DC values of PGLib. gain = base_mva * b. The limits of the angle difference are limits of the flow:
    angle_min <= flow / gain + shift <= angle_max, so flows are bounded by the tighter of these and the rating.

    Raises:
        ModelError: another convention.
        BoundsError: a rating and angle limits that leave no flow.
    Source: Zimmerman, Murillo-Sanchez, Thomas (2011), eq. 19-24; PowerModels.jl, DCPPowerModel.
    """
    branches = net.branches
    if susceptance == "matpower":
        gain, shift = net.base_mva / (branches.x * branches.tap), branches.shift
    elif susceptance == "pglib":
        gain, shift = net.base_mva * branches.x / (branches.r**2 + branches.x**2), np.zeros(branches.x.size)
    else:
        raise ModelError(f"susceptance={susceptance!r} is not known; available: {', '.join(_CONVENTIONS)}.")
    one, other = gain * (branches.angle_min - shift), gain * (branches.angle_max - shift)
    low = np.maximum(-branches.rate_a, np.minimum(one, other))
    high = np.minimum(branches.rate_a, np.maximum(one, other))
    for k in np.flatnonzero(low > high):
        ends = f"{net.buses.number[branches.start[k]]}-{net.buses.number[branches.end[k]]}"
        raise BoundsError(
            f"branch {branches.row[k]} ({ends}) of {net.source}: the rating of {branches.rate_a[k]:g} MVA and the "
            f"angle limits leave no flow ({low[k]:g} to {high[k]:g} MW). Raise the rating, or widen angmin and angmax."
        )
    return DcLines(gain, shift, low, high)


def angle_reach(net: Network, lines: DcLines) -> Floats:
    """A bound of |theta - theta_reference| for every bus, shape (buses,), in rad, that no feasible point attains.

    Twice the shortest path from the reference, an edge as long as the largest angle difference that its flow
    limits allow; inf where a branch without limit is in the way. It cuts nothing off, so no price depends on it;
    it makes the set of every area bounded, without which a dual bound is -inf.
    """
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(net.buses.number.size))
    length = lines.widest + np.abs(lines.shift)
    for k in np.argsort(-length, kind="stable"):  # the shortest of parallel branches comes last and stays
        if np.isfinite(length[k]):
            graph.add_edge(int(net.branches.start[k]), int(net.branches.end[k]), weight=float(length[k]))
    reach = np.full(net.buses.number.size, np.inf)
    found = nx.single_source_dijkstra_path_length(graph, int(net.reference[0]), weight="weight")
    for bus, distance in found.items():
        reach[bus] = 2.0 * distance
    return reach
