"""Single agents: those of equal structure share one canonicalised representative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.language.declared import AbstractParty, Cost
from gridmodel.passes.template import ParameterSource, Template, lower_template, read_parameter
from gridmodel.passes.walk import Leaves, divisors, freeze, rebuild, walk

__all__ = ["check_finite", "finite_or_error", "lower_agents", "slot_parameter"]

Floats = NDArray[np.float64]


def lower_agents(agents: Sequence[AbstractParty]) -> list[Template]:
    """Groups agents by structure and canonicalises one of each group.

    Constants that differ within a group become parameters of the representative; where that would break DPP,
    agents are grouped by their constants' values instead.
    """
    groups: dict[Any, list[tuple[AbstractParty, Leaves]]] = {}
    for agent in agents:
        leaves = Leaves({v.id: k for k, v in enumerate(agent.variables.values())})
        key = (
            tuple([_variable_key(name, v) for name, v in agent.variables.items()]),
            tuple([walk(cost.expression, leaves) for cost in agent.costs]),
            tuple([(limit.name, walk(limit.constraint, leaves)) for limit in agent.limits]),
        )
        groups.setdefault(key, []).append((agent, leaves))
    return [template for group in groups.values() for template in _lower_group(group)]


def _variable_key(name: str, variable: cp.Variable) -> tuple[Any, ...]:
    kept = tuple(k for k in ("symmetric", "PSD", "NSD") if variable.attributes[k])
    return (name, variable.shape, variable.is_nonneg(), variable.is_nonpos(), kept)


def _lower_group(group: list[tuple[AbstractParty, Leaves]]) -> list[Template]:
    agent, leaves = group[0]
    for party, met in group:
        check_finite(party, met)
    costs = [cost.expression for cost in agent.costs]
    limits = [limit.constraint for limit in agent.limits]
    slots: list[Any] = [None] * len(leaves.constants)
    sources: list[ParameterSource] = []
    if len(group) > 1:
        under_division: list[int] = []
        count = 0
        for item in [*costs, *limits]:
            count = divisors(item, count, under_division)
        for k in range(len(slots)):
            slot = _vary([met.constants[k] for _, met in group], k in under_division)
            if slot is not None:
                slots[k], source = slot
                sources.append(source)
        own = {v.id: v for v in agent.variables.values()}
        kept = {p.id: p for p in leaves.parameters}
        # One list of slots serves all items in turn, in the order in which walk met the constants.
        items, used = [], 0
        for item in [*costs, *limits]:
            copied = rebuild(item, own, kept, slots[used:])
            used = divisors(item, used, [])
            items.append(copied)
        if not all(item.is_dpp() for item in items):
            parts: dict[Any, list[tuple[AbstractParty, Leaves]]] = {}
            for party, met in group:
                parts.setdefault(tuple(freeze(c) for c in met.constants), []).append((party, met))
            if len(parts) > 1:
                return [template for part in parts.values() for template in _lower_group(part)]
        costs, limits = items[: len(costs)], items[len(costs) :]
    for k, parameter in enumerate(leaves.parameters):
        sources.append(ParameterSource(parameter.id, _reader([met.parameters[k] for _, met in group], group)))
    members = [(party, 0) for party, _ in group]
    pairs = list(zip(limits, agent.limits, strict=True))
    return [lower_template(members, costs, pairs, sources, list(agent.variables.values()))]


def _vary(values: list[Any], reciprocal: bool) -> tuple[cp.Parameter, ParameterSource] | None:
    """A parameter for a constant that differs between agents; None where all are equal."""
    first = values[0]
    if sp.issparse(first):
        return None
    if all(value is first for value in values):
        return None
    stacked = np.array([np.asarray(value, dtype=np.float64).ravel(order="F") for value in values])
    if (stacked == stacked[0]).all():
        return None
    if reciprocal:
        if (stacked == 0).any():
            raise DataError("a cost or constraint divides by zero; check the constants.")
        stacked = 1.0 / stacked
    return slot_parameter(np.shape(first), stacked)


def slot_parameter(shape: tuple[int, ...], stacked: Floats) -> tuple[cp.Parameter, ParameterSource]:
    """A parameter of the representative with fixed values (N, size), its sign declared for DCP."""
    sign = {"nonneg": True} if (stacked >= 0).all() else ({"nonpos": True} if (stacked <= 0).all() else {})
    parameter = cp.Parameter(shape, **sign)

    def read() -> Floats:
        return stacked

    return parameter, ParameterSource(parameter.id, read)


def _reader(parameters: list[cp.Parameter], group: list[tuple[AbstractParty, Leaves]]) -> Callable[[], Floats]:
    names = [party.name for party, _ in group]

    def read() -> Floats:
        return np.array([read_parameter(p, name).ravel(order="F") for p, name in zip(parameters, names, strict=True)])

    return read


def check_finite(party: AbstractParty, leaves: Leaves | None = None) -> None:
    """Refuses constants that are NaN, infinite or not real.

    Args:
        party: the agent or fleet.
        leaves: what a walk over the agent met; left out, all constants of its statements are read.

    Raises:
        DataError: names the statement.
    """
    if leaves is not None and all(map(_finite, leaves.constants)):
        return
    for statement in [*party.costs, *party.limits]:
        kind = "the cost" if isinstance(statement, Cost) else "the constraint"
        finite_or_error(statement.item, f"{party.name}: {kind} at {statement.place}")


def finite_or_error(item: cp.Expression | cp.Constraint, where: str) -> None:
    """Refuses an expression with a constant that is NaN, infinite or not real.

    Raises:
        DataError: it holds one.
    """
    if not all(_finite(constant.value) for constant in item.constants()):
        raise DataError(
            f"{where} holds a constant that is NaN, infinite or not real; give finite numbers "
            "(leave a row out, or use bounds=None, where there is no limit)."
        )


def _finite(value: Any) -> bool:
    data = value.data if sp.issparse(value) else np.asarray(value)
    return data.dtype.kind in "fiub" and bool(np.isfinite(data).all())
