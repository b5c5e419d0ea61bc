"""Statements over columns of several blocks, canonicalised once and cut by ownership."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, DataError, SeparabilityError
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.affine import ParameterSource
from gridmodel.passes.canonical import Canonical, canonicalize
from gridmodel.passes.cut import SUMS, Cut, cut
from gridmodel.passes.data import finite_or_error, parameter_source
from gridmodel.passes.lift import lift
from gridmodel.passes.sums import FleetSums, SumFinder, Summed
from gridmodel.passes.template import Statements, check_convex, columns_of, limit_labels, not_affine

__all__ = ["Joint", "couplings_joint", "fleet_joint", "tied_rows", "with_constants"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Joint:
    """A canonical problem over columns of several blocks.

    owner, local: block and local column of each of the user's columns, SUMS and -1 for those that stand for sums.
    coupling_rows: rows of the user's couplings. named: {label of a fleet's limit: its rows}.
    sums: over the agents of fleets. where: what it holds, in words.
    """

    canonical: Canonical
    owner: Ints
    local: Ints
    coupling_rows: Ints
    named: dict[str, Ints]
    sources: tuple[ParameterSource, ...]
    sums: tuple[FleetSums, ...]
    where: str

    def cut(self) -> Cut:
        """The problem at the parameters' present values, sorted by owner.

        Raises:
            DataError: a parameter without a value, or one that is not finite.
        """
        return self._cut() if self.sources else self._fixed

    def summed(self, base: Mapping[str, int]) -> list[Summed]:
        """The sums over fleets at the parameters' present values; ``base`` numbers each party's first block."""
        first = {name: start for name, (start, _) in self.canonical.columns.items()}
        return [part.values(base[part.fleet.name], first) for part in self.sums]

    def _cut(self) -> Cut:
        raw = self.canonical.values(self.sources, 1)
        if not raw.finite:
            raise DataError(
                f"{self.where}: numbers that are NaN or infinite; check for numbers that are too large and for "
                "divisions by parameters that are zero."
            )
        return cut(self.canonical, raw, self.owner, self.coupling_rows)

    @cached_property
    def _fixed(self) -> Cut:
        return self._cut()


def couplings_joint(model: Model, base: Mapping[str, int]) -> Joint | None:
    """The model's couplings and its costs over several agents; None where it has neither.

    Args:
        base: number of each party's first block.

    Raises:
        CurvatureError: a coupling or cost that is not DCP, or not affine in its parameters (DPP).
        DataError: a constant that is not finite.
    """
    if not model.couplings and not model.costs:
        return None
    costs, limits, equations = [], [], []
    finder = SumFinder(model)
    for cost in model.costs:
        if not cost.expression.is_convex():
            raise CurvatureError(
                f"the model's cost at {cost.place} is {cost.expression.curvature.lower()}, expected convex by CVXPY's "
                "rules (DCP). Rewrite it with convex atoms."
            )
        finite_or_error(cost.expression, f"the model's cost at {cost.place}")
        expression, more = _dpp(finder.replaced(cost.expression), f"the model's cost at {cost.place}")
        costs.append(expression)
        equations += more
    for coupling in model.couplings:
        if not coupling.constraint.is_dcp():
            raise CurvatureError(
                f"{coupling} is not convex by CVXPY's rules (DCP): {coupling.constraint}. "
                "Expected convex <= concave, or affine == affine."
            )
        finite_or_error(coupling.constraint, str(coupling))
        constraint, more = _dpp(finder.replaced(coupling.constraint), str(coupling))
        limits.append(constraint)
        equations += more
    statements = Statements(costs, limits, equations, [])
    return _over(model, base, statements, "the couplings", limits, {}, finder.found())


def fleet_joint(model: Model, base: Mapping[str, int], fleet: AbstractParty) -> Joint:
    """A fleet's own statements as a whole.

    Raises:
        CurvatureError: a cost or limit that is not DCP, or not affine in its parameters (DPP).
    """
    check_convex(fleet)
    costs = [cp.sum(cost.expression) for cost in fleet.costs]
    limits = [limit.constraint for limit in fleet.limits]
    statements = Statements(costs, limits, [], []).lifted()
    if statements is None:
        raise not_affine(fleet)
    named = {label: limit.id for label, limit in zip(limit_labels(fleet), limits, strict=True) if label is not None}
    return _over(model, base, statements, fleet.name, [], named)


def with_constants(done: Cut, summed: Sequence[Summed]) -> Cut:
    """The cut problem with the constant parts of sums over agents put into its rows and cost."""
    constant, offset = done.constant, done.offset
    for part in summed:
        constant = constant + done.matrix[:, part.columns] @ part.constant
        offset += float(done.q[part.columns] @ part.constant)
    return replace(done, constant=constant, offset=offset)


def tied_rows(model: Model, base: Mapping[str, int], fleet: AbstractParty) -> SeparabilityError:
    """The error that names the statement of a fleet that ties rows together, and the rows."""
    first = base[fleet.name]
    costs = [
        (Statements([cp.sum(c.expression)], [], [], []), f"the cost at {c.place}", "minimize") for c in fleet.costs
    ]
    limits = [(Statements([], [limit.constraint], [], []), str(limit), "couple") for limit in fleet.limits]
    for statements, where, verb in [*costs, *limits]:
        found = statements.lifted()
        assert found is not None
        done = _over(model, base, found, fleet.name, [], {}).cut()
        if len(done.coupling):
            columns = done.column_owner[np.unique(done.matrix[done.coupling].indices)]
            rows = [int(owner) - first for owner in np.unique(columns[columns >= 0])]
            return SeparabilityError(
                f"{fleet.name}: {where} ties rows {', '.join(map(str, rows[:4]))}{', ...' if len(rows) > 4 else ''} of "
                "the fleet together, expected each row to use only its own row of the fleet's variables. "
                f"What ties agents together belongs in model.{verb}(...)."
            )
    return SeparabilityError(f"{fleet.name}: its statements tie rows together; use model.couple(...).")


def _dpp(item: Any, where: str) -> tuple[Any, list[cp.Constraint]]:
    found = lift(item)
    if found is None:
        raise CurvatureError(
            f"{where} is not affine in its parameters (DPP), so new values would need a new compile. "
            "Put products or quotients of parameters into a parameter of their own."
        )
    return found


def _over(
    model: Model, base: Mapping[str, int], statements: Statements, where: str, couplings: Sequence[cp.Constraint],
    named: Mapping[str, int], sums: tuple[FleetSums, ...] = (),
) -> Joint:  # fmt: skip
    items: list[Any] = [*statements.costs, *statements.limits, *statements.equations]
    made = {equation.args[0].id for equation in statements.equations}
    used = {v.id: v for item in items for v in item.variables() if v.id not in made}
    variables = list(used.values()) or next([*party.variables.values()] for party in model.agents if party.variables)
    total: Any = sum(statements.costs) if statements.costs else cp.Constant(0.0)
    canonical = canonicalize(total, [*statements.limits, *statements.equations], variables)
    owner, local = np.full(canonical.user, SUMS, dtype=np.intp), np.full(canonical.user, -1, dtype=np.intp)
    summed = {variable.id for part in sums for variable in part.variables}
    declared_ones = [variable for variable in variables if variable.id not in summed]
    starts = {party.name: columns_of(party) for party in {model.owner(v).party for v in declared_ones}}
    for variable in declared_ones:
        start, size = canonical.columns[variable.id]
        declared = model.owner(variable)
        agents = declared.party.size or 1
        at = np.arange(size)
        owner[start : start + size] = base[declared.party.name] + at % agents
        local[start : start + size] = starts[declared.party.name][declared.name][0] + at // agents
    rows = [canonical.constraint_rows[c.id] for c in couplings]
    parameters = {p.id: p for item in items for p in item.parameters()}
    return Joint(
        canonical, owner, local, np.concatenate([np.empty(0, dtype=np.intp), *rows]),
        {label: canonical.constraint_rows[limit] for label, limit in named.items()},
        tuple(parameter_source(parameter, where) for parameter in parameters.values()), sums, where,
    )  # fmt: skip
