"""A declared model as a Pyomo model, convex or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.constraints import Equality, Inequality
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.second_order import SOC
from cvxpy.constraints.zero import Zero
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, ModelError
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.pyomo_atoms import Translator, Unsupported, boxed

__all__ = ["PyomoModel", "to_pyomo"]

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]
_SLACK = 1e-9


@dataclass(frozen=True)
class PyomoModel:
    """A Pyomo model and where the parts of the declared one are in it.

    program: the ConcreteModel; ``x`` holds variables by (agent, name, entry), ``limits`` by (agent, name, number,
    entry), ``couplings`` by (name, entry), ``auxiliary`` and ``bounded`` what non-smooth atoms need, ``cost`` the
    objective. Entries count in C order. variables: {id of a cvxpy variable: its Pyomo variables in its shape}.
    rows: {id of a cvxpy constraint: its Pyomo constraints in its shape, None where no variable is left in a row}.
    impossible: the first constraint that no value of its variables fulfils, where one is seen.
    """

    program: Any
    variables: Mapping[int, Objects]
    rows: Mapping[int, Objects]
    impossible: str | None


def to_pyomo(model: Model) -> PyomoModel:
    """Writes a model whose costs and limits are made of convex or smooth atoms for Pyomo.

    Equations become expression == 0, inequalities expression <= 0, each entry a constraint; the values of the
    variables are starts for the solver.

    Raises:
        CurvatureError: an atom or a constraint that has no such form; the text names the agent, constraint and place.
        ModelError: Pyomo is not installed.
    """
    pyo = _pyomo()
    program = pyo.ConcreteModel(model.name)
    program.x = pyo.Var(pyo.Any, dense=False)
    program.auxiliary = pyo.VarList()
    program.bounded = pyo.ConstraintList()
    program.limits = pyo.Constraint(pyo.Any)
    program.couplings = pyo.Constraint(pyo.Any)
    variables = {v.id: _variable(program, party, name) for party in model.agents for name, v in party.variables.items()}
    translator = Translator(program, variables)
    rows: dict[int, Objects] = {}
    impossible: str | None = None
    for container, key, constraint, where in _constraints(program, model):
        body, sense = _body(translator, constraint, where)
        found = np.full(body.shape, None, dtype=object)
        entry: Any
        for k, entry in enumerate(body.flat):
            if not hasattr(entry, "is_expression_type"):  # a number
                broken = abs(entry) > _SLACK if sense == "==" else entry > _SLACK
                impossible = impossible or (f"{where} holds for no values" if broken else None)
                continue
            container[(*key, k)] = entry == 0 if sense == "==" else entry <= 0
            found.flat[k] = container[(*key, k)]
        rows[constraint.id] = found
    costs = [(cost.expression, f"the cost of {a.name} at {cost.place}") for a in model.agents for cost in a.costs]
    costs += [(cost.expression, f"the model's cost at {cost.place}") for cost in model.costs]
    terms = [entry for expression, where in costs for entry in _translated(translator, expression, where).flat]
    program.cost = pyo.Objective(expr=pyo.quicksum(terms))
    return PyomoModel(program, variables, rows, impossible)


def _pyomo() -> Any:
    try:
        import pyomo.environ as pyo
    except ImportError:
        raise ModelError(
            "Pyomo is not installed, which models that are not convex need: pip install 'gridmodel[acopf]'."
        ) from None
    return pyo


def _variable(program: Any, party: AbstractParty, name: str) -> Objects:
    """The Pyomo variables of one declared variable, with bounds and starts."""
    variable = party.variables[name]
    if variable.attributes["PSD"] or variable.attributes["NSD"]:
        raise CurvatureError(
            f"variable {party.name}.{name} is semidefinite, which a model that is not convex otherwise cannot hold "
            "here. Write its entries by products, X = V V', or make the rest of the model convex."
        )
    found = np.empty(variable.shape, dtype=object)
    lower, upper = variable.attributes["bounds"] or (-np.inf, np.inf)
    lower, upper = np.broadcast_to(lower, variable.shape), np.broadcast_to(upper, variable.shape)
    start = np.clip(_middle(lower, upper) if variable.value is None else np.asarray(variable.value), lower, upper)
    for k in range(variable.size):
        one = program.x[party.name, name, k]
        one.setlb(_finite(lower.flat[k]))
        one.setub(_finite(upper.flat[k]))
        one.set_value(float(start.flat[k]), skip_validation=True)
        found.flat[k] = one
    if variable.attributes["symmetric"]:
        below = np.tril_indices(variable.shape[0], -1)
        found[below] = found.T[below]
    return found


def _constraints(program: Any, model: Model) -> Iterator[tuple[Any, tuple[Any, ...], cp.Constraint, str]]:
    """Where each constraint goes in the Pyomo model, its key, itself, and its name in the user's words."""
    for party in model.agents:
        for number, limit in enumerate(party.limits):
            key = (party.name, limit.name or "limit", number)
            yield program.limits, key, limit.constraint, f"{limit} of {party.name}"
    for coupling in model.couplings:
        yield program.couplings, (coupling.name,), coupling.constraint, str(coupling)


def _body(translator: Translator, constraint: cp.Constraint, where: str) -> tuple[Objects, str]:
    """The expressions that a constraint holds at zero ("==") or below ("<=")."""
    if isinstance(constraint, (Equality, Inequality)):
        left, right = (_translated(translator, arg, where) for arg in constraint.args)
        difference = np.broadcast_to(boxed(left - right), constraint.shape)
        return difference, "==" if isinstance(constraint, Equality) else "<="
    if isinstance(constraint, (Zero, NonPos)):
        return _translated(translator, constraint.args[0], where), "==" if isinstance(constraint, Zero) else "<="
    if isinstance(constraint, NonNeg):
        return boxed(-_translated(translator, constraint.args[0], where)), "<="
    if isinstance(constraint, SOC):
        t, x = (_translated(translator, arg, where) for arg in constraint.args)
        if x.ndim < 2:
            x = x.reshape(-1, 1)
        squares = (x if constraint.axis == 0 else x.T) ** 2
        t = t.reshape(-1)
        return boxed(np.concatenate([squares.sum(axis=0) - t**2, -t])), "<="
    raise CurvatureError(
        f"{where} is a {type(constraint).__name__} cone, which a model that is not convex otherwise cannot hold. "
        "Use equations and inequalities of smooth atoms."
    )


def _translated(translator: Translator, expression: cp.Expression, where: str) -> Objects:
    try:
        return translator(expression)
    except Unsupported as error:
        raise CurvatureError(
            f"{where} uses {error}, which has no smooth form here: {expression}. Rewrite it with smooth atoms "
            "(sums, products, square, exp, log, cvxpy.nlp.sin, ...)."
        ) from None


def _middle(lower: Floats, upper: Floats) -> Floats:
    """The middle of the bounds, or the end nearest to zero where they are not both finite."""
    with np.errstate(invalid="ignore"):
        middle = 0.5 * (lower + upper)
    return np.where(np.isfinite(middle), middle, np.clip(0.0, lower, upper))


def _finite(bound: float) -> float | None:
    return float(bound) if np.isfinite(bound) else None
