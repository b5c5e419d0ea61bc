"""The load flow over all nodes against OpenDSS's voltages and closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.errors import DataError
from gridmodel.grid.assemble import assemble
from gridmodel.grid.elements import Bus, Line, Load, Source, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.newton import newton
from gridmodel.grid.port_law import current
from gridmodel.grid.ports import ports
from tests.grid.references import AUTOMATIC, KERSTING, between_lines, constant_power, feeder, ratios, reference

CASES = [
    ("ieee13", "ieee13.csv", {"reg1": 9, "reg2": 6, "reg3": 9}, False),
    ("ieee13", "ieee13_allPQ.csv", {"reg1": 9, "reg2": 6, "reg3": 9}, True),
    ("ieee123", "ieee123_auto.csv", AUTOMATIC, False),
    ("ieee123", "ieee123_kersting.csv", KERSTING, False),
    ("ieee123", "ieee123_kersting_allPQ.csv", KERSTING, True),
]


@pytest.mark.parametrize(("name", "file", "steps", "power"), CASES)
def test_voltages_are_those_of_opendss(name: str, file: str, steps: dict[str, int], power: bool) -> None:
    net = constant_power(feeder(name)) if power else feeder(name)
    found = newton(net, taps=ratios(steps))
    assert found.converged
    assert np.abs(found.v / net.base - reference(file, net)).max() < 1e-7


def test_line_voltages_of_a_delta_system_are_those_of_opendss() -> None:
    net = feeder("ieee37")
    found = newton(net, taps=ratios({"reg1a": 16, "reg1c": 14}))
    assert found.converged
    expected = reference("ieee37.csv", net)
    assert np.abs(between_lines(net, found.v / net.base) - between_lines(net, expected)).max() < 1e-7


# OpenDSS, IEEE 123 at taps 0 with all loads times this (loadmult): the lowest voltage in pu. Most loads are below
# vminpu there, some below vlowpu at 6.
LOWEST = {2: 0.8469283138970619, 4: 0.7180774407566141, 6: 0.6196321268696684}


@pytest.mark.parametrize("factor", LOWEST)
def test_low_voltages_are_those_of_opendss(factor: int) -> None:
    net = feeder("ieee123")
    found = newton(net, ports(net).s * factor)
    assert found.converged
    assert np.abs(found.v / net.base).min() == pytest.approx(LOWEST[factor], abs=1e-7)


def two(s: complex, z: complex = 1.0, v: float = 1.0) -> Feeder:
    """A source of v, an impedance z, and a load of constant power s rated at 1 V."""
    return Feeder(
        "two", 60.0, (Bus("a", (1,), 1.0), Bus("b", (1,), 1.0)),
        (Source("s", Terminal("a", (1,)), np.array([v + 0j]), np.array([[1e-9 + 0j]])),),
        (Line("l", Terminal("a", (1,)), Terminal("b", (1,)), np.array([[z + 0j]]), np.array([[0j]])),),
        loads=(Load("d", Terminal("b", (1, 0)), 1, "wye", s, 1.0),),
    )  # fmt: skip


@pytest.mark.parametrize("p", [0.05, 0.2, 0.2499])
def test_two_buses_have_the_root_of_a_quadratic(p: float) -> None:
    found = newton(two(p))
    assert found.converged
    assert found.v[1] == pytest.approx((1 + np.sqrt(1 - 4 * p)) / 2, abs=1e-6)


def test_beyond_the_last_solution_it_says_so() -> None:
    found = newton(two(0.2501))
    assert not found.converged
    assert found.worst == "b"
    assert found.mismatch > 1e-5


def test_the_mismatch_is_what_the_currents_leave() -> None:
    net = feeder("ieee13")
    found = newton(net)
    system, law = assemble(net), ports(net)
    left = system.Y @ found.v - system.source + law.incidence.T @ current(law, law.incidence @ found.v)
    assert np.abs(left * net.base).max() < 1e-7 * np.abs(law.s).sum()


def test_islands_have_no_voltage_and_do_not_disturb() -> None:
    net = two(0.1)
    far = replace(
        net,
        buses=(*net.buses, Bus("c", (1,), 1.0)),
        loads=(*net.loads, Load("e", Terminal("c", (1, 0)), 1, "wye", 1.0, 1.0)),
    )
    found = newton(far)
    assert found.converged
    np.testing.assert_allclose(found.v, [*newton(net).v, 0.0], atol=1e-12)


def test_what_it_is_given_must_be_numbers_of_the_right_shape() -> None:
    with pytest.raises(DataError, match=r"s has shape \(2,\), expected \(1,\)"):
        newton(two(0.1), np.array([0.1, 0.2], dtype=np.complex128))
    with pytest.raises(DataError, match="finite"):
        newton(two(0.1), start=np.array([1.0, np.nan], dtype=np.complex128))
