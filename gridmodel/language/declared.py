"""What an agent, a fleet and a model have in common: named variables, parameters, costs, constraints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from gridmodel.errors import (
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    ShapeError,
    UnknownNameError,
)
from gridmodel.language.bounds import read_bounds
from gridmodel.language.horizon import Horizon
from gridmodel.language.source import Place, caller

__all__ = ["AbstractParty", "Cost", "Limit", "Owner", "as_constraint"]

_SIGNS = {"nonneg": (0.0, None), "pos": (0.0, None), "nonpos": (None, 0.0), "neg": (None, 0.0)}
_PARAMETER_ATTRIBUTES = frozenset({"nonneg", "nonpos", "pos", "neg"})
_MATRIX = frozenset({"symmetric", "PSD", "NSD"})


@dataclass(frozen=True)
class Owner:
    """Who declared a variable: the agent or fleet, the variable's name and its unit."""

    party: AbstractParty
    name: str
    unit: str | None

    def __str__(self) -> str:
        return f"{self.party.name}.{self.name}"


@dataclass(frozen=True)
class Cost:
    """One declared cost term and where it stands."""

    expression: cp.Expression
    place: Place

    @property
    def item(self) -> cp.Expression:
        """What was declared, under the name that costs and limits share."""
        return self.expression


@dataclass(frozen=True)
class Limit:
    """One declared constraint of an agent and where it stands; rows: what its entries are called, column by column."""

    constraint: cp.Constraint
    place: Place
    name: str | None = None
    rows: tuple[str, ...] = ()

    @property
    def item(self) -> cp.Constraint:
        """What was declared, under the name that costs and limits share."""
        return self.constraint

    def __str__(self) -> str:
        return f"{self.name or 'the constraint'} at {self.place}"


class AbstractParty:
    """An agent or a fleet of agents: owns variables, pays a cost, keeps its own limits."""

    size: int | None
    """Number of agents of a fleet; None for a single agent."""

    def __init__(self, name: str, owners: dict[int, Owner]) -> None:
        self.name = name
        self.place = caller()
        self.variables: dict[str, cp.Variable] = {}
        self.parameters: dict[str, cp.Parameter] = {}
        self.costs: list[Cost] = []
        self.limits: list[Limit] = []
        self.day: Horizon | None = None
        self.shared: set[int] = set()
        self._owners = owners

    def variable(
        self,
        name: str,
        shape: int | tuple[int, ...] = (),
        *,
        bounds: tuple[Any, Any] | None = None,
        unit: str | None = None,
        **attributes: Any,
    ) -> cp.Variable:
        """A decision variable of this party: a cvxpy Variable on which every cvxpy atom works.

        Args:
            name: unique within the party.
            shape: the shape for one agent; a fleet of N puts its axis of length N in front.
            bounds: (lower, upper), each None, a number or an array that broadcasts to the variable.
            unit: a label, shown with every value and price, and checked in couplings.
            attributes: nonneg, nonpos, symmetric, PSD, NSD as in cvxpy.

        Raises:
            DuplicateNameError: the party has a variable or parameter of this name.
            BoundsError: bounds that do not fit.
            ModelError: an attribute that makes the problem non-convex or complex.
        """
        where = f"variable {self.name}.{name}"
        self._new_name(name)
        full = self._shape(shape, where)
        lower, upper = read_bounds(bounds or (None, None), full, where, self.size)
        kept: dict[str, Any] = {}
        for key, value in attributes.items():
            if not value:
                continue
            if key in _SIGNS:
                side = read_bounds(_SIGNS[key], full, where)
                lower, upper = np.maximum(lower, side[0]), np.minimum(upper, side[1])
            elif key in _MATRIX and self.size is None:
                kept[key] = True
            else:
                raise ModelError(
                    f"{where}: the attribute {key!r} is not supported"
                    f"{' for a fleet' if key in _MATRIX else ''}. "
                    "Use bounds=, nonneg=, symmetric= or PSD=, or a constraint in subject_to(...)."
                )
        bounded = bool(np.isfinite(lower).any() or np.isfinite(upper).any())
        if kept and bounded:
            raise ModelError(f"{where}: a matrix attribute excludes bounds; use subject_to(...) for them.")
        variable = cp.Variable(full, name=f"{self.name}.{name}", bounds=[lower, upper] if bounded else None, **kept)
        self.variables[name] = variable
        self._owners[variable.id] = Owner(self, name, unit)
        return variable

    def parameter(
        self,
        name: str,
        shape: int | tuple[int, ...] = (),
        *,
        value: Any = None,
        shared: bool = False,
        **attributes: Any,
    ) -> cp.Parameter:
        """Data that may change between solves without compiling again: a cvxpy Parameter.

        Args:
            name: unique within the party.
            shape: the shape for one agent; a fleet of N puts its axis of length N in front.
            value: the first value.
            shared: one array for all agents of a fleet, without the axis in front.
            attributes: nonneg, nonpos, pos, neg as in cvxpy; the sign matters for convexity.

        Raises:
            DuplicateNameError: the party has a variable or parameter of this name.
            ShapeError: a value of another shape.
            DataError: a value that is not finite.
        """
        where = f"parameter {self.name}.{name}"
        self._new_name(name)
        full = _as_shape(shape, where) if shared else self._shape(shape, where)
        if unsupported := sorted(attributes.keys() - _PARAMETER_ATTRIBUTES):
            raise ModelError(f"{where}: the attribute {unsupported[0]!r} is not supported; use nonneg= or nonpos=.")
        parameter = cp.Parameter(full, name=f"{self.name}.{name}", **attributes)
        if value is not None:
            array = np.asarray(value, dtype=np.float64)
            if not np.isfinite(array).all():
                raise DataError(f"{where}: the value holds NaN or infinity; give finite numbers.")
            try:
                parameter.value = np.broadcast_to(array, full).copy() if full else float(array)
            except (ValueError, TypeError) as error:
                raise ShapeError(f"{where}: got a value of shape {array.shape} for {full}: {error}") from None
        self.parameters[name] = parameter
        if shared:
            self.shared.add(parameter.id)
        return parameter

    def horizon(self, steps: int, hours: float = 1.0) -> Horizon:
        """A day of ``steps`` steps of ``hours`` hours, over which states, actions and series are declared.

        Raises:
            DuplicateNameError: the party has one.
            ShapeError: no whole number of steps, or steps without length.
        """
        if self.day is not None:
            raise DuplicateNameError(f"{self.name} has a horizon already; use {self.name}.day.")
        self.day = Horizon(self, steps, hours)
        return self.day

    def minimize(self, cost: Any) -> None:
        """Adds a convex cost of this party's own variables; costs of several calls add up.

        Raises:
            ForeignVariableError: the cost uses variables of others.
            ShapeError: not a scalar (a fleet may also give a vector, one entry an agent).
        """
        place = caller()
        expression = cp.Expression.cast_to_const(cost)
        self._check_own(expression, f"the cost of {self.name} at {place}", "model.minimize(...)")
        wide = self.size is not None and expression.shape in ((self.size,), (self.size, 1))
        if expression.size != 1 and not wide:
            expected = "a scalar" if self.size is None else f"a scalar or a vector of shape ({self.size},)"
            raise ShapeError(
                f"the cost of {self.name} at {place} has shape {expression.shape}, expected {expected}. "
                "Sum it: minimize(cp.sum(...))."
            )
        self.costs.append(Cost(expression, place))

    def subject_to(self, *constraints: Any, name: str | None = None, rows: Sequence[str] = ()) -> None:
        """Adds convex constraints on this party's own variables.

        Args:
            constraints: of cvxpy.
            name: under which prices are reported.
            rows: what the entries of each constraint (of second-order cones, each cone) are called, column by column,
                e.g. the buses of a balance; whoever is told that a limit cannot hold is told which.

        Raises:
            ForeignVariableError: a constraint uses variables of others.
            ShapeError: as many rows as the constraint has entries, or none, are expected.
            ModelError: not a cvxpy constraint.
        """
        place = caller()
        for item in constraints:
            constraint = as_constraint(item, f"{self.name} at {place}")
            self._check_own(constraint, f"the constraint of {self.name} at {place}", "model.couple(...)")
            size = constraint.args[0].size if isinstance(constraint, cp.SOC) else constraint.size
            if rows and len(rows) != size:
                raise ShapeError(
                    f"the constraint of {self.name} at {place} has {size} entries and {len(rows)} rows; "
                    "name every entry, or none."
                )
            self.limits.append(Limit(constraint, place, name, tuple(rows)))

    def __getitem__(self, name: str) -> cp.Variable | cp.Parameter:
        found = self.variables.get(name)
        if found is None:
            found = self.parameters.get(name)
        if found is None:
            known = ", ".join([*self.variables, *self.parameters]) or "nothing yet"
            raise UnknownNameError(f"{self.name} has no variable or parameter {name!r}; it has {known}.")
        return found

    def unit(self, name: str) -> str | None:
        """The unit label of a variable."""
        return self._owners[self.variables[name].id].unit

    def labels(self) -> Iterator[str]:
        """The names of the agents as the topology knows them."""
        if self.size is None:
            yield self.name
        else:
            yield from (f"{self.name}[{i}]" for i in range(self.size))

    def _shape(self, shape: int | tuple[int, ...], where: str) -> tuple[int, ...]:
        own = _as_shape(shape, where)
        return own if self.size is None else (self.size, *own)

    def _new_name(self, name: str) -> None:
        if name in self.variables or name in self.parameters:
            raise DuplicateNameError(f"{self.name} has a variable or parameter {name!r} already; choose another name.")

    def _check_own(self, item: cp.Expression | cp.Constraint, where: str, instead: str) -> None:
        for variable in item.variables():
            owner = self._owners.get(variable.id)
            if owner is None:
                raise ForeignVariableError(
                    f"{where} uses {variable.name()}, which no agent of this model declared. "
                    f"Declare it with agent.variable(...)."
                )
            if owner.party is not self:
                raise ForeignVariableError(
                    f"{where} uses {owner}, a variable of another agent. "
                    f"What ties agents together belongs in {instead}."
                )


def as_constraint(item: Any, where: str) -> cp.Constraint:
    """The cvxpy constraint that the user meant, or a clear error."""
    if isinstance(item, cp.Constraint):
        return item
    if isinstance(item, (bool, np.bool_)):
        raise ModelError(
            f"{where}: the constraint has no variable: Python compared two values and got {bool(item)}. "
            "Put a variable of the model on one side."
        )
    raise ModelError(
        f"{where}: expected a constraint such as x <= 1 or x == y, got {type(item).__name__}. "
        "Pass several constraints one after the other."
    )


def _as_shape(shape: int | tuple[int, ...], where: str) -> tuple[int, ...]:
    own = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(not isinstance(k, (int, np.integer)) or k < 1 for k in own):
        raise ShapeError(f"{where}: a shape is made of whole numbers of at least 1, got {shape!r}.")
    return tuple(int(k) for k in own)
