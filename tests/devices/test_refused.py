"""What training refuses of devices and days: one clear error each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.devices import battery, heat_pump, load
from gridmodel.ir.scenarios import Scenarios
from gridmodel.passes.training.graph import training_graph
from tests.devices.days import horizon

FEEDER = Path(__file__).parents[2] / "models" / "data" / "feeders" / "13Bus" / "IEEE13Nodeckt.dss"


def days(**series: Any) -> Scenarios:
    given = {"price": np.ones((2, 3)), "temperature": np.zeros((2, 3))} | series
    return Scenarios({name: values for name, values in given.items() if values is not None})


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("99.1", r"it\[0\] \(draw at .*\) draws power at '99.1': .* has no bus '99'"),
        ("611.1", r"it\[0\] .* draws power at '611.1': bus 611 has phases 3"),
        ("646.2-1", "bus 646 has phases 2, 3"),
        ("611.a", 'write "60", "60.1", or'),
        ("611.4", "bus 611 has phases 3"),
    ],
)
def test_a_place_that_the_feeder_lacks(place: str, text: str) -> None:
    model, day = horizon(3)
    battery(day, 1.0, 4.0, at=(place, "611.3"))
    model.place(gm.read_network(FEEDER), 0.9, 1.1)
    with pytest.raises(gm.ModelError, match=text):
        training_graph(model, days())


def test_agents_that_draw_power_without_a_network() -> None:
    model, day = horizon(3)
    battery(day, 1.0, 4.0, at="611.3")
    with pytest.raises(gm.ModelError, match=r"model\.place"):
        training_graph(model, days())


def test_devices_on_an_agent_and_numbers_that_are_words() -> None:
    model, day = horizon(3)
    with pytest.raises(gm.ModelError, match=r"on a horizon, got Fleet; give agent.horizon\(steps, hours\)"):
        battery(model.fleet("other", 2), 1.0, 4.0)  # type: ignore[arg-type]
    with pytest.raises(gm.ModelError, match="it: power is '3 kW', expected a number"):
        battery(day, "3 kW", 4.0)


@pytest.mark.parametrize("gap", [np.nan, np.inf])
def test_a_series_with_a_gap(gap: float) -> None:
    prices = np.ones((2, 3))
    prices[1, 2] = gap
    with pytest.raises(gm.ModelError, match="series 'price': not a finite number on day 1, entry 2"):
        days(price=prices)
    with pytest.raises(gm.ModelError, match="loads: not a finite number on day 1, entry 2"):
        Scenarios({}, loads=prices[..., None].astype(np.complex128))


def test_a_gap_in_the_day_that_is_solved_centrally() -> None:
    _, day = horizon(3)
    with pytest.raises((gm.ModelError, ValueError), match="price"):
        battery(day, 1.0, 4.0, price=[0.1, np.nan, 0.3])


def test_days_without_a_series_or_of_another_shape() -> None:
    model, day = horizon(3)
    heat_pump(day, 5.0, 5.0, 5.0)
    with pytest.raises(gm.ModelError, match="it declares the series 'temperature', and the scenarios hold price"):
        training_graph(model, days(temperature=None))
    with pytest.raises(gm.ModelError, match="it has a horizon of 3 steps, the scenarios have days of 4"):
        training_graph(model, Scenarios({"price": np.ones((2, 4)), "temperature": np.ones((2, 4))}))
    with pytest.raises(gm.ModelError, match=r"the series 'temperature' of the scenarios has shape \(2, 5, 3\)"):
        training_graph(model, days(temperature=np.ones((2, 5, 3))))


def test_dynamics_that_look_ahead() -> None:
    model, day = horizon(3)
    load(day)
    p, x = day.action("p", bounds=(0, 1)), day.state("x", start=0)
    day.next("x", x[:, 1:] + p)
    with pytest.raises(gm.ModelError, match="not causal: in step 0 it holds state 'x' of step 1"):
        training_graph(model, days(load=np.ones((2, 3))))


def test_a_state_without_dynamics_and_a_fleet_without_a_horizon() -> None:
    model, day = horizon(3)
    battery(day, 1.0, 4.0)
    day.state("x", start=0)
    with pytest.raises(gm.ModelError, match=r"say it with day\.next\('x'"):
        training_graph(model, days())
    model, day = horizon(3)
    battery(day, 1.0, 4.0)
    model.fleet("other", 2).variable("y", bounds=(0, 1))
    with pytest.raises(gm.ModelError, match=r"other .* has no horizon"):
        training_graph(model, days())


def test_nothing_to_learn() -> None:
    model, day = horizon(3)
    load(day)
    with pytest.raises(gm.ModelError, match="has no action to learn"):
        training_graph(model, days(load=np.ones((2, 3))))
