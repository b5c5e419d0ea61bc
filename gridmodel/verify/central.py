"""The centralized optimum: the declared model as one cvxpy program."""

from __future__ import annotations

import time
from dataclasses import replace

import cvxpy as cp
import numpy as np

from gridmodel.errors import CurvatureError
from gridmodel.language.model import Model
from gridmodel.language.values import without_values
from gridmodel.verify.culprit import find_culprit, has_answer
from gridmodel.verify.ladder import Outcome, solve_program, total_cost, without_answer
from gridmodel.verify.nonlinear import is_convex, solve_nonlinear
from gridmodel.verify.optimum import Central, check_data, pieces, read_answer, violation

__all__ = ["Central", "central_program", "solve_central"]

_LOOSE = 1e-4
_SMALL = 1e-3  # what is smaller may be rounding of zero
_SMOOTH = (
    "A smooth model that need not be convex (products of variables, cvxpy.nlp.sin, ...) is gm.Model(..., convex=False)."
)


def solve_central(model: Model, tolerance: float = 1e-8) -> Central:
    """Solves  minimise sum of all costs  s.t.  all limits, bounds and couplings  in one program.

    A model that was declared as not convex, and is not, gets a stationary point: see ``solve_nonlinear``.

    Args:
        model: the declared model.
        tolerance: of the solver, on gap and feasibility, relative.

    Raises:
        CurvatureError: a cost or constraint is not convex by cvxpy's rules, of a model that should be.
        DataError: a parameter without a value, or a constant or parameter that is not finite.
        ModelError: the model is not convex, and Pyomo or Ipopt is not installed.
    """
    if not model.convex and not is_convex(model):
        return _stationary(model, tolerance)
    with without_values(v for party in model.agents for v in party.variables.values()):
        return _solved(model, tolerance)


def _stationary(model: Model, tolerance: float) -> Central:
    """A stationary point; where none is feasible nearby, the convex relaxation may prove that none is anywhere."""
    found = solve_nonlinear(model, tolerance)
    if found.status != "infeasible" or model.relaxation is None:
        return found
    relaxed = solve_central(model.relaxation(), tolerance)
    told = relaxed.culprit
    if relaxed.status != "infeasible":  # a tighter one may know more
        told = None if model.diagnosis is None else model.diagnosis(has_answer)
    return found if told is None else replace(found, culprit=f"a convex relaxation proves it: {told}")


def _solved(model: Model, tolerance: float) -> Central:
    start = time.perf_counter()
    problem = central_program(model)
    outcome = solve_program(problem, tolerance)
    status, solver = outcome.status, outcome.solver
    if status not in ("optimal", "optimal_inaccurate"):
        return _none(model, problem, outcome, start)
    found = read_answer(model, status, solver, float(problem.value), time.perf_counter() - start)
    # Solvers measure feasibility against the largest numbers of the whole program, a user against those of a limit.
    if max(found.coupling_residual, found.local_residual) <= _LOOSE:
        return found
    if violation(problem.constraints, _SMALL) <= _LOOSE:
        return found
    verdict = without_answer(problem, tolerance)
    return replace(found, status="optimal_inaccurate") if verdict is None else _none(model, problem, verdict, start)


def _none(model: Model, problem: cp.Problem, outcome: Outcome, start: float) -> Central:
    """That there is no optimum, and what is to blame."""
    status = outcome.status
    if status == "unbounded" and not _feasible(problem):
        status = "infeasible"
    value = {"infeasible": np.inf, "unbounded": -np.inf}.get(status, np.nan)
    culprit = None if status == "failed" else find_culprit(model, status)
    return Central(status, outcome.solver, value, {}, {}, {}, time.perf_counter() - start, culprit)


def central_program(model: Model) -> cp.Problem:
    """The model as one cvxpy problem, checked; its constraints are the user's own objects.

    Raises:
        CurvatureError: a cost or constraint is not convex by cvxpy's rules.
        DataError: a parameter without a value, or a constant or parameter that is not finite.
    """
    for item, where in pieces(model):
        check_data(item, where)
        if isinstance(item, cp.Constraint):
            if not item.is_dcp():
                raise CurvatureError(
                    f"{where} is not convex by cvxpy's rules (DCP): {item}. Expected an affine equation, or convex <= "
                    f"concave; rewrite it with convex atoms. {_SMOOTH}"
                )
        elif not item.is_convex():
            raise CurvatureError(
                f"{where} is {item.curvature.lower()} by cvxpy's rules (DCP), expected convex: {item}. "
                f"Rewrite it with convex atoms, or minimize the negative of a concave gain. {_SMOOTH}"
            )
    costs = [cost for party in model.agents for cost in party.costs] + model.costs
    limits = [limit.constraint for party in model.agents for limit in party.limits]
    return cp.Problem(cp.Minimize(total_cost(costs)), limits + [coupling.constraint for coupling in model.couplings])


def _feasible(problem: cp.Problem) -> bool:
    # Solvers prove "unbounded" by a ray alone, which an infeasible program may have as well.
    return solve_program(cp.Problem(cp.Minimize(0), problem.constraints)).status != "infeasible"
