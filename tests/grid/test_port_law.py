"""What a port draws, against OpenDSS in every zone of voltage, and its derivatives against differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.grid.elements import Bus, Generator, Load, Source, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.port_law import current, derivatives
from gridmodel.grid.ports import Ports, ports

Z, STEADY, P = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
U = [0.3, 0.6, 0.8, 0.93, 0.97, 1.0, 1.04, 1.06, 1.2]
# OpenDSS: a one-phase load of 100 kW and 50 kvar at 2.4 kV, vminpu .95, vmaxpu 1.05, vlowpu .5, behind 1e-6 ohm at
# U pu; power drawn, in parts of 100 kW and of 50 kvar. Model 8: zipv=[.3 .2 .5 .1 .6 .3 0].
DRAWN = {
    1: (
        [0.089999997, 0.373684196, 0.694736814, 0.956105224, 1.0, 1.0, 1.0, 1.01913829, 1.306122408],
        [0.089999997, 0.373684196, 0.694736814, 0.956105224, 1.0, 1.0, 1.0, 1.01913829, 1.306122408],
    ),
    2: (
        [
            0.089999997,
            0.359999988,
            0.639999978,
            0.86489997,
            0.940899967,
            0.999999965,
            1.081599962,
            1.123599961,
            1.43999995,
        ],
        [
            0.089999997,
            0.359999988,
            0.639999978,
            0.86489997,
            0.940899967,
            0.999999965,
            1.081599962,
            1.123599961,
            1.43999995,
        ],
    ),
    3: (
        [0.089999997, 0.373684196, 0.694736814, 0.956105224, 1.0, 1.0, 1.0, 1.01913829, 1.306122408],
        [
            0.089999997,
            0.373684196,
            0.694736814,
            0.956105224,
            0.940899965,
            0.999999965,
            1.081599965,
            1.01913829,
            1.306122408,
        ],
    ),
    4: (
        [
            0.089999997,
            0.373684196,
            0.694736814,
            0.956105224,
            0.969999983,
            0.999999983,
            1.039999983,
            1.01913829,
            1.306122408,
        ],
        [
            0.089999997,
            0.373684196,
            0.694736814,
            0.956105224,
            0.940899966,
            0.999999965,
            1.081599964,
            1.01913829,
            1.306122408,
        ],
    ),
    5: (
        [
            0.089999997,
            0.366666653,
            0.666666642,
            0.909333299,
            0.969999983,
            0.999999983,
            1.039999983,
            1.070095203,
            1.371428526,
        ],
        [
            0.089999997,
            0.366666653,
            0.666666642,
            0.909333299,
            0.969999983,
            0.999999983,
            1.039999983,
            1.070095203,
            1.371428526,
        ],
    ),
    8: (
        [
            0.089999997,
            0.368175425,
            0.672701729,
            0.919389263,
            0.976269986,
            0.999999986,
            1.032479986,
            1.060668174,
            1.359346894,
        ],
        [
            0.089999997,
            0.368105249,
            0.672421027,
            0.918921544,
            0.976089986,
            0.999999986,
            1.032159986,
            1.060158605,
            1.358693833,
        ],
    ),
}
LAWS = {1: (P, P), 2: (Z, Z), 3: (P, Z), 4: (STEADY, Z), 5: (STEADY, STEADY), 8: ((0.3, 0.2, 0.5), (0.1, 0.6, 0.3))}


def one(model: int) -> Ports:
    zip_p, zip_q = LAWS[model]
    load = Load(
        "l", Terminal("a", (1, 0)), 1, "wye", 100e3 + 50e3j, 2400.0, zip_p, zip_q, 0.95, 1.05, v_low=0.5,
        power_outside=model in (3, 4),
    )  # fmt: skip
    return ports(feeder(load))


def feeder(*owners: Load | Generator, nodes: tuple[int, ...] = (1, 2, 3, 4)) -> Feeder:
    source = Source("s", Terminal("a", (1,)), np.array([2400.0 + 0j]), np.array([[1e-3 + 0j]]))
    loads = tuple(owner for owner in owners if isinstance(owner, Load))
    units = tuple(owner for owner in owners if isinstance(owner, Generator))
    return Feeder("f", 60.0, (Bus("a", nodes, 2400.0),), (source,), loads=loads, generators=units)


@pytest.mark.parametrize("model", LAWS)
def test_the_power_drawn_is_that_of_opendss(model: int) -> None:
    v = 2400.0 * np.array(U)[:, None] * np.exp(0.7j)
    s = (v * current(one(model), v).conj())[:, 0]
    np.testing.assert_allclose(s.real / 100e3, DRAWN[model][0], rtol=1e-7)
    np.testing.assert_allclose(s.imag / 50e3, DRAWN[model][1], rtol=1e-7)


@pytest.mark.parametrize("model", LAWS)
def test_derivatives_are_limits_of_differences(model: int) -> None:
    law, v = one(model), 2400.0 * np.array(U)[:, None] * np.exp(0.7j)
    slopes, h = derivatives(law, v), 0.01
    for way in (1.0, 1j):
        difference = (current(law, v + h * way) - current(law, v - h * way)) / (2 * h)
        np.testing.assert_allclose(slopes.v * way + slopes.v_conj * np.conj(way), difference, rtol=1e-6, atol=1e-9)
        by_s = (current(law, v, law.s + way) - current(law, v, law.s - way)) / 2
        np.testing.assert_allclose(slopes.s * way + slopes.s_conj * np.conj(way), by_s, rtol=1e-9, atol=1e-14)


def test_constant_power_has_the_closed_form_of_the_adjoint() -> None:
    law = replace(one(1), v_min=np.zeros(1), v_max=np.full(1, np.inf), v_low=np.zeros(1))
    v = np.array([2300.0 - 400.0j])
    slopes = derivatives(law, v)
    np.testing.assert_allclose(slopes.s_conj, 1 / v.conj())
    np.testing.assert_allclose(slopes.v_conj, -law.s.conj() / v.conj() ** 2)
    np.testing.assert_allclose([slopes.v[0], slopes.s[0]], [0, 0], atol=1e-15)


def test_a_port_without_voltage_draws_nothing() -> None:
    for model in LAWS:
        law = replace(one(model), v_min=np.zeros(1), v_low=np.zeros(1))
        np.testing.assert_array_equal(current(law, np.zeros(1, dtype=np.complex128)), [0])
        assert np.isfinite(derivatives(law, np.zeros(1, dtype=np.complex128)).v).all()


def test_complex64_stays_complex64() -> None:
    v = (2400.0 * np.array(U)[:, None]).astype(np.complex64)
    for model in LAWS:
        found = current(one(model), v)
        assert found.dtype == np.complex64
        assert derivatives(one(model), v).v.dtype == np.complex64
        np.testing.assert_allclose(found, current(one(model), v.astype(np.complex128)), rtol=2e-6)


def test_ports_of_every_connection() -> None:
    net = feeder(
        Load("wye", Terminal("a", (1, 2, 3, 4)), 3, "wye", 3e3 + 0j, 4156.9219),
        Load("delta", Terminal("a", (1, 2, 3)), 3, "delta", 6e3 + 3e3j, 4160.0),
        Load("open", Terminal("a", (1, 2, 3)), 2, "delta", 2e3 + 0j, 4160.0),
        Load("lines", Terminal("a", (3, 1)), 1, "delta", 1e3j, 4160.0),
        Generator("pv", Terminal("a", (2, 0)), 1, "wye", 5e3 - 1e3j, 2400.0),
    )
    found = ports(net)
    expected = [
        [1, 0, 0, -1], [0, 1, 0, -1], [0, 0, 1, -1], [1, -1, 0, 0], [0, 1, -1, 0], [-1, 0, 1, 0], [1, -1, 0, 0],
        [0, 1, -1, 0], [-1, 0, 1, 0], [0, 1, 0, 0],
    ]  # fmt: skip
    np.testing.assert_array_equal(found.incidence.toarray(), expected)
    np.testing.assert_allclose(found.v[[0, 3, 9]], [2400.0, 4160.0, 2400.0], rtol=1e-6)
    np.testing.assert_allclose(found.s, [1e3] * 3 + [2e3 + 1e3j] * 3 + [1e3] * 2 + [1e3j, -5e3 + 1e3j])
    assert found.names == ("wye",) * 3 + ("delta",) * 3 + ("open",) * 2 + ("lines", "pv")


def test_a_generator_is_an_impedance_beyond_its_limits() -> None:
    # OpenDSS: generators, PV and storage with vminpu .9, vmaxpu 1.1 give 100 kW between, and 100 (u / edge)^2 outside.
    law = ports(feeder(Generator("g", Terminal("a", (1, 0)), 1, "wye", 100e3 + 50e3j, 2400.0, v_min=0.9, v_max=1.1)))
    u = np.array([[0.3], [0.89], [0.95], [1.09], [1.2]])
    s = u * 2400 * current(law, u * 2400 + 0j).conj()
    np.testing.assert_allclose(s[:, 0].real / 1e3, [-11.111112, -97.790128, -100.0, -100.0, -119.008268], rtol=1e-7)
    np.testing.assert_allclose(s.imag, s.real / 2)
