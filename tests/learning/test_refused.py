"""What training refuses before it starts, and what it leaves as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import DataError, ModelError, ShapeError
from tests.learning.street import build, policy


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"rounds": 2.5}, "whole rounds and threads of at least 1 .* rounds=2.5"),
        ({"rounds": "3"}, "whole rounds and threads of at least 1 .* rounds='3'"),
        ({"threads": 0}, "at least 1 .* threads=0"),
        ({"minutes": "3"}, "minutes above 0, .* got minutes='3'"),
        ({"minutes": 0}, "minutes above 0, .* got minutes=0"),
        ({"rounds": 1, "seed": 1.5}, "a whole seed .* seed=1.5"),
        ({"rounds": 1, "resume": True}, "needs the checkpoint to go on from"),
        ({"rounds": 1, "checkpoint": "."}, "this is a folder; give a file's name"),
    ],
)
def test_arguments_that_mean_nothing(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        gm.train(build(houses=1, grid=False), **given)


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"sun": None}, DataError, "pv declares the series 'sun', and the scenarios hold price, outside, burns"),
        ({"sun": np.ones((3, 5, 12))}, ShapeError, "series 'sun' of the scenarios has shape (3, 5, 12)"),
    ],
)
def test_days_held_out_are_looked_at_before_training(change: dict[str, Any], kind: type[Exception], text: str) -> None:
    model = build(houses=1, grid=False)
    assert model.scenarios is not None
    train, held_out = model.scenarios
    kept = {name: values for name, values in (dict(held_out.series) | change).items() if values is not None}
    model.days(train, gm.Scenarios(kept))
    with pytest.raises(kind, match=re.escape(text)):
        gm.train(model, rounds=1)


def test_a_dot_in_the_name_of_policies_stays(tmp_path: Path) -> None:
    learned = policy(build(houses=1, grid=False))
    names = [learned.save(tmp_path / name).name for name in ("rate.0.1", "rate.0.2", "plain", "whole.npz")]
    assert names == ["rate.0.1.npz", "rate.0.2.npz", "plain.npz", "whole.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_perfect_foresight_leaves_no_day_in_the_model() -> None:
    model = build(houses=1, grid=False)
    assert model.scenarios is not None
    series = [one.parameter for party in model.agents if party.day is not None for one in party.day.known.values()]
    assert all(parameter.value is None for parameter in series)
    gm.foresight(model, model.scenarios[1].take(0))
    assert all(parameter.value is None for parameter in series)


def test_the_network_optimum_is_of_a_day_that_is_there() -> None:
    model = build(houses=1)
    assert model.scenarios is not None
    with pytest.raises(DataError, match=r"foresight_on_network.*: there are days 0 to 2, got 3"):
        gm.foresight_on_network(model, model.scenarios[1], 3)
