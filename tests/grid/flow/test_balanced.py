"""Newton's load flow of balanced networks: closed forms, and the balance of power written out branch by branch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridmodel.errors import DataError, ModelError, ShapeError
from gridmodel.grid.matpower import read_matpower
from gridmodel.grid.network import Network
from tests.grid.case import changed, write

CASES = Path(__file__).parents[3] / "models" / "data"
NAMES = ["pglib_opf_case5_pjm", "pglib_opf_case14_ieee", "pglib_opf_case30_ieee", "pglib_opf_case118_ieee"]


def case(name: str) -> Network:
    return read_matpower(CASES / f"{name}.m")


@pytest.mark.parametrize("name", NAMES)
def test_power_is_balanced_at_every_bus_and_generators_hold_their_voltage(name: str) -> None:
    net = case(name)
    flow = net.load_flow()
    assert flow.converged
    buses, branches = net.buses, net.branches
    into = np.zeros(len(buses.number), dtype=complex)
    for k in range(branches.x.size):
        f, t = branches.start[k], branches.end[k]
        turn = branches.tap[k] * np.exp(1j * branches.shift[k])
        inner = flow.v[f] / turn
        series = (inner - flow.v[t]) / complex(branches.r[k], branches.x[k])
        into[f] += inner * np.conj(series + 0.5j * branches.b[k] * inner)
        into[t] += flow.v[t] * np.conj(-series + 0.5j * branches.b[k] * flow.v[t])
    shunt = (buses.g_shunt - 1j * buses.b_shunt) * np.abs(flow.v) ** 2
    left = flow.generation - (buses.p_load + 1j * buses.q_load) - shunt - net.base_mva * into
    assert np.abs(left).max() < 1e-6 * net.base_mva
    scheduled = np.zeros(len(buses.number))
    np.add.at(scheduled, net.generators.bus, net.generators.p)
    free = buses.kind != 3
    assert np.abs(flow.generation.real - scheduled)[free].max() < 1e-5
    held = buses.kind[net.generators.bus] != 1
    assert np.abs(flow.v)[net.generators.bus[held]] == pytest.approx(net.generators.v_set[held], abs=1e-12)
    assert np.angle(flow.v[net.reference]) == pytest.approx(buses.v_angle[net.reference], abs=1e-12)
    assert flow.losses == pytest.approx(net.base_mva * into.sum(), abs=1e-6)


def test_scenarios_are_load_flows_one_by_one() -> None:
    net = case("pglib_opf_case14_ieee")
    own = net.buses.p_load + 1j * net.buses.q_load
    many = net.load_flow(np.array([own, 1.1 * own]))
    assert many.v.shape == (2, 14)
    assert np.abs(many.v[0] - net.load_flow().v).max() < 1e-12
    assert np.abs(many.v[1] - net.load_flow(1.1 * own).v).max() < 1e-12
    assert many.losses[1].real > many.losses[0].real


def test_two_buses_have_the_closed_form(tmp_path: Path) -> None:
    """1 pu behind x = 0.1 pu, a load of q = 1 pu: v = (1 + sqrt(1 - 4 x q)) / 2."""
    net = read_matpower(write(tmp_path, TWO))
    flow = net.load_flow()
    assert abs(flow.v[1] - (1 + np.sqrt(1 - 0.4)) / 2) < 1e-9
    failed = net.load_flow(np.array([0, 260j]))
    assert failed.status == "failed"
    assert failed.worst == 2
    assert np.isnan(failed.v).all()


def test_a_bus_of_type_2_without_generator_is_one_of_type_1(tmp_path: Path) -> None:
    text = changed(("20	2	50", "20	1	50"))
    cut = replace(read_matpower(write(tmp_path, text)), name="cut")
    assert cut.load_flow().converged
    assert cut.load_flow().generation[1].real == pytest.approx(0.0, abs=1e-6)


def test_bad_input() -> None:
    net = case("pglib_opf_case5_pjm")
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        net.load_flow(np.ones(3))
    with pytest.raises(DataError, match="not finite"):
        net.load_flow(np.full(5, np.nan))
    bare = replace(net, buses=replace(net.buses, kind=np.ones(5, dtype=np.intp)))
    with pytest.raises(ModelError, match="no reference bus"):
        bare.load_flow()


TWO = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
	1	3	0	0	0	0	1	1	0	230	1	1.1	0.9;
	2	1	0	100	0	0	1	1	0	230	1	1.1	0.9;
];
mpc.gen = [
	1	0	0	300	-300	1	100	1	150	0;
];
mpc.gencost = [
	2	0	0	3	0.01	10	5;
];
mpc.branch = [
	1	2	0	0.1	0	600	0	0	0	0	1	-30	30;
];
"""
