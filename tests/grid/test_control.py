"""Where regulators end, and how many load flows it takes, against OpenDSS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.errors import DataError, UnknownNameError
from gridmodel.grid.control import regulate, regulation, tap_change
from gridmodel.grid.elements import RegulatorControl, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.newton import newton
from tests.grid.references import AUTOMATIC, feeder, reference

LTC13 = RegulatorControl("sub", "sub", 1, 122.0, 1.0, 20.0, 700.0, 2.0, 3.0, delay=10.0, phase=2)
LTC37 = RegulatorControl("sub", "subxf", 1, 121.0, 2.0, 40.0, 350.0, 2.0, 3.0, delay=10.0, phase=3)


def settings(net: Feeder, **changes: dict[str, object]) -> Feeder:
    """The feeder with some settings of some controls changed; "every" stands for all of them."""
    every = changes.pop("every", {})
    return replace(
        net,
        regulators=tuple(replace(one, **{**every, **changes.get(one.name, {})}) for one in net.regulators),  # type: ignore[arg-type]
    )


def added(net: Feeder, control: RegulatorControl) -> Feeder:
    return replace(net, regulators=(*net.regulators, control))


def at671(net: Feeder) -> Feeder:
    return settings(net, **{f"reg{k}": {"bus": Terminal("671", (k,))} for k in (1, 2, 3)})


# Made with OpenDSS in its static control mode from neutral taps: steps of the second windings, and load flows.
CASES = {
    "ieee13": (lambda: feeder("ieee13"), {"reg1": 9, "reg2": 6, "reg3": 9}, 3),
    "ieee13, read at bus 671": (lambda: at671(feeder("ieee13")), {"reg1": 13, "reg2": 2, "reg3": 16}, 4),
    "ieee13, and a three-phase LTC": (
        lambda: added(feeder("ieee13"), LTC13), {"reg1": 4, "reg2": 1, "reg3": 4, "sub": 5}, 6
    ),
    "ieee37": (lambda: feeder("ieee37"), {"reg1a": 16, "reg1c": 14}, 4),
    "ieee37, one tap at a time": (
        lambda: settings(feeder("ieee37"), every={"max_change": 1}), {"reg1a": 16, "reg1c": 14}, 17
    ),
    "ieee37, and a delta LTC": (lambda: added(feeder("ieee37"), LTC37), {"reg1a": 5, "reg1c": 0, "subxf": 16}, 5),
    "ieee123": (lambda: feeder("ieee123"), {**AUTOMATIC, "reg4a": 10}, 6),
    "ieee123, one tap at a time": (lambda: settings(feeder("ieee123"), every={"max_change": 1}), AUTOMATIC, 9),
    "ieee123, delays differ": (
        lambda: settings(feeder("ieee123"), creg4a={"delay": 30.0}, creg3a={"delay": 20.0, "max_change": 2}),
        AUTOMATIC, 9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_taps_and_rounds_are_those_of_opendss(case: str) -> None:
    build, steps, rounds = CASES[case]
    net = build()
    found = regulation(net, lambda taps: newton(net, taps=taps).v)
    assert found.settled
    assert {name: round((tap - 1) / 0.00625) for (name, _), tap in found.taps.items()} == steps
    assert found.rounds == rounds
    v = newton(net, taps=found.taps).v
    assert all(tap_change(net, one, v, found.taps) == 0.0 for one in net.regulators)


def test_voltages_at_automatic_taps_are_those_of_opendss() -> None:
    net = settings(feeder("ieee123"), every={"max_change": 1})
    taps = regulate(net, lambda taps: newton(net, taps=taps).v)
    assert np.abs(newton(net, taps=taps).v / net.base - reference("ieee123_auto.csv", net)).max() < 1e-7


def test_controls_that_still_act_at_the_end_are_named() -> None:
    net = feeder("ieee13")
    found = regulation(net, lambda taps: newton(net, taps=taps).v, most=1)
    assert not found.settled
    assert found.rounds == 1
    assert set(found.moving) == {"reg1", "reg2", "reg3"}


def test_a_failed_load_flow_ends_it() -> None:
    net = feeder("ieee13")
    found = regulation(net, lambda taps: np.full(len(net.nodes), np.nan + 0j))
    assert not found.settled
    assert found.rounds == 1
    assert set(found.taps.values()) == {1.0}


def test_controls_that_are_off_do_nothing() -> None:
    net = settings(feeder("ieee13"), every={"enabled": False})
    assert regulate(net, lambda taps: pytest.fail("solved without need")) == {}


def test_a_control_of_nothing_is_named() -> None:
    net = feeder("ieee13")
    with pytest.raises(UnknownNameError, match="names transformer 'none', which"):
        regulate(added(net, replace(LTC13, transformer="none")), lambda taps: newton(net, taps=taps).v)
    with pytest.raises(DataError, match="phase 2 of winding 1, but transformer reg1 has 1 phases"):
        regulate(added(net, replace(LTC13, transformer="reg1")), lambda taps: newton(net, taps=taps).v)
