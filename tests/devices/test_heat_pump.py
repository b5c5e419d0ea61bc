import numpy as np
import pytest

import gridmodel as gm
from gridmodel.devices import heat_pump
from tests.devices.days import horizon, optimum, without_policy


def test_holds_its_set_point_at_the_power_of_steady_state() -> None:
    model, day = horizon(3)
    heat_pump(day, 9.0, [5.0, 10.0], 4.0, cop=2.5, band=(19.0, 22.0), set_point=20.0)
    cost, leaves = without_policy(model, {"price": [0.1, 0.2, 0.3], "temperature": [5.0, 0.0, -5.0]})
    power = (20.0 - np.array([5.0, 0.0, -5.0])) / (2.5 * np.array([[5.0], [10.0]]))
    np.testing.assert_allclose(leaves["action", "heating"], power)
    np.testing.assert_allclose(leaves["state", "room"], 20.0)
    np.testing.assert_allclose(cost, power @ [0.1, 0.2, 0.3])


def test_cools_as_an_exponential_and_pays_for_each_degree_below_the_band() -> None:
    model, day = horizon(4, 0.5)
    heat_pump(day, 0.0, 5.0, 2.0, band=(19.0, 22.0), outside=3.0, start=20.0)
    cost, leaves = without_policy(model, {"price": np.ones(4), "temperature": np.zeros(4)})
    room = 20.0 * np.exp(-0.5 * np.arange(5) / 10.0)
    np.testing.assert_allclose(leaves["state", "room"], [room, room])
    np.testing.assert_allclose(cost, 0.5 * 3.0 * np.maximum(19.0 - room[1:], 0.0).sum())


def test_optimum_rests_on_the_lower_edge_of_comfort() -> None:
    model, day = horizon(2)
    heat_pump(day, 20.0, 5.0, 2.0, cop=3.0, band=(19.0, 22.0), start=19.0, price=[0.2, 0.2], temperature=[4.0, 4.0])
    assert optimum(model)[0] == pytest.approx(2 * 2 * 0.2 * (19.0 - 4.0) / 15.0, abs=1e-6)


def test_a_hard_band_is_kept_without_a_policy_and_cannot_be_met_in_the_cold() -> None:
    model, day = horizon(2)
    heat_pump(day, 20.0, 5.0, 2.0, band=(19.0, 22.0), outside=None, set_point=20.0, price=[1, 1], temperature=[4, -99])
    _, leaves = without_policy(model, {"price": [1, 1], "temperature": [4.0, 4.0]})
    assert ((leaves["state", "room"] >= 19.0) & (leaves["state", "room"] <= 22.0)).all()
    model, day = horizon(2)
    heat_pump(day, 0.1, 5.0, 2.0, outside=None, price=[1, 1], temperature=[-40.0, -40.0])
    assert gm.solve(model, "central").status.name == "INFEASIBLE"


def test_says_that_the_band_is_upside_down() -> None:
    with pytest.raises(gm.ModelError, match="lower < upper"):
        heat_pump(horizon(2)[1], 5.0, 5.0, 5.0, band=(22.0, 19.0))
    with pytest.raises(gm.ModelError, match=r"a power factor is above 0 up to 1, got 1\.2"):
        heat_pump(horizon(2)[1], 5.0, 5.0, 5.0, factor=1.2)
