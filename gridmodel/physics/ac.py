"""AC optimal power flow in areas, the exact equations: every area an agent, every tie line cut in its middle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.angles import angle_limits
from gridmodel.physics.flows import Flows, balances, thermal_limits
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.generation import active_output, reactive_output
from gridmodel.physics.layout import layout_of
from gridmodel.physics.pieces import Piece, cut
from gridmodel.physics.soc import soc_model
from gridmodel.physics.voltages import COORDINATES, voltages

__all__ = ["AC", "ac_model"]

Indices = NDArray[np.intp]


@final
class AC(AbstractFormulation):
    """The exact equations, which are not convex."""

    name = "ac"
    network = Network
    about = "the exact equations, not convex"
    options: ClassVar[Mapping[str, tuple[Any, ...]]] = {"coordinates": COORDINATES}

    def build(self, wanted: Wanted) -> Model:
        """The model of ``ac_model``."""
        return ac_model(wanted.net, wanted.areas, wanted.options["coordinates"], wanted.load_scale, wanted.coordinator)


def ac_model(
    net: Network,
    areas: Mapping[str, Indices],
    coordinates: str = "polar",
    load_scale: float = 1.0,
    coordinator: bool = True,
) -> Model:
    """The AC optimal power flow of a network cut into areas at the middles of its tie lines.

    min sum_g cost_g(p_g)  s.t.  sum of S_g - sum of S out of the bus = load + conj(y_shunt) |v|^2 at every bus
    (``balance`` in MW, ``reactive balance`` in MVAr), |S| <= rate at both ends of a line, v_min <= |v| <= v_max,
    angle_min <= theta_start - theta_end <= angle_max, p and q within limits, theta_reference = 0

    Variables of an area: ``p`` in MW and ``q`` in MVAr, one a generator; "polar": ``v`` in pu and ``theta`` in rad,
    "rectangular": ``e`` and ``f`` in pu, one a bus; in the middle of each tie ``tie_v`` and ``tie_theta``, or
    ``tie_e`` and ``tie_f``, and the powers from its start to its end, ``tie_p`` in MW and ``tie_q`` in MVAr. Both
    sides agree on these four numbers a tie. Every variable's value is a start for a search: 1 pu at angle 0.

    Args:
        areas: positions of the buses, rising, by the area's name; ``model.layout`` keeps them.
        coordinates: "polar" or "rectangular".
        load_scale: factor on the loads.
        coordinator: whether algorithms may use one; else neighbours talk to each other only.

    Raises:
        ModelError: unknown coordinates, a load_scale that is not a number >= 0, or angle limits of a right angle and
            more where only the products of the voltages are there to bound them.
    Source: Zimmerman, Murillo-Sanchez, Thomas (2011), eq. 3.12-3.16 for the equations.
    """
    pieces = cut(net, areas, "midpoint", load_scale)
    model = Model(net.name, currency="$/h", convex=False)
    agents = [model.agent(piece.name) for piece in pieces]
    for agent, piece in zip(agents, pieces, strict=True):
        _declare(net, agent, piece, coordinates)
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(areas)
    for i, piece in enumerate(pieces):
        for neighbour in piece.neighbours:
            if neighbour.area > i:
                graph.add_edge(piece.name, pieces[neighbour.area].name)
                _agree(model, agents, pieces, i, neighbour.area)
    model.connect(graph, coordinator=coordinator)
    model.layout = layout_of(net, pieces, "ac")
    model.relaxation = lambda: soc_model(net, areas, load_scale)
    return model


def _declare(net: Network, agent: Agent, piece: Piece, coordinates: str) -> None:
    """The variables, the cost and the limits of one area."""
    p = active_output(net, agent, piece.generators) if piece.generators.size else None
    q = reactive_output(net, agent, piece.generators) if piece.generators.size else None
    found = voltages(agent, piece, coordinates)
    balances(agent, found.flows, p, q)
    thermal_limits(agent, found.flows)
    angle_limits(net, agent, found.flows, found.theta)
    if piece.near.size:
        _ties(agent, found.flows)


def _ties(agent: Agent, flows: Flows) -> None:
    """The powers in the middle of the ties, from their start to their end."""
    piece = flows.piece
    line = np.arange(piece.inner, piece.lines.branch.size)
    for name, unit, part in (("tie_p", "MW", 0), ("tie_q", "MVAr", 1)):
        power = agent.variable(name, line.size, unit=unit)
        power.save_value(np.zeros(line.size))
        for what, here, end in (("start", piece.outward, flows.at_end), ("end", ~piece.outward, flows.at_start)):
            ties = np.flatnonzero(here)
            if ties.size:  # what enters the half at its middle flows towards the own bus
                sent = piece.base_mva * end(line[ties])[part]
                towards = sent if what == "end" else -sent
                agent.subject_to(power[ties] == towards, name=f"{name} of its {what}")


def _agree(model: Model, agents: Sequence[Agent], pieces: Sequence[Piece], i: int, j: int) -> None:
    """The agreements of two neighbours on voltage and power in the middle of their ties."""
    here = next(known.ties for known in pieces[i].neighbours if known.area == j)
    there = next(known.ties for known in pieces[j].neighbours if known.area == i)
    a, b = agents[i], agents[j]
    for name in a.variables:
        if name.startswith("tie_"):
            model.couple(a[name][here] == b[name][there], name=f"{name} {a.name}-{b.name}")
