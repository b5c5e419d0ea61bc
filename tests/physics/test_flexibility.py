"""The band of a feeder: every path within it is followed, and none of it is beyond what the devices can do."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.ir.result import Result
from gridmodel.physics.disaggregate import band_of, disaggregate
from gridmodel.physics.flexibility import flexibility
from gridmodel.physics.flexible import FlexibleDevice
from tests.strategies import EXAMPLES

FEEDER = Path(__file__).parents[2] / "models" / "data" / "feeders" / "13Bus" / "IEEE13Nodeckt.dss"
T = 12
CLOCK = np.arange(T)


@cache
def _feeder() -> Feeder:
    found = gm.read_network(FEEDER)
    assert isinstance(found, Feeder)
    return found


def _devices(lossless: bool = False) -> list[FlexibleDevice]:
    loss = 1.0 if lossless else 0.9
    return [
        FlexibleDevice("battery", "680", -200, 200, level=300, level_max=600, charge=loss, discharge=loss),
        FlexibleDevice("solar", "675", -300 * np.sin(CLOCK / T * np.pi), 0, power_factor=0.95),
        FlexibleDevice("car", "652", 0, np.where(CLOCK < 8, 40, 0), (1,), level=0, level_max=150,
                       level_min=np.where(CLOCK == 7, 60, 0)),
        FlexibleDevice("heat", "671", 0, 100, delta=True, level=21, level_min=19, level_max=23, charge=0.05,
                       retention=0.9, inflow=0.5),
    ]  # fmt: skip


@cache
def _solved(v_min: float = 0.9, v_max: float = 1.1, lossless: bool = False) -> Result:
    model = flexibility(_feeder(), _devices(lossless), 0.6 + 0.3 * np.cos(CLOCK / T * np.pi), v_min, v_max)
    result = gm.solve(model, "central")
    assert result.status is gm.Status.CERTIFIED
    return result


@EXAMPLES
@given(st.integers(0, 10_000), st.sampled_from(["inside", "corner"]), st.sampled_from([(0.9, 1.1), (0.97, 1.05)]))
def test_every_path_within_the_band_is_followed(seed: int, kind: str, limits: tuple[float, float]) -> None:
    result = _solved(*limits)
    band = band_of(result)
    rng = np.random.default_rng(seed)
    share = rng.random(T) if kind == "inside" else rng.integers(0, 2, T).astype(float)
    split = disaggregate(result, band.low + share * (band.high - band.low))
    assert split.violation < 1e-6
    # the linear model of the grid: a few kW of thousands, and less than a thousandth of the voltage
    assert split.error < 0.005 * band.high.max()
    assert split.outside < 2e-3
    for device in _devices():
        assert device.violation(split.powers[device.name], 1.0) < 1e-6


def test_the_band_lies_within_what_is_possible() -> None:
    """With devices that lose nothing all is linear: no step of the band lies beyond the least and most power there."""
    result = _solved(lossless=True)
    band, layout = band_of(result), result.model.layout
    powers = [cp.Variable(T) for _ in layout.devices]
    limits: list[Any] = []
    for device, p in zip(layout.devices, powers, strict=True):
        low, high = device.bounds(T)
        limits += [p >= low, p <= high]
        if device.level is not None:
            decay = np.tril(device.retention ** np.subtract.outer(CLOCK, CLOCK))
            series = {name: np.broadcast_to(getattr(device, name), T) for name in ("inflow", "level_min", "level_max")}
            x = device.level * device.retention ** (CLOCK + 1) + decay @ (device.charge * p + series["inflow"])
            limits += [x >= series["level_min"], x <= np.minimum(series["level_max"], 1e9)]
    power = layout.base + sum(cp.multiply(layout.gain[:, d], p) for d, p in enumerate(powers))
    for t in range(T):
        for sign, side in ((1.0, band.high), (-1.0, -band.low)):
            most = cp.Problem(cp.Maximize(sign * power[t]), limits).solve(solver=cp.CLARABEL)
            assert side[t] <= most + 1e-3
    assert band.energy > 500.0


def test_agents_find_the_band_without_a_central_solver() -> None:
    model = flexibility(_feeder(), _devices(), np.full(4, 0.7)[:T].repeat(3), 0.9, 1.1)
    central = gm.solve(model, "central")
    result = gm.solve(model, "interior", tolerance=1e-5)
    assert result.status is gm.Status.CERTIFIED
    assert band_of(result).energy == pytest.approx(band_of(central).energy, rel=1e-4)


def test_bad_input_is_named() -> None:
    feeder, ones = _feeder(), np.ones(T)
    devices = _devices()
    with pytest.raises(ModelError, match="no bus 'nowhere'"):
        flexibility(feeder, [FlexibleDevice("a", "nowhere", 0, 1)], ones)
    with pytest.raises(ModelError, match=r"bus 652 has nodes \(1,\), not \[2\]"):
        flexibility(feeder, [FlexibleDevice("a", "652", 0, 1, (2,))], ones)
    with pytest.raises(ModelError, match="names of their own"):
        flexibility(feeder, [devices[0], devices[0]], ones)
    with pytest.raises(ModelError, match=r"p_max has shape \(3,\), expected a number or \(12,\)"):
        flexibility(feeder, [FlexibleDevice("a", "680", 0, np.ones(3))], ones)
    with pytest.raises(ModelError, match="p_min at most p_max"):
        flexibility(feeder, [FlexibleDevice("a", "680", 2, 1)], ones)
    with pytest.raises(ModelError, match="discharge=0"):
        FlexibleDevice("a", "680", 0, 1, discharge=0.0)
    with pytest.raises(ModelError, match="profile: expected"):
        flexibility(feeder, devices, np.full(T, np.nan))
    band = band_of(_solved())
    with pytest.raises(ModelError, match="outside of the band"):
        disaggregate(_solved(), band.high + 5.0)
    with pytest.raises(ModelError, match=r"kW of shape \(12,\)"):
        disaggregate(_solved(), band.high[:3])
    infeasible = gm.solve(flexibility(feeder, devices, ones, 1.0, 1.001), "central")
    assert infeasible.status is gm.Status.INFEASIBLE
    assert "voltage" in str(infeasible.culprit)
