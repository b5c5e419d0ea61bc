"""A stationary point of a model that is smooth but not convex: one program for Ipopt."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.constraints import Equality, Inequality
from cvxpy.constraints.nonpos import NonNeg, NonPos
from cvxpy.constraints.zero import Zero
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError
from gridmodel.ipopt import solve_ipopt
from gridmodel.language.model import Model
from gridmodel.language.values import without_values
from gridmodel.passes.pyomo_model import PyomoModel, to_pyomo
from gridmodel.verify.ladder import total_cost
from gridmodel.verify.optimum import Central, check_data, pieces, read_answer, violation

__all__ = ["is_convex", "solve_nonlinear"]

Objects = NDArray[np.object_]
_BROKEN = 1e-6
_SHOWN = 3
_PRICED = (Equality, Inequality, NonNeg, NonPos, Zero)


def is_convex(model: Model) -> bool:
    """Whether every cost and constraint is convex by cvxpy's rules (DCP)."""
    return all(item.is_dcp() if isinstance(item, cp.Constraint) else item.is_convex() for item, _ in pieces(model))


def solve_nonlinear(model: Model, tolerance: float = 1e-8) -> Central:
    """Searches a stationary point of  minimise sum of all costs  s.t.  all limits, bounds and couplings.

    The search starts at the values of the variables, where they have some. Its end is a point whose neighbourhood
    holds no better one (status "stationary"), or near which no point fulfils all limits ("infeasible"): both are
    local, another start may end elsewhere.

    Args:
        model: the declared model.
        tolerance: of the optimality conditions.

    Raises:
        CurvatureError: a cost or constraint is neither convex nor smooth.
        DataError: a parameter without a value, or a constant or parameter that is not finite.
        ModelError: Pyomo or Ipopt is not installed.
    """
    start = time.perf_counter()
    _check(model)
    program = to_pyomo(model)
    if program.impossible is not None:
        return _failed("infeasible", "presolve", start, f"{program.impossible}.")
    ending = solve_ipopt(program.program, tolerance)
    if ending.status == "infeasible":
        if ending.solver == "presolve":
            return _failed(ending.status, ending.solver, start, ending.message)
        told = "locally infeasible: no point that fulfils all limits was found near the start; another start may have"
        return _failed(ending.status, ending.solver, start, f"{told} one{_worst(model, program)}")
    if ending.status != "stationary":
        stopped = f"Ipopt stopped with {ending.message}" if ending.status == "failed" else None
        return _failed(ending.status, ending.solver, start, stopped)
    with without_values(v for party in model.agents for v in party.variables.values()):
        _bring_back(model, program)
        costs = [cost for party in model.agents for cost in party.costs] + model.costs
        value = float(np.sum(total_cost(costs).value))
        answer = read_answer(model, ending.status, ending.solver, value, time.perf_counter() - start)
        return replace(answer, slope=ending.slope)


def _check(model: Model) -> None:
    for item, where in pieces(model):
        check_data(item, where)
        if isinstance(item, cp.Constraint):  # cvxpy's cones know nothing of smoothness
            fits = item.is_dcp() or (isinstance(item, _PRICED) and item.is_dnlp())
        else:
            fits = item.is_convex() or item.is_linearizable_convex()
        if not fits:
            raise CurvatureError(
                f"{where} is neither convex nor smooth: {item}. Smooth are sums and products of variables, powers, "
                "exp, log, cvxpy.nlp.sin and the like; abs, max and norms may stand only where convexity would allow "
                "them."
            )


def _failed(status: str, solver: str, start: float, culprit: str | None) -> Central:
    value = {"infeasible": np.inf, "unbounded": -np.inf}.get(status, np.nan)
    return Central(status, solver, value, {}, {}, {}, time.perf_counter() - start, culprit)


def _worst(model: Model, program: PyomoModel) -> str:
    """Which named limits are violated most, over the size of what stands in them, where the search ended."""
    with without_values(v for party in model.agents for v in party.variables.values()):
        for party in model.agents:
            for variable in party.variables.values():
                variable.save_value(_filled(program.variables[variable.id], lambda one: one.value))
        limits = [(violation([limit.constraint]), limit) for party in model.agents for limit in party.limits]
        away, limit = max(limits, key=lambda one: one[0], default=(0.0, None))
        if limit is None or away < _BROKEN:
            ties = [
                (violation([one.constraint]), f"; where the search ended, {one} is missed") for one in model.couplings
            ]
            away, text = max(ties, default=(0.0, ""))
            return text if away >= _BROKEN else ""
        residual = np.abs(np.broadcast_to(limit.constraint.residual, limit.constraint.shape)).ravel(order="F")
        order = np.argsort(-residual, kind="stable")[:_SHOWN]
        rows = [limit.rows[k] for k in order if residual[k] > 0.1 * residual.max()] if limit.rows else []
        at = f" of {', '.join(rows)}" if rows else ""
        return f"; where the search ended, {limit.name or limit}{at} is missed by {residual.max():.4g}"


def _bring_back(model: Model, program: PyomoModel) -> None:
    """Values and duals onto the user's variables and constraints.

    A row of Pyomo's is expression == 0 or <= 0, its dual the rise of the optimum per unit rise of that zero: minus the
    factor of the expression in the Lagrangian, which is cvxpy's dual for every form (of >= 0 the expression is turned).
    """
    for party in model.agents:
        for variable in party.variables.values():
            variable.save_value(_filled(program.variables[variable.id], lambda one: one.value))
    duals = program.program.dual
    limits = [limit.constraint for party in model.agents for limit in party.limits]
    for constraint in [*limits, *(coupling.constraint for coupling in model.couplings)]:
        if isinstance(constraint, _PRICED):
            constraint.save_dual_value(_filled(program.rows[constraint.id], lambda row: -duals.get(row, 0.0)))


def _filled(parts: Objects, number: Any) -> NDArray[np.float64]:
    found = np.zeros(parts.shape)
    for k, part in enumerate(parts.flat):
        if part is not None:
            found.flat[k] = number(part)
    return found
