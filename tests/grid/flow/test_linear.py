"""The linear models against the load flow itself."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.errors import ModelError
from gridmodel.grid.flow.linear import linear_flow
from tests.grid.flow.feeders import random_feeder, two_bus
from tests.grid.references import constant_power, feeder


@pytest.mark.parametrize("seed", range(4))
def test_the_taylor_model_is_the_derivative(seed: int) -> None:
    net = random_feeder(seed, limits=seed % 2 == 0)
    model = linear_flow(net, "taylor")
    rng, h = np.random.default_rng(seed), 1.0
    move = rng.normal(size=len(model.s0)) + 1j * rng.normal(size=len(model.s0))
    ends = []
    for sign in (1, -1):
        s = model.s0 + sign * h * move
        n = len(net.loads)
        ends.append(net.load_flow(s[:n], -s[n:], tolerance=1e-14).v)
    slope = (ends[0] - ends[1]) / (2 * h)
    expected = model.by_p @ move.real + model.by_q @ move.imag
    assert np.abs(slope - expected).max() < 1e-6 * np.abs(slope).max()
    by_p, by_q = model.magnitude_by
    size = (np.abs(ends[0]) - np.abs(ends[1])) / (2 * h)
    assert np.abs(size - by_p @ move.real - by_q @ move.imag).max() < 1e-6 * np.abs(size).max()


def test_the_taylor_models_error_is_of_second_order() -> None:
    net = feeder("ieee13")
    model = linear_flow(net)
    errors = model.error(net.load_flow(loads=np.array([1.0, 1.01, 1.02, 1.04]), tolerance=1e-13))
    for name in ("v", "magnitude"):
        assert errors[name][0] < 1e-9
        assert errors[name][2] / errors[name][1] == pytest.approx(4.0, abs=0.2)
        assert errors[name][3] / errors[name][2] == pytest.approx(4.0, abs=0.2)


def test_the_fixed_point_model_is_exact_at_its_case_and_without_load() -> None:
    net = constant_power(feeder("ieee13"))
    fixed, taylor = linear_flow(net, "fixed-point"), linear_flow(net, "taylor")
    flow = net.load_flow(loads=np.array([0.0, 0.5, 1.0]), tolerance=1e-12)
    errors = fixed.error(flow)["v"]
    assert errors[[0, 2]].max() < 1e-9
    assert 1e-5 < errors[1] < 1e-2
    assert taylor.error(flow)["v"][0] > errors[1]


def test_a_failed_scenario_has_no_error_and_a_failed_case_no_model() -> None:
    model = linear_flow(two_bus(0.1))
    errors = model.error(two_bus(0.1).load_flow(loads=np.array([1.0, 9.0])))
    assert np.isnan(errors["v"]).tolist() == [False, True]
    with pytest.raises(ModelError, match="fails at bus b"):
        linear_flow(two_bus(0.3))
    with pytest.raises(ModelError, match="kind is 'exact'"):
        linear_flow(two_bus(0.1), "exact")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="at one case"):
        linear_flow(two_bus(0.1), loads=np.ones(2))
