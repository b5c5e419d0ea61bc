"""Capacitors switched by what they see, and regulators that turn around, against OpenDSS."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridmodel.errors import DataError, NetworkFileError, UnknownNameError
from gridmodel.grid.control import regulation
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.json_file import read_json, write_network
from gridmodel.grid.newton import newton

SCRIPT = """clear
new circuit.c basekv=12.47 pu=1.02
new line.one bus1=sourcebus bus2=b r1=.3 x1=.6 r0=.6 x0=1.5 c1=0 c0=0 length=4 units=mi
new transformer.t phases=1 windings=2 buses=[b.1 c.1] kvs=[7.2 7.2] kvas=[3000 3000] xhl=1 %loadloss=.01
new transformer.u phases=1 windings=2 buses=[b.2 c.2] kvs=[7.2 7.2] kvas=[3000 3000] xhl=1 %loadloss=.01
new transformer.w phases=1 windings=2 buses=[b.3 c.3] kvs=[7.2 7.2] kvas=[3000 3000] xhl=1 %loadloss=.01
new line.two bus1=c bus2=d r1=.3 x1=.6 r0=.6 x0=1.5 c1=0 c0=0 length=3 units=mi
new load.q bus1=d kv=12.47 kw={kw} pf=.85 vminpu=.7 vmaxpu=1.3
new capacitor.k bus1=d kvar=900 kv=12.47 {capacitor}
new capacitor.m bus1=b.1 phases=1 kvar=300 kv=7.2
set voltagebases=[12.47]
calcvoltagebases
{control}
"""
K = "new capcontrol.x capacitor=k "
CONTROLS = (
    K + "element=line.two terminal=1 type=kvar onsetting=400 offsetting=-100 delay=20 delayoff=30",
    K + "element=line.two terminal=2 type=voltage onsetting=118 offsetting=124 ptratio=60 ptphase=2",
    K + "element=line.one terminal=1 type=current onsetting=150 offsetting=60 ctratio=1 ctphase=max",
    K + "element=line.two terminal=1 type=current onsetting=150 offsetting=60 ctratio=1 ctphase=avg delayoff=5",
    K + "element=line.two type=kvar onsetting=400 offsetting=-100 voltoverride=yes vmax=124 vmin=118 ptphase=avg",
    K + "element=line.two terminal=1 type=time onsetting=6 offsetting=20",
    K + "element=capacitor.k type=voltage onsetting=119 offsetting=123 ptphase=min\n"
    "new capcontrol.y capacitor=m element=transformer.t terminal=2 type=kvar onsetting=10 offsetting=-400 delay=40",
    K
    + "element=line.one type=current onsetting=150 offsetting=60 ctratio=1 voltoverride=yes vmin=119 vmax=125 delay=50 "
    "vbus=d",
)
REVERSE = "reversible=yes revvreg=122 revband=2 revthreshold=50"

# What OpenDSS does in its static mode: load in kW, capacitor k, control, whether the regulators can turn around; steps
# of their taps, whether k and m are in service, load flows.
ENDS = [
    (300, "", 0, False, (-3, 1, 2), (0, 1), 4),
    (1500, "", 1, False, (0, 2, 3), (1, 1), 3),
    (4000, "states=[0]", 1, False, (8, 12, 13), (1, 1), 4),
    (4000, "", 2, True, (8, 12, 13), (1, 1), 5),
    (1500, "states=[0]", 3, False, (1, 5, 6), (0, 1), 4),
    (-2500, "", 4, True, (16, 16, 16), (0, 1), 9),
    (-2500, "", 0, True, (16, 16, 16), (0, 1), 12),
    (300, "states=[0]", 5, False, (-1, 1, 2), (0, 1), 2),
    (4000, "", 6, False, (12, 12, 12), (1, 0), 5),
    (300, "", 6, True, (-3, 1, 2), (0, 1), 3),
    (1500, "conn=delta", 7, False, (1, 5, 6), (0, 1), 5),
    (1500, "states=[0]", 7, True, (1, 5, 6), (0, 1), 4),
    (-2500, "conn=delta", 1, True, (16, 16, 16), (0, 1), 9),
    (4000, "states=[0]", 4, False, (8, 12, 13), (1, 1), 4),
]


def feeder(folder: Path, kw: float, capacitor: str, control: str, reverse: bool = False) -> Feeder:
    regulators = "".join(
        f"new regcontrol.r{x} transformer={x} winding=2 vreg=123 band=2 ptratio=60 {REVERSE if reverse else ''}\n"
        for x in "tuw"
    )
    path = folder / "k.dss"
    path.write_text(SCRIPT.format(kw=kw, capacitor=capacitor, control=f"{control}\n{regulators}"), encoding="utf-8")
    return read_dss(path)


@pytest.mark.parametrize(("kw", "capacitor", "control", "reverse", "steps", "closed", "rounds"), ENDS)
def test_controls_end_where_opendss_ends(
    tmp_path: Path, kw: float, capacitor: str, control: int, reverse: bool, steps: tuple[int, ...],
    closed: tuple[int, ...], rounds: int,
) -> None:  # fmt: skip
    net = feeder(tmp_path, kw, capacitor, CONTROLS[control], reverse)
    found = regulation(net, lambda taps: newton(net, taps=taps).v)
    assert found.settled
    assert found.rounds == rounds
    assert tuple(round((found.taps[x, 1] - 1) / 0.00625) for x in "tuw") == steps
    in_service = {"k": closed[0], "m": closed[1]}
    switched = {key[0].removeprefix("capacitor "): tap for key, tap in found.taps.items() if "capacitor" in key[0]}
    assert switched == {name: in_service[name] for name in switched}
    flow = net.load_flow(taps="auto")
    assert flow.taps == found.taps
    assert np.abs(flow.volts - newton(net, taps=found.taps).v).max() < 1e-3
    still = net.with_taps(flow.taps)
    assert np.abs(still.load_flow().v - flow.v).max() < 1e-8
    assert still.load_flow(taps="auto").taps == {}


def test_a_switched_capacitor_by_hand(tmp_path: Path) -> None:
    net = feeder(tmp_path, 1500, "", CONTROLS[0])
    open_, closed = (net.load_flow(taps={("capacitor k", 0): x})["d.1"] for x in (0, 1))
    assert abs(closed) - abs(open_) == pytest.approx(900e3 / 12470**2 * 4.2, rel=0.15)  # Q x over V^2
    without = replace(net, shunts=net.shunts[1:]).load_flow()["d.1"]
    assert open_ == pytest.approx(without, rel=1e-12)
    with pytest.raises(UnknownNameError, match="no winding 0 of a transformer 'capacitor k'"):
        net.load_flow(taps={("capacitor k", 0): 0.5})


def test_controls_survive_in_json(tmp_path: Path) -> None:
    net = feeder(tmp_path, 1500, "states=[0]", CONTROLS[4], True)
    write_network(net, tmp_path / "k.json")
    back = read_json(tmp_path / "k.json")
    assert isinstance(back, Feeder)
    assert back.regulators == net.regulators
    assert back.load_flow(taps="auto").taps == net.load_flow(taps="auto").taps


def test_what_no_control_can_watch(tmp_path: Path) -> None:
    for control, said in (
        (K + "element=load.q type=kvar", "it watches load.q"),
        (K + "element=line.two type=pf onsetting=.9", "it goes by the power factor"),
    ):
        net = feeder(tmp_path, 300, "", control)
        assert not net.capacitor_controls
        assert any(said in note for note in net.notes)
    many = feeder(tmp_path, 300, "numsteps=2", CONTROLS[0])
    assert any("several steps" in note for note in many.notes)
    for control, said in (
        ("new capcontrol.x capacitor=k", "expected element=Line.NAME"),
        (K + "element=line.zz", "a Line that is declared before"),
        (K + "element=line.two type=mood", "current, voltage, kvar, time or pf"),
        ("new capcontrol.x capacitor=z", "a Capacitor that is declared before"),
    ):
        with pytest.raises(NetworkFileError, match=said):
            feeder(tmp_path, 300, "", control)


def test_a_control_that_fits_no_element(tmp_path: Path) -> None:
    net = feeder(tmp_path, 300, "", CONTROLS[0])
    one = net.capacitor_controls[0]
    for changed, kind, said in (
        (replace(one, shunt="z"), UnknownNameError, "names line two and capacitor z"),
        (replace(one, element=("line", "z")), UnknownNameError, "names line z"),
        (replace(one, terminal=2), DataError, r"watches terminal 2 \(from 0\) of line two, which has 2"),
    ):
        with pytest.raises(kind, match=said):
            replace(net, capacitor_controls=(changed,)).load_flow(taps="auto")
