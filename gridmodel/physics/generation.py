"""The generators of one area: outputs within their limits, and what they cost an hour."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.physics.pieces import pick

__all__ = ["active_output", "reactive_output"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def active_output(net: Network, agent: Agent, supply: Indices) -> cp.Variable:
    """Declares ``p`` in MW, one a generator, within p_min and p_max, and its cost in $/h.

    cost = sum_g quadratic_g p_g^2 + linear_g p_g + constant_g + max_k (slope_k p_g + intercept_k); the maxima become
    variables ``cost`` in $/h, one a generator with pieces, above the lines of "piecewise cost".

    Args:
        supply: positions of the area's generators in ``net.generators``, at least one.
    """
    units = net.generators
    low, high = units.p_min[supply], units.p_max[supply]
    p = agent.variable("p", supply.size, bounds=(low, high), unit="MW")
    p.save_value(_inside(low, high))
    costs = net.costs
    total = costs.linear[supply] @ p + float(costs.constant[supply].sum())
    curved = np.flatnonzero(costs.quadratic[supply])
    if curved.size:
        total = total + costs.quadratic[supply[curved]] @ cp.square(p[curved])
    place = np.full(units.bus.size, -1, dtype=np.intp)
    place[supply] = np.arange(supply.size)
    pieces = np.flatnonzero(place[costs.piece_generator] >= 0)
    if pieces.size:
        total = total + _highest(net, agent, p, pieces, place[costs.piece_generator[pieces]])
    agent.minimize(total)
    return p


def reactive_output(net: Network, agent: Agent, supply: Indices) -> cp.Variable:
    """Declares ``q`` in MVAr, one a generator, within q_min and q_max.

    Args:
        supply: positions of the area's generators in ``net.generators``, at least one.
    """
    low, high = net.generators.q_min[supply], net.generators.q_max[supply]
    q = agent.variable("q", supply.size, bounds=(low, high), unit="MVAr")
    q.save_value(_inside(low, high))
    return q


def _highest(net: Network, agent: Agent, p: cp.Variable, pieces: Indices, owner: Indices) -> cp.Expression:
    """The sum of the maxima of piecewise costs. owner: the entry of ``p`` that each piece belongs to."""
    costs = net.costs
    own, column = np.unique(owner, return_inverse=True)
    highest = agent.variable("cost", own.size, unit="$/h")
    at = np.asarray(p.value)
    value = np.full(own.size, -np.inf)
    np.maximum.at(value, column, costs.slope[pieces] * at[owner] + costs.intercept[pieces])
    highest.save_value(value)
    slope = cp.Constant(pick(owner, p.size, costs.slope[pieces]))
    above = cp.Constant(pick(column, own.size)) @ highest
    agent.subject_to(slope @ p - above <= -costs.intercept[pieces], name="piecewise cost")
    return cp.sum(highest)


def _inside(low: Floats, high: Floats) -> Floats:
    """The middle of the bounds, or the point nearest to zero where one of them is infinite."""
    with np.errstate(invalid="ignore"):
        middle = (low + high) / 2.0
    return np.where(np.isfinite(low) & np.isfinite(high), middle, np.clip(0.0, low, high))
