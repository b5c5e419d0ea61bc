"""Runs on smooth models: statuses, budgets, certificates, warm starts."""

from __future__ import annotations

import json

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.report.json import as_dict
from gridmodel.runtime.smooth_run import STATIONARY


def hyperbolas(start: float | None = None) -> gm.Model:
    """Two agents on x y = 4 that agree on y: cost x_a + 2 x_b + y_a^2, so y^3 = 6 and y = 1.817."""
    model = gm.Model("hyperbolas", convex=False)
    for name, price in [("a", 1.0), ("b", 2.0)]:
        agent = model.agent(name)
        x, y = agent.variable("x", bounds=(0.1, 40)), agent.variable("y", bounds=(0.1, 10))
        agent.minimize(price * x + (cp.square(y) if name == "a" else 0))
        agent.subject_to(cp.multiply(x, y) == 4, name="hyperbola")
        if start is not None:
            y.value = np.array(start)
    model.agree("y")
    return model


def test_a_stationary_point_by_agents_is_that_of_ipopt_and_of_the_hand() -> None:
    # f(y) = 4 / y + 8 / y + y^2
    y = 6.0 ** (1 / 3)
    result = gm.solve(hyperbolas(), "interior", tolerance=1e-7, verify=True)
    assert result.status is gm.Status.SOLVED
    assert result.message == STATIONARY
    assert result["a"]["y"] == pytest.approx(y, rel=1e-5)
    assert result.value == pytest.approx(12 / y + y**2, rel=1e-6)
    done = result.certificate
    assert done is not None
    assert done.central_status == "stationary"
    assert abs(done.central_gap or 1.0) < 1e-6
    assert done.lower_bound is None
    assert "no relaxation" in str(done.no_bound)
    # the price of the hyperbola: cost per unit of its side without variables, x = c / y
    assert result.price["b.hyperbola"] == pytest.approx(2.0 / y, rel=1e-4)
    assert json.loads(json.dumps(as_dict(result)))["status"] == "solved"


def test_a_relaxation_certifies() -> None:
    model = hyperbolas()
    model.relaxation = lambda: _relaxed()
    result = gm.solve(model, "interior", tolerance=1e-5, verify=True)
    assert result.status is gm.Status.CERTIFIED
    assert result.certificate is not None
    assert abs(result.certificate.gap or 1.0) < 1e-5


def _relaxed() -> gm.Model:
    """x y >= 4 is convex for positive numbers, and tight at the optimum."""
    model = gm.Model("relaxed")
    for name, price in [("a", 1.0), ("b", 2.0)]:
        agent = model.agent(name)
        x, y = agent.variable("x", bounds=(0.1, 40)), agent.variable("y", bounds=(0.1, 10))
        agent.minimize(price * x + (cp.square(y) if name == "a" else 0))
        agent.subject_to(4 * cp.inv_pos(y) <= x)
    model.agree("y")
    return model


def test_budgets_and_warm_starts() -> None:
    plan = gm.compile(hyperbolas(), "interior")
    stopped = plan.solve(tolerance=1e-9, max_rounds=2)
    assert stopped.status is gm.Status.STOPPED
    assert stopped.rounds == 2
    assert stopped.variables
    cold = plan.solve(tolerance=1e-6)
    again = plan.solve(tolerance=1e-6, warm=cold)
    assert again.rounds <= cold.rounds
    assert again.value == pytest.approx(cold.value, rel=1e-6)


def test_algorithms_that_rest_on_convexity_say_so() -> None:
    text = str(gm.explain(hyperbolas()))
    assert "smooth program, not convex" in text
    with pytest.raises(gm.ModelError, match="rests on convexity"):
        gm.solve(hyperbolas(), "dual")
    assert gm.solve(hyperbolas(), "auto").status is gm.Status.SOLVED
