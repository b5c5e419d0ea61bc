"""Fleets: one row is canonicalised, its per-agent constants as parameters."""

from __future__ import annotations

import cvxpy as cp

from gridmodel.language.declared import AbstractParty, Limit
from gridmodel.passes.agents import check_finite
from gridmodel.passes.rows import NotRowwise, RowMaker
from gridmodel.passes.template import Template, lower_template

__all__ = ["empty_fleet", "lower_fleet"]


def lower_fleet(fleet: AbstractParty) -> Template | None:
    """The template of a fleet; None where its expressions have no row rule, or a row would not be DPP.

    Raises:
        CurvatureError: a cost or limit that is not DCP.
        DataError: a constant that is not finite.
    """
    assert fleet.size is not None
    check_finite(fleet)
    maker = _maker(fleet)
    try:
        costs = [maker.cost(cost.expression) for cost in fleet.costs]
        limits = [(maker.constraint(limit.constraint), limit) for limit in fleet.limits]
    except NotRowwise:
        return None
    if not all(item.is_dpp() or not item.is_dcp() for item in [*costs, *(c for c, _ in limits)]):
        return None
    return _template(fleet, maker, costs, limits)


def empty_fleet(fleet: AbstractParty) -> Template:
    """The template of a fleet's columns alone; its statements are canonicalised elsewhere, as a whole."""
    return _template(fleet, _maker(fleet), [], [])


def _maker(fleet: AbstractParty) -> RowMaker:
    assert fleet.size is not None
    rows = {}
    for variable in fleet.variables.values():
        signs = {"nonneg": True} if variable.is_nonneg() else ({"nonpos": True} if variable.is_nonpos() else {})
        rows[variable.id] = cp.Variable((1, *variable.shape[1:]), name=variable.name(), **signs)
    shared = {p.id for p in fleet.parameters.values() if p.ndim == 0 or p.id in fleet.shared}
    return RowMaker(fleet.size, fleet.name, rows, shared)


def _template(
    fleet: AbstractParty, maker: RowMaker, costs: list[cp.Expression], limits: list[tuple[cp.Constraint, Limit]]
) -> Template:
    members = [(fleet, row) for row in range(fleet.size or 1)]
    return lower_template(members, costs, limits, maker.sources, list(maker.variables.values()))
