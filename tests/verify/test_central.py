"""The centralized reference against closed forms."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from gridmodel.errors import CurvatureError, DataError
from gridmodel.language.model import Model
from gridmodel.verify.central import solve_central


def dispatch(demand=4.1) -> Model:
    model = Model("dispatch")
    for name, alpha, beta, cap in [("g1", -1, 3, 2.1), ("g2", -1, 2, 1.0), ("g3", -1, 2, 5.0)]:
        p = model.agent(name).variable("p", bounds=(0, cap))
        model[name].minimize(cp.square(p - alpha) / (2 * beta))
    model.couple(sum(a["p"] for a in model.agents) == demand, name="balance")
    return model


def test_economic_dispatch():
    central = solve_central(dispatch())
    assert (central.status, central.solver) == ("optimal", "CLARABEL")
    assert central.value == pytest.approx(3.601, abs=1e-7)
    assert [central.variables[g]["p"] for g in ("g1", "g2", "g3")] == pytest.approx([2.06, 1, 1.04], abs=1e-6)
    assert central.price == pytest.approx({"balance": 1.02}, abs=1e-6)
    assert central.dual == pytest.approx({"balance": -1.02}, abs=1e-6)
    assert central.solved
    assert central.culprit is None
    assert central.seconds > 0


def test_a_linear_program_goes_to_highs_and_prices_are_the_marginal_units():
    model = Model()
    for name, price in [("cheap", 10), ("dear", 30)]:
        p = model.agent(name).variable("p", bounds=(0, None))
        model[name].minimize(price * p)
    line = model.agent("line").variable("flow", bounds=(-60, 60))
    model.couple(model["cheap"]["p"] - line == 0, name="bus 1")
    model.couple(model["dear"]["p"] + line == 100, name="bus 2")
    central = solve_central(model)
    assert (central.status, central.solver) == ("optimal", "HIGHS")
    assert central.value == pytest.approx(60 * 10 + 40 * 30)
    assert central.price == pytest.approx({"bus 1": 10, "bus 2": 30})


def test_cones_of_every_kind_in_closed_form():
    model = Model()
    x = model.agent("ball").variable("x", 2)
    model["ball"].minimize(cp.sum(x))
    model["ball"].subject_to(cp.norm(x, 2) <= 1)  # -sqrt(2)
    y = model.agent("exp").variable("y")
    model["exp"].minimize(cp.exp(y) - 2 * y)  # 2 - 2 log 2
    z = model.agent("psd").variable("Z", (2, 2), PSD=True)
    model["psd"].minimize(cp.trace(np.array([[1.0, 2], [2, 1]]) @ z))  # least eigenvalue -1, trace 1
    model["psd"].subject_to(cp.trace(z) == 1)
    central = solve_central(model)
    assert central.value == pytest.approx(-np.sqrt(2) + 2 - 2 * np.log(2) - 1, abs=1e-6)
    assert central.variables["psd"]["Z"] == pytest.approx(np.array([[0.5, -0.5], [-0.5, 0.5]]), abs=1e-4)


def test_costs_of_agents_fleets_and_the_model_add_up():
    model = Model()
    p = model.fleet("home", 3).variable("p", 2)
    model["home"].minimize(cp.sum(cp.square(p - 1), axis=1))
    model["home"].minimize(cp.sum(p))
    model.minimize(cp.square(cp.sum(p) - 9))
    # Six equal p: 6 (p - 1)^2 + 6 p + (6 p - 9)^2 is least at p = 19/14.
    central = solve_central(model)
    least = 19 / 14
    assert central.variables["home"]["p"] == pytest.approx(np.full((3, 2), least), abs=1e-6)
    assert central.value == pytest.approx(6 * (least - 1) ** 2 + 6 * least + (6 * least - 9) ** 2, abs=1e-6)


def test_a_variable_without_use_rests_at_its_bound_nearest_to_zero():
    model = dispatch()
    model["g1"].variable("idle", 2, bounds=(2, 5))
    model["g1"].variable("free")
    central = solve_central(model)
    assert central.variables["g1"]["idle"].tolist() == [2, 2]
    assert central.variables["g1"]["free"] == 0


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_units_of_variables_and_rows_do_not_change_value_or_price(scale):
    model = Model()
    for name, alpha, beta, cap in [("g1", -1, 3, 2.1), ("g2", -1, 2, 1.0), ("g3", -1, 2, 5.0)]:
        p = model.agent(name).variable("p", bounds=(0, cap * scale))
        model[name].minimize(cp.square(p / scale - alpha) / (2 * beta))
    model.couple(sum(a["p"] for a in model.agents) == 4.1 * scale, name="balance")
    central = solve_central(model)
    assert central.value == pytest.approx(3.601, rel=1e-6)
    assert central.price["balance"] * scale == pytest.approx(1.02, rel=1e-5)


def test_infeasible_and_unbounded_have_infinite_values():
    assert solve_central(dispatch(9)).status == "infeasible"
    assert solve_central(dispatch(9)).value == np.inf
    model = dispatch()
    model["g1"].minimize(-model["g1"].variable("x"))
    assert solve_central(model).status == "unbounded"
    assert solve_central(model).value == -np.inf
    assert not solve_central(model).solved


def test_infeasible_wins_over_a_ray_of_falling_cost():
    model = dispatch(9)
    model["g1"].minimize(-model["g1"].variable("x"))
    assert solve_central(model).status == "infeasible"


def test_parameters_need_finite_values():
    model = dispatch()
    price = model["g1"].parameter("price")
    model["g1"].minimize(price * model["g1"]["p"])
    with pytest.raises(DataError, match=r"the cost of g1 at .*: parameter g1\.price has no value"):
        solve_central(model)
    price.value = np.inf
    with pytest.raises(DataError, match=r"parameter g1\.price holds NaN"):
        solve_central(model)
    price.value = 0.0
    assert solve_central(model).value == pytest.approx(3.601, abs=1e-7)


def test_a_constant_that_is_not_finite_is_named():
    model = dispatch()
    model.couple(model["g1"]["p"] <= np.inf, name="cap")
    with pytest.raises(DataError, match=r"coupling 'cap' at .*: a constant holds NaN or infinity"):
        solve_central(model)


def test_what_is_not_convex_is_named():
    model = dispatch()
    model["g2"].minimize(cp.sqrt(model["g2"]["p"]))
    with pytest.raises(CurvatureError, match=r"the cost of g2 at test_central\.py:\d+ is concave"):
        solve_central(model)
    model = dispatch()
    model["g3"].subject_to(cp.square(model["g3"]["p"]) >= 1, name="outside")
    with pytest.raises(CurvatureError, match=r"outside at test_central\.py:\d+ of g3 is not convex"):
        solve_central(model)
    model = dispatch()
    model.couple(cp.square(model["g1"]["p"]) == model["g2"]["p"], name="curve")
    with pytest.raises(CurvatureError, match="coupling 'curve'"):
        solve_central(model)


def test_the_users_values_are_left_alone():
    model = dispatch()
    model["g1"]["p"].value = 0.5
    assert solve_central(model).solved
    assert model["g1"]["p"].value == 0.5
    assert model["g2"]["p"].value is None


def test_values_out_of_bounds_by_rounding_do_no_harm():
    model = dispatch()
    p = model["g1"]["p"]
    model["g1"].minimize(cp.abs(p))
    first = solve_central(model)
    p.save_value(np.array(-1e-3))  # as an inaccurate solver leaves it; cvxpy alone refuses to compile then
    assert solve_central(model).value == pytest.approx(first.value)
