"""What Feeder.load_flow takes as powers, and what it says to everything else."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from gridmodel.errors import DataError, ModelError, ShapeError, UnknownNameError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.scenarios import scenario_powers
from tests.grid.flow.feeders import random_feeder

NET = random_feeder(0)
LOADS = np.array([load.s for load in NET.loads])


def test_the_forms_in_which_loads_can_be_given() -> None:
    own = NET.load_flow()
    same: list[Any] = [1.0, LOADS, {}, {NET.loads[3].name: NET.loads[3].s}]
    for loads in same:
        flow = NET.load_flow(loads=loads)
        assert flow.v.shape == (len(NET.nodes),)
        assert np.array_equal(flow.v, own.v)
    for many in (np.ones(2), np.ones((2, 1)), np.ones((2, len(LOADS))), np.array([LOADS, LOADS])):
        flow = NET.load_flow(loads=many)
        assert flow.v.shape == (2, len(NET.nodes))
        assert np.abs(flow.v - own.v).max() < 1e-14


def test_a_name_moves_its_load_and_no_other() -> None:
    name = NET.loads[2].name
    s, many = scenario_powers(NET, {name: np.array([1.0 + 2j, 3.0])}, None)
    assert many
    assert s[:, 2].tolist() == [1 + 2j, 3]
    assert np.array_equal(np.delete(s, 2, axis=1)[0, : len(LOADS) - 1], np.delete(LOADS, 2))


def test_generation_is_negative_load_and_is_repeated_over_scenarios() -> None:
    s, many = scenario_powers(NET, np.array([1.0, 2.0, 3.0]), {"unit": 5e3 + 1e3j})
    assert many
    assert s[:, -1].tolist() == [-5e3 - 1e3j] * 3
    assert abs(NET.load_flow(generation=2.0)["b5.1"]) > abs(NET.load_flow(generation=0.0)["b5.1"])


BAD = [
    ({"loads": np.ones((3, 7))}, ShapeError, "loads: an array of shape (3, 7)"),
    ({"loads": LOADS[:-1]}, ShapeError, "expected complex powers in VA"),
    ({"loads": np.ones(3), "generation": np.ones(2)}, ShapeError, "loads hold 3 scenarios and generation 2"),
    ({"loads": {"nobody": 1.0}}, UnknownNameError, "'nobody'"),
    ({"loads": {"three1": np.ones(2), "one1": np.ones(3)}}, ShapeError, "arrays of one length"),
    ({"loads": np.array([1.0, np.nan])}, DataError, "the number at [1] is nan"),
    ({"generation": {"unit": np.inf}}, DataError, "generation['unit']"),
    ({"loads": "all"}, DataError, "expected numbers"),
    ({"taps": "best"}, ModelError, "taps is 'best', expected 'auto'"),
    ({"taps": {("nobody", 1): 1.0}}, UnknownNameError, "no winding 1 of a transformer 'nobody'"),
    ({"dtype": np.float64}, ModelError, "dtype is float"),
    ({"dtype": "zz"}, ModelError, "dtype is zz"),
    ({"taps": 3}, ModelError, "expected turns ratios such as"),
    ({"taps": {"unit": 1.0}}, ModelError, "expected turns ratios such as"),
    ({"tolerance": "small"}, ModelError, "tolerance is 'small'"),
    ({"tolerance": 0.0}, ModelError, "tolerance is 0.0"),
]


@pytest.mark.parametrize(("arguments", "kind", "says"), BAD)
def test_bad_input_is_refused_in_one_clear_text(arguments: dict[str, Any], kind: type[ModelError], says: str) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        NET.load_flow(**arguments)


def test_a_feeder_without_a_source_has_no_voltage() -> None:
    with pytest.raises(ModelError, match="no source"):
        Feeder("dark", 60.0, NET.buses, ()).load_flow()


def test_a_feeder_without_loads_is_at_its_source_voltage() -> None:
    bare = Feeder("bare", 60.0, NET.buses, NET.sources, NET.lines)
    flow = bare.load_flow()
    assert flow.converged
    assert np.abs(np.abs(flow.v) - 1).max() < 1e-3
    assert bare.load_flow(loads=np.ones(2)).v.shape == (2, len(NET.nodes))
