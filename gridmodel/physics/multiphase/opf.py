"""Optimal power flow of a multiphase feeder in areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.language.model import Model
from gridmodel.physics.droops import refuse_droops
from gridmodel.physics.multiphase.areas import Area, areas_of
from gridmodel.physics.multiphase.branchflow import declare
from gridmodel.physics.multiphase.maps import positions
from gridmodel.physics.multiphase.plan import Plan, plan_of
from gridmodel.physics.multiphase.work import Limits

__all__ = ["FeederLayout", "feeder_model"]

Range = tuple[float, float]
FREE: Range = (-np.inf, np.inf)


@dataclass(frozen=True)
class FeederLayout:
    """What the entries of an area's variables and of its balances belong to, by the area's name.

    formulation: "sdp" or "lindistflow". objective: what is minimised. ports: of the rows of "balance" and "reactive
    balance", as "671.1" to ground and "701.1-2" between conductors. units: names of generators of ``p`` and ``q``.
    branches: names, in the order of ``flow`` and ``current``. areas: of the tree ``plan``. limits, load_scale: what
    was asked. feeder: with the taps that were taken.
    """

    formulation: str
    objective: str
    source: str
    ports: Mapping[str, tuple[str, ...]]
    units: Mapping[str, tuple[str, ...]]
    branches: Mapping[str, tuple[str, ...]]
    areas: tuple[Area, ...]
    plan: Plan
    limits: Limits
    load_scale: float
    feeder: Feeder


def feeder_model(
    feeder: Feeder,
    formulation: Literal["sdp", "lindistflow"] = "sdp",
    areas: int | Mapping[str, str | int] = 1,
    *,
    objective: Literal["cost", "loss"] = "cost",
    v_min: float = 0.95,
    v_max: float = 1.05,
    price: float = 100.0,
    substation_p: Range = FREE,
    substation_q: Range = FREE,
    loads: Literal["power", "zip"] = "power",
    delta: Literal["balanced", "exact"] = "balanced",
    load_scale: float = 1.0,
    taps: Mapping[tuple[str, int], float] | Literal["auto"] | None = None,
    around: Sequence[NDArray[np.complex128]] | None = None,
    negligible: float = 2e-4,
    coordinator: bool = True,
) -> Model:
    """The optimal power flow of a feeder; areas are agents, what neighbours agree on are couplings.

    "sdp": branch flow with one positive semidefinite block a branch, the rank left out. "lindistflow": without losses
    and with phases nearly balanced. Generators of the feeder move within their limits. Neighbours agree on the
    voltage matrix of the bus at which the upper one ends and on the power that enters the lower one.

    Args:
        areas: a number, or the area's name for every bus.
        objective: "cost" in $/h of the source's energy and of generation, or "loss" in kW.
        v_min, v_max: of all buses but the source, pu to ground, or between conductors where nothing is grounded.
        price: of the source's energy, $/MWh.
        substation_p, substation_q: limits of what the source gives, MW and Mvar in all.
        loads: "power", all at their rated power, or "zip", as declared.
        delta: "exact" for pairs of conductors by their own block, "balanced" by fixed shares.
        load_scale: factor on the loads.
        taps: turns ratios by (transformer, winding), "auto" for those that the regulators take without the optimal
            power flow, or None for the feeder's. They stay as they are.
        around: port voltages of every bus at which "balanced" shares and "lindistflow" are taken, such as
            ``recover(result).v``; None takes those without load.
        negligible: impedances up to this size (pu, 1 MVA a conductor) are taken as mere ratios: those of switches and
            regulators, whose currents nothing holds to rank one.
        coordinator: whether algorithms may use one; else neighbours talk to each other only.

    Raises:
        ModelError: an unknown word, limits that cross, volt-var droops, or a feeder that has no such model.
    Source: Gan and Low (2014), Convex relaxations and linear approximation for optimal power flow in multiphase
        radial networks.
    """
    _known("formulation", formulation, ("sdp", "lindistflow"))
    _known("objective", objective, ("cost", "loss"))
    _known("delta", delta, ("balanced", "exact"))
    for name, (low, high) in {"v": (v_min, v_max), "substation_p": substation_p, "substation_q": substation_q}.items():
        if not low <= high:
            raise ModelError(f"{name}: the lower limit {low:g} is above the upper one, {high:g}; swap them.")
    refuse_droops(feeder, "optimal power flow")
    if taps is not None:
        feeder = feeder.with_taps(_regulated(feeder) if isinstance(taps, str) else taps)
    plan = plan_of(feeder, loads, load_scale, negligible)
    if around is not None:
        plan = replace(plan, around=tuple(around))
    limits = Limits(v_min, v_max, substation_p, substation_q, price, objective, formulation == "sdp", delta)
    cut = areas_of(plan, areas)
    model = Model(feeder.name, currency="$/h" if objective == "cost" else "kW")
    for area in cut:
        declare(plan, area, model.agent(area.name), limits)
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(area.name for area in cut)
    graph.add_edges_from(_couple(model, plan, cut))
    model.connect(graph, coordinator=coordinator)
    model.layout = FeederLayout(
        formulation,
        objective,
        feeder.source_file or feeder.name,
        {a.name: tuple(label for bus in a.buses for label in plan.frames[bus].labels) for a in cut},
        {a.name: tuple(unit.name for unit in plan.units if unit.bus in set(a.buses)) for a in cut},
        {a.name: tuple(plan.branches[bus - 1].name for bus in a.buses if bus) for a in cut},
        cut,
        plan,
        limits,
        load_scale,
        feeder,
    )
    return model


def _regulated(feeder: Feeder) -> Mapping[tuple[str, int], float]:
    found = feeder.load_flow(taps="auto").taps
    assert isinstance(found, Mapping)  # one case has one mapping
    return found


def _couple(model: Model, plan: Plan, cut: tuple[Area, ...]) -> list[tuple[str, str]]:
    """Voltages and powers at every cut: what the lower area copies and receives."""
    by_head = {area.buses[0]: area for area in cut}
    edges = []
    for upper in cut:
        v_at = dict(zip(upper.buses, positions(plan.moving(k) for k in upper.buses), strict=False))
        s_at = positions(2 * plan.frames[bus].size for bus, _ in upper.cuts)
        for j, (bus, head) in enumerate(upper.cuts):
            lower = by_head[head]
            start, d = int(v_at[bus]), plan.moving(bus)
            one, other = model[upper.name], model[lower.name]
            where = f"{upper.name}-{lower.name}"
            if d:
                model.couple(one["voltage"][start : start + d] == other["upstream"], name=f"voltage {where}")
            model.couple(one["sent"][s_at[j] : s_at[j + 1]] == other["received"], name=f"power {where}")
            edges.append((upper.name, lower.name))
    return edges


def _known(what: str, word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        raise ModelError(f"{what}={word!r} is not known; available: {', '.join(words)}.")
