"""Derivatives of tapes against finite differences, values against cvxpy."""

from __future__ import annotations

from functools import cache

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.errors import CurvatureError, DataError, SeparabilityError
from gridmodel.passes.smooth.agent import AgentTape, agent_tape
from tests.strategies import EXAMPLES

Floats = NDArray[np.float64]
SIN, COS, TAN = cp.nlp.sin, cp.nlp.cos, cp.nlp.tan


def _agent(build: object, n: int = 4) -> tuple[AgentTape, list[cp.Expression]]:
    model = gm.Model("m", convex=False)
    agent = model.agent("a")
    x, y = agent.variable("x", n, bounds=(0.2, 2.0)), agent.variable("y", (n, n))
    cost, limits = build(x, y)  # type: ignore[operator]
    agent.minimize(cost)
    agent.subject_to(*limits)
    sides = [limit.args[0] - limit.args[1] for limit in limits]
    equal = [side for side, limit in zip(sides, limits, strict=True) if type(limit).__name__ == "Equality"]
    above = [side for side, limit in zip(sides, limits, strict=True) if type(limit).__name__ != "Equality"]
    return agent_tape(agent), [cost, *equal, *above]


def _rich(x: cp.Variable, y: cp.Variable) -> tuple[cp.Expression, list[cp.Constraint]]:
    z = y @ x
    cost = cp.sum_squares(x) + cp.quad_over_lin(z, 1 + cp.square(x[0])) + cp.quad_form(x, np.diag([1.0, -2, 3, 4]))
    return cost, [
        cp.multiply(cp.multiply(x, z), COS(z)) == 1,
        y @ y == 0.5,
        x @ z == 1,
        cp.log(x) / (2 + SIN(x)) <= 3,
        cp.exp(x[1]) * TAN(z[0] / 10) >= -5,
        cp.power(x, 1.5) + cp.sqrt(x) + cp.inv_pos(x) <= 9,
        cp.entr(x) + cp.logistic(z) + cp.log1p(x) + cp.xexp(x) <= 90,
        cp.reshape(y, (2, 8), order="C") @ np.ones(8) <= 3,
        cp.diag(y) + cp.hstack([x[::-1][:2], z[:2]]) <= 5,
        cp.cumsum(cp.square(x)) + cp.cumsum(cp.exp(y), axis=1)[0] <= 8,
        cp.kron(np.eye(2), cp.reshape(cp.exp(x), (2, 2), order="F")) - cp.convolve(np.ones(2), x)[0] <= 9,
        cp.nlp.tanh(x) + cp.nlp.sinh(x) + cp.nlp.asinh(z) + cp.nlp.atanh(x / 3) <= 7,
    ]


_once = cache(lambda: _agent(_rich))  # compiled once; what changes is the point


@EXAMPLES
@given(st.integers(0, 10_000))
def test_first_and_second_derivatives(seed: int) -> None:
    found, expressions = _once()
    rng = np.random.default_rng(seed)
    f = found.functions
    x = np.concatenate([rng.uniform(0.3, 1.9, 4), rng.normal(size=16)])
    nu, zeta = rng.normal(size=f.equations), rng.normal(size=f.inequalities)

    def lagrangian(point: Floats) -> float:
        h, c = f.residuals(point)
        return f.cost(point) + float(nu @ h + zeta @ c)

    def slope(point: Floats) -> Floats:
        of_h, of_c = f.jacobians(point)
        return np.asarray(f.gradient(point) + of_h.T @ nu + of_c.T @ zeta)

    # Along dense directions, which no wrong entry escapes; the points of all examples take many of them.
    directions = rng.normal(size=(3, x.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    steps = 1e-6 * directions
    first = np.array([(lagrangian(x + e) - lagrangian(x - e)) / 2e-6 for e in steps])
    second = np.array([(slope(x + e) - slope(x - e)) / 2e-6 for e in steps])
    hessian = f.hessian(x, nu, zeta).toarray()
    gradient = slope(x)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-13 * np.abs(hessian).max())
    np.testing.assert_allclose(directions @ gradient, first, rtol=1e-6, atol=1e-6 * np.abs(gradient).max())
    np.testing.assert_allclose(directions @ hessian, second, atol=1e-6 * np.abs(hessian).max())
    for variable, value in zip(found.party.variables.values(), found.values(x).values(), strict=True):
        variable.save_value(value)
    h, c = f.residuals(x)
    whole = np.concatenate([[f.cost(x)], h, c])
    expected = np.concatenate([np.ravel(e.value, order="F") for e in expressions])
    np.testing.assert_allclose(whole, expected, rtol=1e-12, atol=1e-12)


def test_patterns_do_not_depend_on_the_point() -> None:
    found, _ = _agent(_rich)
    f = found.functions
    zero = np.zeros(20)
    zero[:4] = 1.0
    other = np.linspace(0.3, 1.0, 20)
    for make in (lambda x: f.jacobians(x)[0], lambda x: f.hessian(x, np.ones(f.equations), np.ones(f.inequalities))):
        one, two = make(zero), make(other)
        np.testing.assert_array_equal(one.indices, two.indices)
        np.testing.assert_array_equal(one.indptr, two.indptr)


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (lambda x: cp.multiply(cp.abs(x), cp.square(x)) <= 1, "abs is not smooth"),
        (lambda x: cp.max(x) <= 1, "max is not smooth"),
        (lambda x: cp.SOC(x[0], x), "write sum_squares(x) <= square(t)"),
    ],
)
def test_what_is_not_smooth_is_named(limit: object, text: str) -> None:
    model = gm.Model("m", convex=False)
    agent = model.agent("home")
    x = agent.variable("x", 3)
    agent.subject_to(limit(x), name="cap")  # type: ignore[operator]
    with pytest.raises(CurvatureError, match=r"cap at .* of home") as found:
        gm.compile(model, "central")
    assert text in str(found.value)


def test_fleets_parameters_and_couplings_are_refused_by_name() -> None:
    model = gm.Model("m", convex=False)
    model.fleet("home", 3).variable("x")
    with pytest.raises(SeparabilityError, match="fleet 'home'"):
        gm.compile(model, "central")

    model = gm.Model("m", convex=False)
    agent = model.agent("a")
    x, p = agent.variable("x"), agent.parameter("p")
    agent.minimize(p * cp.square(x) * x)
    with pytest.raises(DataError, match=r"a\.p has no value"):
        gm.compile(model, "central")

    model = gm.Model("m", convex=False)
    x, y = model.agent("a").variable("x"), model.agent("b").variable("y")
    model.couple(x * y == 1, name="product")
    with pytest.raises(CurvatureError, match=r"coupling 'product' .* is not affine"):
        gm.compile(model, "central")


def test_a_convex_model_says_how_to_allow_other_statements() -> None:
    model = gm.Model("m")
    agent = model.agent("a")
    x = agent.variable("x", 2)
    agent.minimize(cp.sum_squares(x))
    agent.subject_to(x[0] * x[1] == 1)
    with pytest.raises(CurvatureError, match="convex=False"):
        gm.compile(model, "admm")
    with pytest.raises(CurvatureError, match="convex=False"):
        gm.solve(model, "central")
