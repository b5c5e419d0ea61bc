"""Feeder.load_flow against OpenDSS's voltages, powers and losses on the IEEE feeders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.grid.references import AUTOMATIC, KERSTING, between_lines, constant_power, feeder, ratios, reference

CASES = [
    ("ieee13", "ieee13.csv", {"reg1": 9, "reg2": 6, "reg3": 9}, False, (3567.05, 1736.44, 112.39)),
    ("ieee13", "ieee13_allPQ.csv", {"reg1": 9, "reg2": 6, "reg3": 9}, True, (3579.78, 1748.70, 113.78)),
    ("ieee37", "ieee37.csv", {"reg1a": 16, "reg1c": 14}, False, (2588.35, 1572.55, 152.34)),
    ("ieee123", "ieee123_auto.csv", AUTOMATIC, False, (3611.63, 1315.80, 95.83)),
    ("ieee123", "ieee123_kersting.csv", KERSTING, False, (3621.54, 1323.87, 95.28)),
    ("ieee123", "ieee123_kersting_allPQ.csv", KERSTING, True, (3583.35, 1298.05, 93.35)),
]


@pytest.mark.parametrize(("name", "file", "steps", "power", "kilo"), CASES)
def test_voltages_power_and_losses_are_those_of_opendss(
    name: str, file: str, steps: dict[str, int], power: bool, kilo: tuple[float, float, float]
) -> None:
    net = constant_power(feeder(name)) if power else feeder(name)
    flow = net.load_flow(taps=ratios(steps), tolerance=1e-10)
    assert flow.converged
    assert flow.status == "converged"
    assert np.abs(between_lines(net, flow.v - reference(file, net))).max() < 1e-7
    assert np.abs(flow.v - reference(file, net)).max() < 1e-6
    assert (flow.power.real / 1e3, flow.power.imag / 1e3, flow.losses.real / 1e3) == pytest.approx(kilo, abs=0.0051)


def test_single_precision_is_as_exact_as_single_precision_can_be() -> None:
    """The floating delta behind bus 610 puts 6.7e6 pu into the nodes' impedances; in port form it does not matter."""
    net = feeder("ieee123")
    flow = net.load_flow(taps=ratios(KERSTING), dtype=np.complex64)
    assert flow.v.dtype == np.complex64
    assert np.abs(flow.v - reference("ieee123_kersting.csv", net)).max() < 5e-7


def test_automatic_taps_are_where_opendss_puts_them() -> None:
    net = feeder("ieee13")
    flow = net.load_flow(taps="auto", tolerance=1e-10)
    assert flow.settled
    assert {name: round((tap - 1) / 0.00625) for (name, _), tap in flow.taps.items()} == {
        "reg1": 9,
        "reg2": 6,
        "reg3": 9,
    }
    assert np.abs(flow.v - reference("ieee13.csv", net)).max() < 1e-7


def test_automatic_taps_are_found_for_every_scenario_alone() -> None:
    net = feeder("ieee13")
    factors = np.array([0.3, 1.0, 0.3, 1.1])
    many = net.load_flow(loads=factors, taps="auto")
    assert many.taps[0] == many.taps[2] != many.taps[1]
    for k, factor in enumerate(factors):
        one = net.load_flow(loads=float(factor), taps="auto")
        assert one.taps == many.taps[k]
        assert np.abs(one.v - many.v[k]).max() < 1e-12
        assert one.certificate.xi == pytest.approx(many.certificate.xi[k], rel=1e-12)


def test_the_currents_of_the_lines_add_up_at_a_bus_with_a_load() -> None:
    """At bus 652 of IEEE 13, one line comes in and a constant-impedance load of 128 + j 86 kVA at 2.4 kV goes out."""
    net = feeder("ieee13")
    flow = net.load_flow()
    line = next(one for one in net.lines if one.end.bus == "652")
    at_end, volts = flow.currents[line.name][1, 0], flow.volts[net.position["652.1"]]
    assert -volts * at_end.conjugate() == pytest.approx((128e3 + 86e3j) * abs(volts / 2400) ** 2, abs=2.0)


def test_heavy_load_certifies_to_a_quarter_more_and_fails_beyond_the_nose() -> None:
    net = constant_power(feeder("ieee123"))
    flow = net.load_flow(loads=np.array([1.0, 1.25, 1.26, 3.0, 4.2]), taps=ratios(KERSTING))
    assert flow.certificate.xi[0] == pytest.approx(0.199, abs=5e-4)
    assert flow.certificate.holds.tolist() == [True, True, False, False, False]
    assert flow.status.tolist() == ["converged"] * 4 + ["failed"]
    assert flow.worst[4] in {bus.name for bus in net.buses}
    assert np.isnan(flow.v[4]).all()
    assert np.isfinite(flow.v[:4]).all()
    assert flow.mismatch[4] > 1e-3


def test_opened_switches_leave_dead_buses_at_zero() -> None:
    net = feeder("ieee13")
    cut = replace(net, lines=tuple(replace(one, closed=one.end.bus != "652") for one in net.lines))
    flow = cut.load_flow()
    assert flow.converged
    assert flow["652.1"] == 0.0
    assert abs(flow["671.1"]) > abs(net.load_flow()["671.1"])
