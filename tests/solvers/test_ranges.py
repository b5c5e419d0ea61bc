"""Ranges of columns that cannot move: they must not hide the equations that hold them."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel_solvers.oracles.ranges import column_ranges


def _model() -> gm.Model:
    """A fixed column with a tiny factor among large ones: the equation alone would give it a huge range."""
    model = gm.Model("fixed")
    for name, target in (("a", 3.0), ("b", 5.0)):
        agent = model.agent(name)
        x = agent.variable("x", 2, bounds=(-10, 10))
        still = agent.variable("still", bounds=(0.5, 0.5))
        t = agent.variable("t")
        agent.subject_to(1e3 * x[0] - 1e3 * x[1] + 1e-5 * still == 0)
        agent.subject_to(cp.norm(x - target) <= t)
        agent.minimize(t)
    model.agree("x")
    return model


def test_a_fixed_column_has_the_size_of_its_value() -> None:
    problem = gm.compile(_model(), "admm").problem
    for stack in problem.stacks:
        fixed = (stack.lower == stack.upper).all(axis=0)
        assert fixed.sum() == 1
        assert column_ranges(stack)[fixed] == pytest.approx(0.5)


def test_the_equation_of_a_fixed_column_holds() -> None:
    result = gm.solve(_model(), "admm", tolerance=1e-6)
    assert result.status is gm.Status.CERTIFIED
    x = np.asarray(result["a"]["x"])
    assert 1e3 * (x[0] - x[1]) == pytest.approx(-0.5e-5, abs=1e-4)
    assert result["a"]["still"] == pytest.approx(0.5)
