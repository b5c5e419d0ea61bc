"""Solves one cvxpy program with the solver that fits its structure, and with others where that one is unsure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp

from gridmodel.language.declared import Cost

__all__ = ["Outcome", "solve_program", "total_cost"]

_CLEAN = {
    cp.OPTIMAL: "optimal",
    cp.INFEASIBLE: "infeasible",
    cp.UNBOUNDED: "unbounded",
}
_UNSURE = {
    cp.OPTIMAL_INACCURATE: "optimal_inaccurate",
    cp.INFEASIBLE_INACCURATE: "infeasible",
    cp.UNBOUNDED_INACCURATE: "unbounded",
}


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and by which solver.

    status: "optimal", "optimal_inaccurate", "infeasible", "unbounded" or "failed".
    """

    status: str
    solver: str


@dataclass(frozen=True)
class _Try:
    solver: str
    options: dict[str, Any] = field(default_factory=dict)


def solve_program(problem: cp.Problem, tolerance: float = 1e-8) -> Outcome:
    """Solves until one solver is sure; otherwise keeps the best unsure answer.

    A linear program goes to HiGHS, a quadratic one to Clarabel and then OSQP, a conic one to Clarabel; a further try
    changes the solver or its damping. The variables and duals of ``problem`` hold the answer that is reported.
    """
    unsure: tuple[_Try, str] | None = None
    ladder = _ladder(problem, tolerance)
    for attempt in ladder:
        status = _run(problem, attempt)
        if status in _CLEAN:
            return Outcome(_CLEAN[status], attempt.solver)
        if status in _UNSURE and unsure is None:
            unsure = (attempt, status)
    if unsure is None:
        return Outcome("failed", ladder[-1].solver)
    attempt, status = unsure
    if attempt is not ladder[-1]:
        status = _run(problem, attempt)
    return Outcome(_UNSURE.get(status, "failed"), attempt.solver)


def total_cost(costs: Iterable[Cost]) -> cp.Expression:
    """The sum of all entries of all cost terms."""
    # Python's sum of expressions is linear in time; cvxpy's hstack of thousands is quadratic.
    return sum((cp.sum(cost.expression) for cost in costs), start=cp.Constant(0.0))


def _ladder(problem: cp.Problem, tolerance: float) -> list[_Try]:
    tight = {"tol_gap_abs": tolerance, "tol_gap_rel": tolerance, "tol_feas": tolerance, "max_iter": 200}
    damped = {**tight, "max_step_fraction": 0.9, "equilibrate_max_iter": 50, "max_iter": 400}
    clarabel = [_Try(cp.CLARABEL, tight), _Try(cp.CLARABEL, damped)]
    highs = _Try(cp.HIGHS, {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9})
    if problem.is_lp():
        return [highs, *clarabel]
    if problem.is_qp():
        exact = {"eps_abs": tolerance, "eps_rel": tolerance, "max_iter": 100_000, "polishing": True}
        return [clarabel[0], _Try(cp.OSQP, exact), clarabel[1]]
    return [*clarabel, _Try(cp.SCS, {"eps": 1e-7, "max_iters": 50_000})]


def _run(problem: cp.Problem, attempt: _Try) -> str:
    with warnings.catch_warnings():
        # The status says what cvxpy's warning says.
        warnings.simplefilter("ignore")
        for variable in problem.variables():
            # A value of an earlier answer, out of bounds by rounding, would stop cvxpy (see without_values).
            variable.save_value(None)
        try:
            problem.solve(solver=attempt.solver, **attempt.options)
        except cp.error.SolverError:
            return "failed"
    return str(problem.status)
