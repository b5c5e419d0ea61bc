"""The semidefinite relaxation: published gaps, areas, prices, and the matrix over all buses."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.ir.result import Status
from gridmodel.physics import sdp
from gridmodel.physics.opf import opf
from gridmodel.physics.powerflow import admittance
from gridmodel.physics.prices import bus_prices
from gridmodel.verify.central import solve_central
from gridmodel.verify.ladder import solve_program
from tests.physics.cases import AC, gap, shipped

GAPS = {"case5_pjm": 5.220, "case14_ieee": 0.0, "case30_ieee": 0.0, "case118_ieee": 0.072}


def value_of(model) -> float:
    central = solve_central(model)
    assert central.status == "optimal"
    return central.value


@pytest.mark.parametrize("name", list(GAPS))
def test_published_gaps(name: str):
    bound = value_of(opf(shipped(name), "sdp"))
    assert gap(name, bound) == pytest.approx(GAPS[name], abs=1e-3)


@pytest.mark.parametrize("name", list(GAPS))
def test_it_lies_between_cones_and_the_exact_equations(name: str):
    net = shipped(name)
    cone, bound = value_of(opf(net, "soc")), value_of(opf(net, "sdp"))
    assert cone < bound
    assert bound <= AC[name] * (1 + 1e-6)  # the published values are rounded


@pytest.mark.parametrize("name", list(GAPS))
def test_areas_give_the_same_bound(name: str):
    net = shipped(name)
    assert value_of(opf(net, "sdp", areas=4)) == pytest.approx(value_of(opf(net, "sdp")), rel=1e-6)


def test_areas_hold_blocks_that_overlap():
    net = shipped("case30_ieee")
    model = opf(net, "sdp", areas=3)
    held = [{tuple(pair) for pair in pairs.tolist()} for pairs in model.layout.pairs.values()]
    assert all(any(mine & other for other in held if other is not mine) for mine in held)
    result = gm.solve(model, "central")
    values: dict[tuple[int, int], list[float]] = {}
    for area, pairs in model.layout.pairs.items():
        for pair, c in zip(pairs.tolist(), result[area]["c"], strict=True):
            values.setdefault(tuple(pair), []).append(c)
    assert max(len(copies) for copies in values.values()) > 1
    assert max(np.ptp(copies) for copies in values.values()) < 1e-6


def test_cliques_equal_one_matrix_over_all_buses():
    # the textbook form with a Hermitian matrix, tr(Phi W) for the powers, written without any part of the formulation
    net = shipped("case5_pjm")
    count, units, branches, base = net.buses.number.size, net.generators, net.branches, net.base_mva
    W, Y = cp.Variable((count, count), hermitian=True), admittance(net).toarray()
    p, q = cp.Variable(units.bus.size), cp.Variable(units.bus.size)
    at = np.zeros((count, units.bus.size))
    at[units.bus, np.arange(units.bus.size)] = 1.0
    powers = cp.diag(W @ Y.conj().T)
    limits = [
        W >> 0, cp.real(cp.diag(W)) >= net.buses.v_min**2, cp.real(cp.diag(W)) <= net.buses.v_max**2,
        at @ p - cp.real(powers) == net.buses.p_load / base, at @ q - cp.imag(powers) == net.buses.q_load / base,
        p >= units.p_min / base, p <= units.p_max / base, q >= units.q_min / base, q <= units.q_max / base,
    ]  # fmt: skip
    for k, (i, j) in enumerate(zip(branches.start, branches.end, strict=True)):
        y = 1 / (branches.r[k] + 1j * branches.x[k])
        for near, far in ((i, j), (j, i)):
            sent = np.conj(y + 0.5j * branches.b[k]) * W[near, near] - np.conj(y) * W[near, far]
            limits.append(cp.abs(sent) <= branches.rate_a[k] / base)
        limits += [
            cp.imag(W[i, j]) <= np.tan(branches.angle_max[k]) * cp.real(W[i, j]),
            cp.imag(W[i, j]) >= np.tan(branches.angle_min[k]) * cp.real(W[i, j]),
        ]
    problem = cp.Problem(cp.Minimize(net.costs.linear * base / 1000 @ p), limits)
    assert solve_program(problem).status == "optimal"
    assert not net.costs.quadratic.any()
    assert value_of(opf(net, "sdp")) == pytest.approx(1000 * problem.value, rel=1e-6)


def test_larger_cliques_give_the_same_bound(monkeypatch):
    net = shipped("case14_ieee")
    small = value_of(opf(net, "sdp", load_scale=0.9))
    monkeypatch.setattr(sdp, "chordal_cliques", lambda count, edges: [np.arange(count)])
    assert value_of(opf(net, "sdp", load_scale=0.9)) == pytest.approx(small, rel=1e-6)


def test_the_price_of_balance_is_the_marginal_cost():
    net = shipped("case30_ieee")
    result = gm.solve(opf(net, "sdp", areas=2), "central")
    assert result.status is Status.CERTIFIED
    prices = bus_prices(result, net)
    reactive = {}
    for area, numbers in result.model.layout.buses.items():
        reactive |= dict(zip(numbers.tolist(), result.price[f"{area}.reactive balance"], strict=True))
    number = net.buses.number.tolist()
    slope = sum(
        prices[n] * p + reactive[n] * q for n, p, q in zip(number, net.buses.p_load, net.buses.q_load, strict=True)
    )
    step = 1e-3
    above, below = (value_of(opf(net, "sdp", load_scale=1 + side * step)) for side in (1, -1))
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-3)


def test_too_much_load_is_infeasible():
    result = gm.solve(opf(shipped("case14_ieee"), "sdp", areas=2, load_scale=8.0), "central")
    assert result.status is Status.INFEASIBLE
    assert "more reactive supply" in result.message
    assert "at bus 3" in result.message
