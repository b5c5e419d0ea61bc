"""InvControl in mode voltvar: voltages as OpenDSS gives them (data/README.md), and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import NetworkFileError
from gridmodel.grid.dss.inverter import Inverter, Law, ramps
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder
from tests.grid.dss.script import read
from tests.grid.references import FEEDERS, FILES, rows

CURVES = """new xycurve.four npts=4 xarray=[.5 .96 1.035 1.5] yarray=[1 1 -1 -1]
new xycurve.band npts=6 xarray=[.5 .92 .98 1.02 1.08 1.5] yarray=[.44 .44 0 0 -.44 -.44]
new xycurve.open npts=4 xarray=[.92 .98 1.02 1.08] yarray=[.44 0 0 -.44]
new xycurve.uneven npts=6 xarray=[.5 .93 .97 1.0 1.05 1.5] yarray=[.6 .6 .1 .05 -.9 -.9]
new xycurve.wrong npts=4 xarray=[.9 .98 1.02 1.1] yarray=[0 .44 0 -.44]
"""
UNITS = {
    "ieee13": """new pvsystem.p1 bus1=652.1 phases=1 kv=2.4 kva=300 pmpp=250 irradiance={sun} %cutin=0 %cutout=0
new pvsystem.p2 bus1=611.3 phases=1 kv=2.4017771 kva=200 pmpp=200 irradiance={sun} %cutin=0 %cutout=0 kvarmaxabs=60
new pvsystem.p3 bus1=645.2 phases=1 kv=2.5 kva=400 pmpp=300 irradiance={sun} %cutin=0 %cutout=0 pf=-.95
new storage.s1 bus1=634.2 phases=1 kv=.277 kva=100 kwrated=80 kwhrated=200 state=charging %stored=50
""",
    "ieee123": "".join(
        f"new pvsystem.p{bus} bus1={bus}.{node} phases=1 kv=2.4 kva={kva} pmpp={kva} irradiance={{sun}} "
        "%cutin=0 %cutout=0\n"
        for bus, node, kva in ((66, 3, 300), (114, 1, 400), (32, 3, 250), (96, 2, 350), (48, 2, 200))
    ),
}
# Feeder, pu of the source, factor on the loads, irradiance, curve, reference, watts first.
CASES = {
    "13 low": ("ieee13", 1.0, 1.0, 0.1, "band", "varmax", "yes"),
    "13 high": ("ieee13", 1.05, 0.05, 0.95, "uneven", "varaval", "no"),
    "123 low": ("ieee123", 0.98, 1.0, 0.3, "open", "varmax", "yes"),
    "123 high": ("ieee123", 1.04, 0.05, 0.95, "four", "varmax", "yes"),
    "123 available": ("ieee123", 1.04, 0.2, 0.8, "band", "varaval", "no"),
}


def script(case: str) -> str:
    """The feeder of a case with its inverters; regulators stay where the feeder's file has them."""
    name, pu, load, sun, curve, reference, first = CASES[case]
    return (
        f'redirect "{FEEDERS / FILES[name]}"\n{CURVES}{UNITS[name].format(sun=sun)}'
        f"batchedit pvsystem..* wattpriority={first}\nbatchedit storage..* wattpriority={first}\n"
        f"new invcontrol.i mode=voltvar vvc_curve1={curve} refreactivepower={reference} deltaq_factor=.2\n"
        "~ voltagechangetolerance=1e-9 varchangetolerance=1e-9\n"
        f"edit vsource.source pu={pu}\nset loadmult={load}\n"
    )


@pytest.mark.parametrize("case", CASES)
def test_voltages_are_those_of_opendss(tmp_path: Path, case: str) -> None:
    path = tmp_path / "net.dss"
    path.write_text(script(case))
    net = read_dss(path)
    flow = net.load_flow(tolerance=1e-12)
    assert flow.status == "converged"
    found = {
        f"{row['bus']}.{row['phase']}": complex(float(row["v_re_V"]), float(row["v_im_V"]))
        for row in rows("invcontrol.csv")
        if row["case"] == case
    }
    assert found.keys() == set(net.nodes)
    volts = np.array([found[node] for node in net.nodes])
    assert (np.abs(flow.volts - volts) / net.base).max() < 1e-7
    without = replace(net, generators=tuple(replace(unit, droop=None) for unit in net.generators))
    assert (np.abs(without.load_flow().volts - volts) / net.base).max() > 1e-3


PANEL = "New PVSystem.p bus1=sourcebus.1 phases=1 kv=7.2 kva=100 pmpp=60 "


def controlled(folder: Path, rest: str, unit: str = PANEL) -> Feeder:
    return read(folder, f"{CURVES}{unit}\nNew InvControl.i {rest}\n")


def test_one_ramp_is_the_droop_of_the_unit(tmp_path: Path) -> None:
    (unit,) = controlled(tmp_path, "mode=voltvar vvc_curve1=four", PANEL + "pf=.8").generators
    assert unit.s == pytest.approx(60e3)  # the control decides the reactive power, not pf
    assert unit.droop is not None
    assert (unit.droop.center, unit.droop.width) == pytest.approx((0.9975, 0.0375))
    assert unit.droop.share == pytest.approx(0.8)  # sqrt(100^2 - 60^2)
    (unit,) = controlled(tmp_path, "mode=voltvar vvc_curve1=four refreactivepower=varmax").generators
    assert unit.droop is not None
    assert unit.droop.share == pytest.approx(1.0)


def test_a_dead_band_is_two_ramps(tmp_path: Path) -> None:
    net = controlled(tmp_path, "vvc_curve1=band vv_refreactivepower=varmax")
    one, two = net.generators
    assert (one.name, two.name, two.s, two.p_max) == ("p", "p volt-var 2", 0j, 0.0)
    for unit, center in ((one, 0.95), (two, 1.05)):
        assert unit.droop is not None
        assert (unit.droop.center, unit.droop.width, unit.droop.share) == pytest.approx((center, 0.03, 0.22))


@pytest.mark.parametrize(
    "law",
    [Law(80.0, 80.0, 80.0, 80.0), Law(80.0, 80.0, 30.0, 80.0), Law(100.0, 40.0, 100.0, 40.0),
     Law(100.0, 100.0, 60.0, 60.0), Law(0.0, 0.0, 0.0, 0.0)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0.5, 0.92, 0.98, 1.02, 1.08, 1.5], [0.44, 0.44, 0, 0, -0.44, -0.44]), ([0.95, 1.05], [0.3, -0.9]),
        ([0.5, 0.95, 1.0, 1.05, 1.5], [1.4, 1.4, 0.1, -1.2, -1.2]), ([1.0], [0.3]), ([0.9, 1.1], [0.5, 0.5]),
        ([0.92, 0.98, 1.02, 1.08], [0.44, 0, 0, -0.44]),
    ],
)  # fmt: skip
def test_ramps_add_up_to_the_curve(law: Law, x: list[float], y: list[float]) -> None:
    u = np.linspace(0.3, 1.8, 601)
    found = ramps(np.array(x), np.array(y), law)
    mine = np.full(u.size, found.offset)
    for center, width, most in found.parts:
        mine -= most * np.clip((u - center) / width, -1, 1)
    left, right = ((y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])) if len(x) > 1 else (0.0, 0.0)
    straight = np.interp(u, x, y) + left * np.minimum(u - x[0], 0) + right * np.maximum(u - x[-1], 0)
    q = np.where(straight > 0, law.above, law.below) * straight
    assert np.abs(mine - np.clip(q, -law.take, law.give)).max() < 1e-10


def test_limits_of_an_inverter() -> None:
    one = Inverter(80.0, 100.0, 100.0, 30.0)
    assert one.law(True) == Law(60.0, 60.0, 60.0, 30.0)
    assert one.law(False) == Law(100.0, 30.0, 100.0, 30.0)
    assert replace(one, watts_first=True).law(False) == Law(100.0, 30.0, 60.0, 30.0)
    assert replace(one, off=True).law(False) == Law(0.0, 0.0, 0.0, 0.0)
    assert replace(one, p=100.0).law(True).give == 0.0


LEFT = [
    ("mode=voltwatt voltwatt_curve=four", PANEL, "left out (mode voltwatt)"),
    ("combimode=vv_vw vvc_curve1=four", PANEL, "left out (mode vv_vw)"),
    ("mode=dynamicreaccurr", PANEL, "left out (mode dynamicreaccurr)"),
    ("vvc_curve1=four voltage_curvex_ref=ravg", PANEL, "a moving average, voltage_curvex_ref=ravg"),
    ("vvc_curve1=four rateofchangemode=lpf", PANEL, "rateofchangemode=lpf"),
    ("vvc_curve1=four hysteresis_offset=-.01", PANEL, "a hysteresis of -0.01 pu"),
    ("vvc_curve1=four monbus=[b.1]", PANEL, "it watches other buses"),
    ("mode=voltvar", PANEL, "it has no vvc_curve1"),
    ("vvc_curve1=wrong", PANEL, "gives more reactive power as the voltage rises"),
    ("vvc_curve1=four monvoltagecalc=2", PANEL, "monvoltagecalc=2"),
    (
        "vvc_curve1=four",
        "New PVSystem.p bus1=sourcebus kv=12.47",
        "follow the mean of their voltages; droop=gm.VoltVar",
    ),
    ("vvc_curve1=four", PANEL + "conn=delta bus1=sourcebus.1.2", "not between a phase and ground"),
    ("vvc_curve1=four", PANEL + "irradiance=.3 %pminkvarmax=50", "limited by its kW, %PminkvarMax"),
    ("vvc_curve1=four", PANEL + "kvarmaxabs=-30", "kvarMax and kvarMaxAbs are at least 0"),
]


@pytest.mark.parametrize(("rest", "unit", "said"), LEFT, ids=[said for *_, said in LEFT])
def test_what_is_no_droop_is_left_out_with_its_reason(tmp_path: Path, rest: str, unit: str, said: str) -> None:
    net = controlled(tmp_path, rest, unit)
    (made,) = net.generators
    assert made.droop is None
    assert any(said in note for note in net.notes)


def test_lists_controls_that_are_off_and_second_controls(tmp_path: Path) -> None:
    two = f"{PANEL}\n{PANEL.replace('.p ', '.q ')}\nNew Storage.p bus1=sourcebus.1 phases=1 kv=7.2 kva=50"
    curve = "vvc_curve1=four refreactivepower=varmax "

    def having(rest: str) -> list[str]:
        return [f"{one.kind} {one.name}" for one in controlled(tmp_path, rest, two).generators if one.droop is not None]

    assert having(curve) == ["pv p", "pv q", "storage p"]
    assert having(curve + "derlist=[PVSystem.q, storage.P]") == ["pv q", "storage p"]
    assert having(curve + "pvsystemlist=[q]") == ["pv q"]
    assert having(curve + "enabled=no") == []
    assert having(curve + "\nSet ControlMode=off") == []
    assert having(curve + "\nDisable PVSystem.p") == ["pv q", "storage p"]
    net = controlled(tmp_path, curve + "derlist=[PVSystem.q]\nNew InvControl.j like=i", two)
    assert any(note.startswith("PVSystem.q keep") and "InvControl.i controls it already" in note for note in net.notes)


def test_notes_say_where_opendss_differs(tmp_path: Path) -> None:
    assert any("RefReactivePower=VARAVAL" in note for note in controlled(tmp_path, "vvc_curve1=four").notes)
    net = controlled(tmp_path, "vvc_curve1=four refreactivepower=varmax")
    assert any(note.startswith("PVSystem.p may exceed their rating") for note in net.notes)
    net = controlled(tmp_path, "vvc_curve1=band refreactivepower=varmax")
    assert not any("PVSystem" in note for note in net.notes)


def test_wrong_lists_and_curves_name_the_line(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"^small\.dss:9: InvControl\.i: derlist is `PVSystem\.zz`"):
        controlled(tmp_path, "vvc_curve1=four derlist=[PVSystem.zz]")
    with pytest.raises(NetworkFileError, match=r"derlist is `p`, expected names such as PVSystem\.p1"):
        controlled(tmp_path, "vvc_curve1=four derlist=[p]")
    with pytest.raises(NetworkFileError, match=r"vvc_curve1 is `zz`, expected a XYCurve"):
        controlled(tmp_path, "vvc_curve1=zz")


def test_without_its_droops_a_dead_band_changes_no_optimum(tmp_path: Path) -> None:
    """The generators of further ramps are still: they bring nothing into an optimal power flow."""
    line = "New Line.l bus1=sourcebus bus2=b r1=5 x1=8 r0=5 x0=8 c1=0 c0=0\nNew Load.d bus1=b kw=900 pf=.9\n"
    unit = line + PANEL.replace("sourcebus", "b")
    values = []
    for rest in ("vvc_curve1=band", "vvc_curve1=band enabled=no"):
        net = controlled(tmp_path, rest, unit)
        net = replace(net, generators=tuple(replace(one, droop=None, cost=0.0) for one in net.generators))
        values.append(gm.solve(gm.opf(net, "lindistflow", v_min=0.8, v_max=1.2), "central").value)
    assert values[0] == pytest.approx(values[1], rel=1e-6)
