"""Generators, panels, loads and cars against answers in closed form."""

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.devices import battery, ev, generator, load, pv
from tests.devices.days import horizon, optimum, without_policy


def test_a_generator_runs_where_its_marginal_cost_meets_the_price() -> None:
    model, day = horizon(4, 0.5)
    price, part = np.array([0.1, 0.3, 0.5, 0.5]), np.array([1.0, 1.0, 1.0, 0.25])
    generator(day, [10.0, 5.0], 0.2, 0.02, availability=part, price=price)
    made = np.clip((price - 0.2) / 0.04, 0.0, np.array([[10.0], [5.0]]) * part)
    cost, result = optimum(model)
    assert cost == pytest.approx(0.5 * (0.2 * made + 0.02 * made**2 - price * made).sum(), abs=1e-6)
    np.testing.assert_allclose(result["it"]["generation"], -made, atol=1e-4)


def test_a_generator_rests_without_a_policy() -> None:
    model, day = horizon(2)
    generator(day, 10.0, 0.2)
    cost, leaves = without_policy(model, {"price": [0.1, 0.9]})
    assert not cost.any()
    assert not leaves["action", "generation"].any()


def test_panels_are_curtailed_where_the_price_is_negative() -> None:
    model, day = horizon(3)
    pv(day, [2.0, 4.0], price=[0.3, -0.2, 0.1], sun=[0.5, 1.0, 0.0])
    cost, result = optimum(model)
    assert cost == pytest.approx(-6.0 * 0.5 * 0.3, abs=1e-6)
    np.testing.assert_allclose(result["it"]["curtailed"][:, 1], [2.0, 4.0], atol=1e-5)
    free, leaves = without_policy(model, {"price": [0.3, -0.2, 0.1], "sun": [0.5, 1.0, 0.0]})
    assert free == pytest.approx([-0.3 + 0.4, -0.6 + 0.8])
    assert not leaves["action", "curtailed"].any()


def test_loads_pay_for_what_they_draw_beside_a_battery_on_one_horizon() -> None:
    model, day = horizon(2)
    drawn = load(day, 3.0, price=[0.2, 0.4], load=[[1.0, 2.0], [0.0, 1.0]])
    battery(day, 1.0, 4.0, efficiency=1.0)
    assert drawn.value == pytest.approx(np.array([[3.0, 6.0], [0.0, 3.0]]))
    assert optimum(model)[0] == pytest.approx(0.2 * 3.0 + 0.4 * 9.0 - 2 * 0.2, abs=1e-6)


def test_a_car_leaves_with_what_it_needs_and_charges_when_it_is_cheap() -> None:
    model, day = horizon(24)
    price = np.full(24, 0.3)
    price[[2, 20]] = 0.1
    ev(day, 5.0, 40.0, arrive=18.0, depart=7.0, needed=20.0, used=11.0, start=13.0, efficiency=0.8, price=price)
    cost, result = optimum(model)
    # 7 kWh are missing until 7, of which one cheap hour gives 4; 13 - 9 after 18, one cheap hour's.
    assert cost == pytest.approx(2 * (0.1 * 5.0 + 0.3 * 3.0 / 0.8 + 0.1 * 5.0), abs=1e-5)
    level, power = result["it"]["in car"], result["it"]["charging"]
    assert level[:, 7] == pytest.approx([20.0, 20.0], abs=1e-4)
    assert level[:, 18] == pytest.approx([9.0, 9.0], abs=1e-4)
    assert np.abs(power[:, 7:18]).max() < 1e-6


def test_a_car_without_a_policy_charges_as_late_as_it_can() -> None:
    model, day = horizon(24)
    ev(day, 5.0, 40.0, arrive=18.0, depart=7.0, needed=20.0, used=11.0, start=13.0, efficiency=0.8)
    _, leaves = without_policy(model, {"price": np.ones(24)})
    power = leaves["action", "charging"][0]
    expected = np.zeros(24)
    expected[[5, 6, 23]] = [3.0 / 0.8, 5.0, 5.0]
    np.testing.assert_allclose(power, expected, atol=1e-9)


def test_a_car_at_work_is_plugged_in_by_day() -> None:
    model, day = horizon(24)
    ev(day, 5.0, 40.0, arrive=9.0, depart=17.0, needed=20.0, used=16.0, start=12.0)
    _, leaves = without_policy(model, {"price": np.ones(24)})
    power, level = leaves["action", "charging"], leaves["state", "in car"]
    assert not power[:, :9].any()
    assert not power[:, 17:].any()
    assert level[0, 9] == pytest.approx(12.0 - 9.0)
    assert (level[:, 17] >= 20.0 - 1e-9).all()
    assert (level[:, 24] >= 12.0 - 1e-9).all()


def test_says_that_a_car_cannot_be_charged_in_time() -> None:
    with pytest.raises(gm.ModelError, match=r"it\[1\]: at hour 7 the car holds at most 12.3 kWh of the 20 needed"):
        ev(horizon(24)[1], [5.0, 0.1], 40.0, depart=7.0, needed=20.0, start=11.7, efficiency=0.9)


def test_says_that_a_series_has_two_values() -> None:
    _, day = horizon(2)
    load(day, price=[0.2, 0.4], load=np.ones((2, 2)))
    with pytest.raises(gm.ModelError, match="'price' has values already"):
        battery(day, 1.0, 4.0, price=[0.2, 0.5])
