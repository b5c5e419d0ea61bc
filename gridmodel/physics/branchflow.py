"""The second-order cone relaxation of optimal power flow by powers and currents of branches (Farivar, Low)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from gridmodel.physics.products import NARROW, lifted_cuts
from gridmodel.physics.sharing import entries

__all__ = ["BranchFlow", "branchflow_model"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@final
class BranchFlow(AbstractFormulation):
    """Second-order cones over powers and currents of branches, a lower bound."""

    name = "branchflow"
    network = Network
    about = "second-order cones over powers and currents of branches, a lower bound"
    boundaries = ("copies",)

    def build(self, wanted: Wanted) -> Model:
        """The model of ``branchflow_model``."""
        return branchflow_model(wanted.net, wanted.areas, wanted.load_scale, wanted.coordinator)


@dataclass(frozen=True)
class _Branches:
    """The variables of one area, in pu: P + jQ into the series impedance at its start, |z|^2 l, and w."""

    piece: Piece
    P: cp.Expression
    Q: cp.Expression
    drop: cp.Expression
    w: cp.Expression
    reach: Floats

    @property
    def at_start(self) -> cp.Expression:
        """|v|^2 behind the transformer at the start of every line."""
        lines = self.piece.lines
        return pick(lines.start, self.piece.size, 1.0 / lines.tap**2) @ self.w

    @property
    def sent(self) -> tuple[tuple[cp.Expression, cp.Expression], tuple[cp.Expression, cp.Expression]]:
        """Active and reactive power into every line at its start and at its end, charging included."""
        lines = self.piece.lines
        start_charging = pick(lines.start, self.piece.size, lines.b_start / lines.tap**2) @ self.w
        size = lines.r**2 + lines.x**2
        end_charging = pick(lines.end, self.piece.size, lines.b_end) @ self.w
        return (
            (self.P, self.Q - start_charging),
            (
                cp.multiply(lines.r / size, self.drop) - self.P,
                cp.multiply(lines.x / size, self.drop) - self.Q - end_charging,
            ),
        )


def branchflow_model(
    net: Network, areas: Mapping[str, Indices], load_scale: float = 1.0, coordinator: bool = True
) -> Model:
    """The branch-flow relaxation of a network cut into areas.

    min sum_g cost_g(p_g)  s.t.  the balances (``balance`` in MW, ``reactive balance`` in MVAr) and limits of AC,
    u - w_end = 2 (r P + x Q) - d,  |z|^2 (P^2 + Q^2) <= u d,  u = w_start / tap^2,  |z|^2 = r^2 + x^2

    where P + jQ enters the series impedance at its start and d = |z|^2 l, l its squared current, is the squared size
    of the voltage across it, which is better scaled than l. As u - (r P + x Q) + j (x P - r Q) stands for v_start
    conj(v_end) e^(-j shift) / tap, the value equals that of the ``soc`` formulation; with lines in parallel, which
    share one such product there, it may be lower.

    Variables of an area in pu: ``w`` of its buses, ``tie_w`` of the buses at the far ends of its ties, and of its
    lines, inner ones first, ``flow_p``, ``flow_q`` and ``drop``, the d above. Both sides of a tie hold the whole
    line and agree on these three numbers and ``w`` of both ends.

    Args:
        areas: positions of the buses, rising, by the area's name.
        load_scale: factor on the loads.
        coordinator: whether algorithms may use one.

    Raises:
        ModelError: a load_scale that is not a number >= 0.
    Source: Farivar, Low (2013), part I, eq. 13-20.
    """
    pieces = cut(net, areas, "copies", load_scale)
    model = Model(net.name, currency="$/h")
    agents = [model.agent(name) for name in areas]
    for agent, piece in zip(agents, pieces, strict=True):
        _declare(net, agent, piece)
    model.connect(_agree(model, agents, pieces), coordinator=coordinator)
    model.layout = layout_of(net, pieces, "branchflow")
    return model


def _declare(net: Network, agent: Agent, piece: Piece) -> None:
    """The variables, the cost and the limits of one area."""
    low, high, own, lines = piece.v_min**2, piece.v_max**2, piece.buses.size, piece.lines
    w: cp.Expression = agent.variable("w", own, bounds=(low[:own], high[:own]), unit="pu^2")
    if piece.ghosts.size:
        w = cp.hstack([w, agent.variable("tie_w", piece.ghosts.size, bounds=(low[own:], high[own:]), unit="pu^2")])
    at = np.arange(own, dtype=np.intp)
    base = piece.base_mva
    gone: list[cp.Expression] = [pick(at, piece.size, piece.g_shunt) @ w, pick(at, piece.size, -piece.b_shunt) @ w]
    if lines.branch.size:
        count = lines.branch.size
        reach, most = _reach(piece)
        P, Q = (agent.variable(name, count, bounds=(-reach, reach), unit="pu") for name in ("flow_p", "flow_q"))
        branches = _Branches(piece, P, Q, agent.variable("drop", count, bounds=(0.0, most), unit="pu^2"), w, reach)
        _physics(agent, branches)
        _limits(net, agent, branches)
        near, far = (csr_array(pick(side, piece.size)[:, :own].T) for side in (lines.start, lines.end))
        start, end = branches.sent
        gone = [shunt + base * (near @ a + far @ b) for shunt, a, b in zip(gone, start, end, strict=True)]
    outputs: list[cp.Expression | float] = [0.0, 0.0]
    if piece.generators.size:
        to_bus = pick(piece.at, own).T
        outputs = [
            to_bus @ active_output(net, agent, piece.generators),
            to_bus @ reactive_output(net, agent, piece.generators),
        ]
    loads = (piece.p_load, piece.q_load)
    for name, output, out, load in zip(("balance", "reactive balance"), outputs, gone, loads, strict=True):
        agent.subject_to(output - out == load, name=name, rows=piece.bus_names)


def _reach(piece: Piece) -> tuple[Floats, Floats]:
    """Bounds of |P + jQ| and of d on every line that follow from the limits and no point attains."""
    lines, high = piece.lines, piece.v_max
    start, end, size = high[lines.start] / lines.tap, high[lines.end], np.hypot(lines.r, lines.x)
    # of the powers that charging adds; and both voltages at their limits, in opposite phase
    at_start, at_end = np.abs(lines.b_start) * start**2, np.abs(lines.b_end) * end**2
    apart = start + end
    reach = np.minimum(lines.rate_start + at_start, start * apart / size)
    most = np.minimum(size * (lines.rate_start + at_start + lines.rate_end + at_end), apart**2)
    return 1.1 * reach, 1.1 * most


def _physics(agent: Agent, branches: _Branches) -> None:
    """The fall of voltage along every line, and the cone that stands for |S|^2 = u l."""
    lines, start = branches.piece.lines, branches.at_start
    size = np.hypot(lines.r, lines.x)
    active, reactive = cp.multiply(2.0 * lines.r, branches.P), cp.multiply(2.0 * lines.x, branches.Q)
    end = pick(lines.end, branches.piece.size) @ branches.w
    agent.subject_to(
        start - end == active + reactive - branches.drop, name="voltage drop", rows=branches.piece.line_names
    )
    # P^2 + Q^2 <= (k u) (l / k) with both factors about as large as the power, which solvers need
    k = np.clip(branches.reach, 1e-3, 10.0)
    u, i = cp.multiply(k, start), cp.multiply(1.0 / (k * size**2), branches.drop)
    cone = cp.SOC(u + i, cp.vstack([2.0 * branches.P, 2.0 * branches.Q, u - i]), axis=0)
    agent.subject_to(cone, name="powers and currents", rows=branches.piece.line_names)


def _limits(net: Network, agent: Agent, branches: _Branches) -> None:
    """|S| <= rate at both ends, and the limits of angle differences below a right angle."""
    lines, turn = branches.piece.lines, np.exp(1j * branches.piece.lines.shift)
    for name, rate, (p, q) in zip(("start", "end"), (lines.rate_start, lines.rate_end), branches.sent, strict=True):
        line = np.flatnonzero(np.isfinite(rate))
        if line.size:
            cone = cp.SOC(cp.Constant(rate[line]), cp.vstack([p[line], q[line]]), axis=0)
            agent.subject_to(cone, name=f"thermal limit at {name}", rows=_names(branches.piece, line))
    # v_start conj(v_end) / tap, before and behind the phase shifter
    behind = branches.at_start - cp.multiply(lines.r, branches.P) - cp.multiply(lines.x, branches.Q)
    across = cp.multiply(lines.x, branches.P) - cp.multiply(lines.r, branches.Q)
    real = cp.multiply(turn.real, behind) - cp.multiply(turn.imag, across)
    imaginary = cp.multiply(turn.imag, behind) + cp.multiply(turn.real, across)
    for name, sign, limit in (
        ("upper angle limit", 1.0, lines.angle_max),
        ("lower angle limit", -1.0, lines.angle_min),
    ):
        line = np.flatnonzero(np.abs(limit) < np.pi / 2)
        if line.size:
            slope = sign * np.tan(limit[line])
            names = _names(branches.piece, line)
            agent.subject_to(sign * imaginary[line] <= cp.multiply(slope, real[line]), name=name, rows=names)
    narrow = np.flatnonzero(np.maximum(np.abs(lines.angle_min), np.abs(lines.angle_max)) < NARROW)
    if narrow.size:
        ends = net.branches.start[lines.branch[narrow]], net.branches.end[lines.branch[narrow]]
        names, tap = _names(branches.piece, narrow), lines.tap[narrow]
        first, second = (pick(side[narrow], branches.piece.size) @ branches.w for side in (lines.start, lines.end))
        for on_c, on_s, on_first, on_second, least in lifted_cuts(
            net, *ends, lines.angle_min[narrow], lines.angle_max[narrow]
        ):
            left = cp.multiply(tap * on_c, real[narrow]) + cp.multiply(tap * on_s, imaginary[narrow])
            right = least - cp.multiply(on_first, first) - cp.multiply(on_second, second)
            agent.subject_to(left >= right, name="lifted cut", rows=names)


def _names(piece: Piece, line: Indices) -> list[str]:
    return [piece.line_names[k] for k in line]


def _agree(model: Model, agents: Sequence[Agent], pieces: Sequence[Piece]) -> nx.Graph[str]:
    """Couples what both sides of every tie hold."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(agent.name for agent in agents)
    for k, (agent, piece) in enumerate(zip(agents, pieces, strict=True)):
        for near in piece.neighbours:
            other, partner = agents[near.area], pieces[near.area]
            there = next(back for back in partner.neighbours if back.area == k)
            # the far buses of these ties are copies of the neighbour's
            ghosts = np.arange(near.ghosts.start, near.ghosts.stop)
            pair = entries(other["w"], near.owned) == entries(agent["tie_w"], ghosts)
            model.couple(pair, name=f"w {other.name}-{agent.name}")
            if near.area < k:
                continue
            for name in ("flow_p", "flow_q", "drop"):
                here = agent[name][piece.inner + near.ties.start : piece.inner + near.ties.stop]
                same = other[name][partner.inner + there.ties.start : partner.inner + there.ties.stop]
                model.couple(here == same, name=f"{name} {agent.name}-{other.name}")
            graph.add_edge(agent.name, other.name)
    return graph
