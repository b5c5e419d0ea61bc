"""Agents, fleets and couplings: what the model remembers, and what it refuses."""

from __future__ import annotations

import inspect
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.errors import (
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    ShapeError,
    UnitError,
    UnknownNameError,
)
from gridmodel.language.model import Model

HERE = Path(__file__).name


def line() -> int:
    """The caller's line."""
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture
def model() -> Model:
    model = Model("m")
    for name, unit in [("a", "kW"), ("b", "kW"), ("c", None)]:
        model.agent(name).variable("x", (2,), unit=unit)
    return model


def test_places_name_the_users_line(model):
    model["a"].minimize(cp.sum_squares(model["a"]["x"]))
    minimized = line() - 1
    model["a"].subject_to(model["a"]["x"] <= 1, name="cap")
    limited = line() - 1
    model.couple(model["a"]["x"] == model["b"]["x"], name="link")
    coupled = line() - 1
    assert str(model["a"].costs[0].place) == f"{HERE}:{minimized}"
    assert str(model["a"].limits[0]) == f"cap at {HERE}:{limited}"
    assert str(model.couplings[0]) == f"coupling 'link' at {HERE}:{coupled}"


def test_agents_keep_their_order_and_names():
    model = Model()
    model.agent("z")
    home = model.fleet("home", 2)
    model.agent("a")
    assert [party.name for party in model.agents] == ["z", "home", "a"]
    assert list(home.labels()) == ["home[0]", "home[1]"]
    assert model["home"] is home


def test_a_fleet_puts_its_axis_in_front():
    home = Model().fleet("home", 3)
    assert home.variable("charge", 24).shape == (3, 24)
    assert home.variable("size").shape == (3,)
    assert home.variable("grid", (2, 4)).shape == (3, 2, 4)
    assert home.parameter("load", 24).shape == (3, 24)
    assert home.parameter("price", 24, shared=True).shape == (24,)


def test_costs_add_up_and_a_fleet_may_give_one_an_agent():
    home = Model().fleet("home", 3)
    x = home.variable("x", 4)
    home.minimize(cp.sum(cp.square(x), axis=1))
    home.minimize(cp.sum(x))
    assert [cost.expression.shape for cost in home.costs] == [(3,), ()]


@pytest.mark.parametrize("cost", ["x", "columns"])
def test_a_cost_of_another_shape_is_refused(cost):
    home = Model().fleet("home", 3)
    x = home.variable("x", 4)
    with pytest.raises(ShapeError, match=r"home at .* has shape .*expected a scalar or a vector of shape \(3,\)"):
        home.minimize(x if cost == "x" else cp.sum(x, axis=0))


def test_an_agents_vector_cost_is_refused(model):
    with pytest.raises(ShapeError, match=r"shape \(2,\), expected a scalar.*cp\.sum"):
        model["a"].minimize(cp.square(model["a"]["x"]))


def test_a_models_cost_is_a_scalar_of_its_own_variables(model):
    model.minimize(cp.square(cp.sum(model["a"]["x"] + model["b"]["x"])))
    assert len(model.costs) == 1
    with pytest.raises(ShapeError, match="expected a scalar"):
        model.minimize(model["a"]["x"] + model["b"]["x"])
    with pytest.raises(ForeignVariableError, match="stranger, which no agent"):
        model.minimize(cp.Variable(name="stranger"))


def test_names_are_unique(model):
    with pytest.raises(DuplicateNameError, match=f"'a' exists already, declared at {HERE}"):
        model.agent("a")
    with pytest.raises(DuplicateNameError, match="'a' exists already"):
        model.fleet("a", 3)
    with pytest.raises(DuplicateNameError, match="has a variable or parameter 'x' already"):
        model["a"].parameter("x")
    model.couple(model["a"]["x"] == model["b"]["x"], name="link")
    with pytest.raises(DuplicateNameError, match="coupling 'link'"):
        model.couple(model["a"]["x"] <= model["b"]["x"], name="link")


def test_couplings_without_a_name_are_numbered(model):
    model.couple(model["a"]["x"] == model["b"]["x"])
    model.couple(model["a"]["x"] == model["c"]["x"])
    assert [coupling.name for coupling in model.couplings] == ["coupling1", "coupling2"]


def test_unknown_names_list_what_there_is(model):
    with pytest.raises(UnknownNameError, match="no agent 'z'; it has a, b, c"):
        model["z"]
    with pytest.raises(UnknownNameError, match="a has no variable or parameter 'y'; it has x"):
        model["a"]["y"]


@pytest.mark.parametrize("name", ["", 7])
def test_an_agents_name_is_a_text(name):
    with pytest.raises(ModelError, match="non-empty text"):
        Model().agent(name)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_fleets_size_is_a_whole_number(size):
    with pytest.raises(ShapeError, match="whole number of at least 1"):
        Model().fleet("home", size)


@pytest.mark.parametrize("shape", [0, -2, (2, 0), (1.5,)])
def test_shapes_are_whole_numbers(shape):
    with pytest.raises(ShapeError, match=r"variable g\.x: a shape is made of whole numbers"):
        Model().agent("g").variable("x", shape)


def test_units_must_agree_in_a_coupling(model):
    model["c"].variable("e", (2,), unit="kWh")
    model.couple(model["a"]["x"] + model["c"]["x"] <= 1, name="fine")
    assert model.couplings[0].unit == "kW"
    with pytest.raises(UnitError, match=r"coupling 'bad' at .* mixes units: .* is in kW.* is in kWh"):
        model.couple(model["a"]["x"] + model["c"]["e"] <= 1, name="bad")


def test_foreign_variables_are_named(model):
    a, b = model["a"], model["b"]
    with pytest.raises(ForeignVariableError, match=r"uses b\.x, a variable of another agent.*model\.couple"):
        a.subject_to(a["x"] <= b["x"])
    with pytest.raises(ForeignVariableError, match=r"uses b\.x, a variable of another agent.*model\.minimize"):
        a.minimize(cp.sum(b["x"]))
    other = Model().agent("o").variable("x")
    with pytest.raises(ForeignVariableError, match=r"uses o\.x, which no agent of this model declared"):
        model.couple(a["x"] <= other, name="mixed")
    with pytest.raises(ForeignVariableError, match="has no variable of any agent"):
        model.couple(cp.Parameter(value=1.0) <= 2, name="empty")


def test_constraints_that_are_none_are_explained(model):
    with pytest.raises(ModelError, match="the constraint has no variable: Python compared two values and got True"):
        model["a"].subject_to(1 <= 2)
    with pytest.raises(ModelError, match=r"got list\. Pass several constraints one after the other"):
        model["a"].subject_to([model["a"]["x"] <= 1])
    with pytest.raises(ModelError, match="expected a constraint"):
        model.couple(model["a"]["x"] + model["b"]["x"])


@pytest.mark.parametrize("attribute", ["integer", "boolean", "complex"])
def test_attributes_that_break_convexity_are_refused(attribute):
    with pytest.raises(ModelError, match=f"attribute '{attribute}' is not supported"):
        Model().agent("g").variable("x", **{attribute: True})


def test_matrix_attributes():
    model = Model()
    assert model.agent("g").variable("X", (2, 2), PSD=True).attributes["PSD"]
    with pytest.raises(ModelError, match="'PSD' is not supported for a fleet"):
        model.fleet("home", 2).variable("X", (2, 2), PSD=True)
    with pytest.raises(ModelError, match="excludes bounds"):
        model["g"].variable("Y", (2, 2), PSD=True, bounds=(0, 1))


def test_parameters_hold_finite_values_of_their_shape():
    home = Model().fleet("home", 2)
    assert home.parameter("one", value=3.0).value.tolist() == [3, 3]
    assert home.parameter("columns", 3, value=[1, 2, 3]).value.tolist() == [[1, 2, 3]] * 2
    assert home.parameter("later").value is None
    with pytest.raises(DataError, match=r"parameter home\.bad: the value holds NaN"):
        home.parameter("bad", value=np.nan)
    with pytest.raises(ShapeError, match=r"parameter home\.wide: got a value of shape \(5,\) for \(2, 3\)"):
        home.parameter("wide", 3, value=np.ones(5))
    with pytest.raises(ShapeError, match="sign"):
        home.parameter("sign", value=-1.0, nonneg=True)


class TestAgree:
    def test_by_name_chains_all_that_have_one(self):
        model = Model()
        for name in "abc":
            model.agent(name).variable("theta", (2,))
        model.agent("other").variable("y")
        model.agree("theta")
        pairs = [[v.name() for v in coupling.constraint.variables()] for coupling in model.couplings]
        assert pairs == [["a.theta", "b.theta"], ["b.theta", "c.theta"]]
        assert len({coupling.name for coupling in model.couplings}) == 2

    def test_a_fleet_agrees_row_by_row(self):
        model = Model()
        theta = model.fleet("home", 3).variable("theta")
        model.agree("theta")
        theta.value = np.array([1.0, 1.0, 4.0])
        assert [list(c.constraint.violation()) for c in model.couplings] == [[0, 3]]

    def test_a_fleet_and_an_agent_agree_through_the_first_row(self):
        model = Model()
        theta = model.fleet("home", 3).variable("theta", 2)
        other = model.agent("boss").variable("theta", 2)
        model.agree("theta")
        theta.value = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]])
        other.value = np.array([1.0, 5.0])
        assert [float(np.max(c.constraint.violation())) for c in model.couplings] == [0, 3]

    def test_just_these(self):
        model = Model()
        x, y = model.agent("a").variable("x"), model.agent("b").variable("y")
        model.agree(x, y)
        assert len(model.couplings) == 1

    def test_what_does_not_fit(self):
        model = Model()
        model.agent("a").variable("theta", 2)
        with pytest.raises(UnknownNameError, match="two agents with a variable of this name, found 1"):
            model.agree("theta")
        model.agent("b").variable("theta", 3)
        with pytest.raises(ShapeError, match="shapes differ"):
            model.agree("theta")
