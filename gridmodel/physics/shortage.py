"""Why an optimal power flow has no answer: the buses and lines whose limits have to give way, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.physics.pieces import bus_names, line_names

__all__ = ["check_limits", "shortage"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Build = Callable[[Network], Model]
Solve = Callable[[Model], bool]
_SHOWN = 3
_KINDS = ("power", "rating", "voltage")
_WIDER = 0.3  # pu; limits of |v| that would have to move further are not what is wrong
_SMALL = 1e-5  # pu: what solvers leave open


@dataclass(frozen=True)
class _Given:
    """How far limits of one kind give way.

    cost: its sum in pu. amount: reads it off after a solve, in ``unit``, one entry a name; text: what is to be done
    where it is positive, and where it is negative.
    """

    cost: cp.Expression
    amount: Callable[[], Floats]
    unit: str
    names: Sequence[str]
    texts: tuple[str, str]
    small: float


def shortage(net: Network, build: Build, load_scale: float, solve: Solve) -> str | None:
    """What would mend a network whose limits cannot hold together.

    min sum of what limits of one kind give way  s.t.  all other limits

    for the power balances of buses, the ratings of lines and the limits of |v|, each where it mends all by itself;
    where none does, for all three together.

    Args:
        build: makes the model of a network in one area, convex.
        load_scale: factor on the loads.
        solve: solves a convex model, and tells whether it has an answer; the values are then in its variables.

    Returns: a sentence; None where nothing was found.
    """
    found = {}
    for kind in _KINDS:
        found[kind] = _mended(net, build, solve, (kind,))
        if found[kind] == "":
            return None  # nothing has to give way
    alone = [text for text in found.values() if text]
    together = None if alone else _mended(net, build, solve, _KINDS)
    if together:
        return f"{_capacity(net, load_scale)}this would do: {together}"
    if not alone:
        return None
    either = "this would do: " if len(alone) == 1 else "each of these would do by itself: "
    return _capacity(net, load_scale) + either + "; or ".join(alone)


def check_limits(net: Network, voltages: bool) -> None:
    """Refuses limits of one bus or generator that exclude each other, which no load or line can mend.

    Raises:
        ModelError: naming the bus or the generator.
    """
    units, buses, number = net.generators, net.buses, net.buses.number
    for k in np.flatnonzero(~(units.p_min <= units.p_max)):
        raise _crossed(
            net, f"generator {units.row[k]} at bus {number[units.bus[k]]}", "p", units.p_min[k], units.p_max[k], "MW"
        )
    if not voltages:
        return
    for k in np.flatnonzero(~(units.q_min <= units.q_max)):
        raise _crossed(
            net, f"generator {units.row[k]} at bus {number[units.bus[k]]}", "q", units.q_min[k], units.q_max[k], "MVAr"
        )
    for k in np.flatnonzero(~((buses.v_min <= buses.v_max) & (buses.v_min >= 0) & np.isfinite(buses.v_max))):
        raise _crossed(net, f"bus {number[k]}", "|v|", buses.v_min[k], buses.v_max[k], "pu")


def _crossed(net: Network, who: str, what: str, low: float, high: float, unit: str) -> ModelError:
    return ModelError(
        f"{who} of {net.source} limits {what} to {low:g} ... {high:g} {unit}; expected a lower limit that is not above "
        "the upper one. Exchange or correct them in the file."
    )


def _capacity(net: Network, load_scale: float) -> str:
    """The sums of what is asked and of what generators give, where the one is beyond the other; else ""."""
    load = load_scale * float(net.buses.p_load.sum())
    least, most = float(net.generators.p_min.sum()), float(net.generators.p_max.sum())
    if load > most:
        return f"the loads take {load:.5g} MW and the generators give at most {most:.5g} MW; "
    if load < least and load_scale > 0:
        return f"the loads take {load:.5g} MW and the generators give at least {least:.5g} MW; "
    return ""


def _mended(net: Network, build: Build, solve: Solve, kinds: Sequence[str]) -> str | None:
    """What gives way where only limits of these kinds may, "" where nothing has to; None where that does not help."""
    wide = net
    if "voltage" in kinds:
        low, high = np.maximum(net.buses.v_min - _WIDER, 0.0), net.buses.v_max + _WIDER
        wide = replace(wide, buses=replace(wide.buses, v_min=low, v_max=high))
    model = build(wide)
    party = model.agents[0]
    if "rating" in kinds and _bounded(party):
        unlimited = np.full(net.branches.x.size, np.inf)
        model = build(replace(wide, branches=replace(wide.branches, rate_a=unlimited)))
        party = model.agents[0]
    party.costs.clear()
    given: list[_Given] = []
    if "power" in kinds:
        given += _powers(net, party)
    if "rating" in kinds:
        given += _ratings(net, party)
    if "voltage" in kinds and "w" in party.variables:
        given += _voltages(net, party)
    for one in given:
        party.minimize(one.cost)
    if not given or not solve(model):
        return None
    return " and ".join(text for one in given for text in _said(one))


def _bounded(party: AbstractParty) -> bool:
    """Whether ratings are bounds of a variable, as in "dc", and no limits."""
    return "flow" in party.variables


def _powers(net: Network, party: AbstractParty) -> list[_Given]:
    """Powers that buses lack, active ones no more than is drawn there."""
    given = []
    drawn = np.bincount(net.generators.bus, np.maximum(-net.generators.p_min, 0.0), net.buses.number.size)
    for k, limit in enumerate(party.limits):
        if limit.name not in ("balance", "reactive balance"):
            continue
        brought, load = limit.constraint.args
        active = limit.name == "balance"
        most = np.maximum(load.value, 0.0) + drawn if active else None
        unit = "MW" if active else "MVAr"
        lacking = party.variable(f"lacking {unit}", load.size, bounds=(None, most), unit=unit)
        party.limits[k] = replace(limit, constraint=brought + lacking == load)
        texts = ("less load or more generation", "more load or less generation")
        if not active:
            texts = ("more reactive supply", "less reactive supply")
        base = net.base_mva
        cost = cp.norm1(lacking) / base
        given.append(_Given(cost, partial(_value, lacking), unit, limit.rows, texts, _SMALL * base))
    return given


def _ratings(net: Network, party: AbstractParty) -> list[_Given]:
    """Powers of lines beyond their ratings."""
    base, rated = net.base_mva, np.flatnonzero(np.isfinite(net.branches.rate_a))
    limits = [(k, one) for k, one in enumerate(party.limits) if (one.name or "").startswith("thermal limit")]
    if not rated.size or not (limits or _bounded(party)):
        return []
    over: cp.Expression
    if _bounded(party):
        over = cp.pos(cp.abs(party["flow"][rated]) - net.branches.rate_a[rated])
    else:
        over = party.variable("over rating", rated.size, bounds=(0.0, None), unit="MVA")
        for k, limit in limits:
            rate, power = limit.constraint.args
            # the rating is in MVA or in pu
            share = cp.Constant(rate.value / net.branches.rate_a[rated])
            party.limits[k] = replace(limit, constraint=cp.SOC(rate + cp.multiply(share, over), power, axis=0))
    texts = ("higher ratings", "lower ratings")
    return [_Given(cp.sum(over) / base, partial(_value, over), "MVA", line_names(net, rated), texts, _SMALL * base)]


def _voltages(net: Network, party: AbstractParty) -> list[_Given]:
    """How far |v| lies beyond its limits; w is its square."""
    w, buses = party["w"], net.buses
    names = bus_names(net, np.arange(buses.number.size))
    return [
        _Given(
            cp.sum(cp.pos(w - buses.v_max**2)),
            lambda: np.maximum(np.sqrt(np.maximum(_value(w), 0.0)) - buses.v_max, 0.0),
            "pu", names, ("a higher v_max", ""), _SMALL,
        ),
        _Given(
            cp.sum(cp.pos(buses.v_min**2 - w)),
            lambda: np.maximum(buses.v_min - np.sqrt(np.maximum(_value(w), 0.0)), 0.0),
            "pu", names, ("a lower v_min", ""), _SMALL,
        ),
    ]  # fmt: skip


def _value(expression: cp.Expression) -> Floats:
    return np.asarray(expression.value, dtype=np.float64)


def _said(one: _Given) -> list[str]:
    """What is to be done, largest amounts first."""
    amount = one.amount()
    told = []
    for sign, text in zip((1.0, -1.0), one.texts, strict=True):
        size = np.maximum(sign * amount, 0.0)
        large = [int(k) for k in np.argsort(-size, kind="stable") if size[k] > max(one.small, 1e-2 * size.max())]
        if large:
            shown = ", ".join(f"{size[k]:.4g} at {one.names[k]}" for k in large[:_SHOWN])
            more = f" and {len(large) - _SHOWN} more" if len(large) > _SHOWN else ""
            told.append(f"{text} by {size.sum():.4g} {one.unit} ({shown}{more})")
    return told
