"""The Pyomo form of expressions against cvxpy's own values, and of whole models against what was declared."""

from __future__ import annotations

from collections.abc import Callable

import cvxpy as cp
import numpy as np
import pyomo.environ as pyo
import pytest
import scipy.sparse as sp
from cvxpy.nlp import asinh, atanh, cos, sin, sinh, tan, tanh

import gridmodel as gm
from gridmodel.errors import CurvatureError
from gridmodel.ipopt import solve_ipopt
from gridmodel.passes.pyomo_model import to_pyomo

WIDE = np.arange(12.0).reshape(3, 4) / 7 - 0.5
SPARSE = sp.csr_array(np.array([[0.0, 2.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]]))

Form = Callable[[cp.Variable, cp.Variable], cp.Expression]
# x has shape (4,), z has shape (3, 4), entries between .2 and .9
SMOOTH: dict[str, Form] = {
    "affine": lambda x, z: 2 * x - 3 + x[::-1] / 4,
    "sparse product": lambda x, z: SPARSE @ x,
    "dense product": lambda x, z: WIDE @ x,
    "matrix and vector": lambda x, z: z @ np.arange(4.0),
    "constant on the left": lambda x, z: np.arange(6.0).reshape(2, 3) @ z,
    "product of variables": lambda x, z: z @ x,
    "matrix product of variables": lambda x, z: z @ z.T,
    "sum": lambda x, z: cp.sum(z),
    "sum of rows": lambda x, z: cp.sum(z, axis=1),
    "sum of columns, kept": lambda x, z: cp.sum(z, axis=0, keepdims=True),
    "slice": lambda x, z: z[1:, ::2],
    "list of entries": lambda x, z: z[[2, 0], [1, 3]],
    "reshape by columns": lambda x, z: cp.reshape(z, (4, 3), order="F"),
    "reshape by rows": lambda x, z: cp.reshape(z, (2, 6), order="C"),
    "vec": lambda x, z: cp.vec(z, order="F"),
    "stacks": lambda x, z: cp.vstack([cp.hstack([x, x[:1]]), cp.hstack([z[0], 1.0])]),
    "transpose": lambda x, z: z.T,
    "diagonal": lambda x, z: cp.diag(x) + cp.diag(cp.diag(z[:, :3])[:1]) * np.ones((4, 4)),
    "trace": lambda x, z: cp.trace(z[:, :3]),
    "cumulated": lambda x, z: cp.cumsum(x),
    "cumulated by columns": lambda x, z: cp.cumsum(z, axis=0) + cp.cumsum(z, axis=1),
    "convolved": lambda x, z: cp.convolve([1.0, -2.0], x),
    "kronecker product": lambda x, z: cp.kron(np.array([[1.0, 2.0]]), z),
    "promoted": lambda x, z: x[0] + np.ones((2, 2)),
    "broadcast": lambda x, z: cp.multiply(z, cp.reshape(x, (1, 4), order="C")),
    "multiply": lambda x, z: cp.multiply(cp.multiply(x, x), cos(x)),
    "division": lambda x, z: x / (1 + x[0]),
    "square": lambda x, z: cp.square(z),
    "powers": lambda x, z: cp.power(x, 3) + cp.power(x, -1) + cp.power(x, 1.5) + cp.sqrt(x),
    "trigonometric": lambda x, z: sin(x) + cos(x) + tan(x),
    "hyperbolic": lambda x, z: sinh(x) + tanh(x) + asinh(x) + atanh(x),
    "exponential": lambda x, z: cp.exp(x) + cp.log(x) + cp.log1p(x) + cp.logistic(x) + cp.xexp(x),
    "entropies": lambda x, z: cp.entr(x) + cp.rel_entr(x, x[::-1]) + cp.kl_div(x, x[::-1]),
    "sum of squares": lambda x, z: cp.sum_squares(z),
    "quadratic over linear": lambda x, z: cp.quad_over_lin(x, x[0] + 1),
    "quadratic form": lambda x, z: cp.quad_form(x, np.diag([1.0, 2.0, 3.0, 4.0]) + 0.5),
    "log of sum of exp": lambda x, z: cp.log_sum_exp(x),
    "log of sums of exp": lambda x, z: cp.log_sum_exp(z, axis=1),
    "product of entries": lambda x, z: cp.prod(x),
}
PRESSED: dict[str, Form] = {
    "abs": lambda x, z: cp.abs(x - 0.5),
    "maximum": lambda x, z: cp.maximum(x, x[::-1], 0.5),
    "positive part": lambda x, z: cp.pos(x - 0.5),
    "max": lambda x, z: cp.max(z),
    "max of rows": lambda x, z: cp.max(z, axis=1),
    "norm 1": lambda x, z: cp.norm1(x - 0.5),
    "norm inf": lambda x, z: cp.norm_inf(x - 0.5),
    "norm 2": lambda x, z: cp.norm(x - 0.5, 2),
    "norms of columns": lambda x, z: cp.norm(z, 2, axis=0),
    "minus min": lambda x, z: -cp.min(z),
    "minus minimum": lambda x, z: -cp.minimum(x, x[::-1]),
}


def declared(form: Form) -> tuple[gm.Model, cp.Expression]:
    """A model that holds y at the expression, with values for its variables."""
    model = gm.Model("one", convex=False)
    agent = model.agent("a")
    x, z = agent.variable("x", 4, bounds=(0.2, 0.9)), agent.variable("z", (3, 4), bounds=(0.2, 0.9))
    rng = np.random.default_rng(5)
    x.value, z.value = rng.uniform(0.2, 0.9, 4), rng.uniform(0.2, 0.9, (3, 4))
    return model, form(x, z)


@pytest.mark.parametrize("name", SMOOTH)
def test_every_entry_has_the_value_that_cvxpy_gives_it(name: str) -> None:
    model, expression = declared(SMOOTH[name])
    agent = model.agents[0]
    y = agent.variable("y", expression.shape or (1,))
    y.value = np.zeros(y.shape)
    limit = cp.reshape(expression, y.shape, order="F") == y
    agent.subject_to(limit, name="same")
    built = to_pyomo(model)
    rows = built.rows[limit.id]
    assert rows.shape == y.shape
    value = np.reshape(expression.value, y.shape)
    for at in np.ndindex(*y.shape):
        assert pyo.value(rows[at].body) - pyo.value(rows[at].upper) == pytest.approx(value[at], abs=1e-12), at


@pytest.mark.parametrize("name", PRESSED)
def test_what_is_not_smooth_is_pressed_down_to_its_value(name: str) -> None:
    model, expression = declared(PRESSED[name])
    agent = model.agents[0]
    fixed = [cp.multiply(v, v) == np.square(v.value) for v in agent.variables.values()]
    agent.subject_to(*fixed)
    agent.minimize(cp.sum(expression))
    expected = float(np.sum(expression.value))
    built = to_pyomo(model)
    assert solve_ipopt(built.program).status == "stationary"
    assert pyo.value(built.program.cost) == pytest.approx(expected, abs=1e-6)


def test_bounds_starts_and_names() -> None:
    model = gm.Model("names", convex=False)
    agent = model.agent("north")
    x = agent.variable("x", (2, 2), bounds=(np.array([[0.0, -1.0], [-np.inf, 2.0]]), 5.0))
    s = agent.variable("s", (2, 2), symmetric=True)
    agent.subject_to(cp.multiply(x, s) <= 1, name="product")
    model.couple(x[0, 0] + s[0, 1] == 2, name="both")
    x.value = np.full((2, 2), 3.0)
    built = to_pyomo(model)
    one = built.variables[x.id]
    assert [v.lb for v in one.flat] == [0.0, -1.0, None, 2.0]
    assert {v.ub for v in one.flat} == {5.0}
    assert [v.value for v in one.flat] == [3.0] * 4
    assert built.variables[s.id][0, 1] is built.variables[s.id][1, 0]
    assert one[1, 0] is built.program.x["north", "x", 2]
    assert set(built.program.couplings) == {("both", 0)}
    assert ("north", "product", 0, 3) in built.program.limits


def test_a_second_order_cone_beside_what_is_not_convex() -> None:
    model = gm.Model("cone", convex=False)
    agent = model.agent("a")
    x, t = agent.variable("x", 2, bounds=(0, 9)), agent.variable("t")
    agent.subject_to(cp.SOC(t, x), cp.multiply(x[0], x[1]) == 2)
    agent.minimize(t)
    built = to_pyomo(model)
    assert solve_ipopt(built.program).status == "stationary"
    assert pyo.value(built.program.cost) == pytest.approx(2.0, abs=1e-6)  # x = (sqrt 2, sqrt 2)


def test_what_has_no_form_is_named_with_its_place() -> None:
    model = gm.Model("no", convex=False)
    agent = model.agent("north")
    x = agent.variable("x", (2, 2))
    agent.subject_to(cp.sigma_max(x) <= 1, name="size")
    with pytest.raises(CurvatureError, match=r"size at test_pyomo_model\.py:\d+ of north uses the atom sigma_max"):
        to_pyomo(model)
    model = gm.Model("no", convex=False)
    x = model.agent("north").variable("x", (2, 2), symmetric=True)
    model["north"].subject_to(x >> 0, name="cone")
    with pytest.raises(CurvatureError, match=r"cone at .* of north is a PSD cone, .* Use equations and inequalities"):
        to_pyomo(model)
    model = gm.Model("no", convex=False)
    model.agent("north").variable("x", (2, 2), PSD=True)
    with pytest.raises(CurvatureError, match=r"variable north\.x is semidefinite"):
        to_pyomo(model)
