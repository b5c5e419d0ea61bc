"""One canonicalised representative and the data of all agents that share its structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, DataError
from gridmodel.language.declared import AbstractParty
from gridmodel.passes.affine import ParameterSource
from gridmodel.passes.canonical import Canonical, RawData, canonicalize, variable_columns
from gridmodel.passes.data import by_rows, parameter_source
from gridmodel.passes.lift import lift

__all__ = [
    "NamedLimit",
    "Statements",
    "Template",
    "check_convex",
    "columns_of",
    "limit_labels",
    "lower_template",
    "not_affine",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Statements:
    """What one representative pays and keeps.

    costs: scalars. limits: in the order declared, a limit's rewriting under its own id.
    equations: of variables that the compiler added. variables: the user's, in the order declared.
    """

    costs: list[cp.Expression]
    limits: list[cp.Constraint]
    equations: list[cp.Constraint]
    variables: list[cp.Variable]

    def lifted(self) -> Statements | None:
        """The same in DPP form; None where there is no simple one."""
        costs, limits, equations = [], [], list(self.equations)
        for cost in self.costs:
            found = lift(cost)
            if found is None or not found[0].is_convex():
                return None
            costs.append(found[0])
            equations += found[1]
        for limit in self.limits:
            kept = lift(limit)
            if kept is None:
                return None
            limits.append(kept[0])
            equations += kept[1]
        return Statements(costs, limits, equations, self.variables)


@dataclass(frozen=True)
class NamedLimit:
    """Where a named limit of a representative stands.

    rows: in the canonical form. axis: of the agents in the user's constraint, None for a single agent.
    """

    rows: Ints
    axis: int | None


@dataclass(frozen=True)
class Template:
    """N agents of one structure, in columns: the user's variables in the order declared, then auxiliaries.

    parties: single agents of one structure, or one fleet. named: by ``limit_labels``.
    """

    parties: tuple[AbstractParty, ...]
    canonical: Canonical
    sources: tuple[ParameterSource, ...]
    named: dict[str, NamedLimit]

    @property
    def size(self) -> int:
        """N, the number of blocks."""
        return sum(party.size or 1 for party in self.parties)

    def values(self) -> RawData:
        """The data of all blocks at the parameters' present values.

        Raises:
            DataError: a parameter without a value, or numbers that are not finite.
        """
        raw = self.canonical.values(self.sources, self.size)
        if not raw.finite:
            raise self._blame(raw)
        return raw

    @cached_property
    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds, shape (N, columns)."""
        shape = (self.size, self.canonical.width)
        lower, upper = np.empty(shape), np.empty(shape)
        lower[:], upper[:] = self.canonical.lower, self.canonical.upper
        for name, (start, width) in columns_of(self.parties[0]).items():
            for side, array in enumerate((lower, upper)):
                rows = [_bounds(party.variables[name], side, party.size) for party in self.parties]
                array[:, start : start + width] = rows[0] if len(rows) == 1 else np.concatenate(rows)
        return lower, upper

    def groups(self) -> Ints:
        """For every column, the number of its user variable; auxiliaries count on by the atom that made them."""
        canonical = self.canonical
        group = np.arange(canonical.width)
        spans = columns_of(self.parties[0])
        for k, (start, width) in enumerate(spans.values()):
            group[start : start + width] = k
        group[canonical.user :] += len(spans)
        for n, born in enumerate(canonical.births):
            group[born] = canonical.width + len(spans) + n
        return group

    def _blame(self, raw: RawData) -> DataError:
        """The error that names the first agent whose numbers are not finite."""
        parts = (raw.P.data, raw.q, raw.offset[:, None], raw.rows.data, raw.constant)
        first = min(int(bad[0]) for part in parts if len(bad := np.flatnonzero(~np.isfinite(part).all(axis=1))))
        party = self.parties[0 if len(self.parties) == 1 else first]
        label = party.name if party.size is None else f"{party.name}[{first}]"
        return DataError(
            f"{label}: its costs and constraints at {', '.join(_places(party))} give NaN or infinity; "
            "check them for a division by zero and for numbers that are too large."
        )


def _places(party: AbstractParty) -> list[str]:
    places = [*(cost.place for cost in party.costs), *(limit.place for limit in party.limits)]
    return list(dict.fromkeys(map(str, places)))


def lower_template(
    parties: Sequence[AbstractParty],
    statements: Statements,
    sources: Sequence[ParameterSource],
    axes: Sequence[int | None],
) -> Template:
    """Canonicalises the representative.

    Args:
        parties: the agents it stands for, the representative first; or one fleet.
        statements: the representative's, in DPP form.
        sources: of the representative's parameters; others are read from themselves.
        axes: of the agents in each of the user's limits, None for a single agent.
    """
    party = parties[0]
    items: list[Any] = [*statements.costs, *statements.limits, *statements.equations]
    known = {source.parameter for source in sources}
    rest = {p.id: p for item in items for p in item.parameters() if p.id not in known}
    every = [*sources, *(parameter_source(parameter, party.name) for parameter in rest.values())]
    total: Any = sum(statements.costs) if statements.costs else cp.Constant(0.0)
    canonical = canonicalize(total, [*statements.limits, *statements.equations], statements.variables)
    labels = limit_labels(party)
    named = {
        label: NamedLimit(canonical.constraint_rows[constraint.id], axis)
        for label, limit, constraint, axis in zip(labels, party.limits, statements.limits, axes, strict=False)
        # A limit whose entries became another number of rows, such as max(x) <= c, has no multiplier of its own.
        if label is not None
        and len(canonical.constraint_rows[constraint.id]) * (party.size or 1) == limit.constraint.size
    }
    return Template(tuple(parties), canonical, tuple(every), named)


def limit_labels(party: AbstractParty) -> list[str | None]:
    """The name of each limit: "name", or "name[k]" where several carry one name; None without a name."""
    names = [limit.name for limit in party.limits]
    met: dict[str, int] = {}
    out: list[str | None] = []
    for name in names:
        if name is None:
            out.append(None)
            continue
        out.append(f"{name}[{met.get(name, 0)}]" if names.count(name) > 1 else name)
        met[name] = met.get(name, 0) + 1
    return out


def columns_of(party: AbstractParty) -> dict[str, tuple[int, int]]:
    """First column and number of columns of each variable in a block of this party."""
    spans, start = {}, 0
    for name, variable in party.variables.items():
        width = variable_columns(variable) // (party.size or 1)
        spans[name] = (start, width)
        start += width
    return spans


def check_convex(party: AbstractParty) -> None:
    """Refuses statements that are not convex.

    Raises:
        CurvatureError: a cost or limit that is not DCP, named by its place.
    """
    for cost in party.costs:
        if not cost.expression.is_convex():
            raise CurvatureError(
                f"the cost of {party.name} at {cost.place} is {cost.expression.curvature.lower()}, "
                f"expected convex by CVXPY's rules (DCP): {_short(cost.expression)}. "
                "Rewrite it with convex atoms, e.g. cp.square(x) for x*x, or declare gm.Model(..., convex=False)."
            )
    for limit in party.limits:
        if not limit.constraint.is_dcp():
            raise CurvatureError(
                f"{limit} of {party.name} is not convex by CVXPY's rules (DCP): {_short(limit.constraint)}. "
                "Expected convex <= concave, or affine == affine; gm.Model(..., convex=False) takes smooth ones."
            )


def not_affine(party: AbstractParty) -> CurvatureError:
    """The error for statements that are not affine in their parameters."""
    items: list[tuple[Any, Any]] = [(cost.expression, cost.place) for cost in party.costs]
    items += [(limit.constraint, limit.place) for limit in party.limits]
    place = next((place for item, place in items if lift(item) is None), party.place)
    return CurvatureError(
        f"a statement of {party.name} at {place} is not affine in its parameters (DPP), so new values would need a new "
        "compile. Put products or quotients of parameters into a parameter of their own."
    )


def _bounds(variable: cp.Variable, side: int, size: int | None) -> Floats:
    bounds = variable.attributes["bounds"]
    if bounds is None:
        return np.full((size or 1, variable_columns(variable) // (size or 1)), np.inf if side else -np.inf)
    array = np.asarray(bounds[side], dtype=np.float64)
    if array.shape != variable.shape:
        array = np.broadcast_to(array, variable.shape)
    return array.ravel(order="F")[None, :] if size is None else by_rows(array)


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 80 else text[:77] + "..."
