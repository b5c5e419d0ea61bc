"""Random models: every answer is certified and true, or says by name what it is; never silently wrong."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.ir.result import Result, Status
from gridmodel.methods import methods, verdicts
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel.verify.central import Central, solve_central
from gridmodel.verify.ladder import solve_program, total_cost
from tests.strategies import EXAMPLES, Drawn, drawn_models

TOLERANCE = 1e-4


def check(result: Result, central: Central, drawn: Drawn) -> str:
    """Holds a result to the truth of its own status; returns the status's word."""
    status = result.status
    assert status in Status
    if status is Status.INFEASIBLE:
        assert central.status == "infeasible"
    elif status is Status.UNBOUNDED:
        assert central.status == "unbounded"
    elif status in (Status.CERTIFIED, Status.SOLVED):
        assert central.status == "optimal", f"{result.algorithm} claims an answer to a model that is {central.status}"
        check_answer(result, central, drawn)
    check_bound(result, central)
    return status.value


def check_bound(result: Result, central: Central) -> None:
    certificate = result.certificate
    if certificate is None or certificate.lower_bound is None:
        return
    assert math.isfinite(certificate.lower_bound)
    if central.status != "infeasible":
        assert central.status == "optimal"
        assert certificate.lower_bound <= central.value + 1e-6 * (1 + abs(central.value))


def check_answer(result: Result, central: Central, drawn: Drawn) -> None:
    """Cost and feasibility recomputed by cvxpy at the answer, and the value against the centralized optimum."""
    certificate = result.certificate
    assert certificate is not None
    cost, violation = recomputed(result, drawn)
    assert abs(result.value - cost) <= TOLERANCE * certificate.size
    assert violation <= 10 * TOLERANCE
    if result.status is Status.CERTIFIED:
        assert certificate.holds
        assert abs(result.value - central.value) <= TOLERANCE * certificate.size
        check_prices(result, drawn)


def recomputed(result: Result, drawn: Drawn) -> tuple[float, float]:
    """The cost at the answer, and its largest violation over the size of the terms of the row or bound."""
    model = drawn.model
    for party in model.agents:
        for name, variable in party.variables.items():
            variable.save_value(np.asarray(result.variables[party.name][name], dtype=float).reshape(variable.shape))
    costs = [cost for party in model.agents for cost in party.costs] + model.costs
    constraints = [limit.constraint for party in model.agents for limit in party.limits]
    constraints += [coupling.constraint for coupling in model.couplings]
    worst = 0.0
    for constraint in constraints:
        size = max(float(np.abs(arg.value).max()) for arg in constraint.args)
        weight = max(terms(constraint), size)
        worst = max(worst, float(np.max(np.abs(constraint.residual))) / weight)
    for part in drawn.parts:
        if part.x.attributes["bounds"] is not None:
            lower, upper = part.x.attributes["bounds"]
            outside = np.maximum(np.maximum(lower - part.x.value, part.x.value - upper), 0)
            worst = max(worst, float(outside.max()) / part.scale)
    return float(total_cost(costs).value), worst


def terms(constraint: cp.Constraint) -> float:
    """The size of the largest data in a constraint, which is the scale of its rows."""
    data = [float(np.abs(leaf.value).max()) for leaf in constraint.constants()]
    return max([1e-3, *data])


def check_prices(result: Result, drawn: Drawn) -> None:
    """Prices are right, unique or not, where the dual function at them reaches the bound that they prove.

    d(dual) = min over limits, bounds and a wide box of  cost + sum_c dual_c' (args[0] - args[1]).
    """
    certificate = result.certificate
    assert certificate is not None
    if certificate.lower_bound is None:
        return
    model = drawn.model
    lagrangian = total_cost([cost for party in model.agents for cost in party.costs] + model.costs)
    for coupling in model.couplings:
        left, right = coupling.constraint.args
        dual = np.asarray(result.dual[coupling.name], dtype=float).reshape(coupling.constraint.shape)
        assert np.asarray(result.price[coupling.name]) == pytest.approx(coupling.price_sign * dual)
        if isinstance(coupling.constraint, cp.constraints.Inequality):
            dual = np.maximum(dual, 0)
        lagrangian = lagrangian + cp.sum(cp.multiply(dual, left - right))
    limits = [limit.constraint for party in model.agents for limit in party.limits]
    # Near the answer: far out, a price that is off by rounding tilts the cost of a free variable without end.
    for party in model.agents:
        for variable in party.variables.values():
            reach = 10 * float(np.abs(variable.value).max()) + 1e-3
            limits += [variable <= reach, variable >= -reach]
    problem = cp.Problem(cp.Minimize(lagrangian), limits)
    assert solve_program(problem).status == "optimal"
    assert problem.value >= certificate.lower_bound - 1e-6 * (1 + abs(certificate.lower_bound))


# Every example is a run of one or of all algorithms and a central solve, up to seconds: as few as show each kind.
@pytest.mark.parametrize(("kind", "examples"), [("solvable", 60), ("infeasible", 10), ("unbounded", 10)])
def test_auto_is_never_silently_wrong(kind, examples):
    ended: Counter[str] = Counter()

    @settings(EXAMPLES, max_examples=examples)
    @given(drawn_models((kind,)))
    def run(drawn: Drawn) -> None:
        result = gm.solve(drawn.model, "auto", tolerance=TOLERANCE)
        word = check(result, solve_central(drawn.model), drawn)
        ended[word] += 1
        if word in ("infeasible", "unbounded"):
            assert result.culprit

    run()
    right = "certified" if kind == "solvable" else kind
    assert ended[right] >= 0.95 * ended.total(), ended


@pytest.mark.parametrize(("kind", "examples"), [("solvable", 12), ("infeasible", 5), ("unbounded", 5)])
def test_no_algorithm_that_applies_is_silently_wrong(kind, examples):
    ended: dict[str, Counter[str]] = {}

    @settings(EXAMPLES, max_examples=examples)
    @given(drawn_models((kind,)))
    def run(drawn: Drawn) -> None:
        central = solve_central(drawn.model)
        for name, (verdict, _) in verdicts(drawn.model).items():
            if not verdict.applies:
                with pytest.raises(gm.ModelError):
                    gm.solve(drawn.model, name, tolerance=TOLERANCE)
                continue
            word = check(gm.solve(drawn.model, name, tolerance=TOLERANCE), central, drawn)
            ended.setdefault(name, Counter())[word] += 1

    run()
    assert ended
    for name, words in ended.items():
        assert words["certified" if kind == "solvable" else kind] > 0, (name, words)


@pytest.mark.parametrize(("kind", "examples"), [("solvable", 10), ("infeasible", 4), ("unbounded", 4)])
def test_no_algorithm_over_a_topology_is_silently_wrong(kind, examples):
    """Agents on a random connected graph, a channel that loses a tenth in every other model; ``check`` judges."""

    @settings(EXAMPLES, max_examples=examples)
    @given(drawn_models((kind,)), st.integers(0, 10**6), st.booleans())
    def run(drawn: Drawn, seed: int, lossy: bool) -> None:
        labels = [label for party in drawn.model.agents for label in party.labels()]
        graph = nx.gnp_random_graph(len(labels), 0.4, seed=seed)
        graph.add_edges_from(pairwise(range(len(labels))))
        drawn.model.connect(nx.relabel_nodes(graph, dict(enumerate(labels))), coordinator=False)
        central = solve_central(drawn.model)
        channel = gm.Channel(drop=0.1, seed=seed) if lossy else None
        for name, (verdict, _) in verdicts(drawn.model).items():
            if verdict.applies and isinstance(methods()[name], AbstractNetworked):
                budget = {"max_rounds": 3000, "seconds": 5.0}
                check(gm.solve(drawn.model, name, tolerance=TOLERANCE, channel=channel, **budget), central, drawn)

    run()
