"""Loads, generators, panels, batteries and load shapes; powers as OpenDSS 9 reports them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.grid.dss.script import read


# kW and kvar that OpenDSS shows for these properties.
@pytest.mark.parametrize(
    ("properties", "kw", "kvar"),
    [
        ("", 10.0, 5.397428221380872), ("kw=10 kvar=5", 10.0, 5.0), ("kvar=5 kw=10", 10.0, 5.397428221380872),
        ("kw=10 pf=.9", 10.0, 4.843221048378526), ("pf=.9 kw=10", 10.0, 4.843221048378526),
        ("kva=10 pf=.8", 8.0, 6.0), ("kva=10", 8.8, 4.749736834815168), ("kw=10 pf=-.9", 10.0, -4.843221048378526),
        ("kw=-10 kvar=5", -10.0, 5.0), ("kw=-10 pf=.9", -10.0, -4.843221048378526),
        ("kva=10 kw=5", 5.0, 2.698714110690436),
        ("kw=10 kvar=5 pf=.9", 10.0, 5.0), ("kvar=5", 10.0, 5.0), ("pf=.95", 10.0, 3.286841051788632),
        ("kwh=720 kwhdays=30 cfactor=4 pf=.8", 4.0, 3.0), ("kva=10 pf=-.8", 8.0, -6.0), ("kw=0 kvar=5", 0.0, 5.0),
        ("kw=10 kvar=5\n~ kw=20", 20.0, 10.0), ("kw=10 kvar=5\n~ kw=20\n~ pf=.5", 20.0, 34.64101615137754),
    ],
)  # fmt: skip
def test_power_of_a_load(tmp_path: Path, properties: str, kw: float, kvar: float) -> None:
    (load,) = read(tmp_path, f"New Load.x bus1=sourcebus {properties}\n").loads
    assert load.s / 1000 == pytest.approx(complex(kw, kvar), rel=1e-12)


Z, C, P = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)  # impedance, current, power


@pytest.mark.parametrize(
    ("model", "zip_p", "zip_q"),
    [
        ("1", P, P), ("2", Z, Z), ("3", P, Z), ("4", C, Z), ("4 cvrwatts=2 cvrvars=0", Z, P), ("5", C, C), ("6", P, P),
        ("7", P, Z), ("8 zipv=[.2 .3 .5 .4 .5 .1 0]", (0.2, 0.3, 0.5), (0.4, 0.5, 0.1)),
    ],
)  # fmt: skip
def test_load_models(tmp_path: Path, model: str, zip_p: tuple[float, ...], zip_q: tuple[float, ...]) -> None:
    (load,) = read(tmp_path, f"New Load.x bus1=sourcebus model={model}\n").loads
    assert (load.zip_p, load.zip_q) == (zip_p, zip_q)
    assert load.power_outside == (model[0] in "34")
    assert (load.v_min, load.v_max, load.v_low) == (0.95, 1.05, 0.5)


@pytest.mark.parametrize(
    ("properties", "nodes"),
    [
        ("bus1=sourcebus", (1, 2, 3, 0)), ("bus1=sourcebus conn=delta", (1, 2, 3)),
        ("bus1=sourcebus.2 phases=1", (2, 0)),
        ("bus1=sourcebus.3.1 phases=1 conn=delta", (3, 1)), ("bus1=sourcebus.1 phases=1 conn=delta", (1, 0)),
        ("bus1=sourcebus.1.3 phases=2", (1, 3, 0)), ("bus1=sourcebus.1.2.3.4", (1, 2, 3, 4)),
        ("bus1=sourcebus.2.3.1 phases=2 conn=ll", (2, 3, 1)),
    ],
)  # fmt: skip
def test_nodes_of_a_load(tmp_path: Path, properties: str, nodes: tuple[int, ...]) -> None:
    (load,) = read(tmp_path, f"New Load.x {properties}\n").loads
    assert load.terminal.nodes == nodes


def test_nodes_too_many_are_said(tmp_path: Path) -> None:
    net = read(tmp_path, "New Load.x bus1=sourcebus.1.2.3 phases=1\n")
    assert net.loads[0].terminal.nodes == (1, 2)
    assert any("small.dss:3: Load.x: bus1 names the nodes 1.2.3" in note for note in net.notes)


# Output that OpenDSS finds for these panels at rated voltage, kW and kvar.
@pytest.mark.parametrize(
    ("properties", "output"),
    [
        ("pmpp=400 kva=500", 400), ("pmpp=400 kva=300", 300), ("pmpp=400 kva=500 irradiance=.5", 200),
        ("pmpp=400 kva=500 pf=.9", 400 + 193.728842j), ("pmpp=400 kva=400 pf=.9", 349.955906 + 193.728842j),
        ("pmpp=400 kva=500 pf=-.9", 400 - 193.728842j), ("pmpp=400 kva=400 kvar=300", 264.575131 + 300j),
        ("pmpp=400 kva=400 kvar=300 wattpriority=yes", 400), ("pmpp=400 kva=500 irradiance=.1", 0),
        ("pmpp=400 kva=500 %pmpp=50", 200), ("pmpp=450 kva=400 pf=.9 pfpriority=yes", 360 + 174.355958j),
        ("pmpp=400 kva=450 kvarmax=50 kvar=100", 400 + 50j), ("pmpp=400 kva=300 pf=-.95", 269.656599 - 131.473642j),
        ("pmpp=400 kva=500 temperature=50 p-tcurve=pt effcurve=ef", 342.48),
    ],
)  # fmt: skip
def test_panels(tmp_path: Path, properties: str, output: complex) -> None:
    curves = (
        "New XYcurve.pt npts=4 xarray=[0 25 75 100] yarray=[1.2 1 .8 .6]\n"
        "New XYcurve.ef npts=4 xarray=[.1 .2 .4 1] yarray=[.86 .9 .93 .97]\n"
    )
    (unit,) = read(tmp_path, f"{curves}New PVSystem.x bus1=sourcebus {properties}\n").generators
    assert unit.kind == "pv"
    assert unit.s / 1000 == pytest.approx(output, rel=1e-8, abs=1e-9)
    assert (unit.p_min, unit.p_max) == (0.0, unit.s.real)


# Output that OpenDSS finds for these batteries at rated voltage, kW and kvar.
@pytest.mark.parametrize(
    ("properties", "output"),
    [
        ("", -0.25), ("state=discharging", 25), ("state=charging", -0.25),
        ("kwrated=100 state=discharging %discharge=40", 40),
        ("kwrated=100 %stored=50 state=charging %charge=30", -30),
        ("kwrated=100 kw=50 pf=.9 state=discharging", 50 + 24.216105j),
        ("kwrated=100 %stored=50 kw=-50 pf=.9", -50 - 24.216105j), ("kwrated=100 %stored=50 kw=-50 kvar=10", -50 + 10j),
        ("kwrated=100 kvar=10", -1 + 10j), ("kwrated=100 state=discharging kva=50", 50),
        ("kw=50 kwrated=100 state=discharging", 100), ("kwrated=100 state=charging %stored=50 kwhrated=400", -1),
    ],
)  # fmt: skip
def test_batteries(tmp_path: Path, properties: str, output: complex) -> None:
    (unit,) = read(tmp_path, f"New Storage.x bus1=sourcebus {properties}\n").generators
    assert unit.kind == "storage"
    assert unit.s / 1000 == pytest.approx(output, rel=1e-6)
    assert unit.p_min == -unit.p_max


def test_energy_of_a_battery(tmp_path: Path) -> None:
    text = "New Storage.x bus1=sourcebus kwrated=5 kwhrated=20 %stored=60 %reserve=10 %effcharge=95\n"
    (unit,) = read(tmp_path, text).generators
    assert unit.attributes == pytest.approx(
        {"energy_max": 20e3, "energy": 12e3, "energy_min": 2e3, "efficiency_charge": 0.95, "efficiency_discharge": 0.9}
    )


def test_generators(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Generator.a bus1=sourcebus kw=100
New Generator.b bus1=sourcebus.1 phases=1 kv=7.2 kw=100 kvar=20 kva=150 model=7 vminpu=.8
New Generator.c bus1=sourcebus kw=100 pf=1 model=3 vpu=1.02 minkvar=-30
""",
    )
    a, b, c = net.generators
    assert a.s / 1000 == pytest.approx(100 + 53.974282j, rel=1e-8)  # as OpenDSS at the usual power factor of .88
    assert (b.s, b.s_max, b.v_min, b.v_max, b.terminal.nodes) == (100e3 + 20e3j, 150e3, 0.8, 1.1, (1, 0))
    assert c.attributes == {"v_set": 1.02, "q_min": -30e3}
    assert any("Generator.c: model 3 holds its voltage" in note for note in net.notes)


def test_load_shapes(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New LoadShape.list npts=4 interval=1 mult=[.5, 1 (2 3 /) .25]
New LoadShape.file npts=3 minterval=30 mult=(file=a.csv, column=2, header=yes)
New LoadShape.csv npts=4 sinterval=1800 csvfile=B.CSV
New LoadShape.norm npts=4 interval=1 mult=(1 2 4 3) action=normalize
New Load.a bus1=sourcebus daily=list
New Load.b bus1=sourcebus yearly=file daily=list
New Load.c bus1=sourcebus daily=default
""",
        a__csv="t,v\n0,.1\n1,.2\n2,.3\n3,.4\n",
        b__csv="1\n.9\n.8\n.7\n.6\n",
    )
    assert net.step == 0.5
    assert [load.profile for load in net.loads] == ["list", "file", "default"]
    assert net.profiles["list"] == pytest.approx(np.repeat([0.5, 1, 2 / 3, 0.25], 2))
    assert net.profiles["file"] == pytest.approx([0.1, 0.2, 0.3])
    assert net.profiles["csv"] == pytest.approx([1, 0.9, 0.8, 0.7])
    assert net.profiles["norm"] == pytest.approx(np.repeat([0.25, 0.5, 1, 0.75], 2))
    assert net.profiles["default"].shape == (48,)
    assert net.profiles["default"].max() == 1.0


def test_binary_load_shape(tmp_path: Path) -> None:
    np.array([0.5, 0.25], dtype=np.float32).tofile(tmp_path / "s.sng")
    np.array([0.1, 0.2, 0.3]).tofile(tmp_path / "d.dbl")
    net = read(tmp_path, "New LoadShape.s npts=2 sngfile=s.sng\nNew LoadShape.d npts=2 mult=(dblfile=d.dbl)\n")
    assert net.profiles["s"].tolist() == [0.5, 0.25]
    assert net.profiles["d"].tolist() == [0.1, 0.2]


def test_reactive_multipliers_are_said(tmp_path: Path) -> None:
    net = read(
        tmp_path, "New LoadShape.s npts=2 mult=[1 2] qmult=[1 3]\nNew LoadShape.t npts=2 mult=[1 2] qmult=[1 2]\n"
    )
    (note,) = net.notes
    assert note.startswith("LoadShape.s have reactive multipliers")
