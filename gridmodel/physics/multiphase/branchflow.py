"""Declares one area of a feeder as an agent: variables, branch flow equations, limits and cost."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.language.agent import Agent
from gridmodel.physics.multiphase.areas import Area
from gridmodel.physics.multiphase.hanging import hanging_at
from gridmodel.physics.multiphase.maps import branch_maps, linear_maps, parts, positions, shunt_map, stacked
from gridmodel.physics.multiphase.objective import add_cost
from gridmodel.physics.multiphase.pairs import pair_supply, pair_voltages
from gridmodel.physics.multiphase.plan import Plan
from gridmodel.physics.multiphase.work import Limits, Work, port_range

__all__ = ["declare"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def declare(plan: Plan, area: Area, agent: Agent, limits: Limits) -> None:
    """The variables, limits and cost of one area.

    Variables, in pu of voltage and MW, Mvar a conductor: ``voltage``, the numbers of V of every own bus (see
    ``hermitian.basis``) less those without load; ``upstream``, the same of the bus that feeds the area; ``flow`` and
    ``current``, those of W and L of every branch; ``delta BUS`` and ``delta current BUS``, the same of what lies
    between ports; ``p`` and ``q`` of generators; ``substation``, active then reactive; ``received`` from upstream and
    ``sent`` into each cut.
    Limits: "balance" (MW) and "reactive balance" (Mvar), a row a port of the own buses; "voltage drop", "voltage",
    "line current", "generator", "substation".
    """
    work = _begun(plan, area, agent, limits)
    flow, current = _branches(work)
    left, right = _supplies(work, flow, current)
    n = work.ports
    agent.subject_to(left[:n] == right[:n], name="balance")
    agent.subject_to(left[n:] == right[n:], name="reactive balance")
    pair_voltages(work)
    add_cost(work, flow, current)


def _begun(plan: Plan, area: Area, agent: Agent, limits: Limits) -> Work:
    frames = [plan.frames[k] for k in area.buses]
    own = set(area.buses)
    sizes = [plan.moving(k) for k in area.buses]
    units = [(k, unit) for k, unit in enumerate(u for u in plan.units if u.bus in own)]
    return Work(
        plan, area, agent, limits,
        voltage=_voltages(plan, agent, "voltage", area.buses, limits),
        at=positions(sizes),
        port=positions(f.size for f in frames),
        place={bus: k for k, bus in enumerate(area.buses)},
        maps=tuple(branch_maps(plan, k) if limits.exact else linear_maps(plan, k) for k in area.buses if k),
        hanging=tuple(hanging_at(bus, plan.frames[bus].size, plan.loads, units) for bus in area.buses),
        units=tuple(unit for _, unit in units),
    )  # fmt: skip


def _voltages(plan: Plan, agent: Agent, name: str, buses: tuple[int, ...], limits: Limits) -> cp.Expression:
    """The numbers of V less those without load at buses whose voltage is not given; |V_kl| <= v_k v_l."""
    low, high = [np.zeros(0)], [np.zeros(0)]
    for bus in buses:
        if bus in plan.stiff:
            continue
        d = plan.width(bus)
        least, most = port_range(plan, bus, limits)
        wide = np.full(d * (d - 1), most)
        low.append(np.concatenate([np.full(d, least), -wide]) - plan.still(bus))
        high.append(np.concatenate([np.full(d, most), wide]) - plan.still(bus))
    bounds = np.concatenate(low), np.concatenate(high)
    return agent.variable(name, bounds[0].size, bounds=bounds) if bounds[0].size else cp.Constant(np.zeros(1))


def _branches(work: Work) -> tuple[cp.Variable | None, cp.Variable | None]:
    """Flows and currents, voltage drops, cones and current limits."""
    area, plan, agent = work.area, work.plan, work.agent
    children = [k for k in area.buses if k]
    if not children:
        return None, None
    f_at = positions(m.draw.shape[1] for m in work.maps)
    l_at = positions(m.rise.shape[1] for m in work.maps)
    power = [plan.reach[0][bus] for bus in children]
    # rows of W run over the start's ports, columns over the end's
    most = np.concatenate([np.tile(1.2 * one, n // len(one)) for one, n in zip(power, np.diff(f_at), strict=True)])
    flow = agent.variable("flow", int(f_at[-1]), bounds=(-most, most), unit="MW")
    squares = zip(power, np.diff(l_at), strict=True)
    most = np.concatenate([np.full(n, (one.max() / work.limits.v_min) ** 2) for one, n in squares])
    current = agent.variable("current", int(l_at[-1]), bounds=(-most, most)) if l_at[-1] else None
    _drops(work, flow, current, f_at, l_at)
    if current is not None:
        _cones(work, flow, current, f_at, l_at)
        limited = [(k, m) for k, m in enumerate(work.maps) if m.rating.size]
        if limited:
            at = positions(m.rating.size for _, m in limited)
            blocks = ((np.arange(at[j], at[j + 1]), l_at[k], m.current) for j, (k, m) in enumerate(limited))
            most = np.concatenate([m.rating**2 for _, m in limited])
            agent.subject_to(stacked((int(at[-1]), current.size), blocks) @ current <= most, name="line current")
    return flow, current


def _drops(work: Work, flow: cp.Variable, current: cp.Variable | None, f_at: Indices, l_at: Indices) -> None:
    """V_end of every branch whose end's voltage is not given; without load the equation holds by itself."""
    area, plan, agent = work.area, work.plan, work.agent
    moved = [(k, bus) for k, bus in enumerate(b for b in area.buses if b) if bus not in plan.stiff]
    rows = positions(work.maps[k].keep.shape[0] for k, _ in moved)
    size = int(rows[-1])
    spans = [np.arange(rows[j], rows[j + 1]) for j in range(len(moved))]
    own, foreign, dropped, risen = [], [], [], []
    for span, (k, bus) in zip(spans, moved, strict=True):
        maps, parent = work.maps[k], plan.branches[bus - 1].parent
        own.append((span, int(work.at[work.place[bus]]), -np.eye(len(span))))
        if parent not in plan.stiff and parent in work.place:
            own.append((span, int(work.at[work.place[parent]]), maps.keep))
        elif parent not in plan.stiff:
            foreign.append((span, 0, maps.keep))
        dropped.append((span, int(f_at[k]), maps.drop))
        risen.append((span, int(l_at[k]), maps.rise))
    if area.upstream is not None:
        upstream = _voltages(plan, agent, "upstream", (area.upstream,), work.limits)
    if not size:
        return
    left = stacked((size, work.voltage.size), own) @ work.voltage - stacked((size, flow.size), dropped) @ flow
    if current is not None:
        left += stacked((size, current.size), risen) @ current
    if foreign:
        left += stacked((size, upstream.size), foreign) @ upstream
    agent.subject_to(left == 0, name="voltage drop")


def _cones(work: Work, flow: cp.Variable, current: cp.Variable, f_at: Indices, l_at: Indices) -> None:
    """[[V, W], [W^H, L]] >= 0 of every branch: one reshape each of one sparse product."""
    children = [k for k in work.area.buses if k]
    for k, (bus, one) in enumerate(zip(children, work.maps, strict=True)):
        if one.cone is None:
            continue
        parent = work.plan.branches[bus - 1].parent
        d = work.plan.width(parent) ** 2
        known = [flow[f_at[k] : f_at[k + 1]], current[l_at[k] : l_at[k + 1]]]
        if parent in work.plan.stiff:
            x, moving = cp.hstack(known), one.cone[:, d:]
        else:
            start = int(work.at[work.place[parent]]) if parent in work.place else 0
            v = work.voltage if parent in work.place else work.agent.variables["upstream"]
            x, moving = cp.hstack([v[start : start + d], *known]), one.cone
        whole = sp.csr_array(moving) @ x + one.cone[:, :d] @ work.plan.still(parent)
        work.agent.subject_to(cp.reshape(whole, (one.side, one.side), order="C") >> 0, name="branch cone")


def _supplies(work: Work, flow: cp.Variable | None, current: cp.Variable | None) -> tuple[cp.Expression, Floats]:
    """What reaches the ports of the own buses, and what loads draw there; active, then reactive."""
    area, plan, agent = work.area, work.plan, work.agent
    n = 2 * work.ports
    moving = [k for k in area.buses if k not in plan.stiff]
    shunts = ((work.rows(k), int(work.at[work.place[k]]), -shunt_map(plan.shunts[k], plan.lift(k))) for k in moving)
    total: cp.Expression = stacked((n, work.voltage.size), shunts) @ work.voltage
    if flow is not None:
        total += _carried(work, flow, current)
    if area.buses[0] == 0:
        d = plan.frames[0].size
        most = np.tile(plan.reach[0][0], 2)
        given = agent.variable("substation", 2 * d, bounds=(-most, most), unit="MW")
        total += stacked((n, 2 * d), [(work.rows(0), 0, np.eye(2 * d))]) @ given
        for side, word in ((given[:d], work.limits.substation_p), (given[d:], work.limits.substation_q)):
            _between(agent, cp.sum(side), word, "substation")
    if area.cuts:
        total -= _sent(work)
    p, q = _generation(work)
    right = parts(np.concatenate([hanging.load for hanging in work.hanging]))
    for k in area.buses:
        right[work.rows(k)] += shunt_map(plan.shunts[k], plan.lift(k)) @ plan.still(k)
    at = [(u, int(work.port[k]) + port) for k, h in enumerate(work.hanging) for u, port in h.at]
    if at:
        pick = sp.csr_array((np.ones(len(at)), ([row for _, row in at], [u for u, _ in at])), (n // 2, p.size))
        total += cp.hstack([pick @ p, pick @ q])
    for k, (bus, hanging) in enumerate(zip(area.buses, work.hanging, strict=True)):
        if len(hanging.A):
            total += pair_supply(work, k, bus, hanging, p, q)
    return total, right


def _carried(work: Work, flow: cp.Variable, current: cp.Variable | None) -> cp.Expression:
    """What branches bring to their ends less what they draw from own starts."""
    children = [k for k in work.area.buses if k]
    f_at = positions(m.draw.shape[1] for m in work.maps)
    l_at = positions(m.rise.shape[1] for m in work.maps)
    n = 2 * work.ports
    blocks, drawn = [], []
    for k, (bus, one) in enumerate(zip(children, work.maps, strict=True)):
        parent = work.plan.branches[bus - 1].parent
        blocks.append((work.rows(bus), int(f_at[k]), one.arrive))
        if parent in work.place:
            blocks.append((work.rows(parent), int(f_at[k]), -one.draw))
        else:
            drawn.append((np.arange(one.draw.shape[0]), int(f_at[k]), one.draw))
    total: cp.Expression = stacked((n, flow.size), blocks) @ flow
    if current is not None:
        lost = ((work.rows(bus), int(l_at[k]), -work.maps[k].lost) for k, bus in enumerate(children))
        total += stacked((n, current.size), lost) @ current
    if drawn:
        size = 2 * work.plan.frames[work.area.upstream or 0].size
        most = np.tile(work.plan.reach[1][work.area.buses[0]], 2)
        received = work.agent.variable("received", size, bounds=(-most, most), unit="MW")
        work.agent.subject_to(received == stacked((size, flow.size), drawn) @ flow, name="received")
    return total


def _sent(work: Work) -> cp.Expression:
    """What leaves into the areas downstream."""
    sizes = [2 * work.plan.frames[bus].size for bus, _ in work.area.cuts]
    at = positions(sizes)
    most = np.concatenate([np.tile(work.plan.reach[1][to], 2) for _, to in work.area.cuts])
    sent = work.agent.variable("sent", int(at[-1]), bounds=(-most, most), unit="MW")
    blocks = ((work.rows(bus), int(at[j]), np.eye(sizes[j])) for j, (bus, _) in enumerate(work.area.cuts))
    out: cp.Expression = stacked((2 * work.ports, sent.size), blocks) @ sent
    return out


def _generation(work: Work) -> tuple[cp.Expression, cp.Expression]:
    agent, units = work.agent, work.units
    if not units:
        return cp.Constant(np.zeros(0)), cp.Constant(np.zeros(0))
    p = agent.variable("p", len(units), bounds=tuple(np.array([u.p for u in units]).T), unit="MW")
    q = agent.variable("q", len(units), bounds=tuple(np.array([u.q for u in units]).T), unit="Mvar")
    disc = [k for k, u in enumerate(units) if np.hypot(max(np.abs(u.p)), max(np.abs(u.q))) > u.s_max]
    if disc:
        most = np.array([units[k].s_max for k in disc])
        agent.subject_to(cp.SOC(cp.Constant(most), cp.vstack([p[disc], q[disc]]), axis=0), name="generator")
    return p, q


def _between(agent: Agent, value: cp.Expression, range_: tuple[float, float], name: str) -> None:
    if np.isfinite(range_[0]):
        agent.subject_to(value >= range_[0], name=name)
    if np.isfinite(range_[1]):
        agent.subject_to(value <= range_[1], name=name)
