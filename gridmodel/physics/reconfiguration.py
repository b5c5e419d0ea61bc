"""Topology as a variable: which lines of a multiphase feeder carry current, for least losses and few lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cvxpy as cp
import networkx as nx
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.grid.elements import Generator
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.port_law import ports
from gridmodel.language.agent import Agent
from gridmodel.language.model import Model
from gridmodel.physics.carriers import Carrier, Nodes, carriers, demand, nodes_of
from gridmodel.physics.droops import refuse_droops

__all__ = ["Layout", "dispatchable", "injection", "reconfiguration", "switchable_lines", "with_closed"]

Complexes = NDArray[np.complex128]
VOLTAGES = ("no load", "load flow")
AGENTS = ("sections", "lines")


@dataclass(frozen=True)
class Layout:
    """What the agents of a reconfiguration stand for.

    feeder: with all lines closed that may be. carriers: lines and transformers by the agent's name, in the order of the
    columns of its ``xi``. switchable: names
    of the lines that may be opened. v: node voltages in V at which the loads are taken. drawn: current of loads and
    admittances in A, shape (nodes,). balanced: the nodes of the rows of "current <bus>", by bus.
    """

    feeder: Feeder
    carriers: Mapping[str, tuple[Carrier, ...]]
    switchable: tuple[str, ...]
    v: Complexes
    drawn: Complexes
    balanced: Mapping[str, tuple[str, ...]]


def reconfiguration(
    feeder: Feeder,
    weight: float | Mapping[str, float] = 0.0,
    switchable: Iterable[str] | None = None,
    load_scale: float = 1.0,
    voltages: Literal["no load", "load flow"] = "no load",
    agents: Literal["sections", "lines"] = "sections",
) -> Model:
    """The currents of least losses, with a price on every switchable line that carries any.

    min  sum_e xi_e^H Re(Z_e) xi_e / 1000 + sum_{e switchable} weight_e |xi_e|_2
    s.t. the currents into every bus and phase but the source's add up to what is drawn there, |xi_e,k| <= rating_e

    An agent "line <name>" holds ``xi`` in A, shape (2, conductors): real parts over imaginary ones, from start to end.
    The weight of a switchable line in kW/A is its parameter, so that another one needs no new compile. Lines and
    transformers that may not be opened are agents of their own, or those that hang together are one "section"; a
    transformer's currents are those of its second winding. An agent "generator <name>" holds ``power``, (p, q) in kW
    and kvar, if it has limits; without, it injects what the file says. Loads, capacitors and line admittances draw
    the currents that they draw at fixed voltages: in a tree the currents follow from the balances and are those of
    the load flow at those voltages; in a mesh they are the ones of least losses, which impedances of different angles
    would not quite let flow. Transformers with two windings are series elements with their turns ratio, wherever they
    stand; what they draw without load is left out. The price of "current <bus>", real over imaginary, is in kW/A;
    balances within a section are its own.

    Args:
        weight: kW/A, one for all switchable lines, or by the line's name (0 for those not named).
        switchable: names of lines that may be opened, open ones too; None takes the feeder's switches, or all lines
            where it has none. All others stay as they are.
        load_scale: factor on the loads.
        voltages: at which loads draw their current: "no load", or "load flow", those of the load flow with all
            switchable lines closed.
        agents: "sections", or "lines" for every line and transformer alone: the same optimum, but distributed
            algorithms then need very many rounds on a long feeder.

    Raises:
        UnknownNameError: a line that is not there, or may not be opened.
        ModelError: no Feeder, a weight below zero, a load on an island, a volt-var droop, or an element that has no
            such form.
    Source: Dall'Anese and Giannakis (2013), Sparsity-leveraging reconfiguration of smart distribution systems.
    """
    if not isinstance(feeder, Feeder):
        raise ModelError(
            f"reconfiguration takes a multiphase Feeder, got {type(feeder).__name__}; "
            "read one from an OpenDSS file (.dss)."
        )
    if voltages not in VOLTAGES:
        raise ModelError(f"voltages={voltages!r} is not known; available: {', '.join(map(repr, VOLTAGES))}.")
    if agents not in AGENTS:
        raise ModelError(f"agents={agents!r} is not known; available: {', '.join(map(repr, AGENTS))}.")
    if not 0 <= load_scale < np.inf:
        raise ModelError(
            f"load_scale={load_scale!r}: expected a finite number of at least 0; 1 is the load of the file."
        )
    refuse_droops(feeder, "reconfiguration")
    names = switchable_lines(feeder, switchable)
    closed = with_closed(feeder, {line.name for line in feeder.lines if line.closed} | set(names))
    weights = _weights(weight, names)
    elements = carriers(closed)
    nodes = nodes_of(closed, elements)
    v = _voltages(closed, voltages, load_scale)
    drawn = demand(closed, nodes, v, load_scale) + _fixed(closed, v)
    model = Model(f"{feeder.name} reconfiguration", currency="kW")
    parts = _parts(elements, frozenset(weights), agents)
    reach = 2.0 * float(np.abs(drawn).sum()) or 1.0
    brought = [_carried(model.agent(name), own, weights.get(name), reach) for name, own in parts.items()]
    brought += [_generator(model.agent(f"generator {one.name}"), closed, one, v)
                for one in closed.generators if dispatchable(one)]  # fmt: skip
    rows = _balances(model, closed, nodes, brought, drawn)
    model.layout = Layout(closed, {name: tuple(own) for name, own in parts.items()}, names, v, drawn, rows)
    return model


def switchable_lines(feeder: Feeder, wanted: Iterable[str] | None = None) -> tuple[str, ...]:
    """Names of the lines that may be opened, in the feeder's order: those wanted, else switches, else all lines.

    Raises:
        UnknownNameError: a line that is not there, or none at all.
    """
    every = {line.name: line for line in feeder.lines}
    if wanted is None:
        return tuple(name for name, line in every.items() if line.switch) or tuple(every)
    if isinstance(wanted, str):
        wanted = [wanted]
    asked = list(wanted)
    unknown = [name for name in asked if name not in every]
    if unknown or not asked:
        known = ", ".join([*every][:8]) + (", ..." if len(every) > 8 else "")
        what = f"has no line {unknown[0]!r}" if unknown else "was given no line that may be opened"
        raise UnknownNameError(f"switchable: {feeder.name} {what}; its lines are {known}.")
    return tuple(name for name in every if name in set(asked))


def with_closed(feeder: Feeder, closed: Collection[str]) -> Feeder:
    """The feeder with these lines closed and all others open."""
    return replace(feeder, lines=tuple(replace(line, closed=line.name in closed) for line in feeder.lines))


def dispatchable(unit: Generator) -> bool:
    """Whether a generator may be moved: its power has finite limits."""
    return bool(np.isfinite([max(unit.p_min, -unit.s_max), min(unit.p_max, unit.s_max), *_reactive(unit)]).all())


def _reactive(unit: Generator) -> tuple[float, float]:
    return unit.attributes.get("q_min", -unit.s_max), unit.attributes.get("q_max", unit.s_max)


def _weights(weight: float | Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    """The weight of every switchable line by the agent's name."""
    given = dict(weight) if isinstance(weight, Mapping) else dict.fromkeys(names, weight)
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UnknownNameError(f"weight: line {unknown[0]!r} is not switchable; switchable are {', '.join(names)}.")
    for name, value in given.items():
        if not 0 <= value < np.inf:
            raise ModelError(f"the weight of line {name} is {value!r}, expected a finite number of at least 0 in kW/A.")
    return {f"line {name}": float(given.get(name, 0.0)) for name in names}


def _voltages(feeder: Feeder, kind: str, load_scale: float) -> Complexes:
    loaded = kind == "load flow"
    flow = feeder.load_flow(loads=load_scale if loaded else 0.0, generation=None if loaded else 0.0)
    if not bool(flow.converged):
        raise ModelError(
            f"{feeder.name}: the load flow with all lines closed does not converge near bus {flow.worst}; "
            f"lower load_scale={load_scale:g}."
        )
    return np.asarray(flow.volts)


def _fixed(feeder: Feeder, v: Complexes) -> Complexes:
    """What generators without limits draw (they inject: negative), A, shape (nodes,)."""
    out = np.zeros(len(feeder.nodes), dtype=np.complex128)
    for unit in feeder.generators:
        if not dispatchable(unit):
            out -= injection(feeder, unit, v) @ np.array([unit.s.real, unit.s.imag]) / 1000
    return out


def injection(feeder: Feeder, unit: Generator, v: Complexes) -> Complexes:
    """The currents in A that a generator sends into the nodes per kW of p and per kvar of q, shape (nodes, 2).

    Each of its phases gives the same power: conj((p + j q) / (phases v)).
    """
    table = ports(feeder)
    own = [k for k, name in enumerate(table.names) if name == unit.name and k >= sum(x.phases for x in feeder.loads)]
    incidence = table.incidence[own]
    per_kva = incidence.T @ (1000.0 / (unit.phases * np.asarray(incidence @ v).conj()))
    return np.stack([per_kva, -1j * per_kva], axis=1)


@dataclass(frozen=True)
class _Brought:
    """What the entries of an agent's variable x, row by row, bring into nodes: real @ x + j imaginary @ x, in A."""

    agent: Agent
    x: cp.Expression
    nodes: NDArray[np.intp]
    real: NDArray[np.float64]
    imaginary: NDArray[np.float64]


def _parts(elements: tuple[Carrier, ...], switchable: frozenset[str], agents: str) -> dict[str, list[Carrier]]:
    """The elements of each agent: switchable lines alone, the others alone or with all they hang together with."""
    if agents == "lines":
        return {one.name: [one] for one in elements}
    graph: nx.Graph[str] = nx.Graph(one.buses for one in elements if one.name not in switchable)
    section = {bus: k for k, part in enumerate(nx.connected_components(graph), 1) for bus in part}
    found: dict[str, list[Carrier]] = {}
    for one in elements:
        name = one.name if one.name in switchable else f"section {section[one.buses[0]]}"
        found.setdefault(name, []).append(one)
    return found


def _carried(agent: Agent, own: list[Carrier], weight: float | None, reach: float) -> _Brought:
    """Declares the currents of one agent, their heat and the price of using them at all."""
    # No current of least losses comes near the bounds: they tell algorithms how far currents move.
    xi = agent.variable("xi", (2, sum(one.size for one in own)), unit="A", bounds=(-reach, reach))
    heat: Any = sp.block_diag([one.r / 1000 for one in own], format="csc")
    if heat.count_nonzero():
        agent.minimize(cp.quad_form(xi[0], cp.psd_wrap(heat)) + cp.quad_form(xi[1], cp.psd_wrap(heat)))
    if weight is not None:
        agent.minimize(agent.parameter("weight", value=weight, nonneg=True) * cp.norm(cp.vec(xi, order="C"), 2))
    ratings = np.concatenate([np.full(one.size, one.rating) for one in own])
    limited = np.flatnonzero(np.isfinite(ratings))
    if limited.size:
        agent.subject_to(cp.norm(xi[:, limited], 2, axis=0) <= ratings[limited], name="rating")
    nodes = np.unique(np.concatenate([one.nodes for one in own]))
    into = np.zeros((nodes.size, len(ratings)))
    column = 0
    for one in own:
        into[np.searchsorted(nodes, one.nodes), column : column + one.size] -= one.takes
        column += one.size
    none = np.zeros_like(into)
    return _Brought(agent, cp.vec(xi, order="C"), nodes, np.hstack([into, none]), np.hstack([none, into]))


def _generator(agent: Agent, feeder: Feeder, unit: Generator, v: Complexes) -> _Brought:
    low, high = (value / 1000 for value in (max(unit.p_min, -unit.s_max), min(unit.p_max, unit.s_max)))
    q = [value / 1000 for value in _reactive(unit)]
    if low > high or q[0] > q[1]:
        raise ModelError(f"generator {unit.name}: limits cross: p {low:g}..{high:g} kW, q {q[0]:g}..{q[1]:g} kvar.")
    power = agent.variable("power", 2, bounds=(np.array([low, q[0]]), np.array([high, q[1]])))
    if np.isfinite(unit.s_max):
        agent.subject_to(cp.norm(power, 2) <= unit.s_max / 1000, name="rating")
    sent = injection(feeder, unit, v)
    at = np.flatnonzero(np.abs(sent).any(axis=1))
    return _Brought(agent, power, at, sent[at].real, sent[at].imag)


def _balances(
    model: Model, feeder: Feeder, nodes: Nodes, brought: Sequence[_Brought], drawn: Complexes
) -> dict[str, tuple[str, ...]]:
    """Couples the currents at every bus, or leaves them to the one agent that is there; the nodes by bus."""
    touching: dict[int, list[_Brought]] = {}
    for one in brought:
        for node in one.nodes.tolist():
            touching.setdefault(node, []).append(one)
    rows: dict[str, tuple[str, ...]] = {}
    inner: dict[str, list[int]] = {}
    for bus in feeder.buses:
        wanted = [feeder.position[f"{bus.name}.{number}"] for number in bus.nodes]
        wanted = [node for node in wanted if nodes.balanced[node]]
        found = list({one.agent.name: one for node in wanted for one in touching.get(node, [])}.values())
        if len(found) == 1:
            inner.setdefault(found[0].agent.name, []).extend(wanted)
        elif wanted:
            rows[bus.name] = tuple(feeder.nodes[node] for node in wanted)
            total = sum((_into(one, wanted) @ one.x for one in found), start=cp.Constant(np.zeros(2 * len(wanted))))
            model.couple(total == _both(drawn[wanted]), name=f"current {bus.name}")
    for one in brought:
        if wanted := inner.get(one.agent.name, []):
            labels = [f"{part} {feeder.nodes[node]}" for part in ("real", "imaginary") for node in wanted]
            one.agent.subject_to(_into(one, wanted) @ one.x == _both(drawn[wanted]), name="current", rows=labels)
    return rows


def _into(one: _Brought, wanted: list[int]) -> sp.csr_array:
    """Real over imaginary currents into the wanted nodes by the entries of x."""
    pick = (np.array(wanted)[:, None] == one.nodes[None, :]).astype(np.float64)
    return sp.csr_array(np.vstack([pick @ one.real, pick @ one.imaginary]))


def _both(values: Complexes) -> NDArray[np.float64]:
    return np.concatenate([values.real, values.imag])
