"""The load flow over time against load flows step by step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.series import flow_chunks, flow_series
from tests.grid.flow.feeders import random_feeder, two_bus


def profiled() -> Feeder:
    """Every other load follows a day of 12 steps, the generator a sun of 8."""
    net = random_feeder(2)
    loads = tuple(replace(one, profile="day" if k % 2 else "") for k, one in enumerate(net.loads))
    units = tuple(replace(one, profile="sun") for one in net.generators)
    profiles = {"day": np.linspace(0.2, 1.4, 12), "sun": np.linspace(0, 1, 8)}
    return replace(net, loads=loads, generators=units, profiles=profiles, step=0.25)


def test_every_step_is_its_own_load_flow_whatever_the_chunk() -> None:
    net = profiled()
    series = flow_series(net, 20, watch=["b3.2", "b1.1"], chunk=7)
    assert series.hours.tolist() == [0.25 * k for k in range(20)]
    for t in (0, 6, 7, 13, 19):
        factors = [net.profiles["day"][t % 12] if load.profile else 1.0 for load in net.loads]
        flow = net.load_flow(np.array([factors]), np.array([net.profiles["sun"][t % 8]]))
        assert np.abs(series.v[t] - [flow["b3.2"][0], flow["b1.1"][0]]).max() < 1e-9
        assert series.power[t] == pytest.approx(flow.power[0], rel=1e-8)
        assert series.losses[t] == pytest.approx(flow.losses[0], rel=1e-5)
        size = np.abs(flow.v[0])
        assert (series.v_min[t], series.v_max[t]) == pytest.approx((size.min(), size.max()), abs=1e-9)
        assert (series.lowest[t], series.highest[t]) == (size.argmin(), size.argmax())
    assert series.converged.all()
    assert series.energy == pytest.approx(series.power.sum() * 0.25)


def test_the_longest_profile_says_how_many_steps() -> None:
    assert [len(flow.v) for flow in flow_chunks(profiled(), chunk=5)] == [5, 5, 2]


def test_a_step_that_fails_is_marked_and_counts_in_no_sum() -> None:
    net = two_bus(0.2, profile="peak")
    net = replace(net, profiles={"peak": np.array([1.0, 2.0, 0.5])})
    series = flow_series(net)
    assert series.converged.tolist() == [True, False, True]
    assert np.isnan(series.v_min).tolist() == [False, True, False]
    assert np.isfinite(series.energy)


def test_bad_input() -> None:
    with pytest.raises(UnknownNameError, match=r"no node 'b9\.1'"):
        flow_series(profiled(), watch=["b9.1"])
    with pytest.raises(ModelError, match="needs steps="):
        flow_series(two_bus(0.1))
    with pytest.raises(UnknownNameError, match="profile 'gone'"):
        flow_series(two_bus(0.1, profile="gone"), 3)
