"""Wrong models through the public door: each ends in an error or a status that names what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import (
    CurvatureError,
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    NotApplicableError,
    SeparabilityError,
    ShapeError,
    TopologyError,
)
from gridmodel.ir.result import Status

HERE = re.escape(Path(__file__).name)


def dispatch(demand: float = 4.1) -> gm.Model:
    model = gm.Model("dispatch")
    for name, alpha, beta, cap in [("g1", -1, 3, 2.1), ("g2", -1, 2, 1.0), ("g3", -1, 2, 5.0)]:
        p = model.agent(name).variable("p", bounds=(0, cap), unit="kW")
        model[name].minimize(cp.square(p - alpha) / (2 * beta))
    model.couple(sum(a["p"] for a in model.agents) == demand, name="balance")
    return model


def homes(size: int = 4) -> gm.Model:
    model = gm.Model("homes")
    fleet = model.fleet("home", size)
    x = fleet.variable("x", 3, bounds=(0, 1))
    fleet.minimize(cp.sum_squares(x - 0.7))
    model.couple(cp.sum(x, axis=0) <= 0.5 * size, name="cap")
    return model


METHODS = ["auto", "admm", "central"]


@pytest.mark.parametrize("method", METHODS)
def test_contradicting_limits_of_an_agent(method):
    model = dispatch()
    model["g2"].subject_to(model["g2"]["p"] >= 2, name="least")
    result = gm.solve(model, method)
    assert result.status is Status.INFEASIBLE
    assert "agent 'g2'" in result.culprit
    assert "least" in result.culprit


@pytest.mark.parametrize("method", METHODS)
def test_a_row_of_a_fleet_that_cannot_hold(method):
    model = homes()
    model["home"].subject_to(cp.sum(model["home"]["x"], axis=1) >= np.array([0, 0, 5, 0]), name="energy")
    result = gm.solve(model, method)
    assert result.status is Status.INFEASIBLE
    assert "home[2]" in result.culprit


@pytest.mark.parametrize("method", METHODS)
def test_a_coupling_out_of_reach(method):
    result = gm.solve(dispatch(demand=9), method)
    assert result.status is Status.INFEASIBLE
    assert "coupling 'balance'" in result.culprit
    assert "8.1 of 9" in result.culprit


@pytest.mark.parametrize("method", METHODS)
def test_an_agent_whose_cost_falls_without_end(method):
    model = dispatch()
    model["g3"].minimize(-model["g3"].variable("spill", bounds=(0, None)))
    result = gm.solve(model, method)
    assert result.status is Status.UNBOUNDED
    assert "'spill' of agent 'g3'" in result.culprit


@pytest.mark.parametrize("method", METHODS)
def test_a_cost_that_is_not_convex(method):
    model = dispatch()
    model["g2"].minimize(cp.sqrt(model["g2"]["p"]))
    with pytest.raises(CurvatureError, match=rf"g2.* at {HERE}:\d+"):
        gm.solve(model, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_and_a_coupling_that_are_not_convex(method):
    model = dispatch()
    model["g3"].subject_to(cp.square(model["g3"]["p"]) >= 1, name="outside")
    with pytest.raises(CurvatureError, match=r"(?s)(outside.*g3|g3.*outside)") as caught:
        gm.solve(model, method)
    assert re.search(rf"{HERE}:\d+", str(caught.value))
    model = dispatch()
    model.couple(cp.square(model["g1"]["p"]) == model["g2"]["p"], name="curve")
    with pytest.raises(CurvatureError, match="coupling 'curve'"):
        gm.solve(model, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_constant_that_is_not_finite(method, bad):
    model = dispatch()
    model["g1"].minimize(bad * model["g1"]["p"])
    with pytest.raises(DataError, match=rf"g1.* at {HERE}:\d+"):
        gm.solve(model, method)
    model = dispatch()
    model.couple(model["g1"]["p"] <= bad, name="cap")
    with pytest.raises(DataError, match="coupling 'cap'"):
        gm.solve(model, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_fleets_constant_that_is_not_finite(method):
    model = homes()
    model["home"].minimize(cp.sum(cp.multiply(np.array([1, 1, np.nan, 1])[:, None], model["home"]["x"])))
    with pytest.raises(DataError, match=rf"home.* at {HERE}:\d+"):
        gm.solve(model, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_parameter_without_a_value(method):
    model = dispatch()
    price = model["g1"].parameter("price")
    model["g1"].minimize(price * model["g1"]["p"])
    with pytest.raises(DataError, match=r"parameter g1\.price.* has no value"):
        gm.solve(model, method)
    price.value = np.inf
    with pytest.raises(DataError, match=r"g1\.price"):
        gm.solve(model, method)


def test_a_parameters_first_value_is_checked():
    agent = gm.Model().agent("g")
    with pytest.raises(DataError, match=r"g\.price: the value holds NaN"):
        agent.parameter("price", value=np.nan)
    with pytest.raises(ShapeError, match=r"g\.prices: got a value of shape \(3,\) for \(2,\)"):
        agent.parameter("prices", 2, value=np.ones(3))


@pytest.mark.parametrize(
    ("touch", "rows"),
    [
        (lambda x: x[1:, 0] <= x[:-1, 0], "0, 1, 2, 3"),
        (lambda x: cp.sum(x, axis=0) <= 1, "0, 1, 2, 3"),
        (lambda x: cp.sum(x) <= 1, "0, 1, 2, 3"),
        (lambda x: x[0] + x[2] <= 1, "0, 2"),
        (lambda x: cp.norm(x[:, 0], 2) <= 1, "0, 1, 2, 3"),
        (lambda x: np.ones((4, 4)) @ x <= 4, "0, 1, 2, 3"),
    ],
    ids=["shifted", "sum over homes", "sum", "two rows", "norm over homes", "matrix from the left"],
)
def test_a_fleets_row_that_touches_another(touch, rows):
    model = homes()
    model["home"].subject_to(touch(model["home"]["x"]), name="touching")
    with pytest.raises(SeparabilityError, match=rf"home: touching at {HERE}:\d+ ties rows {rows} of the fleet"):
        gm.solve(model, "admm")


def test_a_fleets_cost_that_ties_rows():
    model = homes()
    model["home"].minimize(cp.square(cp.sum(model["home"]["x"])))
    with pytest.raises(SeparabilityError, match=rf"home: the cost at {HERE}:\d+ ties rows 0, 1, 2, 3"):
        gm.solve(model, "admm")


def test_two_agents_of_one_name():
    model = dispatch()
    with pytest.raises(DuplicateNameError, match=rf"'g1' exists already, declared at {HERE}"):
        model.agent("g1")


def test_a_foreign_variable():
    model = dispatch()
    with pytest.raises(ForeignVariableError, match=r"g2\.p, a variable of another agent"):
        model["g1"].subject_to(model["g1"]["p"] <= model["g2"]["p"])
    with pytest.raises(ForeignVariableError, match=r"x, which no agent of this model declared"):
        model.couple(cp.Variable(name="x") <= 1)


def test_an_unknown_algorithm():
    with pytest.raises(ModelError, match="admm") as caught:
        gm.solve(dispatch(), "amdm")
    assert "amdm" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("tolerance", 0.0), ("tolerance", -1.0), ("tolerance", np.nan), ("prefer", "luck")]
)
def test_options_that_make_no_sense(name, value):
    with pytest.raises(ModelError, match=name):
        gm.solve(dispatch(), "admm", **{name: value})


def test_a_model_without_agents():
    with pytest.raises(ModelError, match="agent"):
        gm.solve(gm.Model("empty"))


@pytest.mark.parametrize("method", ["dual"])
def test_algorithms_that_need_a_coordinator_where_none_is_allowed(method):
    model = dispatch()
    model.connect(nx.path_graph(["g1", "g2", "g3"]), coordinator=False)
    with pytest.raises((NotApplicableError, TopologyError), match="coordinator"):
        gm.solve(model, method)


def test_dual_decomposition_refuses_a_linear_cost():
    model = dispatch()
    model["g3"].costs.clear()
    model["g3"].minimize(model["g3"]["p"])
    with pytest.raises(NotApplicableError, match=r"dual.*g3|g3.*dual|curv|convex"):
        gm.solve(model, "dual")
