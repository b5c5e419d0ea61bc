"""The second-order cone relaxation of optimal power flow in areas, by products of voltages (Jabr's form)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.layout import layout_of
from gridmodel.physics.pieces import Piece, cut, pick
from gridmodel.physics.products import Products, cones, declare, window
from gridmodel.physics.sharing import agree_on_products, entries, with_pairs

__all__ = ["SOC", "soc_model"]

Indices = NDArray[np.intp]
_BOUNDARIES = ("copies", "flow")


@final
class SOC(AbstractFormulation):
    """Second-order cones over pairs of buses, a lower bound."""

    name = "soc"
    network = Network
    about = "second-order cones, a lower bound; exact in most radial networks"
    boundaries = _BOUNDARIES

    def build(self, wanted: Wanted) -> Model:
        """The model of ``soc_model``."""
        return soc_model(wanted.net, wanted.areas, wanted.load_scale, wanted.coordinator, wanted.boundary)


def soc_model(
    net: Network,
    areas: Mapping[str, Indices],
    load_scale: float = 1.0,
    coordinator: bool = True,
    boundary: str = "copies",
) -> Model:
    """The second-order cone relaxation of a network cut into areas.

    min sum_g cost_g(p_g)  s.t. the power balances and limits of ``products.declare``,
    c_ij^2 + s_ij^2 <= w_i w_j for every pair of buses that a line joins

    It is exact in radial networks under mild conditions, a lower bound of the alternating current optimum in others.
    Both sides of a tie hold the whole line and its limits. They agree on

    - "copies": ``w`` of both ends, ``c`` and ``s`` of the pair;
    - "flow": ``tie_p`` (MW, half of what goes in at the start less what goes in at the end), ``tie_q_start`` and
      ``tie_q_end`` (MVAr into the line), ``tie_mean`` (pu^2, the mean of the ends' ``w``), which determine the same
      four numbers, and let algorithms without a coordinator converge in fewer rounds.

    Args:
        areas: positions of the buses, rising, by the area's name.
        load_scale: factor on the loads.
        coordinator: whether algorithms may use one.

    Raises:
        ModelError: an unknown boundary, or a load_scale that is not a number >= 0.
    Source: Jabr (2006), eq. 7-12; Low (2014), part I, section III.
    """
    if boundary not in _BOUNDARIES:
        raise ModelError(f"boundary={boundary!r} is not known; available: {', '.join(_BOUNDARIES)}.")
    pieces = cut(net, areas, "copies", load_scale)
    if boundary == "flow":
        pieces = [_apart(piece) for piece in pieces]
    model = Model(net.name, currency="$/h")
    agents = [model.agent(name) for name in areas]
    held = []
    for agent, piece in zip(agents, pieces, strict=True):
        products = declare(net, agent, window(net, piece, np.empty(0, dtype=np.intp)))
        if products.window.key.size:
            agent.subject_to(cones(products, np.arange(products.window.key.size)), name="products of voltages")
        held.append(products)
        if boundary == "flow" and piece.tie_branch.size:
            _tie_powers(agent, products)
    agree = _agree_on_flows if boundary == "flow" else agree_on_products
    model.connect(agree(model, agents, held), coordinator=coordinator)
    model.layout = with_pairs(layout_of(net, pieces, "soc"), net, held, load_scale)
    return model


def _apart(piece: Piece) -> Piece:
    """The piece with a ghost of its own for every pair of buses that ties join.

    A ghost that several ties share would make what neighbours agree on redundant.
    """
    ties = np.stack([piece.near, piece.ghost], axis=1)
    _, chosen, column = np.unique(ties, axis=0, return_index=True, return_inverse=True)
    # numbered as the ties come, so that the ghosts of one neighbour lie side by side
    rank = np.empty(chosen.size, dtype=np.intp)
    rank[np.argsort(chosen, kind="stable")] = np.arange(chosen.size)
    own, inner = piece.buses.size, piece.inner
    ghost = own + rank[column.ravel()]
    source = piece.ghost[np.sort(chosen)] - own
    start, end = piece.lines.start.copy(), piece.lines.end.copy()
    start[inner:], end[inner:] = (
        np.where(piece.outward, piece.near, ghost),
        np.where(piece.outward, ghost, piece.near),
    )
    ghosts = piece.ghosts[source]
    take = np.concatenate([np.arange(own), own + source])
    return replace(
        piece, ghosts=ghosts, ghost=ghost, lines=replace(piece.lines, start=start, end=end),
        v_min=piece.v_min[take], v_max=piece.v_max[take],
    )  # fmt: skip


def _tie_powers(agent: Agent, products: Products) -> None:
    """Declares what an area agrees on with boundary "flow", one entry a tie."""
    piece = products.window.piece
    tie = piece.inner + np.arange(piece.tie_branch.size)
    (p_start, q_start), (p_end, q_end) = products.flows.at_start(tie), products.flows.at_end(tie)
    ends = pick(piece.near, piece.size, 0.5) + pick(piece.ghost, piece.size, 0.5)
    base = piece.base_mva
    given = {
        "tie_p": ("MW", 0.5 * base * (p_start - p_end)),
        "tie_q_start": ("MVAr", base * q_start),
        "tie_q_end": ("MVAr", base * q_end),
        "tie_mean": ("pu^2", ends @ products.w),
    }
    for name, (unit, expression) in given.items():
        agent.subject_to(agent.variable(name, tie.size, unit=unit) == expression, name=name.replace("_", " "))


def _agree_on_flows(model: Model, agents: Sequence[Agent], held: Sequence[Products]) -> nx.Graph[str]:
    """Couples what neighbours declared for their ties; of lines in parallel the first speaks for all."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(agent.name for agent in agents)
    for a, (agent, products) in enumerate(zip(agents, held, strict=True)):
        piece = products.window.piece
        for near in piece.neighbours:
            if near.area < a:
                continue
            other = agents[near.area]
            there = next(back for back in held[near.area].window.piece.neighbours if back.area == a)
            _, first = np.unique(products.window.pair[piece.inner :][near.ties], return_index=True)
            chosen = np.sort(first)
            for name in ("tie_p", "tie_q_start", "tie_q_end", "tie_mean"):
                here = entries(agent[name], near.ties.start + chosen)
                same = entries(other[name], there.ties.start + chosen)
                model.couple(here == same, name=f"{name} {agent.name}-{other.name}")
            graph.add_edge(agent.name, other.name)
    return graph
