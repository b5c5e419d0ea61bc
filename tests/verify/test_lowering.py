"""The compiled matrices against the centralized optimum: one conic program from each, the same value and prices."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings

from gridmodel.compile import compile_model
from gridmodel.language.model import Model
from gridmodel.verify.central import solve_central
from gridmodel.verify.ladder import solve_program, total_cost
from gridmodel.verify.whole import solve_whole
from tests.strategies import EXAMPLES, Drawn, drawn_models


def prices_of(model: Model, lowered, mu):
    """{coupling: (price, dual)} of the couplings that stayed linear."""
    found = {}
    for info in lowered.separable.couplings.infos:
        if len(info.rows):
            dual = (info.dual_sign * mu[info.rows]).reshape(info.shape, order="F")
            found[info.name] = (info.price_sign * dual, dual)
    return found


@settings(EXAMPLES, max_examples=40)
@given(drawn_models())
def test_values_and_columns_come_back(drawn: Drawn):
    model, central = drawn.model, solve_central(drawn.model)
    assert central.status == "optimal"  # by construction
    assert max(central.coupling_residual, central.local_residual) <= 1e-6
    compiled = compile_model(model)
    status, value, x, mu = solve_whole(compiled.lowered.separable)
    # Clarabel meets these matrices without cvxpy's help; where it gives up half-way they have been proven nothing.
    assume(status not in ("AlmostSolved", "InsufficientProgress", "MaxIterations"))
    assert status == "Solved"
    assert value == pytest.approx(central.value, rel=1e-5, abs=1e-5)
    answer = compiled.lowering.values(compiled.lowered, compiled.lowered.separable.split(x))
    for party in model.agents:
        for name, variable in party.variables.items():
            variable.save_value(np.asarray(answer[party.name][name], dtype=float))
    costs = [cost for party in model.agents for cost in party.costs] + model.costs
    assert float(total_cost(costs).value) == pytest.approx(central.value, rel=1e-4, abs=1e-4)
    check_prices(drawn, prices_of(model, compiled.lowered, mu), central.value)


def check_prices(drawn: Drawn, prices, optimum: float) -> None:
    """The dual function at the multipliers reaches the optimum, whether or not prices are unique."""
    model = drawn.model
    lagrangian = total_cost([cost for party in model.agents for cost in party.costs] + model.costs)
    kept = [limit.constraint for party in model.agents for limit in party.limits]
    for coupling in model.couplings:
        if coupling.name not in prices:
            kept.append(coupling.constraint)  # a nonlinear coupling stays a constraint
            continue
        price, dual = prices[coupling.name]
        assert price == pytest.approx(coupling.price_sign * dual)
        left, right = coupling.constraint.args
        inequality = isinstance(coupling.constraint, cp.constraints.Inequality)
        if inequality:
            assert dual.min() >= -1e-5 * (1 + np.abs(dual).max())
        lagrangian = lagrangian + cp.sum(cp.multiply(np.maximum(dual, 0) if inequality else dual, left - right))
    box = []
    for party in model.agents:
        for variable in party.variables.values():
            # A wide box keeps the minimum finite where a price is off by rounding and a variable is free.
            reach = 10 * (1 + np.abs(variable.value).max())
            box += [variable <= reach, variable >= -reach]
    problem = cp.Problem(cp.Minimize(lagrangian), kept + box)
    assert solve_program(problem).status == "optimal"
    assert problem.value == pytest.approx(optimum, rel=1e-4, abs=1e-4)
