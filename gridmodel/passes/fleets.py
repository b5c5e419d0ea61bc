"""Fleets: one row is canonicalised, its per-agent constants as parameters."""

from __future__ import annotations

import cvxpy as cp

from gridmodel.language.declared import AbstractParty
from gridmodel.passes.agents import lower_apart
from gridmodel.passes.data import check_finite
from gridmodel.passes.rowcosts import row_cost
from gridmodel.passes.rows import NotRowwise, RowMaker
from gridmodel.passes.template import Statements, Template, lower_template

__all__ = ["empty_fleet", "lower_fleet", "row_maker"]


def lower_fleet(fleet: AbstractParty) -> Template | None:
    """The template of a fleet; None where its expressions have no row rule, or a row would not be DPP.

    Raises:
        CurvatureError: a cost or limit that is not DCP.
        DataError: a constant that is not finite.
    """
    check_finite(fleet)
    if fleet.size == 1:
        return lower_apart(fleet)
    maker = row_maker(fleet)
    try:
        costs = [row_cost(maker, cost.expression) for cost in fleet.costs]
        limits = [maker.constraint(limit.constraint) for limit in fleet.limits]
    except NotRowwise:
        return None
    statements = Statements(costs, [limit for limit, _ in limits], [], list(maker.variables.values())).lifted()
    if statements is None:
        return None
    return lower_template([fleet], statements, maker.sources, [axis for _, axis in limits])


def empty_fleet(fleet: AbstractParty) -> Template:
    """The template of a fleet's columns alone; its statements are canonicalised elsewhere, as a whole."""
    return lower_template([fleet], Statements([], [], [], list(row_maker(fleet).variables.values())), [], [])


def row_maker(fleet: AbstractParty) -> RowMaker:
    """Rewrites expressions of a fleet for one row, over fresh variables in the order declared."""
    rows = {v.id: cp.Variable((1, *v.shape[1:]), name=v.name()) for v in fleet.variables.values()}
    return RowMaker(fleet.size or 1, fleet.name, rows)
