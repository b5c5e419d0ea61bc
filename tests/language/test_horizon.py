"""Agents over a day: what may be said of them, and what is refused."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import (
    BoundsError,
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    ShapeError,
    UnknownNameError,
)
from gridmodel.language.horizon import Horizon


def battery(count: int = 2, steps: int = 4) -> tuple[gm.Model, Horizon]:
    model = gm.Model("day")
    day = model.fleet("battery", count).horizon(steps, hours=0.5)
    price = day.series("price", value=np.linspace(0.1, 0.4, steps), shared=True, known=True)
    p = day.action("p", bounds=(-3, 3), unit="kW")
    e = day.state("e", start=5, bounds=(0, 10), unit="kWh")
    up, down = day.parts("p")
    day.next("e", e[:, :-1] + 0.5 * (0.9 * up - down / 0.9))
    day.minimize(0.5 * cp.multiply(price, p) + 0.001 * cp.square(p))
    return model, day


def test_a_day_is_an_ordinary_model_to_every_solver() -> None:
    model, _ = battery()
    result = gm.solve(model, "central")
    e, p = result["battery"]["e"], result["battery"]["p"]
    stored = 0.5 * (0.9 * np.maximum(p, 0) - np.maximum(-p, 0) / 0.9)
    assert np.allclose(np.diff(e, axis=1), stored, atol=1e-5)
    assert np.allclose(e[:, 0], 5)
    # With four steps of half an hour the battery empties: 5 kWh give 4.5 kWh, less what the quadratic cost keeps back.
    assert gm.solve(model).value == pytest.approx(result.value, abs=1e-4)
    assert np.allclose(-0.5 * p.sum(axis=1), 4.5, atol=1e-4)


def test_one_agent_and_a_fleet_of_one_say_the_same() -> None:
    model = gm.Model("one")
    day = model.agent("tank").horizon(3)
    u, x = day.action("u", bounds=(0, 2)), day.state("x", start=1)
    day.next("x", 0.5 * x[:-1] + u)
    day.minimize(cp.square(x[1:] - 2) + 0.1 * u)
    fleet = gm.Model("fleet")
    wide = fleet.fleet("tank", 1).horizon(3)
    v, y = wide.action("u", bounds=(0, 2)), wide.state("x", start=1)
    wide.next("x", 0.5 * y[:, :-1] + v)
    wide.minimize(cp.square(y[:, 1:] - 2) + 0.1 * v)
    assert gm.solve(model, "central").value == pytest.approx(gm.solve(fleet, "central").value, abs=1e-7)


def test_bounds_of_actions_follow_series() -> None:
    model = gm.Model("sun")
    day = model.fleet("pv", 2).horizon(3)
    sun = day.series("sun", value=[[0, 1, 2], [0, 2, 4]])
    p = day.action("p", bounds=(-3 * sun, 0), unit="kW")
    day.minimize(p)
    assert gm.solve(model, "central").value == pytest.approx(-3 * 9, abs=1e-5)


@pytest.mark.parametrize("bounds", [(-3, 2), (0, 2), (-3, 0), (1, 2), (-3, -1), (0, 0)])
def test_parts_between_bounds_are_those_of_every_action_and_cost_no_more(bounds: tuple[float, float]) -> None:
    for wanted in np.linspace(*bounds, 5):
        model = gm.Model("parts")
        day = model.agent("one").horizon(1)
        p, (up, down) = day.action("p", bounds=bounds), day.parts("p")
        day.minimize(1000 * cp.square(p - wanted) + up + down)
        result = gm.solve(model, "central")["one"]
        assert result["p up"] == pytest.approx(max(wanted, 0), abs=1e-3)
        assert result["p down"] == pytest.approx(max(-wanted, 0), abs=1e-3)


def test_parts_of_one_action_are_within_the_hull_of_those_where_one_is_zero() -> None:
    model = gm.Model("parts")
    day = model.agent("one").horizon(1)
    day.action("p", bounds=(-3, 2))
    up, down = day.parts("p")
    day.minimize(-3 * up - 2.5 * down)
    # Without the hull 6 + 7.5 or more; its corners are (2, 0) and (0, 3).
    assert gm.solve(model, "central").value == pytest.approx(-7.5, abs=1e-6)


def refuse_two_horizons(day: Horizon) -> Any:
    return day.party.horizon(4)


def refuse_action_without_bound(day: Horizon) -> Any:
    return day.action("u", bounds=(0, None))


def refuse_infinite_bound(day: Horizon) -> Any:
    return day.action("u", bounds=(0, np.inf))


def refuse_crossing(day: Horizon) -> Any:
    return day.action("u", bounds=(2, 1))


def refuse_start(day: Horizon) -> Any:
    return day.state("f", start=11, bounds=(0, 10))


def refuse_start_that_is_none(day: Horizon) -> Any:
    return day.state("f", start=np.nan, bounds=(0, 10))


def refuse_no_bounds(day: Horizon) -> Any:
    return day.action("u")


def refuse_sum(day: Horizon) -> Any:
    return day.minimize(cp.sum(day.actions["p"].variable))


def refuse_half_steps(day: Horizon) -> Any:
    return day.observe(day.known["price"].parameter, ahead=1.5)  # type: ignore[arg-type]


def refuse_past(day: Horizon) -> Any:
    return day.observe(day.known["price"].parameter, ahead=(1, -1))


def refuse_number_as_place(day: Horizon) -> Any:
    return day.draw(day.actions["p"].variable, at=[671, 634])  # type: ignore[list-item]


def refuse_negative_rating(day: Horizon) -> Any:
    return day.draw(day.actions["p"].variable, at="1.1", rating=[3, -4])


def refuse_unknown_state(day: Horizon) -> Any:
    return day.next("f", 0)


def refuse_second_next(day: Horizon) -> Any:
    return day.next("e", 0)


def refuse_shape(day: Horizon) -> Any:
    return day.minimize(cp.sum(day.states["e"].variable[:, 1:], axis=1))


def refuse_foreign(day: Horizon) -> Any:
    return day.observe(cp.Variable((2, 4)))


def refuse_future(day: Horizon) -> Any:
    return day.observe(day.series("load"), ahead=2)


def refuse_places(day: Horizon) -> Any:
    return day.draw(day.actions["p"].variable, at=["1.1", "2.1", "3.1"])


def refuse_droop_without_rating(day: Horizon) -> Any:
    return day.draw(day.actions["p"].variable, at="1.1", droop=object())


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        (refuse_two_horizons, DuplicateNameError, "battery has a horizon already; use battery.day"),
        (refuse_action_without_bound, ModelError, "an action needs both bounds"),
        (refuse_infinite_bound, ModelError, "one is infinite"),
        (refuse_crossing, BoundsError, "the lower bound 2 exceeds"),
        (refuse_start, DataError, r"state battery.f: the start 11 of battery\[0\] lies outside its bounds, 0 to 10"),
        (refuse_start_that_is_none, DataError, "state battery.f: start: got nan, expected a finite number"),
        (refuse_no_bounds, ModelError, "action battery.u: an action needs both bounds"),
        (refuse_sum, ShapeError, r"the cost of battery at test_horizon.py:\d+ is one number, expected \(2, 4\)"),
        (refuse_half_steps, ModelError, "battery observes ahead=1.5: whole steps"),
        (refuse_past, ModelError, "battery observes ahead=-1: whole steps"),
        (refuse_number_as_place, ModelError, r'draw.* of battery at .*: a place is a text such as "60.1", got 671'),
        (refuse_negative_rating, DataError, "draw.* of battery at .*: rating is -4, expected kVA of at least 0"),
        (refuse_unknown_state, UnknownNameError, "battery has no state 'f'; it has e"),
        (refuse_second_next, DuplicateNameError, "what comes next of battery.e is said at test_horizon.py"),
        (refuse_shape, ShapeError, "the cost of battery at test_horizon.py"),
        (refuse_foreign, ForeignVariableError, "no state, action or series of it"),
        (refuse_future, ModelError, r"the future of battery.load: policies see what is known only"),
        (refuse_places, ShapeError, "3 places for 2 agents"),
        (refuse_droop_without_rating, ModelError, "a droop needs the inverter's rating"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(wrong: Any, kind: type[Exception], said: str) -> None:
    _, day = battery()
    with pytest.raises(kind, match=said):
        wrong(day)


@pytest.mark.parametrize(
    ("steps", "hours"), [(0, 1.0), (2.5, 1.0), ("six", 1.0), (6, 0.0), (6, np.nan), (6, np.inf), (6, "1")]
)
def test_a_horizon_has_whole_steps_of_some_hours(steps: Any, hours: Any) -> None:
    with pytest.raises(ShapeError, match=r"home: a horizon has whole steps, at least 1, of some hours, e.g. horizon"):
        gm.Model("day").agent("home").horizon(steps, hours)


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ({}, "at least one series"),
        ({"price": np.ones(48)}, r"shape \(48,\), expected \(days, steps\)"),
        ({"price": np.ones((2, 48)), "sun": np.ones((2, 24))}, "2 days of 48 steps; series 'sun' has 2 days of 24"),
        ({"price": np.array([[1.0, np.nan]])}, "series 'price': not a finite number on day 0, entry 1"),
        ({"price": np.full((2, 3), "1")}, "series 'price': entries are <U1, expected real numbers"),
        ({"price": np.ones((2, 3)) + 0j}, "series 'price': entries are complex128, expected real numbers"),
        ({"price": [[1.0, 2.0], [3.0]]}, "series 'price': days of unequal length"),
        ({"price": np.ones((0, 48))}, r"series 'price': shape \(0, 48\) holds no day"),
    ],
)
def test_scenarios_that_do_not_fit_are_refused(series: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        gm.Scenarios(series)


def test_days_to_learn_from_need_others_to_be_judged_on() -> None:
    days = gm.Scenarios({"price": np.ones((2, 48))})
    for other in (None, {"price": np.ones((2, 48))}):
        with pytest.raises(DataError, match=r"days\(train, held_out\): held_out is \w+, expected gm.Scenarios"):
            gm.Model("day").days(days, other)  # type: ignore[arg-type]


def test_a_model_is_on_one_network() -> None:
    model, one, other = gm.Model("day"), object(), object()
    model.place(one, 0.9, 1.1)
    model.place(one, 0.95, 1.05)
    with pytest.raises(DuplicateNameError, match=r"model 'day' is on the network .* already"):
        model.place(other, 0.9, 1.1)


def test_scenarios_are_taken_by_day_and_by_agent() -> None:
    days = gm.Scenarios(
        {"load": np.arange(6.0).reshape(3, 2), "battery.load": np.ones((3, 4, 2))}, names=("a", "b", "c")
    )
    assert (len(days), days.steps) == (3, 2)
    assert days.take([2, 0]).names == ("c", "a")
    assert np.array_equal(days.take([2, 0]).series["load"], [[4, 5], [0, 1]])
    assert days.of("battery", "load").shape == (3, 4, 2)
    assert days.of("pump", "load").shape == (3, 2)
    with pytest.raises(DataError, match=r"pump declares the series 'sun', and the scenarios hold load, battery.load"):
        days.of("pump", "sun")
