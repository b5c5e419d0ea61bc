"""One canonicalised representative and the data of all agents that share its structure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, DataError, ModelError
from gridmodel.ir.batch import Batch
from gridmodel.language.declared import AbstractParty, Limit
from gridmodel.passes.canonical import Canonical, RawData, canonicalize

__all__ = ["ParameterSource", "Template", "columns_of", "lower_template", "variable_columns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class ParameterSource:
    """Where the values of one parameter of the representative come from: shape (N, size) at every call."""

    parameter: int
    read: Callable[[], Floats]


@dataclass(frozen=True)
class Template:
    """N agents of one structure, in columns: the user's variables in the order declared, then auxiliaries.

    members: (party, row) of each block; row is 0 for a single agent.
    user: number of user columns; place: for each canonical column, its column in the block.
    named: {name of a limit: (its rows in the canonical form, factor from multiplier to cvxpy's dual, the limit)}.
    """

    members: tuple[tuple[AbstractParty, int], ...]
    canonical: Canonical
    sources: tuple[ParameterSource, ...]
    user: int
    width: int
    place: Ints
    named: dict[str, tuple[Ints, Limit]]

    def values(self) -> RawData:
        """The data of all blocks at the parameters' present values, columns in the block's order."""
        size = len(self.members)
        raw = self.canonical.values([(s.parameter, s.read()) for s in self.sources], size)
        q = np.zeros((size, self.width))
        q[:, self.place] = raw.q
        P = Batch.build(
            (self.width, self.width), self.place[raw.P.row], self.place[raw.P.col], raw.P.data, size
        )
        rows = Batch.build(
            (raw.rows.shape[0], self.width), raw.rows.row, self.place[raw.rows.col], raw.rows.data, size
        )
        return RawData(P, q, raw.offset, rows, raw.constant)

    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds, shape (N, width)."""
        size = len(self.members)
        lower, upper = np.empty((size, self.width)), np.empty((size, self.width))
        lower[:, self.place], upper[:, self.place] = self.canonical.lower, self.canonical.upper
        start = 0
        for name in self.members[0][0].variables:
            sides = [_bounds(party.variables[name], row, party.size) for party, row in self._parties()]
            width = sides[0][0].shape[1]
            lower[:, start : start + width] = np.concatenate([side[0] for side in sides])
            upper[:, start : start + width] = np.concatenate([side[1] for side in sides])
            start += width
        return lower, upper

    def groups(self) -> Ints:
        """For every column, the number of its user variable; auxiliaries count on by the atom that made them."""
        group = np.empty(self.width, dtype=np.intp)
        spans = columns_of(self.members[0][0])
        for k, (start, width) in enumerate(spans.values()):
            group[start : start + width] = k
        k, start = len(spans), self.user
        group[start:] = k + np.arange(self.width - start)
        for n, born in enumerate(self.canonical.births):
            group[self.place[born]] = k + self.width + n
        return group

    def _parties(self) -> list[tuple[AbstractParty, int]]:
        """Each party once: a fleet's template has all its rows as members."""
        return [(party, row) for party, row in self.members if row == 0]


def lower_template(
    members: Sequence[tuple[AbstractParty, int]],
    costs: Sequence[cp.Expression],
    limits: Sequence[tuple[cp.Constraint, Limit]],
    sources: Sequence[ParameterSource],
    variables: Sequence[cp.Variable],
) -> Template:
    """Canonicalises the representative.

    Args:
        members: the agents it stands for, the representative first.
        costs, limits: the representative's, each limit with the user's statement it comes from.
        sources: of the representative's parameters.
        variables: the representative's variables in the order declared.

    Raises:
        CurvatureError: a cost or limit that is not DCP, or not affine in its parameters (DPP).
    """
    party = members[0][0]
    _check_convex(party, costs, limits)
    total: Any = sum(costs) if costs else cp.Constant(0.0)
    canonical = canonicalize(total, [constraint for constraint, _ in limits])
    start = 0
    place = np.full(canonical.width, -1, dtype=np.intp)
    for variable in variables:
        width = variable_columns(variable)
        if variable.id in canonical.columns:
            first, size = canonical.columns[variable.id]
            place[first : first + size] = start + np.arange(size)
        start += width
    aux = np.flatnonzero(place < 0)
    place[aux] = start + np.arange(len(aux))
    named = {
        limit.name: (canonical.constraint_rows[constraint.id], limit)
        for constraint, limit in limits
        if limit.name is not None
    }
    return Template(tuple(members), canonical, tuple(sources), start, start + len(aux), place, named)


def variable_columns(variable: cp.Variable) -> int:
    """Columns that a variable takes in the matrices."""
    if any(variable.attributes[key] for key in ("symmetric", "PSD", "NSD")):
        order = variable.shape[0]
        return int(order * (order + 1) // 2)
    return int(variable.size)


def columns_of(party: AbstractParty) -> dict[str, tuple[int, int]]:
    """First column and number of columns of each variable in a block of this party."""
    spans, start = {}, 0
    for name, variable in party.variables.items():
        width = variable_columns(variable) // (party.size or 1)
        spans[name] = (start, width)
        start += width
    return spans


def _bounds(variable: cp.Variable, row: int, size: int | None) -> tuple[Floats, Floats]:
    del row
    count = size or 1
    width = variable_columns(variable) // count
    bounds = variable.attributes["bounds"]
    if bounds is None:
        return np.full((count, width), -np.inf), np.full((count, width), np.inf)
    sides = [np.broadcast_to(np.asarray(side, dtype=np.float64), variable.shape) for side in bounds]
    if size is None:
        return sides[0].ravel(order="F")[None, :], sides[1].ravel(order="F")[None, :]
    return by_rows(sides[0]), by_rows(sides[1])


def by_rows(array: Floats) -> Floats:
    """An array with the fleet's axis in front as (N, size of a row), each row column by column."""
    size = array.shape[0]
    return array.transpose(0, *range(array.ndim - 1, 0, -1)).reshape(size, -1)


def read_parameter(parameter: cp.Parameter, where: str) -> Floats:
    """A parameter's value, checked.

    Raises:
        DataError: no value yet, or not finite.
    """
    value = parameter.value
    if value is None:
        raise DataError(f"parameter {parameter.name()} of {where} has no value; set {parameter.name()}.value = ...")
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        raise DataError(f"parameter {parameter.name()} of {where} holds NaN or infinity; give finite numbers.")
    return array


def _check_convex(
    party: AbstractParty, costs: Sequence[cp.Expression], limits: Sequence[tuple[cp.Constraint, Limit]]
) -> None:
    for cost, declared in zip(costs, party.costs, strict=False):
        if not cost.is_convex():  # an expression is also DCP where it is concave
            raise CurvatureError(
                f"the cost of {party.name} at {declared.place} is {declared.expression.curvature.lower()}, "
                f"expected convex by CVXPY's rules (DCP): {_short(declared.expression)}. "
                "Rewrite it with convex atoms, e.g. cp.square(x) for x*x."
            )
        if not cost.is_dpp():
            raise CurvatureError(_dpp_text(f"the cost of {party.name} at {declared.place}"))
    for constraint, limit in limits:
        if not constraint.is_dcp():
            raise CurvatureError(
                f"{limit} of {party.name} is not convex by CVXPY's rules (DCP): {_short(limit.constraint)}. "
                "Expected convex <= concave, or affine == affine."
            )
        if not constraint.is_dpp():
            raise CurvatureError(_dpp_text(f"{limit} of {party.name}"))


def _dpp_text(where: str) -> str:
    return (
        f"{where} is not affine in its parameters (DPP), so new values would need a new compile. "
        "Put products or quotients of parameters into a parameter of their own."
    )


def _short(item: Any) -> str:
    text = str(item)
    return text if len(text) <= 80 else text[:77] + "..."


def unsupported(where: str) -> ModelError:
    """The error for statements that no pass can lower."""
    return ModelError(f"{where} cannot be compiled; solve the model with method='central'.")
