"""AC optimal power flow against PGLib's published values, the network equations and finite differences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.read import read_network
from gridmodel.verify.central import Central, solve_central
from tests.grid.case import THREE, changed, write
from tests.physics.test_pieces import injections, network

# PGLib v23.07, BASELINE.md, AC column in $/h
BASELINE = {"5_pjm": 1.7552e4, "14_ieee": 2.1781e3, "30_ieee": 8.2085e3, "118_ieee": 9.7214e4}
BENT = changed(
    ("10\t30\t0.01\t0.2\t0\t90\t0\t0\t0\t0", "10\t30\t0.01\t0.2\t0.2\t90\t0\t0\t0.97\t5"),
    ("20\t30\t0.01\t0.1\t0\t90", "20\t30\t0.01\t0.1\t0.1\t90"),
)
"""Three buses, with a tap, a phase shift and charging."""
ANGLE = BENT.replace("0.97\t5\t1\t-30\t30", "0.97\t5\t1\t-30\t8.8")
"""The same, with a limit of the angle difference that binds."""


def solved(net: Network, areas: object = 1, coordinates: str = "polar") -> tuple[gm.Model, Central]:
    model = gm.opf(net, "ac", areas=areas, coordinates=coordinates)  # type: ignore[arg-type]
    found = solve_central(model)
    assert found.status == "stationary", found.culprit
    return model, found


def prices(model: gm.Model, found: Central, name: str = "balance") -> dict[int, float]:
    return {
        int(number): float(price)
        for area, numbers in model.layout.buses.items()
        for number, price in zip(numbers, np.atleast_1d(found.price[f"{area}.{name}"]), strict=True)
    }


def more_load(net: Network, bus: int, p: float, q: float) -> Network:
    at = net.buses.number == bus
    buses = replace(net.buses, p_load=net.buses.p_load + p * at, q_load=net.buses.q_load + q * at)
    return replace(net, buses=buses)


@pytest.mark.parametrize("coordinates", ["polar", "rectangular"])
@pytest.mark.parametrize("areas", [1, 4])
@pytest.mark.parametrize("case", BASELINE)
def test_the_published_optimum_in_one_and_in_four_areas(case: str, areas: int, coordinates: str) -> None:
    _, found = solved(network(case), areas, coordinates)
    assert float(f"{found.value:.4e}") == BASELINE[case]
    assert found.coupling_residual < 1e-9
    assert found.local_residual < 1e-9


@pytest.mark.parametrize("coordinates", ["polar", "rectangular"])
def test_the_answer_obeys_the_network_equations_and_limits(coordinates: str) -> None:
    net = network("14_ieee")
    model, found = solved(net, 2, coordinates)
    v = np.empty(14, dtype=np.complex128)
    power = np.zeros(14, dtype=np.complex128)
    for area, held in found.variables.items():
        own = np.searchsorted(net.buses.number, model.layout.buses[area])
        v[own] = held["v"] * np.exp(1j * held["theta"]) if coordinates == "polar" else held["e"] + 1j * held["f"]
        units = model.layout.generators[area]
        np.add.at(power, net.generators.bus[units], held["p"] + 1j * held["q"])
    shunt = (net.buses.g_shunt - 1j * net.buses.b_shunt) * np.abs(v) ** 2
    left = power - (net.buses.p_load + 1j * net.buses.q_load) - shunt - net.base_mva * injections(net, v)
    assert np.abs(left).max() < 1e-6
    assert (np.abs(v) > net.buses.v_min - 1e-9).all()
    assert (np.abs(v) < net.buses.v_max + 1e-9).all()
    assert np.angle(v[0]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("bus", [3, 14])
def test_prices_are_finite_differences_of_the_optimum(bus: int) -> None:
    net = network("14_ieee")
    step = 0.05
    for coordinates, areas in (("polar", 1), ("rectangular", 2)):
        model, found = solved(net, areas, coordinates)
        for name, p, q in (("balance", step, 0.0), ("reactive balance", 0.0, step)):
            above, below = (solved(more_load(net, bus, s * p, s * q))[1].value for s in (1, -1))
            assert prices(model, found, name)[bus] == pytest.approx((above - below) / (2 * step), abs=2e-5)


def test_prices_of_a_congested_network_differ_from_bus_to_bus_and_by_finite_differences() -> None:
    net = network("5_pjm")
    model, found = solved(net, 2)
    lmp = prices(model, found)
    assert max(lmp.values()) - min(lmp.values()) > 20
    for bus in (2, 4):
        above, below = (solved(more_load(net, bus, s * 0.05, 0.0))[1].value for s in (1, -1))
        assert lmp[bus] == pytest.approx((above - below) / 0.1, abs=1e-4)


@pytest.mark.parametrize("text", [BENT, ANGLE], ids=["bent", "angle"])
def test_taps_shifts_charging_and_angle_limits_do_not_notice_the_cut(tmp_path: Path, text: str) -> None:
    net = read_network(write(tmp_path, text))
    whole = solved(net)[1]
    for areas in ({10: "a", 20: "b", 30: "b"}, {10: "a", 20: "b", 30: "c"}):
        for coordinates in ("polar", "rectangular"):
            model, found = solved(net, areas, coordinates)
            assert found.value == pytest.approx(whole.value, rel=1e-8)
            assert list(prices(model, found).values()) == pytest.approx(whole.price["area1.balance"], abs=1e-4)
    if text is ANGLE:
        theta = whole.variables["area1"]["theta"]
        assert theta[0] - theta[2] == pytest.approx(np.radians(8.8), abs=1e-8)
        assert whole.value > 1.0000001 * solved(read_network(write(tmp_path, BENT)))[1].value


def test_piecewise_costs_are_what_the_file_says(tmp_path: Path) -> None:
    text = changed(
        ("2\t0\t0\t3\t0.01\t10\t5;", "1\t0\t0\t3\t0\t0\t50\t500\t150\t2500;"),
        ("2\t0\t0\t3\t0.02\t20\t7;", "2\t0\t0\t3\t0.02\t15\t7\t0\t0\t0;"),
    )
    net = read_network(write(tmp_path, text))
    _, found = solved(net)
    assert found.value == pytest.approx(net.costs.total(found.variables["area1"]["p"]), rel=1e-9)
    assert found.variables["area1"]["p"][0] == pytest.approx(50.0, abs=1e-5)  # 15 $/MWh lies between 10 and 20


def test_a_search_starts_flat() -> None:
    model = gm.opf(network("14_ieee"), "ac", areas=2)
    held = model["area1"].variables
    assert held["v"].value.tolist() == [1.0] * held["v"].size
    assert held["tie_theta"].value.tolist() == [0.0] * held["tie_theta"].size
    lower, upper = held["p"].attributes["bounds"]
    assert held["p"].value == pytest.approx((lower + upper) / 2)


def test_a_point_is_bounded_by_the_relaxation_and_never_called_optimal() -> None:
    net = network("14_ieee")
    result = gm.solve(gm.opf(net, "ac", areas=2), "central")
    certificate = gm.verify(result)
    assert certificate.central_status == "stationary"
    assert result.status.value != "certified"
    assert certificate.lower_bound is not None
    assert certificate.gap == pytest.approx(0.0011, abs=1e-4)  # PGLib's SOC column: .11 %
    assert gm.bus_prices(result, net)[3] == pytest.approx(9.1364595, abs=1e-6)


def test_too_much_load_is_proven_infeasible_at_a_bus() -> None:
    found = solve_central(gm.opf(more_load(network("14_ieee"), 14, 600.0, 0.0), "ac", areas=2))
    assert found.status == "infeasible"
    assert found.value == np.inf
    assert found.culprit is not None
    assert (
        "a convex relaxation proves it: the loads take 859 MW and the generators give at most 399 MW" in found.culprit
    )
    assert "less load or more generation by 551.2 MW (551.2 at bus 14)" in found.culprit


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    net = read_network(write(tmp_path, THREE))
    with pytest.raises(ModelError, match="coordinates='complex' is not known; available: polar, rectangular"):
        gm.opf(net, "ac", coordinates="complex")
    with pytest.raises(ModelError, match="formulation 'ac' has no option 'susceptance'; it has coordinates"):
        gm.opf(net, "ac", susceptance="pglib")
    with pytest.raises(ModelError, match="boundary='angle' is not known to formulation 'ac'; available: midpoint"):
        gm.opf(net, "ac", boundary="angle")
    wide = read_network(write(tmp_path, changed(("60\t0\t0\t0\t0\t1\t-30\t30", "60\t0\t0\t0\t0\t1\t-120\t120"))))
    assert solve_central(gm.opf(wide, "ac")).solved
    for areas, coordinates in ((1, "rectangular"), (3, "polar")):
        with pytest.raises(ModelError, match=r"branch 1 \(10-20\) of case\.m: an angle limit of 90 degrees or more"):
            gm.opf(wide, "ac", areas=areas, coordinates=coordinates)


def test_prices_of_ratings_and_of_voltages_are_finite_differences() -> None:
    net = network("5_pjm")
    result = gm.solve(gm.opf(net, "ac", coordinates="rectangular"), "central")
    assert result.certificate is not None
    assert result.certificate.dual_residual < 1e-8
    limits = {limit.name: limit for limit in result.model.agents[0].limits}

    def cost(changed: Network) -> float:
        return solve_central(gm.opf(changed, "ac")).value

    name = "thermal limit at end"
    k = limits[name].rows.index("branch 4-5")  # of cases with ratings everywhere the row of the branch
    rate, step = net.branches.rate_a[k] / net.base_mva, 1e-3
    around = []
    for square in (rate**2 + step, rate**2 - step):
        other = net.branches.rate_a.copy()
        other[k] = net.base_mva * np.sqrt(square)
        around.append(cost(replace(net, branches=replace(net.branches, rate_a=other))))
    slope = (around[0] - around[1]) / (2 * step)
    assert slope < -1000
    assert result.price[f"area1.{name}"][k] == pytest.approx(slope, rel=1e-3)
    around = []
    k = limits["highest voltage"].rows.index("bus 3")
    for square in (net.buses.v_max[k] ** 2 + step, net.buses.v_max[k] ** 2 - step):
        other = net.buses.v_max.copy()
        other[k] = np.sqrt(square)
        around.append(cost(replace(net, buses=replace(net.buses, v_max=other))))
    slope = (around[0] - around[1]) / (2 * step)
    assert slope < -10
    assert result.price["area1.highest voltage"][k] == pytest.approx(slope, rel=1e-3)
