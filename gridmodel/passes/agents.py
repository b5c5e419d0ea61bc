"""Single agents: those of equal structure share one canonicalised representative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.language.declared import AbstractParty
from gridmodel.passes.affine import ParameterSource
from gridmodel.passes.data import check_finite, fixed_source, is_finite, is_sparse, read_value
from gridmodel.passes.template import Statements, Template, check_convex, limit_labels, lower_template, not_affine
from gridmodel.passes.walk import Leaves, freeze, rebuild, walk

__all__ = ["lower_agents", "lower_apart"]

Floats = NDArray[np.float64]
Group = list[tuple[AbstractParty, Leaves]]


def lower_agents(agents: Sequence[AbstractParty]) -> list[Template]:
    """Groups agents by structure and canonicalises one of each group.

    Constants that differ within a group, and expressions of parameters, become parameters of the representative;
    where cvxpy refuses that, agents are grouped by their constants' signs, and then by their values.

    Raises:
        CurvatureError: a cost or limit that is not DCP.
        DataError: a constant that is not finite.
    """
    groups: dict[Any, Group] = {}
    for agent in agents:
        leaves = Leaves({v.id: k for k, v in enumerate(agent.variables.values())})
        key = (
            tuple([_variable_key(name, v) for name, v in agent.variables.items()]),
            tuple([walk(cost.expression, leaves) for cost in agent.costs]),
            tuple([walk(limit.constraint, leaves) for limit in agent.limits]),
            tuple(limit_labels(agent)),
        )
        finite = all(is_finite(leaf) for leaf in leaves.free if not isinstance(leaf, cp.Expression))
        if leaves.divides_by_zero or not finite:
            check_finite(agent)
        groups.setdefault(key, []).append((agent, leaves))
    return [template for group in groups.values() for template in _lower_group(group)]


def lower_apart(party: AbstractParty) -> Template:
    """One agent, or a fleet of one, by itself.

    Raises:
        CurvatureError: a cost or limit that is not DCP, or not affine in its parameters (DPP).
    """
    check_convex(party)
    statements = _statements(party).lifted()
    if statements is None:
        raise not_affine(party)
    axis = None if party.size is None else 0
    return lower_template([party], statements, [], [axis] * len(party.limits))


def _variable_key(name: str, variable: cp.Variable) -> tuple[Any, ...]:
    return (name, variable.shape, *(key for key in ("symmetric", "PSD", "NSD") if variable.attributes[key]))


def _statements(party: AbstractParty) -> Statements:
    costs = [cp.sum(cost.expression) for cost in party.costs]
    return Statements(costs, [limit.constraint for limit in party.limits], [], list(party.variables.values()))


def _lower_group(group: Group) -> list[Template]:
    agent = group[0][0]
    found = _with_slots(group)
    if found is not None:
        statements, sources = found
        return [lower_template([party for party, _ in group], statements, sources, [None] * len(agent.limits))]
    if len(group) == 1:
        return [lower_apart(agent)]
    parts = _parted(group, Leaves.signs) or _parted(group, lambda met: tuple(map(freeze, met.free)))
    if parts is None:
        return [lower_apart(party) for party, _ in group]
    return [template for part in parts for template in _lower_group(part)]


def _parted(group: Group, key: Callable[[Leaves], Any]) -> list[Group] | None:
    """The group by a key of its members; None where all have one."""
    parts: dict[Any, Group] = {}
    for party, met in group:
        parts.setdefault(key(met), []).append((party, met))
    return list(parts.values()) if len(parts) > 1 else None


def _with_slots(group: Group) -> tuple[Statements, list[ParameterSource]] | None:
    """The representative with parameters for what differs; None where it would not be DPP."""
    agent, leaves = group[0]
    sources: list[ParameterSource] = []

    def slot(k: int, reciprocal: bool) -> cp.Expression | None:
        made = _slot([met.free[k] for _, met in group], [party.name for party, _ in group], reciprocal)
        if made is None:
            return None
        sources.append(made[1])
        return made[0]

    original = _statements(agent)
    if len(group) == 1 and not any(isinstance(leaf, cp.Expression) for leaf in leaves.free):
        statements = original
    else:
        own, at = {v.id: v for v in original.variables}, [0]
        try:
            costs = [cp.sum(rebuild(cost.expression, own, slot, at)) for cost in agent.costs]
            limits = [rebuild(limit.constraint, own, slot, at) for limit in agent.limits]
        except ValueError:
            return None
        statements = Statements(costs, limits, [], original.variables)
    lifted = statements.lifted()
    return None if lifted is None else (lifted, sources)


def _slot(leaves: list[Any], names: list[str], reciprocal: bool) -> tuple[cp.Parameter, ParameterSource] | None:
    """A parameter for leaves that differ between agents or hold parameters; None where all are one constant."""
    first = leaves[0]
    if isinstance(first, cp.Expression):
        return _parametric_slot(leaves, names, reciprocal)
    if is_sparse(first) or all(leaf is first for leaf in leaves):
        return None
    rows = np.array([np.asarray(leaf, dtype=np.float64).ravel(order="F") for leaf in leaves])
    if (rows == rows[0]).all():
        return None
    return fixed_source(np.shape(first), _reciprocal(rows) if reciprocal else rows)


def _parametric_slot(
    leaves: list[cp.Expression], names: list[str], reciprocal: bool
) -> tuple[cp.Parameter, ParameterSource]:
    positive, negative = all(leaf.is_nonneg() for leaf in leaves), all(leaf.is_nonpos() for leaf in leaves)
    sign = {"nonneg": True} if positive else {"nonpos": True} if negative else {}
    parameter = cp.Parameter(leaves[0].shape, None, **sign)
    return parameter, ParameterSource(parameter.id, _reader(leaves, names, reciprocal))


def _reader(leaves: list[cp.Expression], names: list[str], reciprocal: bool) -> Callable[[], Floats]:
    def read() -> Floats:
        rows = np.array([read_value(leaf, name).ravel(order="F") for leaf, name in zip(leaves, names, strict=True)])
        return _reciprocal(rows) if reciprocal else rows

    return read


def _reciprocal(rows: Floats) -> Floats:
    # A parameter's zero becomes infinite here, and an error that names the agent where matrices are checked.
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / rows)
