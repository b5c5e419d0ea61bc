"""The IEEE feeders: their nodes, bases, loads and elements against the published data."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder
from tests.grid.dss.script import FEEDERS

FILES = {13: "13Bus/IEEE13Nodeckt.dss", 37: "37Bus/ieee37.dss", 123: "123Bus/IEEE123Master.dss"}


def feeder(number: int) -> Feeder:
    return read_dss(FEEDERS / FILES[number])


# Totals of the spot and distributed loads as the test feeder working group published them, kW and kvar.
@pytest.mark.parametrize(
    ("number", "buses", "nodes", "lines", "transformers", "kw", "kvar"),
    [(13, 16, 41, 12, 5, 3466, 2102), (37, 39, 117, 36, 4, 2457, 1201), (123, 132, 278, 126, 8, 3490, 1920)],
)
def test_sizes_and_loads(
    number: int, buses: int, nodes: int, lines: int, transformers: int, kw: float, kvar: float
) -> None:
    net = feeder(number)
    assert (len(net.buses), len(net.nodes), len(net.lines), len(net.transformers)) == (
        buses,
        nodes,
        lines,
        transformers,
    )
    assert sum(load.s for load in net.loads) == pytest.approx(complex(kw, kvar) * 1000, rel=1e-12)


def test_bases_of_every_bus() -> None:
    kv = {13: {115: 1, 4.16: 14, 0.48: 1}, 37: {230: 1, 4.8: 37, 0.48: 1}, 123: {4.16: 131, 0.48: 1}}
    for number, expected in kv.items():
        counted = Counter(round(bus.base * np.sqrt(3) / 1000, 9) for bus in feeder(number).buses)
        assert counted == expected
    assert {bus.name: bus.base for bus in feeder(13).buses}["634"] == pytest.approx(480 / np.sqrt(3), rel=1e-15)


def test_phases_of_ieee_13() -> None:
    nodes = {bus.name: bus.nodes for bus in feeder(13).buses}
    assert nodes["611"] == (3,)
    assert nodes["652"] == (1,)
    assert nodes["645"] == (2, 3)
    assert nodes["684"] == (1, 3)
    assert nodes["sourcebus"] == (1, 2, 3)


def test_a_line_by_hand() -> None:
    """Line 650632 is 2000 ft of the configuration 601: .3465 + j 1.0179 ohm a mile."""
    line = next(line for line in feeder(13).lines if line.name == "650632")
    miles = 2000 / 5280
    assert line.z[0, 0] == pytest.approx((0.3465 + 1.0179j) * miles, rel=1e-12)
    assert line.z[0, 2] == line.z[2, 0] == pytest.approx((0.1580 + 0.4236j) * miles, rel=1e-12)
    # The file gives this code no capacitance: OpenDSS's own, (2 C1 + C0)/3 and (C0 - C1)/3 of 3.4 and 1.6 nF.
    farad = np.array([2.8, -0.6, -0.6]) * 1e-9 * miles
    assert line.y[0] == pytest.approx(2j * np.pi * 60 * farad, rel=1e-12)
    cable = next(line for line in feeder(13).lines if line.name == "692675")
    assert cable.y[1, 1] == pytest.approx(2j * np.pi * 60 * 383.948e-9 * 500 / 5280, rel=1e-12)


def test_a_switch_is_short() -> None:
    switch = next(line for line in feeder(13).lines if line.name == "671692")
    assert switch.switch
    assert switch.closed
    assert switch.z == pytest.approx(1e-7 * np.eye(3), rel=1e-12)
    assert not switch.y.any()


def test_regulators_of_ieee_13() -> None:
    net = feeder(13)
    first = net.regulators[0]
    assert (first.transformer, first.winding, first.set_point, first.band) == ("reg1", 1, 122.0, 2.0)
    assert (first.pt_ratio, first.ct_rating, first.r, first.x, first.enabled) == (20.0, 700.0, 3.0, 9.0, True)
    unit = next(unit for unit in net.transformers if unit.name == "reg2")
    assert unit.bank == "reg1"
    assert unit.phases == 1
    assert [str(winding.terminal) for winding in unit.windings] == ["650.2.0", "rg60.2.0"]
    assert [winding.r for winding in unit.windings] == pytest.approx([5e-5, 5e-5])  # half of .01 % each
    assert unit.x == pytest.approx((1e-4,))


def test_substation_of_ieee_13_is_stiffened_by_arithmetic() -> None:
    unit = feeder(13).transformers[0]
    assert unit.x == pytest.approx((8e-5,))
    assert [winding.r for winding in unit.windings] == pytest.approx([5e-6, 5e-6])
    assert [winding.connection for winding in unit.windings] == ["delta", "wye"]
    assert unit.windings[0].terminal.nodes == (1, 2, 3)
    assert unit.windings[1].terminal.nodes == (1, 2, 3, 0)


def test_loads_of_ieee_13() -> None:
    loads = {load.name: load for load in feeder(13).loads}
    assert loads["646"].connection == "delta"
    assert loads["646"].terminal.nodes == (2, 3)
    assert loads["646"].zip_p == (1.0, 0.0, 0.0)
    assert loads["692"].zip_q == (0.0, 1.0, 0.0)
    assert loads["692"].terminal.nodes == (3, 1)
    assert loads["671"].terminal.nodes == (1, 2, 3)
    assert loads["611"].v == 2400.0
    assert (loads["611"].v_min, loads["611"].v_max) == (0.95, 1.05)


def test_model_4_of_ieee_37_is_linear_and_quadratic() -> None:
    load = next(load for load in feeder(37).loads if load.name == "s714a")
    assert (load.zip_p, load.zip_q) == ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    assert load.power_outside


def test_open_delta_of_ieee_37_takes_what_like_leaves_out() -> None:
    net = feeder(37)
    second = next(unit for unit in net.transformers if unit.name == "reg1c")
    assert [str(winding.terminal) for winding in second.windings] == ["799.3.2", "799r.3.2"]
    assert {winding.connection for winding in second.windings} == {"delta"}
    assert [winding.v for winding in second.windings] == [4800.0, 4800.0]
    control = net.regulators[1]
    assert (control.transformer, control.set_point, control.r, control.x) == ("reg1c", 122.0, 2.799, 1.848)


def test_capacitors_and_switches_of_ieee_123() -> None:
    net = feeder(123)
    bank = net.shunts[0]
    assert bank.terminal.bus == "83"
    assert bank.y == pytest.approx(1j * 600e3 / 4160**2 * np.eye(3), rel=1e-12)
    assert net.shunts[1].y == pytest.approx(1j * 50e3 / 2402**2 * np.eye(1), rel=1e-12)
    assert sum(line.switch for line in net.lines) == 8
    assert net.bus("300_open").nodes == (1, 2, 3)
    assert net.graph.number_of_edges() == 126 + 8
    assert (net.bus("1").x, net.bus("1").y) == (None, None)  # this file asks for no coordinates


def test_coordinates_of_ieee_13() -> None:
    net = feeder(13)
    assert (net.bus("650").x, net.bus("650").y) == (200.0, 350.0)
    assert (net.bus("646").x, net.bus("646").y) == (0.0, 250.0)


def test_switches_that_the_file_opens() -> None:
    net = read_dss(FEEDERS / "123Bus" / "IEEE123Switches.dss")
    closed = {line.name: line.closed for line in net.lines if line.switch}
    assert [name for name, state in closed.items() if not state] == ["sw7", "sw8"]


def test_floating_secondary_is_said() -> None:
    (note,) = feeder(37).notes
    assert note.startswith("ieee37.dss:17: winding of transformer xfm1")
    assert "775" in note
