"""DC optimal power flow in areas: every area an agent, every tie line an agreement of two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, final

import cvxpy as cp
import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.formulation import AbstractFormulation, Wanted
from gridmodel.physics.generation import active_output
from gridmodel.physics.layout import Layout
from gridmodel.physics.lines import DcLines, angle_reach, dc_lines
from gridmodel.physics.pieces import bus_names, check_load_scale, pick

__all__ = ["DC", "dc_model"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
_BOUNDARIES = ("midpoint", "angle")


@final
class DC(AbstractFormulation):
    """Lossless active power: flows proportional to angle differences."""

    name = "dc"
    network = Network
    about = "lossless active power"
    boundaries = _BOUNDARIES
    options: ClassVar[Mapping[str, tuple[Any, ...]]] = {"susceptance": ("matpower", "pglib")}

    def build(self, wanted: Wanted) -> Model:
        """The model of ``dc_model``."""
        return dc_model(
            wanted.net,
            wanted.areas,
            wanted.options["susceptance"],
            wanted.boundary,
            wanted.load_scale,
            wanted.coordinator,
        )


@dataclass(frozen=True)
class _Case:
    """What all areas share. area: the area of every bus. reach: bounds of the angles in rad. demand in MW."""

    net: Network
    lines: DcLines
    area: Indices
    reach: Floats
    demand: Floats
    boundary: str


@dataclass(frozen=True)
class _Ties:
    """The tie lines of one area, ordered by neighbour, then as in the file.

    line: position of the branch. near, far: its two buses. sign: +1 where ``near`` is its start, else -1.
    copied: for boundary "angle" the foreign buses whose angles are copied, ordered by neighbour, then by position.
    """

    line: Indices
    near: Indices
    far: Indices
    sign: Floats
    copied: Indices


def dc_model(
    net: Network,
    areas: Mapping[str, Indices],
    susceptance: str,
    boundary: str,
    load_scale: float,
    coordinator: bool = True,
) -> Model:
    """The DC optimal power flow of a network cut into areas.

    min sum_g cost_g(p_g)  s.t.  sum of p - sum of flows out = load + g_shunt at every bus (``balance``, MW),
    flow = gain (theta_start - theta_end - shift), p_min <= p <= p_max, low <= flow <= high, theta_reference = 0

    Variables of an area: ``p`` in MW, one a generator; ``theta`` in rad, one a bus; ``flow`` in MW, one a line with
    both ends inside, from start to end; ``tie_flow`` in MW, one a tie line, from start to end. What an area lacks
    (generators, inner lines, ties) it has no variable for. At the ties:

    - "midpoint": both sides hold ``tie_theta``, the angle in the middle of each tie line in rad; a half line has
      twice the gain, the phase shift sits at the start. They agree on ``tie_theta`` and ``tie_flow``.
    - "angle": ``tie_theta`` are copies of the angles of the foreign ends in rad, made equal to their owner's
      ``theta``; ``tie_flow`` follows from the angles on both sides.

    Args:
        areas: positions of the buses, rising, by the area's name; ``model.layout`` keeps them as a ``Layout``.
        coordinator: whether algorithms may use one; else neighbours talk to each other only.

    Raises:
        ModelError: an unknown susceptance or boundary, or a load_scale that is not a number >= 0.
    """
    if boundary not in _BOUNDARIES:
        raise ModelError(f"boundary={boundary!r} is not known; available: {', '.join(_BOUNDARIES)}.")
    check_load_scale(load_scale)
    lines = dc_lines(net, susceptance)
    area = np.empty(net.buses.number.size, dtype=np.intp)
    for k, own in enumerate(areas.values()):
        area[own] = k
    demand = load_scale * net.buses.p_load + net.buses.g_shunt
    case = _Case(net, lines, area, angle_reach(net, lines), demand, boundary)
    ends = area[net.branches.start], area[net.branches.end]
    ties = [_ties(case, k) for k in range(len(areas))]
    inner = [np.flatnonzero((ends[0] == k) & (ends[1] == k)) for k in range(len(areas))]
    supply = [np.flatnonzero(area[net.generators.bus] == k) for k in range(len(areas))]
    model = Model(net.name, currency="$/h")
    agents = [model.agent(name) for name in areas]
    for k, (agent, own) in enumerate(zip(agents, areas.values(), strict=True)):
        _declare(case, agent, own, supply[k], inner[k], ties[k])
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(areas)
    for i, j in combinations(range(len(agents)), 2):
        if (area[ties[i].far] == j).any():
            graph.add_edge(agents[i].name, agents[j].name)
            _couple(case, model, agents, ties, i, j)
    model.connect(graph, coordinator=coordinator)
    names = list(areas)
    model.layout = Layout(
        "dc",
        net.source,
        {name: net.buses.number[own] for name, own in areas.items()},
        dict(zip(names, supply, strict=True)),
        dict(zip(names, inner, strict=True)),
        {name: tie.line for name, tie in zip(names, ties, strict=True)},
    )
    return model


def _ties(case: _Case, k: int) -> _Ties:
    start, end = case.net.branches.start, case.net.branches.end
    line = np.flatnonzero((case.area[start] == k) != (case.area[end] == k))
    out = case.area[start[line]] == k
    far = np.where(out, end[line], start[line])
    order = np.argsort(case.area[far], kind="stable")
    line, out, far = line[order], out[order], far[order]
    copied = np.unique(far)
    copied = copied[np.argsort(case.area[copied], kind="stable")]
    return _Ties(line, np.where(out, start[line], end[line]), far, np.where(out, 1.0, -1.0), copied)


def _declare(case: _Case, agent: Agent, own: Indices, supply: Indices, inner: Indices, ties: _Ties) -> None:
    """The variables, the cost and the limits of one area."""
    net, lines = case.net, case.lines
    place = np.full(net.buses.number.size, -1, dtype=np.intp)  # position of a bus within the area
    place[own] = np.arange(own.size)
    bound = np.where(net.buses.kind[own] == 3, 0.0, case.reach[own])
    theta = agent.variable("theta", own.size, bounds=(-bound, bound), unit="rad")
    injected: list[cp.Expression] = []
    if supply.size:
        at = place[net.generators.bus[supply]]
        injected.append(cp.Constant(pick(at, own.size).T) @ active_output(net, agent, supply))
    if inner.size:
        flow = agent.variable("flow", inner.size, bounds=(lines.low[inner], lines.high[inner]), unit="MW")
        incidence = pick(place[net.branches.start[inner]], own.size) - pick(place[net.branches.end[inner]], own.size)
        gain = lines.gain[inner]
        agent.subject_to(flow - _rows(gain, incidence) @ theta == -gain * lines.shift[inner], name="line flow")
        injected.append(-cp.Constant(incidence.T) @ flow)
    if ties.line.size:
        injected.append(_tie(case, agent, theta, place[ties.near], own.size, ties))
    agent.subject_to(sum(injected[1:], start=injected[0]) == case.demand[own], name="balance", rows=bus_names(net, own))


def _tie(case: _Case, agent: Agent, theta: cp.Variable, near: Indices, size: int, ties: _Ties) -> cp.Expression:
    """The tie lines of one area: their variables and limits, and what they bring to its buses in MW."""
    lines, line = case.lines, ties.line
    flow = agent.variable("tie_flow", line.size, bounds=(lines.low[line], lines.high[line]), unit="MW")
    if case.boundary == "midpoint":
        # the middle lies at most half of the widest difference away from the end; twice that, as in angle_reach
        bound = case.reach[case.net.branches.end[line]] + lines.widest[line]
        copies = agent.variable("tie_theta", line.size, bounds=(-bound, bound), unit="rad")
        gain, column = 2.0 * lines.gain[line], np.arange(line.size, dtype=np.intp)
        shift = np.where(ties.sign > 0, lines.shift[line], 0.0)
    else:
        bound = case.reach[ties.copied]
        copies = agent.variable("tie_theta", ties.copied.size, bounds=(-bound, bound), unit="rad")
        position = {int(bus): k for k, bus in enumerate(ties.copied)}
        gain, column = lines.gain[line], np.array([position[int(bus)] for bus in ties.far], dtype=np.intp)
        shift = lines.shift[line]
    near_row, far_row = pick(near, size), pick(column, copies.size)
    along = gain * ties.sign
    agent.subject_to(
        flow - _rows(along, near_row) @ theta + _rows(along, far_row) @ copies == -gain * shift, name="tie flow"
    )
    brought: cp.Expression = -cp.Constant(_scaled(ties.sign, near_row).T) @ flow
    return brought


def _couple(case: _Case, model: Model, agents: list[Agent], ties: list[_Ties], i: int, j: int) -> None:
    """The agreements of two neighbours; both hold their common ties in the order of the file."""
    a, b = agents[i], agents[j]
    if case.boundary == "midpoint":
        here, there = _span(case.area[ties[i].far] == j), _span(case.area[ties[j].far] == i)
        model.couple(a["tie_flow"][here] == b["tie_flow"][there], name=f"flow {a.name}-{b.name}")
        model.couple(a["tie_theta"][here] == b["tie_theta"][there], name=f"angle {a.name}-{b.name}")
        return
    for (owner, k), (holder, m) in (((a, i), (b, j)), ((b, j), (a, i))):
        span = _span(case.area[ties[m].copied] == k)
        own = np.searchsorted(np.flatnonzero(case.area == k), ties[m].copied[span])
        model.couple(owner["theta"][own] == holder["tie_theta"][span], name=f"angle {owner.name}-{holder.name}")


def _span(flags: NDArray[np.bool_]) -> slice:
    """The slice of the true entries, which lie side by side."""
    at = np.flatnonzero(flags)
    return slice(int(at[0]), int(at[-1]) + 1)


def _scaled(factors: Floats, matrix: csr_array) -> csr_array:
    """The matrix with row k multiplied by factors[k]."""
    return csr_array(matrix.multiply(factors[:, None]))


def _rows(factors: Floats, matrix: csr_array) -> cp.Constant:
    return cp.Constant(_scaled(factors, matrix))
