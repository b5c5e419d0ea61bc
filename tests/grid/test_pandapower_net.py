"""pandapower nets as Networks: the same voltages as pandapower's own power flow, and its limits and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as shipped
import pytest
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NetworkFileError
from gridmodel.grid.network import Network
from gridmodel.grid.pandapower_net import from_pandapower
from gridmodel.grid.read import read_network

Complexes = NDArray[np.complex128]


def admittances(net: Network) -> Complexes:
    """The bus admittance matrix in pu, branch by branch."""
    b, buses = net.branches, net.buses
    y = np.diag((buses.g_shunt + 1j * buses.b_shunt) / net.base_mva)
    for k in range(b.x.size):
        series = 1 / complex(b.r[k], b.x[k])
        own = series + 0.5j * b.b[k]
        ratio = b.tap[k] * np.exp(1j * b.shift[k])
        i, j = b.start[k], b.end[k]
        y[i, i] += own / abs(ratio) ** 2
        y[j, j] += own
        y[i, j] -= series / ratio.conjugate()
        y[j, i] -= series / ratio
    return y


def voltages(net: Network) -> Complexes:
    """Newton's method on the mismatches, generators at their set points; pu."""
    y = admittances(net)
    v = np.ones(len(y), dtype=complex)
    (ref,), rest = net.reference, np.flatnonzero(net.buses.kind != 3)
    v[rest] = np.linalg.solve(y[np.ix_(rest, rest)], -y[rest, ref])  # without load, for the shifts of transformers
    s = -(net.buses.p_load + 1j * net.buses.q_load)
    np.add.at(s, net.generators.bus, net.generators.p + 1j * net.generators.q)
    v[net.generators.bus] *= net.generators.v_set / np.abs(v[net.generators.bus])
    v *= np.exp(1j * net.buses.v_angle[ref])
    angle, size = rest, np.flatnonzero(net.buses.kind == 1)
    for _ in range(20):
        current = y @ v
        by_angle = 1j * np.diag(v) @ (np.diag(current) - y @ np.diag(v)).conj()
        by_size = np.diag(v) @ (y @ np.diag(v / abs(v))).conj() + np.diag(current.conj() * v / abs(v))
        mismatch = v * current.conj() - s / net.base_mva
        rows = np.concatenate([mismatch[angle].real, mismatch[size].imag])
        if np.abs(rows).max() < 1e-12:
            break
        jacobian = np.block([
            [by_angle[np.ix_(angle, angle)].real, by_size[np.ix_(angle, size)].real],
            [by_angle[np.ix_(size, angle)].imag, by_size[np.ix_(size, size)].imag],
        ])  # fmt: skip
        step = np.linalg.solve(jacobian, -rows)
        turned, grown = np.angle(v), np.abs(v)
        turned[angle] += step[: angle.size]
        grown[size] += step[angle.size :]
        v = grown * np.exp(1j * turned)
    return v


def built() -> Any:
    """What is seldom together: three windings, a phase shift, iron losses, a shunt, a ward, switches."""
    net = pp.create_empty_network(f_hz=50.0, sn_mva=10.0)
    hv, mv, lv, end, spare = (pp.create_bus(net, kv, name=name) for kv, name in
                              [(110, "hv"), (20, "mv"), (10, "lv"), (10, "end"), (10, "spare")])  # fmt: skip
    pp.create_ext_grid(net, hv, vm_pu=1.02, va_degree=10.0)
    pp.create_transformer3w_from_parameters(
        net, hv, mv, lv, 110, 20, 10, 40, 25, 15, 10.1, 10.2, 11.3, 0.3, 0.32, 0.34, 30.0, 0.1,
        shift_mv_degree=30, tap_side="hv", tap_pos=-2, tap_neutral=0, tap_step_percent=1.2,
    )  # fmt: skip
    pp.create_line_from_parameters(net, lv, end, 4.0, 0.2, 0.12, 200, 0.35, g_us_per_km=5.0)
    pp.create_line_from_parameters(net, lv, end, 5.0, 0.2, 0.12, 200, 0.35)
    pp.create_switch(net, lv, 1, et="l", closed=False)
    pp.create_switch(net, end, spare, et="b", closed=True)
    pp.create_load(net, end, 3.0, 1.0)
    pp.create_load(net, mv, 8.0, 2.0, scaling=0.9)
    pp.create_load(net, mv, 8.0, 2.0, in_service=False)
    pp.create_sgen(net, spare, 1.0, 0.2)
    pp.create_gen(net, mv, 5.0, vm_pu=1.01)
    pp.create_shunt(net, end, q_mvar=-0.5, p_mw=0.1)
    pp.create_ward(net, mv, 0.2, 0.1, 0.3, 0.1)
    return net


LONG = shipped.create_kerber_landnetz_freileitung_1


@pytest.mark.parametrize("make", [built, shipped.case9, shipped.example_simple, LONG])
def test_voltages_equal_pandapowers(make: Any) -> None:
    net = make()
    ours = from_pandapower(net)
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-10, numba=False)
    theirs = net.res_bus.vm_pu * np.exp(1j * np.radians(net.res_bus.va_degree))
    v = dict(zip(ours.buses.name, voltages(ours), strict=True))
    by_name = {part: value for name, value in v.items() for part in name.split(" = ")}
    for index, name in net.bus.name.items():
        if np.isfinite(theirs[index]):
            assert by_name[str(name)] == pytest.approx(theirs[index], abs=1e-9), name


def test_limits_and_costs() -> None:
    net = pp.create_empty_network(sn_mva=100.0)
    a, b = (pp.create_bus(net, 110, min_vm_pu=0.95, max_vm_pu=1.06) for _ in range(2))
    pp.create_ext_grid(net, a, min_p_mw=-50, max_p_mw=80, min_q_mvar=-30, max_q_mvar=40)
    pp.create_gen(net, b, 20, min_p_mw=5, max_p_mw=60, min_q_mvar=-10, max_q_mvar=20)
    pp.create_load(net, b, 50, 10)
    pp.create_line_from_parameters(net, a, b, 10, 0.1, 0.4, 9, 0.5, max_loading_percent=80)
    pp.create_poly_cost(net, 0, "ext_grid", cp1_eur_per_mw=30, cp0_eur=7)
    pp.create_poly_cost(net, 0, "gen", cp1_eur_per_mw=20, cp2_eur_per_mw2=0.1)
    ours = from_pandapower(net, "small")
    assert ours.name == "small"
    assert ours.base_mva == 100.0
    assert ours.branches.rate_a == pytest.approx([0.8 * 0.5 * 110 * np.sqrt(3)])
    assert ours.generators.p_max == pytest.approx([80, 60], abs=1e-8)
    assert ours.generators.p_min == pytest.approx([-50, 5], abs=1e-8)
    assert ours.generators.q_max == pytest.approx([40, 20], abs=1e-8)
    assert ours.costs.total(np.array([10.0, 40.0])) == pytest.approx(30 * 10 + 7 + 20 * 40 + 0.1 * 1600)
    assert (ours.buses.v_min[1], ours.buses.v_max[1]) == (0.95, 1.06)
    assert ours.buses.p_load.tolist() == [0.0, 50.0]


def test_the_net_is_not_changed_and_its_file_reads_alike(tmp_path: Path) -> None:
    net = built()
    before = pp.to_json(net)
    first = read_network(net)
    assert pp.to_json(net) == before
    pp.to_json(net, str(tmp_path / "net.json"))
    second = read_network(tmp_path / "net.json")
    assert isinstance(first, Network)
    assert isinstance(second, Network)
    assert second.name == "net"
    assert admittances(second) == pytest.approx(admittances(first), rel=1e-12)


def test_what_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expects a pandapower net, got list"):
        from_pandapower([])
    with pytest.raises(NetworkFileError, match=r"^empty: pandapower cannot turn this net into a case"):
        from_pandapower(pp.create_empty_network(), "empty")
    net = built()
    pp.create_ext_grid(net, pp.create_bus(net, 10.0))
    with pytest.raises(NetworkFileError, match=r"isolated|islands|reference"):
        from_pandapower(net)
    (tmp_path / "net.json").write_text('{"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": 3}')
    with pytest.raises(NetworkFileError, match=r"^net\.json: "):
        read_network(tmp_path / "net.json")
