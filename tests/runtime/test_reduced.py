"""Quadratic blocks as quadratics of their agreed columns, against a solve of each block with these columns fixed."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.runtime.agreed import agreed_columns, roughness
from gridmodel.runtime.reduced import reduce


def least_squares(size: int, private: bool) -> tuple[gm.Model, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    X, y = rng.normal(size=(size, 7, 3)), rng.normal(size=(size, 7))
    model = gm.Model("fit")
    for i in range(size):
        agent = model.agent(f"h{i}")
        theta = agent.variable("theta", 3)
        rest = y[i]
        if private:
            offset = agent.variable("offset", 2)
            rest = rest - cp.hstack([offset, np.zeros(5)])
            agent.minimize(cp.sum_squares(offset - i))
        agent.minimize(cp.sum_squares(X[i] @ theta - rest) / 2)
    model.agree("theta")
    return model, X, y


@pytest.mark.parametrize("private", [False, True])
def test_value_gradient_and_columns_are_those_of_the_block(private):
    problem = compile_model(least_squares(4, private)[0]).lowered.separable
    columns = agreed_columns(problem)
    rng = np.random.default_rng(0)
    for stack, own in zip(problem.stacks, columns, strict=True):
        found = reduce(stack, own)
        assert found is not None
        assert roughness(stack, found) is None
        for i in range(stack.size):
            H = found.hessian[i] if found.hessian.ndim == 3 else np.diag(found.hessian[i])
            others = np.setdiff1d(np.arange(stack.columns), own[i])
            values = []
            for v in [np.zeros(3), *rng.normal(size=(3, 3))]:
                x = cp.Variable(stack.columns)
                equations = [stack.A.dense(i) @ x == stack.b[i]] if stack.A.shape[0] else []
                cost = 0.5 * cp.quad_form(x, cp.psd_wrap(stack.P.dense(i))) + stack.q[i] @ x + stack.offset[i]
                best = cp.Problem(cp.Minimize(cost), [*equations, x[own[i]] == v]).solve(
                    solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
                )
                values.append(best - (0.5 * v @ H @ v + found.linear[i] @ v))
                inner = found.slope[i] @ v + found.level[i]
                assert inner[: len(others)] == pytest.approx(x.value[others], abs=1e-6)
            assert np.ptp(values) < 1e-7 * max(1.0, abs(values[0]))


def test_hessians_of_least_squares_are_the_normal_matrices():
    model, X, y = least_squares(3, private=False)
    problem = compile_model(model).lowered.separable
    for stack, own in zip(problem.stacks, agreed_columns(problem), strict=True):
        found = reduce(stack, own)
        assert found is not None
        at = [int(label[1:]) for label in stack.labels]
        assert found.hessian == pytest.approx(np.einsum("nsi,nsj->nij", X[at], X[at]))
        assert found.linear == pytest.approx(-np.einsum("nsi,ns->ni", X[at], y[at]))


def test_limits_on_the_agreed_numbers_are_rough():
    model = gm.Model()
    for i in range(3):
        agent = model.agent(f"a{i}")
        theta = agent.variable("theta", 2)
        agent.minimize(cp.sum_squares(theta - i))
        agent.subject_to(theta[0] + theta[1] == 1)
    model.agree("theta")
    problem = compile_model(model).lowered.separable
    stack = problem.stacks[0]
    reason = roughness(stack, reduce(stack, agreed_columns(problem)[0]))
    assert reason is not None
    assert "equations" in reason


@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e5])
def test_units_do_not_decide_whether_a_block_is_a_quadratic(unit):
    model = gm.Model("split")
    for i in range(2):
        agent = model.agent(f"a{i}")
        theta, own = agent.variable("theta"), agent.variable("own", 2)
        agent.subject_to(cp.sum(own) == theta)
        agent.minimize(cp.sum_squares(own / unit))
    model.agree("theta")
    problem = compile_model(model).lowered.separable
    found = reduce(problem.stacks[0], agreed_columns(problem)[0])
    assert found is not None
    assert found.hessian * unit**2 == pytest.approx(1.0)  # both halves take half of theta: 2 (theta / 2)^2
    assert found.slope[:, :2] == pytest.approx(0.5)
