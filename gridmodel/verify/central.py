"""The centralized optimum: the declared model as one cvxpy program."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, DataError
from gridmodel.language.declared import AbstractParty, Limit
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.language.values import without_values
from gridmodel.verify.culprit import find_culprit
from gridmodel.verify.ladder import solve_program, total_cost

__all__ = ["Central", "central_program", "solve_central"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Central:
    """The centralized optimum.

    status: "optimal", "optimal_inaccurate", "infeasible", "unbounded" or "failed". solver: who said so.
    value: the optimal cost; inf where infeasible, -inf where unbounded, NaN where the solvers failed.
    variables: {agent or fleet: {name: number or array}}, in the declared shapes and units.
    price: {coupling, or "agent.name" of a named limit: number or array}, the rise of the optimal cost per unit rise of
        the side without variables; cones have none. dual: the same keys, in cvxpy's sign and form.
    coupling_residual, local_residual: largest violation of couplings and of limits, over the size of their sides.
    seconds: wall time. culprit: a sentence on what makes the model infeasible or unbounded, where it was found.
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

    @property
    def solved(self) -> bool:
        """Whether there is an optimum to compare with."""
        return self.status in ("optimal", "optimal_inaccurate")


def solve_central(model: Model, tolerance: float = 1e-8) -> Central:
    """Solves  minimise sum of all costs  s.t.  all limits, bounds and couplings  in one program.

    Args:
        model: the declared model.
        tolerance: of the solver, on gap and feasibility, relative.

    Raises:
        CurvatureError: a cost or constraint is not convex by cvxpy's rules.
        DataError: a parameter without a value, or a constant or parameter that is not finite.
    """
    with without_values(v for party in model.agents for v in party.variables.values()):
        return _solved(model, tolerance)


def _solved(model: Model, tolerance: float) -> Central:
    start = time.perf_counter()
    problem = central_program(model)
    outcome = solve_program(problem, tolerance)
    status, solver = outcome.status, outcome.solver
    if status == "unbounded" and not _feasible(problem):
        status = "infeasible"
    if status not in ("optimal", "optimal_inaccurate"):
        value = {"infeasible": np.inf, "unbounded": -np.inf}.get(status, np.nan)
        culprit = None if status == "failed" else find_culprit(model, status)
        return Central(status, solver, value, {}, {}, {}, time.perf_counter() - start, culprit)
    price, dual = _duals(model)
    variables = {party.name: {k: _value(v) for k, v in party.variables.items()} for party in model.agents}
    return Central(
        status, solver, float(problem.value), variables, price, dual, time.perf_counter() - start,
        coupling_residual=_violation([coupling.constraint for coupling in model.couplings]),
        local_residual=_violation([limit.constraint for party in model.agents for limit in party.limits]),
    )  # fmt: skip


def _violation(constraints: list[cp.Constraint]) -> float:
    """The largest violation, each over the size of what stands in the constraint."""
    worst = 0.0
    for constraint in constraints:
        sides = [float(np.abs(arg.value).max(initial=0.0)) for arg in constraint.args if arg.value is not None]
        with np.errstate(divide="ignore", invalid="ignore"):  # cvxpy divides by the length of a cone's zero vector
            away = float(np.max(np.abs(constraint.residual), initial=0.0))
        worst = max(worst, away / max([*sides, 1e-12]))
    return worst


def central_program(model: Model) -> cp.Problem:
    """The model as one cvxpy problem, checked; its constraints are the user's own objects.

    Raises:
        CurvatureError: a cost or constraint is not convex by cvxpy's rules.
        DataError: a parameter without a value, or a constant or parameter that is not finite.
    """
    for item, where in _pieces(model):
        _check_data(item, where)
        if isinstance(item, cp.Constraint):
            if not item.is_dcp():
                raise CurvatureError(
                    f"{where} is not convex by cvxpy's rules (DCP): {item}. Expected an affine equation, or convex <= "
                    "concave; rewrite it with convex atoms."
                )
        elif not item.is_convex():
            raise CurvatureError(
                f"{where} is {item.curvature.lower()} by cvxpy's rules (DCP), expected convex: {item}. "
                "Rewrite it with convex atoms, or minimize the negative of a concave gain."
            )
    costs = [cost for party in model.agents for cost in party.costs] + model.costs
    limits = [limit.constraint for party in model.agents for limit in party.limits]
    return cp.Problem(cp.Minimize(total_cost(costs)), limits + [coupling.constraint for coupling in model.couplings])


def _pieces(model: Model) -> Iterator[tuple[cp.Expression | cp.Constraint, str]]:
    for party in model.agents:
        for cost in party.costs:
            yield cost.expression, f"the cost of {party.name} at {cost.place}"
        for limit in party.limits:
            yield limit.constraint, f"{limit} of {party.name}"
    for coupling in model.couplings:
        yield coupling.constraint, str(coupling)
    for cost in model.costs:
        yield cost.expression, f"the model's cost at {cost.place}"


def _check_data(item: cp.Expression | cp.Constraint, where: str) -> None:
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


def _feasible(problem: cp.Problem) -> bool:
    # Solvers prove "unbounded" by a ray alone, which an infeasible program may have as well.
    return solve_program(cp.Problem(cp.Minimize(0), problem.constraints)).status != "infeasible"


def _duals(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    named = [(coupling.name, coupling.constraint) for coupling in model.couplings]
    for party in model.agents:
        named += _named_limits(party)
    for name, constraint in named:
        if constraint.dual_value is None:
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
