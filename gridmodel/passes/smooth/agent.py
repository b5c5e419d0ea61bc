"""One agent's cost and limits as a tape, and the way back to the user's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.constraints import Equality, Inequality
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.second_order import SOC
from cvxpy.constraints.zero import Zero
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, DataError, SeparabilityError
from gridmodel.language.declared import AbstractParty
from gridmodel.passes.smooth.affine import matrix_of, offsets, without_parameters
from gridmodel.passes.smooth.lift import Lifter
from gridmodel.passes.smooth.tape import Affine, Tape, tape

__all__ = ["AgentTape", "agent_tape", "sides"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AgentTape:
    """An agent as smooth functions of its columns, its variables in the order declared, column by column.

    places: first column of every variable by its id. rows: where each limit's entries are, by its position among the
    agent's limits: ("h" or "c", first row, number of rows).
    """

    party: AbstractParty
    functions: Tape
    places: Mapping[int, int]
    lower: Floats
    upper: Floats
    start: Floats
    rows: Mapping[int, tuple[str, int, int]]

    def values(self, x: Floats) -> dict[str, Any]:
        """The variables under the user's names."""
        found: dict[str, Any] = {}
        for name, variable in self.party.variables.items():
            at = self.places[variable.id]
            own = x[at : at + variable.size]
            found[name] = own.reshape(variable.shape, order="F") if variable.shape else float(own[0])
        return found


def agent_tape(party: AbstractParty) -> AgentTape:
    """Takes an agent's statements apart at the present values of its parameters.

    Raises:
        CurvatureError: a statement that is not smooth.
        SeparabilityError: a fleet; agents of a model that is not convex are declared one by one.
        DataError: a parameter without a value.
    """
    if party.size is not None:
        raise SeparabilityError(
            f"fleet {party.name!r}: in a model that is not convex agents are declared one by one; "
            "use model.agent(...) in a loop."
        )
    variables = list(party.variables.values())
    for variable in variables:
        if any(variable.attributes[key] for key in ("symmetric", "PSD", "NSD")):
            raise CurvatureError(
                f"variable {variable.name()}: matrix attributes need a convex model; leave PSD= and symmetric= out."
            )
    places, width = offsets(variables)
    lifter = Lifter()
    cost: cp.Expression = cp.Constant(0.0)
    for term in party.costs:
        where = f"the cost of {party.name} at {term.place}"
        cost = cost + lifter.lift(_plain(term.expression, where), where)
    kinds: dict[str, list[cp.Expression]] = {"h": [], "c": []}
    count = {"h": 0, "c": 0}
    rows = {}
    for k, limit in enumerate(party.limits):
        where = f"{limit} of {party.name}"
        kind, expression = sides(limit.constraint, where)
        rows[k] = (kind, count[kind], expression.size)
        kinds[kind].append(lifter.lift(_plain(expression, where), where))
        count[kind] += expression.size
    functions = _tape(lifter, places, width, [[cost], kinds["h"], kinds["c"]])
    bounds = [[np.broadcast_to(side, v.shape).ravel(order="F") for v, side in zip(variables, part, strict=True)]
              for part in zip(*(v.get_bounds() for v in variables), strict=True)]  # fmt: skip
    lower, upper = (np.concatenate(side).astype(np.float64) for side in bounds)
    start = np.concatenate([_start(v) for v in variables])
    return AgentTape(party, functions, places, lower, upper, np.clip(start, lower, upper), rows)


def sides(constraint: cp.Constraint, where: str) -> tuple[str, cp.Expression]:
    """The constraint as h = 0 ("h") or c <= 0 ("c"), with cvxpy's dual as its multiplier.

    Raises:
        CurvatureError: a cone.
    """
    if isinstance(constraint, (Equality, Inequality)):
        return ("h" if isinstance(constraint, Equality) else "c"), constraint.args[0] - constraint.args[1]
    if isinstance(constraint, NonNeg):
        return "c", -constraint.args[0]
    if isinstance(constraint, (Zero, NonPos)):
        return ("h" if isinstance(constraint, Zero) else "c"), constraint.args[0]
    hint = "write sum_squares(x) <= square(t)" if isinstance(constraint, SOC) else "write ==, <= or >="
    raise CurvatureError(
        f"{where}: {type(constraint).__name__} has no smooth form in a model that is not convex; {hint}."
    )


def _plain(expression: cp.Expression, where: str) -> cp.Expression:
    for parameter in expression.parameters():
        if parameter.value is None:
            raise DataError(f"{where}: parameter {parameter.name()} has no value. Give it one: parameter.value = ....")
    found: cp.Expression = without_parameters(expression)
    return found


def _tape(lifter: Lifter, places: Mapping[int, int], width: int, outputs: list[list[cp.Expression]]) -> Tape:
    """All affine parts by one call each: results of steps are columns behind the variables."""
    columns, extended, steps = width, dict(places), []
    for lifted in lifter.found:
        steps.append((lifted.law, tuple(Affine(*matrix_of([part], extended, width)) for part in lifted.inputs)))
        extended[lifted.result.id] = width
        width += lifted.result.size
    ends = [Affine(*matrix_of([cp.vec(part, order="F") for part in group], extended, width)) for group in outputs]
    return tape(columns, steps, ends)


def _start(variable: cp.Variable) -> Floats:
    """Where a search begins: the value that the user gave, else the middle of the bounds, else the end nearest to 0."""
    if variable.value is not None:
        return np.asarray(variable.value, dtype=np.float64).ravel(order="F")
    lower, upper = (np.broadcast_to(side, variable.shape).ravel(order="F") for side in variable.get_bounds())
    with np.errstate(invalid="ignore"):
        middle = 0.5 * (lower + upper)
    return np.asarray(np.where(np.isfinite(middle), middle, np.clip(0.0, lower, upper)))
