"""The centralized optimum as data, and how it is read off the declared model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.add_expr import AddExpression
from cvxpy.atoms.affine.binary_operators import multiply
from cvxpy.atoms.affine.unary_operators import NegExpression

from gridmodel.errors import DataError
from gridmodel.language.declared import AbstractParty, Limit
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign

__all__ = ["Central", "check_data", "pieces", "read_answer", "violation"]


@dataclass(frozen=True)
class Central:
    """The centralized optimum.

    status: "optimal", "optimal_inaccurate", "stationary" (of a model that is not convex: no better point nearby, which
        need not be the best of all), "infeasible", "unbounded" or "failed". solver: who said so.
    value: the optimal cost; inf where infeasible, -inf where unbounded, NaN where the solvers failed.
    variables: {agent or fleet: {name: number or array}}, in the declared shapes and units.
    price: {coupling, or "agent.name" of a named limit: number or array}, the rise of the optimal cost per unit rise of
        the side without variables; cones have none. dual: the same keys, in cvxpy's sign and form.
    coupling_residual, local_residual: largest violation of couplings and of limits, over the size of their sides.
    seconds: wall time. culprit: a sentence on what makes the model infeasible or unbounded, where it was found.
    slope: of a stationary point, the largest entry of the Lagrangian's gradient over that of the cost; NaN elsewhere.
    """

    status: str
    solver: str
    value: float
    variables: Mapping[str, Mapping[str, Any]]
    price: Mapping[str, Any]
    dual: Mapping[str, Any]
    seconds: float
    culprit: str | None = None
    coupling_residual: float = np.inf
    local_residual: float = np.inf
    slope: float = np.nan

    @property
    def solved(self) -> bool:
        """Whether there is an optimum, or a stationary point, to compare with."""
        return self.status in ("optimal", "optimal_inaccurate", "stationary")


def read_answer(model: Model, status: str, solver: str, value: float, seconds: float) -> Central:
    """The answer that the values of the model's variables and the duals of its constraints hold."""
    price, dual = _duals(model)
    variables = {party.name: {k: _value(v) for k, v in party.variables.items()} for party in model.agents}
    return Central(
        status, solver, value, variables, price, dual, seconds,
        coupling_residual=violation([coupling.constraint for coupling in model.couplings]),
        local_residual=violation([limit.constraint for party in model.agents for limit in party.limits]),
    )  # fmt: skip


def violation(constraints: list[cp.Constraint], least: float = 1e-12) -> float:
    """The largest violation, each over the size of what stands in the constraint, or ``least`` where that is less."""
    worst = 0.0
    for constraint in constraints:
        sides = [_size(arg) for arg in constraint.args]
        with np.errstate(divide="ignore", invalid="ignore"):  # cvxpy divides by the length of a cone's zero vector
            away = float(np.max(np.abs(constraint.residual), initial=0.0))
        worst = max(worst, away / max([*sides, least]))
    return worst


def _size(side: cp.Expression) -> float:
    """The largest entry of the largest term: at a solution a sum of large terms may be zero."""
    if isinstance(side, AddExpression):
        return max(_size(term) for term in side.args)
    if isinstance(side, NegExpression):
        return _size(side.args[0])
    if isinstance(side, multiply) and side.args[0].is_constant():
        return float(np.max(np.abs(side.args[0].value), initial=0.0)) * _size(side.args[1])
    value = side.value.data if hasattr(side.value, "tocsr") else side.value
    return 0.0 if value is None else float(np.max(np.abs(value), initial=0.0))


def pieces(model: Model) -> Iterator[tuple[cp.Expression | cp.Constraint, str]]:
    """Every cost, limit and coupling, and what it is in the user's words."""
    for party in model.agents:
        for cost in party.costs:
            yield cost.expression, f"the cost of {party.name} at {cost.place}"
        for limit in party.limits:
            yield limit.constraint, f"{limit} of {party.name}"
    for coupling in model.couplings:
        yield coupling.constraint, str(coupling)
    for cost in model.costs:
        yield cost.expression, f"the model's cost at {cost.place}"


def check_data(item: cp.Expression | cp.Constraint, where: str) -> None:
    """
    Raises:
        DataError: a parameter without a value, or a constant or parameter that is not finite.
    """
    for parameter in item.parameters():
        if parameter.value is None:
            raise DataError(
                f"{where}: parameter {parameter.name()} has no value. Give it one: parameter.value = ..., "
                "or agent.parameter(..., value=...)."
            )
    for leaf in [*item.constants(), *item.parameters()]:
        data = leaf.value.data if hasattr(leaf.value, "tocsr") else leaf.value
        if not (np.abs(data) < 1e20).all():  # solvers take more as infinite
            name = f"parameter {leaf.name()}" if isinstance(leaf, cp.Parameter) else "a constant"
            raise DataError(f"{where}: {name} holds NaN or infinity, expected finite numbers. Clean the data first.")


def _duals(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    named = [(coupling.name, coupling.constraint) for coupling in model.couplings]
    for party in model.agents:
        named += _named_limits(party)
    for name, constraint in named:
        if any(part.value is None for part in constraint.dual_variables):
            continue
        sign = price_sign(constraint)
        if sign is None:
            dual[name] = _plain(constraint.dual_value)
            continue
        # cvxpy gives a scalar nonlinear constraint a dual of shape (1,).
        value = np.asarray(constraint.dual_value, dtype=np.float64).reshape(constraint.shape)
        dual[name], price[name] = _plain(value), _plain(sign * value)
    return price, dual


def _named_limits(party: AbstractParty) -> list[tuple[str, cp.Constraint]]:
    """("agent.name", constraint) of each named limit; ("agent.name[k]", ...) where several carry one name."""
    groups: dict[str, list[Limit]] = {}
    for limit in party.limits:
        if limit.name is not None:
            groups.setdefault(limit.name, []).append(limit)
    return [
        (f"{party.name}.{name}" + (f"[{k}]" if len(group) > 1 else ""), limit.constraint)
        for name, group in groups.items()
        for k, limit in enumerate(group)
    ]


def _value(variable: cp.Variable) -> Any:
    if variable.value is not None:
        return _plain(variable.value)
    # A variable that no cost and no constraint uses takes the point of its bounds nearest to zero.
    lower, upper = variable.attributes["bounds"] or (-np.inf, np.inf)
    return _plain(np.clip(np.zeros(variable.shape), lower, upper))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    array = np.array(value, dtype=np.float64)
    return float(array) if array.ndim == 0 else array
