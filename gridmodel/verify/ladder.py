"""Solves one cvxpy program with the solver that fits its structure, and with others where that one is unsure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cvxpy as cp

from gridmodel.language.declared import Cost
from gridmodel.verify.scaled import ConicProgram, Found, Rung
from gridmodel.verify.triangles import TriangleChain, as_triangles

__all__ = ["Outcome", "solve_program", "total_cost", "without_answer"]

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


_PROVEN = frozenset({"PrimalInfeasible", "DualInfeasible"})
# Measured on optimal power flow: without Clarabel's own scaling nearly all programs are solved to 1e-8; where one is
# not, another size of the objective or more scaling helps, and none of them is right for all.
_RUNGS = (Rung(100.0, False, 1e-7), Rung(1000.0, False, 1e-7), Rung(300.0, False), Rung(30.0, True), Rung(3.0, True))
_FINE = Rung(100.0, True, 1e-11)  # regularization else shows where admittances are large
_ACCEPTED = 1e-6
_MISSED = 1e-5  # of the largest right side of an equation
_LARGE = 5_000  # columns, from which on one answer to _ACCEPTED is enough


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

    A linear program goes to HiGHS, a quadratic one to Clarabel and then OSQP; a further try changes the solver or its
    damping. A conic one goes to Clarabel with columns, rows and objective scaled in several ways (see ``_RUNGS``), and
    an answer to 1e-6 counts as optimal where none is sharper; then to Clarabel without that scaling, and to SCS, which
    is never sure. The variables and duals of ``problem`` hold the answer that is reported.
    """
    scaled = None if problem.is_qp() else _solve_scaled(problem, tolerance)
    if scaled is not None and scaled.status == "optimal":
        return scaled
    if scaled is None:
        return _solve_plain(problem, _ladder(problem, tolerance))
    # That there is no optimum is better proven in the user's own units, where that can be done at once.
    plain = _solve_plain(problem, _ladder(problem, tolerance)[:1])
    return scaled if plain.status in ("failed", "optimal_inaccurate") else plain


def without_answer(problem: cp.Problem, tolerance: float) -> Outcome | None:
    """The verdict that there is no optimum, by one solver in the user's own units; None where it has none.

    A ray along which the cost falls without end may look like an answer to the scaled program, with numbers so large
    that its violations are small beside them.
    """
    found = _solve_plain(problem, _ladder(problem, tolerance)[:1])
    return found if found.status in ("infeasible", "unbounded") else None


def _solve_plain(problem: cp.Problem, ladder: Sequence[_Try]) -> Outcome:
    """The program as it stands, by one solver after the other."""
    unsure: tuple[_Try, str] | None = None
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


def _solve_scaled(problem: cp.Problem, tolerance: float) -> Outcome | None:
    """Clarabel on the scaled program, rung by rung; None where no rung is sure to 1e-6."""
    with warnings.catch_warnings():
        # cvxpy says which of its backends it takes, and again what the status says.
        warnings.simplefilter("ignore")
        for variable in problem.variables():
            variable.save_value(None)
        try:
            flat, shapes = as_triangles(problem)
            data, chain, inverse = flat.get_problem_data(cp.CLARABEL, solver_opts={})
        except cp.error.SolverError:
            return None
        program = ConicProgram.build(data)
        found = _climb(program, tolerance, bool(data["dims"].psd) or program.q.size > _LARGE)
        if found is None:
            return None
        found = found if found.status in _PROVEN else replace(found, status="Solved")
        problem.unpack_results(found, TriangleChain(chain, shapes), inverse)
    return Outcome(_CLEAN[problem.status], cp.CLARABEL)


def _climb(program: ConicProgram, tolerance: float, costly: bool) -> Found | None:
    """The first sharp answer, else the closest of those to ``_ACCEPTED``."""
    accepted = max(tolerance, _ACCEPTED)
    close: Found | None = None
    size = program.size
    rungs = list(_RUNGS)
    while rungs:
        rung = rungs.pop(0)
        found = program.solve(rung, size, tolerance, accepted)
        fits = found.missed <= _MISSED
        if found.status in _PROVEN or (found.status == "Solved" and fits and found.within(10.0 * tolerance)):
            return found
        if found.status not in ("Solved", "AlmostSolved"):
            continue
        if found.within(accepted):
            close = found if close is None or _worth(found) < _worth(close) else close
            if not fits and rung is not _FINE:
                rungs = [_FINE] if costly else [_FINE, *(r for r in rungs if r is not _FINE)]
            # Such a program seldom gets sharper by another rung, and each costs as much as the first.
            elif costly:
                break
        else:  # terms of the cost cancel: what is left is the size that counts
            size = max(1.0, abs(found.obj_val))
    return close


def _worth(found: Found) -> tuple[float, float]:
    """Less is better: an equation that is missed counts more than a gap."""
    return max(found.missed, _MISSED), found.gap


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
    # SCS has called wrong answers of semidefinite programs optimal.
    guess = attempt.solver == cp.SCS and problem.status == cp.OPTIMAL
    return cp.OPTIMAL_INACCURATE if guess else str(problem.status)
