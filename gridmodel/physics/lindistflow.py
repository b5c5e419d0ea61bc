"""Linearised branch flow (LinDistFlow) of a radial balanced network in areas: no losses, squared voltages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import cvxpy as cp
import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.generation import active_output, reactive_output
from gridmodel.physics.layout import layout_of
from gridmodel.physics.pieces import Piece, cut, pick
from gridmodel.physics.radial import need_radial

__all__ = ["LinDistFlow", "lindistflow_model"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@final
class LinDistFlow(AbstractFormulation):
    """Lossless flows and squared voltages of radial networks."""

    name = "lindistflow"
    network = Network
    about = "radial networks without losses, linear in powers and squared voltages"

    def build(self, wanted: Wanted) -> Model:
        """The model of ``lindistflow_model``."""
        return lindistflow_model(wanted.net, wanted.areas, wanted.load_scale, wanted.coordinator)


def lindistflow_model(
    net: Network, areas: Mapping[str, Indices], load_scale: float = 1.0, coordinator: bool = True
) -> Model:
    """The linearised branch flow of a radial network cut into areas at the middles of its tie lines.

    min sum_g cost_g(p_g)  s.t.  sum of p_g - sum of P out + sum of P in = load + g_shunt w  (``balance``, MW; in the
    same way ``reactive balance`` in MVAr, with the charging b/2 w of both ends of a line),
    w_start / tap^2 - w_end = 2 (r P + x Q),  P^2 + Q^2 <= rate^2,  angle_min <= x P - r Q + shift <= angle_max,
    v_min^2 <= w <= v_max^2

    Variables of an area: ``w`` in pu^2, one a bus; ``flow_p`` in MW and ``flow_q`` in MVAr, one an inner line, from
    start to end; ``p`` and ``q`` of its generators; of each tie line, with half its impedance on either side,
    ``tie_w`` in its middle, ``tie_p`` and ``tie_q`` from start to end, on which both sides agree.

    Args:
        areas: positions of the buses, rising, by the area's name.
        load_scale: factor on the loads.
        coordinator: whether algorithms may use one.

    Raises:
        ModelError: the network has a loop, or a load_scale that is not a number >= 0.
    Source: Baran, Wu (1989), eq. 7-9 without the quadratic terms.
    """
    need_radial(net, "lindistflow")
    pieces = cut(net, areas, "midpoint", load_scale)
    model = Model(net.name, currency="$/h")
    agents = [model.agent(name) for name in areas]
    for agent, piece in zip(agents, pieces, strict=True):
        _declare(net, agent, piece)
    model.connect(_agree(model, agents, pieces), coordinator=coordinator)
    model.layout = layout_of(net, pieces, "lindistflow")
    return model


def _declare(net: Network, agent: Agent, piece: Piece) -> None:
    """The variables, the cost and the limits of one area."""
    low, high, own = piece.v_min**2, piece.v_max**2, piece.buses.size
    w: cp.Expression = agent.variable("w", own, bounds=(low[:own], high[:own]), unit="pu^2")
    flows: list[list[cp.Expression]] = [[], []]
    for name, count in (("flow", piece.inner), ("tie", piece.tie_branch.size)):
        if count:
            flows[0].append(agent.variable(f"{name}_p", count, unit="MW"))
            flows[1].append(agent.variable(f"{name}_q", count, unit="MVAr"))
    if piece.ghosts.size:
        middle = agent.variable("tie_w", piece.ghosts.size, bounds=(low[own:], high[own:]), unit="pu^2")
        w = cp.hstack([w, middle])
    lines = piece.lines
    out = [gone + shunt for gone, shunt in zip(_sent(piece, flows), _shunts(piece, w), strict=True)]
    outputs: list[cp.Expression | float] = [0.0, 0.0]
    if piece.generators.size:
        at = pick(piece.at, own).T
        outputs = [at @ active_output(net, agent, piece.generators), at @ reactive_output(net, agent, piece.generators)]
    loads = (piece.p_load, piece.q_load)
    for name, output, gone, load in zip(("balance", "reactive balance"), outputs, out, loads, strict=True):
        agent.subject_to(output - gone == load, name=name, rows=piece.bus_names)
    if not lines.branch.size:
        return
    P, Q = (part[0] if len(part) == 1 else cp.hstack(part) for part in flows)
    r, x = lines.r / piece.base_mva, lines.x / piece.base_mva
    fall = pick(lines.start, piece.size, 1.0 / lines.tap**2) - pick(lines.end, piece.size)
    agent.subject_to(
        csr_array(fall) @ w == 2.0 * (cp.multiply(r, P) + cp.multiply(x, Q)), name="voltage drop", rows=piece.line_names
    )
    rate = piece.base_mva * np.minimum(lines.rate_start, lines.rate_end)
    rated = np.flatnonzero(np.isfinite(rate))
    if rated.size:
        cone = cp.SOC(cp.Constant(rate[rated]), cp.vstack([P[rated], Q[rated]]), axis=0)
        agent.subject_to(cone, name="thermal limit", rows=[piece.line_names[k] for k in rated])
    _angle_limits(agent, piece, cp.multiply(x, P) - cp.multiply(r, Q))


def _sent(piece: Piece, flows: list[list[cp.Expression]]) -> list[cp.Expression | float]:
    """Active and reactive power in MW and MVAr that the own buses send into lines, less what they receive."""
    lines, own = piece.lines, piece.buses.size
    if not lines.branch.size:
        return [0.0, 0.0]
    leaving = csr_array((pick(lines.start, piece.size) - pick(lines.end, piece.size))[:, :own].T)
    return [leaving @ (part[0] if len(part) == 1 else cp.hstack(part)) for part in flows]


def _shunts(piece: Piece, w: cp.Expression) -> list[cp.Expression]:
    """Active and reactive power in MW and MVAr that the own buses send into shunts and the charging of lines."""
    lines, own = piece.lines, piece.buses.size
    charging = np.bincount(lines.start, lines.b_start / lines.tap**2, piece.size)
    charging += np.bincount(lines.end, lines.b_end, piece.size)
    given = piece.b_shunt + piece.base_mva * charging[:own]
    at = np.arange(own, dtype=np.intp)
    return [pick(at, piece.size, piece.g_shunt) @ w, pick(at, piece.size, -given) @ w]


def _angle_limits(agent: Agent, piece: Piece, across: cp.Expression) -> None:
    """Limits of the angle difference over every line, linear in its powers; of a tie over its start's half, halved."""
    lines = piece.lines
    share = np.ones(lines.branch.size)
    share[piece.inner :] = 0.5
    for name, sign, limit in (
        ("upper angle limit", 1.0, lines.angle_max),
        ("lower angle limit", -1.0, lines.angle_min),
    ):
        line = np.flatnonzero(np.isfinite(limit))
        if line.size:
            reach = sign * share[line] * (limit[line] - lines.shift[line])
            names = [piece.line_names[k] for k in line]
            agent.subject_to(sign * across[line] <= reach, name=name, rows=names)


def _agree(model: Model, agents: Sequence[Agent], pieces: Sequence[Piece]) -> nx.Graph[str]:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(agent.name for agent in agents)
    for k, (agent, piece) in enumerate(zip(agents, pieces, strict=True)):
        for near in piece.neighbours:
            if near.area < k:
                continue
            other = agents[near.area]
            there = next(back for back in pieces[near.area].neighbours if back.area == k)
            for name in ("tie_w", "tie_p", "tie_q"):
                model.couple(
                    agent[name][near.ties] == other[name][there.ties], name=f"{name} {agent.name}-{other.name}"
                )
            graph.add_edge(agent.name, other.name)
    return graph
