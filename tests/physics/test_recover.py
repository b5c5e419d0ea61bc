"""Voltages recovered from relaxations, the load flow of a balanced network, and what is said about exactness."""

from __future__ import annotations

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.physics.opf import opf
from gridmodel.physics.powerflow import bus_powers, end_powers, power_flow
from gridmodel.physics.recover import Found, rank_ratio, recovered_voltages
from gridmodel.physics.relaxation import relaxation
from tests.physics.cases import AC, TWO, from_text, shipped


@pytest.mark.parametrize("formulation", ["sdp", "soc"])
def test_two_buses_have_the_voltage_of_the_load_flow(tmp_path, formulation: str):
    # z = .1 + .2j, load .3 + .1j: w solves w^2 - (1 - 2 (r p + x q)) w + |z|^2 |s|^2 = 0
    net = from_text(tmp_path, TWO)
    result = gm.solve(opf(net, formulation), "central")
    w = np.roots([1.0, 2 * (0.1 * 0.3 + 0.2 * 0.1) - 1.0, 0.05 * 0.1]).max()
    assert result["area1"]["p"][0] == pytest.approx(0.3 + 0.1 * 0.1 / w, abs=1e-6)
    assert result["area1"]["p"][0] == pytest.approx(0.311180, abs=1e-6)
    found = relaxation(result, net)
    assert found.exact
    assert found.rank_ratio < 1e-6
    assert np.abs(found.v) == pytest.approx([1.0, np.sqrt(w)], abs=1e-6)
    assert np.abs(found.v[1]) == pytest.approx(0.945732, abs=1e-6)
    assert "rank one" in found.sentence


@pytest.mark.parametrize("areas", [1, 3])
@pytest.mark.parametrize("name", ["case14_ieee", "case30_ieee"])
def test_an_exact_relaxation_gives_the_optimum(name: str, areas: int):
    net = shipped(name)
    found = relaxation(gm.solve(opf(net, "sdp", areas=areas), "central"), net)
    assert found.exact
    assert found.cost == pytest.approx(AC[name], rel=1e-5)
    assert found.violation < 1e-6
    assert abs(found.gap) < 1e-6


@pytest.mark.parametrize(("name", "ratio"), [("case5_pjm", 6e-3), ("case118_ieee", 1.2e-2)])
def test_others_are_said_not_to_be_rank_one(name: str, ratio: float):
    net = shipped(name)
    result = gm.solve(opf(net, "sdp"), "central")
    found = relaxation(result, net, feasible_cost=AC[name])
    assert not found.exact
    assert found.rank_ratio == pytest.approx(ratio, rel=0.1)
    assert found.mismatch > 1e-2
    assert found.gap == pytest.approx(1 - result.value / AC[name], rel=1e-6)
    assert found.sentence.startswith("not rank one")
    assert f"{100 * found.gap:.3g} %" in found.sentence
    assert relaxation(result, net).gap is None  # the load flow from there violates limits


def test_angles_that_do_not_close_around_loops_are_said():
    net = shipped("case14_ieee")
    found = relaxation(gm.solve(opf(net, "soc"), "central"), net)
    assert found.rank_ratio < 1e-6
    assert not found.exact
    assert "do not close around loops" in found.sentence


def test_a_load_flow_meets_the_powers():
    net = shipped("case118_ieee")
    units, slack, held = net.generators, net.reference, np.unique(net.generators.bus)
    scheduled = -(net.buses.p_load + 1j * net.buses.q_load)
    share = 0.9 * net.buses.p_load.sum() / units.p_max.sum()
    np.add.at(scheduled, units.bus, share * units.p_max)
    wanted = scheduled / net.base_mva
    start = np.ones(net.buses.number.size, dtype=complex)
    start[held] = 1.02
    flow = power_flow(net, wanted, start, slack, held)
    assert flow.converged
    assert flow.iterations < 8
    # powers summed line by line instead of by the admittance matrix
    out = np.conj((net.buses.g_shunt + 1j * net.buses.b_shunt) / net.base_mva) * np.abs(flow.v) ** 2
    for side, power in zip((net.branches.start, net.branches.end), end_powers(net, flow.v), strict=True):
        np.add.at(out, side, power)
    assert out == pytest.approx(bus_powers(net, flow.v), abs=1e-9)
    loads = np.setdiff1d(np.arange(start.size), np.union1d(held, slack))
    assert out[loads] == pytest.approx(wanted[loads], abs=1e-8)
    assert np.delete(out.real, slack) == pytest.approx(np.delete(wanted.real, slack), abs=1e-8)
    assert np.abs(flow.v[held]) == pytest.approx(1.02, abs=1e-12)


def test_a_load_flow_without_solution_says_so(tmp_path):
    net = from_text(tmp_path, TWO)
    flow = power_flow(net, np.array([0.0, -3.0 - 1.0j]), np.ones(2, dtype=complex), net.reference, net.reference)
    assert not flow.converged
    assert flow.mismatch > 1e-3


def test_voltages_come_back_from_their_products():
    net, draw = shipped("case30_ieee"), np.random.default_rng(1)
    count = net.buses.number.size
    theta = 0.3 * draw.normal(size=count)
    theta[net.reference] = 0.0
    v = (1 + 0.05 * draw.normal(size=count)) * np.exp(1j * theta)
    first, second = np.triu_indices(count, 1)
    nothing = np.zeros(net.generators.bus.size)
    found = Found(np.abs(v) ** 2, first, second, v[first] * v[second].conj(), nothing, nothing, 1.0)
    assert recovered_voltages(found, net) == pytest.approx(v, abs=1e-9)
    assert rank_ratio(found, [np.arange(count)]) < 1e-12


def test_the_ratio_is_that_of_the_eigenvalues():
    nothing = np.zeros(0)
    found = Found(
        np.array([2.0, 2.0]), np.array([0]), np.array([1]), np.array([0.6 + 0.8j]), nothing, nothing, 1.0
    )  # eigenvalues 2 +- |0.6 + 0.8j|
    assert rank_ratio(found, [np.array([0, 1])]) == pytest.approx(1 / 3)


def test_results_of_other_kinds_are_refused():
    net = shipped("case5_pjm")
    with pytest.raises(ModelError, match='formulation="soc"'):
        relaxation(gm.solve(opf(net, "dc"), "central"), net)
    result = gm.solve(opf(net, "soc"), "central")
    with pytest.raises(ModelError, match=r"is of pglib_opf_case5_pjm\.m, not of pglib_opf_case14_ieee\.m"):
        relaxation(result, shipped("case14_ieee"))
