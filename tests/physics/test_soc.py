"""Second-order cone relaxations: published gaps, both boundaries, both forms, prices."""

from __future__ import annotations

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.physics.opf import opf
from gridmodel.physics.prices import bus_prices
from gridmodel.verify.central import solve_central
from tests.physics.cases import FEEDER, from_text, gap, shipped

GAPS = {"case5_pjm": 14.55, "case14_ieee": 0.11, "case30_ieee": 18.84, "case118_ieee": 0.91}


def value_of(model) -> float:
    central = solve_central(model)
    assert central.status == "optimal"
    return central.value


@pytest.mark.parametrize("name", list(GAPS))
def test_published_gaps(name: str):
    assert gap(name, value_of(opf(shipped(name), "soc"))) == pytest.approx(GAPS[name], abs=0.02)


@pytest.mark.parametrize("boundary", ["copies", "flow"])
@pytest.mark.parametrize("name", list(GAPS))
def test_areas_give_the_same_bound(name: str, boundary: str):
    net = shipped(name)
    whole = value_of(opf(net, "soc"))
    assert value_of(opf(net, "soc", areas=4, boundary=boundary)) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("boundary", ["copies", "flow"])
def test_neighbours_agree_on_as_many_numbers_as_they_share(boundary: str):
    # a rule counted by hand: two of the lines between the areas join the same buses, two meet at one bus
    net = shipped("case118_ieee")
    model = opf(net, "soc", areas=4, boundary=boundary)
    area = {int(bus): name for name, buses in model.layout.buses.items() for bus in buses}
    start, end = (net.buses.number[side] for side in (net.branches.start, net.branches.end))
    pairs = {(min(i, j), max(i, j)) for i, j in zip(start.tolist(), end.tolist(), strict=True) if area[i] != area[j]}
    copies = {(bus, area[other]) for i, j in pairs for bus, other in ((i, j), (j, i))}
    rows = sum(coupling.size() for coupling in model.couplings)
    assert rows == (2 * len(pairs) + len(copies) if boundary == "copies" else 4 * len(pairs))


def test_tie_powers_are_those_of_the_line():
    net = shipped("case14_ieee")
    result = gm.solve(opf(net, "soc", areas=2, boundary="flow"), "central")
    layout = result.model.layout
    for area, ties in layout.ties.items():
        own, numbers = result[area], layout.pairs[area]
        for k, line in enumerate(ties):
            i, j = int(net.branches.start[line]), int(net.branches.end[line])
            key = sorted((i, j))
            at = int(np.flatnonzero((numbers == net.buses.number[key]).all(axis=1))[0])
            product = own["c"][at] + 1j * own["s"][at] * (1 if i < j else -1)
            y = 1 / (net.branches.r[line] + 1j * net.branches.x[line])
            t = net.branches.tap[line]
            w = {}
            for name in layout.buses:
                w |= dict(zip(layout.buses[name].tolist(), result[name]["w"], strict=True))
            charged = y + 0.5j * net.branches.b[line]
            sent = np.conj(charged) / t**2 * w[net.buses.number[i]] - np.conj(y) / t * product
            back = np.conj(charged) * w[net.buses.number[j]] - np.conj(y) / t * np.conj(product)
            assert own["tie_p"][k] == pytest.approx(50 * (sent - back).real, abs=1e-3)
            assert own["tie_q_start"][k] == pytest.approx(100 * sent.imag, abs=1e-3)
            assert own["tie_q_end"][k] == pytest.approx(100 * back.imag, abs=1e-3)


@pytest.mark.parametrize("areas", [1, 3])
@pytest.mark.parametrize("name", ["case5_pjm", "case14_ieee", "case30_ieee"])
def test_branch_flow_gives_the_same_bound(name: str, areas: int):
    net = shipped(name)
    assert value_of(opf(net, "branchflow", areas=areas)) == pytest.approx(value_of(opf(net, "soc")), rel=1e-6)


@pytest.mark.parametrize("areas", [1, 2])
def test_both_forms_agree_on_a_radial_network_with_a_tap(tmp_path, areas: int):
    net = from_text(tmp_path, FEEDER)
    results = [gm.solve(opf(net, name, areas=areas), "central") for name in ("soc", "branchflow", "sdp")]
    assert results[1].value == pytest.approx(results[0].value, rel=1e-6)
    assert results[2].value == pytest.approx(results[0].value, rel=1e-6)
    prices = [list(bus_prices(result, net).values()) for result in results]
    assert prices[1] == pytest.approx(prices[0], rel=1e-4)


def test_the_price_of_balance_is_the_marginal_cost():
    net = shipped("case5_pjm")
    result = gm.solve(opf(net, "soc", areas=2), "central")
    prices, reactive = bus_prices(result, net), {}
    for area, numbers in result.model.layout.buses.items():
        reactive |= dict(zip(numbers.tolist(), result.price[f"{area}.reactive balance"], strict=True))
    number = net.buses.number.tolist()
    slope = sum(
        prices[n] * p + reactive[n] * q for n, p, q in zip(number, net.buses.p_load, net.buses.q_load, strict=True)
    )
    above, below = (value_of(opf(net, "soc", load_scale=1 + side * 1e-3)) for side in (1, -1))
    assert slope == pytest.approx((above - below) / 2e-3, rel=1e-3)


def test_an_unknown_boundary_is_refused():
    with pytest.raises(ModelError, match=r"boundary='midpoint'.*copies, flow"):
        opf(shipped("case5_pjm"), "soc", areas=2, boundary="midpoint")
