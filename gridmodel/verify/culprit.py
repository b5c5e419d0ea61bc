"""Finds the agent or the coupling that makes a model infeasible or unbounded, and says so in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cvxpy as cp
import numpy as np

from gridmodel.language.coupling import Coupling
from gridmodel.language.declared import AbstractParty, Limit
from gridmodel.language.model import Model
from gridmodel.language.values import without_values
from gridmodel.verify.elastic import Relaxed, relax
from gridmodel.verify.ladder import solve_program, total_cost

__all__ = ["find_culprit", "has_answer"]

_FEW = 40
"""Up to so many constraints are tried out one by one."""
_SHOWN = 3
"""Entries of a limit that are named."""

T = TypeVar("T")


def find_culprit(model: Model, status: str) -> str | None:
    """A sentence on why a model is "infeasible" or "unbounded"; None where no culprit was found."""
    with without_values(v for party in model.agents for v in party.variables.values()):
        if status == "unbounded":
            return _unbounded(model)
        if model.diagnosis is not None and (told := model.diagnosis(has_answer)) is not None:
            return told
        guilty = _first_infeasible(model.agents)
        return _couplings(model) if guilty is None else _agent(guilty)


def has_answer(model: Model) -> bool:
    """Solves a convex model by its agents' costs and limits; the values are then in its variables."""
    costs = [cost for party in model.agents for cost in party.costs]
    problem = cp.Problem(cp.Minimize(total_cost(costs)), _limits(model.agents))
    return solve_program(problem).status in ("optimal", "optimal_inaccurate")


def _holds(constraints: Sequence[cp.Constraint]) -> bool:
    if not constraints:
        return True
    return solve_program(cp.Problem(cp.Minimize(0), list(constraints))).status != "infeasible"


def _limits(parties: Sequence[AbstractParty]) -> list[cp.Constraint]:
    return [limit.constraint for party in parties for limit in party.limits]


def _first_infeasible(parties: Sequence[AbstractParty]) -> AbstractParty | None:
    """An agent or fleet that is infeasible by itself, by bisection."""
    if _holds(_limits(parties)):
        return None
    while len(parties) > 1:
        half = len(parties) // 2
        parties = parties[:half] if not _holds(_limits(parties[:half])) else parties[half:]
    return parties[0]


def _irreducible(items: Sequence[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """A part of ``items`` that fails, and of which every item is needed for that."""
    kept = list(items)
    for item in items:
        without = [other for other in kept if other is not item]
        if fails(without):
            kept = without
    return kept


def _agent(party: AbstractParty) -> str:
    limits = list(party.limits)
    if len(limits) <= _FEW:
        limits = _irreducible(limits, lambda part: not _holds([limit.constraint for limit in part]))
    rows = _rows(party)
    who = f"agent {party.name!r}" if party.size is None else f"fleet {party.name!r}"
    if rows:
        who = f"agent '{party.name}[{rows[0]}]'" + (f" (and {len(rows) - 1} more of its fleet)" if rows[1:] else "")
    words = [f"{limit}{_where(limit, party)}" for limit in limits[:4]]
    together = "cannot hold together" if len(limits) > 1 else "cannot hold"
    return (
        f"{who} is infeasible by itself: {_listed(words, len(limits))} {together} "
        "within the bounds of its variables; loosen one of them"
    )


def _where(limit: Limit, party: AbstractParty) -> str:
    """The named entries of a limit that have to give way where it is the only one that may; "" without names."""
    if not limit.rows:
        return ""
    relaxed = relax(limit.constraint)
    if (
        relaxed.slack is None
        or _least_violation([relaxed], [own.constraint for own in party.limits if own is not limit]) is None
    ):
        return ""
    violation = np.broadcast_to(relaxed.violation, limit.constraint.shape).ravel(order="F")
    worst = np.argsort(-violation, kind="stable")[:_SHOWN]
    named = [limit.rows[k] for k in worst if violation[k] > 1e-4 * violation.max()]
    return f" (at {', '.join(named)})" if violation.max() > 0 else ""


def _rows(party: AbstractParty) -> list[int]:
    """The rows of a fleet that are infeasible: rows are independent, so the least violation is zero elsewhere."""
    if party.size is None:
        return []
    relaxed = [relax(limit.constraint) for limit in party.limits]
    if _least_violation(relaxed, []) is None:
        return []
    worst = np.zeros(party.size)
    for item in relaxed:
        violation = item.violation
        if violation.shape[:1] == (party.size,):
            worst = np.maximum(worst, violation.reshape(party.size, -1).max(axis=1))
    return [int(k) for k in np.flatnonzero(worst > 1e-4 * worst.max())] if worst.max() > 0 else []


def _least_violation(relaxed: Sequence[Relaxed], hard: Sequence[cp.Constraint]) -> float | None:
    problem = cp.Problem(
        cp.Minimize(sum((cp.sum(item.slack) for item in relaxed if item.slack is not None), start=cp.Constant(0.0))),
        [*hard, *(item.constraint for item in relaxed)],
    )
    outcome = solve_program(problem)
    return float(problem.value) if outcome.status in ("optimal", "optimal_inaccurate") else None


def _couplings(model: Model) -> str | None:
    hard = _limits(model.agents)
    relaxed = [relax(coupling.constraint) for coupling in model.couplings]
    if _least_violation(relaxed, hard) is None:
        return None
    size = np.array([item.relative for item in relaxed])
    suspects = [model.couplings[k] for k in np.argsort(-size, kind="stable") if size[k] > 1e-4 * size.max()]
    for coupling in suspects[:_FEW]:
        if not _holds([*hard, coupling.constraint]):
            return _one_coupling(coupling, hard)
    if len(model.couplings) <= _FEW:
        suspects = _irreducible(model.couplings, lambda part: not _holds([*hard, *(c.constraint for c in part)]))
    words = [str(coupling) for coupling in suspects[:4]]
    if len(suspects) == 1:
        return f"{words[0]} cannot be met together with the other couplings; loosen one of them"
    return f"{_listed(words, len(suspects))} cannot be met together; loosen one of them"


def _one_coupling(coupling: Coupling, hard: Sequence[cp.Constraint]) -> str:
    relaxed = relax(coupling.constraint)
    head = f"{coupling} cannot be met"
    if relaxed.slack is None or _least_violation([relaxed], hard) is None:
        return f"{head} by the agents within their own limits"
    return f"{head}: {relaxed.shortfall()}; loosen it, or the limits of the agents that it ties"


def _unbounded(model: Model) -> str | None:
    limits = _limits(model.agents) + [coupling.constraint for coupling in model.couplings]
    variables = [(party, name, v) for party in model.agents for name, v in party.variables.items()]
    if solve_program(cp.Problem(cp.Minimize(0), limits)).status == "infeasible":
        return None
    reach = max((float(np.abs(v.value).max()) for _, _, v in variables if v.value is not None), default=0.0)
    total = total_cost([cost for party in model.agents for cost in party.costs] + model.costs)
    for factor in (1e4, 1e2):
        # A box that is wide against all that a feasible point needs; a narrower one where that is too hard to solve.
        box = factor * max(1.0, reach)
        boxed = [side for _, _, v in variables for side in (v <= box, v >= -box)]
        outcome = solve_program(cp.Problem(cp.Minimize(total), limits + boxed))
        if outcome.status in ("optimal", "optimal_inaccurate"):
            break
    else:
        return None
    runaway = [(p, n, np.asarray(v.value)) for p, n, v in variables if np.abs(np.asarray(v.value)).max() > 0.5 * box]
    if not runaway:
        return None
    alone = [entry for entry in runaway[:_FEW] if _falls(entry[0])] or runaway
    words = [_entry(party, name, value, box) for party, name, value in alone[:3]]
    return (
        f"the cost falls without end along {_listed(words, len(alone))}: neither bounds nor limits nor couplings "
        "stop it; give bounds=(lower, upper) or a limit"
    )


def _falls(party: AbstractParty) -> bool:
    total = total_cost(party.costs)
    return solve_program(cp.Problem(cp.Minimize(total), _limits([party]))).status == "unbounded"


def _entry(party: AbstractParty, name: str, value: Any, box: float) -> str:
    if party.size is None:
        return f"variable {name!r} of agent {party.name!r}"
    rows = np.flatnonzero(np.abs(value).reshape(party.size, -1).max(axis=1) > 0.5 * box)
    more = f" (and {len(rows) - 1} more of its fleet)" if len(rows) > 1 else ""
    return f"variable {name!r} of agent '{party.name}[{rows[0]}]'{more}"


def _listed(words: Sequence[str], total: int) -> str:
    if total > len(words):
        return ", ".join(words) + f" and {total - len(words)} more"
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"
