"""Lines, sources, transformers and shunts: units, defaults, order of properties; by hand or as OpenDSS has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.grid.dss.script import read

CODES = """New LineCode.km nphases=1 units=km rmatrix=[1] xmatrix=[2] cmatrix=[30]
New LineCode.no nphases=1 rmatrix=[1] xmatrix=[2] cmatrix=[0]
New LineCode.two nphases=2 units=km r1=1 x1=2 r0=3 x0=4 c1=0 c0=0
"""


# Impedances that OpenDSS gives to these lines, from its admittance matrices.
@pytest.mark.parametrize(
    ("properties", "z"),
    [
        ("units=ft length=1000 linecode=km", 0.3048 + 0.6096j),
        ("linecode=km length=1000 units=ft", 0.3048 + 0.6096j),
        ("linecode=km length=1000", 1000 + 2000j),
        ("linecode=no length=1000 units=ft", 1000 + 2000j),
        ("linecode=km units=m length=10 units=ft", 0.003048 + 0.006096j),
        ("phases=1 r1=1 x1=2 r0=5 x0=7 length=3 units=km", 3 + 6j),
        ("length=.001 switch=y linecode=km", 0.001 + 0.001j),
        ("phases=1 length=5 switch=y r1=2 x1=1 length=100 units=ft", 200 + 100j),
        ("linecode=two", 5 / 3 + 8j / 3),
        ("linecode=two phases=3", 5 / 3 + 8j / 3),
    ],
)
def test_line_units_and_order(tmp_path: Path, properties: str, z: complex) -> None:
    net = read(tmp_path, f"{CODES}New Line.l bus1=sourcebus.1.2 bus2=b.1.2 {properties}\n")
    assert net.lines[0].z[0, 0] == pytest.approx(z, rel=1e-12)


def test_charging_in_the_units_of_the_code(tmp_path: Path) -> None:
    net = read(tmp_path, f"{CODES}New Line.l bus1=sourcebus.1 bus2=b.1 linecode=km length=500 units=m\n")
    assert net.lines[0].y[0, 0] == pytest.approx(2j * np.pi * 60 * 15e-9, rel=1e-12)


def test_a_code_of_another_frequency(tmp_path: Path) -> None:
    """The earth's share of the impedance follows the logarithm of the frequency. Numbers: OpenDSS."""
    code = "New LineCode.c basefreq=50 units=km rg=.1 xg=.2 rho=50 rmatrix=(1|.1 1|.1 .1 1) xmatrix=[1|.1 1|.1 .1 1] "
    net = read(tmp_path, f"{code} cmatrix=[10|0 10|0 0 10]\nNew Line.l bus1=sourcebus bus2=b linecode=c length=3\n")
    assert net.lines[0].z[0, :2] == pytest.approx([3.06 + 3.589886576385497j, 0.36 + 0.3498865763854967j], rel=1e-12)
    assert net.lines[0].y[0, 0] == pytest.approx(1.13097336e-05j, rel=1e-8)


def test_low_voltage_code_of_50_hertz(tmp_path: Path) -> None:
    path = tmp_path / "lv.dss"
    path.write_text(
        "Clear\nSet DefaultBaseFrequency=50\nNew Circuit.lv BasekV=11 pu=1.05 ISC3=3000 ISC1=2500\n"
        "New LineCode.2c_.007 nphases=3 R1=3.97 X1=0.099 R0=3.97 X0=0.099 C1=0 C0=0 Units=km\n"
        "New Line.l Bus1=sourcebus Bus2=2 Linecode=2c_.007 Length=1.098 Units=m\n"
    )
    from gridmodel.grid.read import read_feeder

    net = read_feeder(path)
    assert net.frequency == 50.0
    assert net.lines[0].z == pytest.approx((3.97 + 0.099j) * 1.098e-3 * np.eye(3), rel=1e-12)


def test_kron_reduction_of_a_code(tmp_path: Path) -> None:
    code = (
        "New LineCode.c nphases=3 rmatrix=(1|.2 1|.3 .1 2) xmatrix=(3|.5 3|.4 .6 4) cmatrix=(5|-1 6|-2 -3 7) kron=yes\n"
    )
    net = read(tmp_path, f"{code}New Line.l bus1=sourcebus.1.2 bus2=b.1.2 linecode=c\n")
    z = np.array([[1 + 3j, 0.2 + 0.5j, 0.3 + 0.4j], [0.2 + 0.5j, 1 + 3j, 0.1 + 0.6j], [0.3 + 0.4j, 0.1 + 0.6j, 2 + 4j]])
    assert net.lines[0].z == pytest.approx(z[:2, :2] - np.outer(z[:2, 2], z[2, :2]) / z[2, 2], rel=1e-12)
    assert net.lines[0].y[0, 1] == pytest.approx(-2j * np.pi * 60 * 1e-9, rel=1e-12)


def test_neutral_conductors_and_rating(tmp_path: Path) -> None:
    code = "New LineCode.q nphases=4 rmatrix=(1|0 1|0 0 1|0 0 0 1) normamps=250\n"
    net = read(
        tmp_path,
        f"{code}New Line.l bus1=sourcebus.1.2.3.0 b.1.2.3.4 linecode=q\nNew Line.m bus1=b.4 c.4 phases=1 r1=1 x1=1\n",
    )
    assert net.lines[0].start.nodes == (1, 2, 3, 0)
    assert net.bus("b").nodes == (1, 2, 3, 4)
    assert net.lines[0].rating == 250.0
    assert net.lines[1].rating == np.inf


# First row of the impedance matrices that OpenDSS makes, from its admittance matrices.
@pytest.mark.parametrize(
    ("properties", "own", "mutual"),
    [
        ("", 1.6678564904096187 + 6.072747351597358j, 0.06408966985686768 - 0.3423199306136475j),
        (
            "basekv=66 mvasc3=500 mvasc1=400",
            3.018244071753088 + 10.463379125470286j,
            0.9052737064365557 + 2.0114976642041564j,
        ),
        ("isc3=5000 isc1=4000", 4.600485838849023 + 15.948553645390014j, 1.3798416455845988 + 3.065976872332323j),
        ("r1=1 x1=2", 1.265345276707785 + 3.1293691634566887j, 0.2653452767077849 + 1.1293691634566883j),
        ("r1=1 x1=2 r0=4 x0=5", 2 + 3j, 1 + 1j),
        ("z1=[1 2] z0=[4, 5]", 2 + 3j, 1 + 1j),
        ("puz1=[.1 .2] basemva=10", 132.25 + 264.5j, 0j),
    ],
)
def test_source_impedance(tmp_path: Path, properties: str, own: complex, mutual: complex) -> None:
    path = tmp_path / "s.dss"
    path.write_text(f"New Circuit.c {properties}\n")
    from gridmodel.grid.dss.read import read_dss

    z = read_dss(path).sources[0].z
    assert z[0, 0] == pytest.approx(own, rel=1e-10)
    assert z[0, 1] == pytest.approx(mutual, rel=1e-10, abs=1e-12)


def test_source_voltage(tmp_path: Path) -> None:
    net = read(tmp_path, "~ pu=1.02 angle=30 bus1=head\n")
    source = net.sources[0]
    assert str(source.terminal) == "head.1.2.3"
    assert np.abs(source.v) == pytest.approx(1.02 * 12470 / np.sqrt(3), rel=1e-12)
    assert np.degrees(np.angle(source.v)) == pytest.approx([30, -90, 150], abs=1e-9)


def test_unequal_sequences_of_a_source(tmp_path: Path) -> None:
    """A current of one sequence alone meets that sequence's impedance."""
    z = read(tmp_path, "~ z1=[1 2] z2=[2 3] z0=[3 4]\n").sources[0].z
    turn = np.exp(-2j * np.pi / 3 * np.arange(3))
    assert z @ turn == pytest.approx((1 + 2j) * turn)
    assert z @ turn.conj() == pytest.approx((2 + 3j) * turn.conj())
    assert z @ np.ones(3) == pytest.approx((3 + 4j) * np.ones(3))


def test_center_tapped_transformer_of_a_code(tmp_path: Path) -> None:
    """Resistances stand in percent of the first winding's rating, ours in pu of the own one's."""
    net = read(
        tmp_path,
        """New XfmrCode.CT phases=1 windings=3 kvs=[7.2 .12 .12] kVAs=[50 25 25] %imag=.5 %Rs=[.6 1.2 1.2]
~ %noloadloss=.2 Xhl=2.04 Xht=2.1 Xlt=1.36 ppm=3 normhkva=55
New Transformer.T XfmrCode=CT
~ wdg=1 bus=sourcebus.1
~ wdg=2 bus=s.1.0
~ wdg=3 bus=s.0.2
""",
    )
    (unit,) = net.transformers
    assert [str(winding.terminal) for winding in unit.windings] == ["sourcebus.1.0", "s.1.0", "s.0.2"]
    assert [winding.r for winding in unit.windings] == pytest.approx([0.006, 0.006, 0.006])
    assert unit.x == pytest.approx((0.0204, 0.021, 0.0136))
    assert (unit.no_load_loss, unit.magnetising, unit.anti_float) == pytest.approx((0.002, 0.005, 3.0))
    assert unit.rating == 55e3
    assert net.bus("s").nodes == (1, 2)


def test_ratings_of_windings_follow_the_first(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Transformer.a wdg=1 bus=sourcebus kva=500 wdg=2 bus=b
New Transformer.b windings=3 buses=[sourcebus c d] kva=300 wdg=3 kva=100
New Transformer.c wdg=2 kva=75 bus=e wdg=1 bus=sourcebus
""",
    )
    assert [[winding.s for winding in unit.windings] for unit in net.transformers] == [
        [500e3] * 2, [300e3, 300e3, 100e3], [75e3] * 2,
    ]  # fmt: skip


def test_taps_by_arithmetic_and_by_arrays(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Transformer.reg1a phases=1 bank=reg buses=(sourcebus.1 b.1) conns='wye wye' kvs="7.2 7.2" kvas=[100, 100]
~ maxtap=1.15 mintap=.85 numtaps=16
New Transformer.reg1b like=reg1a buses=[sourcebus.2 b.2]
New Transformer.reg1c like=reg1a buses=[sourcebus.3 b.3]
Transformer.reg1a.wdg=2 Tap=(0.00625 7 * 1 +)
Transformer.reg1b.Taps=[1.0 1.0625]
""",
    )
    assert [unit.windings[1].tap for unit in net.transformers] == pytest.approx([1.04375, 1.0625, 1.0])
    assert [unit.bank for unit in net.transformers] == ["reg"] * 3
    first = net.transformers[0].windings[0]
    assert (first.tap_min, first.tap_max, first.tap_steps) == (0.85, 1.15, 16)


def test_impedance_of_a_neutral_becomes_a_shunt(tmp_path: Path) -> None:
    net = read(tmp_path, "New Transformer.t buses=[sourcebus b.1.2.3.4] conns=[delta wye] wdg=2 rneut=3 xneut=4\n")
    (shunt,) = net.shunts
    assert str(shunt.terminal) == "b.4"
    assert shunt.y[0, 0] == pytest.approx(1 / (3 + 4j))


CAPACITORS = [
    ("bus1=b kvar=600 kv=4.16", 600e3 / 4160**2 * np.eye(3)),
    ("bus1=b.1 phases=1 kvar=100 kv=2.4", [[100e3 / 2400**2]]),
    ("bus1=b kvar=600 kv=4.16 conn=delta", 200e3 / 4160**2 * (3 * np.eye(3) - np.ones((3, 3)))),
    ("bus1=b.1 bus2=b.2 phases=1 kvar=100 kv=4.16", 100e3 / 4160**2 * np.array([[1, -1], [-1, 1]])),
    ("bus1=b kvar=600 numsteps=3 states=[1 1 0] kv=4.16", 400e3 / 4160**2 * np.eye(3)),
    ("bus1=b numsteps=2 kvar=[100 200] states=[0 1] kv=4.16", 200e3 / 4160**2 * np.eye(3)),
    ("bus1=b cuf=20", 2 * np.pi * 60 * 20e-6 * np.eye(3)),
    ("bus1=b cmatrix=(5|-1 5|0 -1 5)", 2 * np.pi * 60 * 1e-6 * np.array([[5, -1, 0], [-1, 5, -1], [0, -1, 5]])),
]


@pytest.mark.parametrize(("properties", "b"), CAPACITORS)
def test_capacitors(tmp_path: Path, properties: str, b: object) -> None:
    net = read(tmp_path, f"New Line.l bus1=sourcebus bus2=b\nNew Capacitor.c {properties}\n")
    assert net.shunts[0].kind == "capacitor"
    assert net.shunts[0].y == pytest.approx(1j * np.asarray(b), rel=1e-12)


def test_series_capacitor_is_a_line(tmp_path: Path) -> None:
    net = read(tmp_path, "New Capacitor.c bus1=sourcebus bus2=b kvar=300 kv=12\n")
    assert net.lines[0].name == "capacitor.c"
    assert net.lines[0].z == pytest.approx(-1j * 12000**2 / 300e3 * np.eye(3), rel=1e-12)
    assert not net.shunts


@pytest.mark.parametrize(
    ("properties", "y"),
    [
        ("kvar=100 kv=4", 1 / (1j * 4000**2 / 100e3) * np.eye(3)),
        ("r=2 x=3 rp=10", (1 / (2 + 3j) + 0.1) * np.eye(3)),
        ("z=[1 2]", 1 / (1 + 2j) * np.eye(3)),
        ("lmh=10", 1 / (2j * np.pi * 60 * 0.01) * np.eye(3)),
        ("phases=1 bus1=b.2 r=15 x=0", [[1 / 15]]),
        ("z1=[1 2] z0=[4 5]", np.linalg.inv((1 + 2j) * np.eye(3) + (1 + 1j) * np.ones((3, 3)))),
        ("rmatrix=[1|.1 1|.1 .1 1]", np.linalg.inv(0.9 * np.eye(3) + 0.1 * np.ones((3, 3)))),
    ],
)
def test_reactors(tmp_path: Path, properties: str, y: object) -> None:
    net = read(tmp_path, f"New Line.l bus1=sourcebus bus2=b\nNew Reactor.r bus1=b {properties}\n")
    assert net.shunts[0].kind == "reactor"
    assert net.shunts[0].y == pytest.approx(np.asarray(y), rel=1e-12)


def test_series_reactor_is_a_line(tmp_path: Path) -> None:
    net = read(tmp_path, "New Reactor.r bus1=sourcebus bus2=b r=.1 x=1\n")
    assert net.lines[0].z == pytest.approx((0.1 + 1j) * np.eye(3), rel=1e-12)
