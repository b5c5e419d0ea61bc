"""Between which prices the optimum must lie: each agent's own saturation prices, and their extremes over the graph."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.ir.stack import Stack
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Flood
from gridmodel_solvers.dispatch.offers import Offers

__all__ = ["Extremes", "diameter", "price_bounds", "saturation"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Up to this many nodes all distances are measured; beyond, twice the eccentricity of one node bounds the diameter.
_MEASURED = 1500


def diameter(links: Links) -> int:
    """The largest number of hops between two nodes, or an upper bound of it on large graphs.

    Raises:
        ModelError: a node that cannot be reached.
    """
    if links.size < 2:
        return 0
    hops = sp.csr_array(links.matrix(np.ones(links.edges)).T)
    small = links.size <= _MEASURED
    far = shortest_path(hops, unweighted=True, indices=None if small else [0])
    back = 0.0 if small else shortest_path(sp.csr_array(hops.T), unweighted=True, indices=[0]).max()
    if not np.isfinite(far.max() + back):
        raise ModelError("the topology falls apart: prices cannot reach every agent; join its parts by edges.")
    return int(far.max() + back)


@final
class Extremes:
    """The least of all agents' lower and the largest of their upper numbers, by telling neighbours.

    low_i <- min over i and those heard of low_j,   high_i <- max of high_j;
    on a channel without faults exact after as many rounds as the graph's diameter.

    Args:
        network: ticked by the caller before every round.
        low, high: each agent's own, shape (N, m); infinities of the harmless sign where it has none.

    Source: Xing et al. (2015), the max and min consensus of the price bounds.
    """

    def __init__(self, network: Network, low: Floats, high: Floats) -> None:
        self._network = network
        self._flood = Flood(network)
        self._held = np.concatenate([-low, high], axis=1)

    @property
    def low(self) -> Floats:
        """The least heard of so far, shape (N, m)."""
        return -self._held[:, : self._held.shape[1] // 2]

    @property
    def high(self) -> Floats:
        """The largest heard of so far, shape (N, m)."""
        return self._held[:, self._held.shape[1] // 2 :]

    def round(self) -> None:
        """One round, after the network's tick."""
        self._held = self._network.keep(self._flood(self._held), self._held)


def price_bounds(links: Links, low: Floats, high: Floats, rounds: int | None = None,
                 channel: Channel | None = None) -> tuple[Floats, Floats]:  # fmt: skip
    """What every agent knows of the least ``low`` and the largest ``high`` after some rounds, shape (N, m) each.

    Args:
        links: who may send to whom. low, high: each agent's own, shape (N, m).
        rounds: None takes the diameter. channel: None for one without faults.
    """
    network = Network(links, channel)
    found = Extremes(network, low, high)
    for _ in range(diameter(links) if rounds is None else rounds):
        network.tick()
        found.round()
    return found.low, found.high


def saturation(offers: Offers) -> tuple[Floats, Floats, Flags]:
    """Multipliers outside of which an agent's report no longer moves, and whether they are known, (N, m) each.

    A column x = clip(-(q + C mu) / P, lower, upper) rests at a bound beyond mu = -(q + P bound) / C. Where a bound is
    infinite or columns act together, the report may never rest: then the numbers are a guess, of the size of prices
    that costs and ranges suggest. Agents without a report in a row have low = inf, high = -inf.
    """
    low, high = np.full((offers.size, offers.m), np.inf), np.full((offers.size, offers.m), -np.inf)
    known = np.ones((offers.size, offers.m), dtype=bool)
    typical = offers.penalty * offers.unit
    start = 0
    for stack in offers.problem.stacks:
        at = np.arange(start, start + stack.size)[:, None]
        least, most, sure = _of_stack(stack)
        low[at, stack.rows] = np.where(sure, least, -typical[stack.rows])
        high[at, stack.rows] = np.where(sure, most, typical[stack.rows])
        known[at, stack.rows] = sure
        start += stack.size
    return low, high, known


def _of_stack(stack: Stack) -> tuple[Floats, Floats, Flags]:
    """The same by slots, shape (N, slots)."""
    shape = (stack.size, stack.slots)
    least, most, sure = np.full(shape, np.inf), np.full(shape, -np.inf), np.ones(shape, dtype=bool)
    if stack.A.shape[0] or stack.cones or not stack.P.diagonal_only:
        return least, most, ~sure
    P = np.broadcast_to(stack.P.diagonal(), stack.q.shape)
    for slot, column, c in zip(stack.C.row, stack.C.col, stack.C.full.T, strict=True):
        lower, upper = stack.lower[:, column], stack.upper[:, column]
        moves = (lower < upper) & (c != 0)
        factor = np.where(moves, c, 1.0)
        for bound in (lower, upper):
            there = np.where(np.isfinite(bound), bound, 0.0)
            price = -(stack.q[:, column] + P[:, column] * there) / factor
            least[:, slot] = np.where(moves, np.minimum(least[:, slot], price), least[:, slot])
            most[:, slot] = np.where(moves, np.maximum(most[:, slot], price), most[:, slot])
            sure[:, slot] &= np.isfinite(bound) | ~moves
    return least, most, sure
