import numpy as np
import pytest

import gridmodel as gm
from gridmodel.devices import battery
from tests.devices.days import horizon, optimum, without_policy


@pytest.mark.parametrize("size", [None, 2])
def test_buys_cheap_and_sells_dear_as_computed_by_hand(size: int | None) -> None:
    model, day = horizon(3, 0.5, size)
    battery(day, 4.0, 10.0, efficiency=0.9, wear=0.01, price=[0.1, 0.2, 0.6])
    cost, _ = optimum(model)
    # Half an hour's sale of 2 kWh takes out 2.0 / 0.9; half an hour's purchase stores 1.8, the rest is bought at 0.2.
    rest = (2.0 / 0.9 - 1.8) / 0.9
    alone = 0.1 * 2.0 + 0.2 * rest - 0.6 * 2.0 + 0.01 * (4.0 + rest)
    assert cost == pytest.approx(alone * (size or 1), abs=1e-6)


def test_does_nothing_where_wear_costs_more_than_is_earned() -> None:
    model, day = horizon(2)
    battery(day, 1.0, 4.0, efficiency=1.0, wear=0.3, price=[0.1, 0.6])
    assert optimum(model)[0] == pytest.approx(0.0, abs=1e-7)


def test_loses_by_the_hour_and_is_filled_again_at_the_end() -> None:
    model, day = horizon(4, 0.5)
    battery(day, [3.0, 6.0], [10.0, 20.0], start=[5.0, 10.0], efficiency=0.8, loss=0.1)
    cost, leaves = without_policy(model, {"price": [1.0, 1.0, 1.0, 2.0]})
    kept = 5.0 * 0.9**1.5
    needed = (5.0 - kept * 0.9**0.5) / 0.8
    stored = leaves["state", "stored"]
    np.testing.assert_allclose(stored[0, :4], 5.0 * 0.9 ** (0.5 * np.arange(4)))
    assert stored[:, 4] == pytest.approx([5.0, 10.0])
    assert cost == pytest.approx([2.0 * needed, 4.0 * needed])


def test_may_end_empty_if_it_is_told_so() -> None:
    model, day = horizon(1)
    battery(day, 100.0, 10.0, efficiency=0.9, price=[0.5], keep=False)
    assert optimum(model)[0] == pytest.approx(-2 * 0.5 * 5.0 * 0.9, abs=1e-6)


def test_burns_little_where_energy_is_worth_less_than_nothing() -> None:
    model, day = horizon(1)
    battery(day, 4.0, 10.0, start=10.0, efficiency=0.9, price=[-1.0])
    # Full, it stays full at eta up = down / eta, and up + down <= 4; a battery could do nothing.
    assert optimum(model)[0] == pytest.approx(-2 * 4.0 * (1 - 0.81) / (1 + 0.81), abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"power": -1.0}, "power is -1, expected a finite number at least 0"),
        ({"capacity": [1.0, np.nan]}, "capacity is nan"),
        ({"capacity": 0.0}, "capacity is 0, expected a finite number above 0"),
        ({"efficiency": 1.1}, "efficiency is 1.1, expected a finite number above 0 up to 1"),
        ({"start": 11.0}, "start is above the capacity"),
        ({"power": [1.0, 2.0, 3.0]}, r"power has shape \(3,\); give a number or 2"),
        ({"at": ["60.1"]}, "1 places for 2 agents"),
    ],
)
def test_says_what_is_wrong(wrong: dict[str, object], text: str) -> None:
    _, day = horizon(2)
    with pytest.raises(gm.ModelError, match=text):
        battery(day, **({"power": 1.0, "capacity": 10.0} | wrong))  # type: ignore[arg-type]
