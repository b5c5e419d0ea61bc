"""Lines by geometry, spacing and wires against OpenDSS, and what their declarations must not say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridmodel.errors import DataError, NetworkFileError
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.line_constants import Wire, line_constants
from tests.grid.dss.script import read
from tests.grid.dss.wires import CASES, LINES, WIRES, script
from tests.grid.references import rows


@pytest.mark.parametrize("case", range(len(CASES)))
def test_impedances_are_those_of_opendss(tmp_path: Path, case: int) -> None:
    path = tmp_path / "wires.dss"
    path.write_text(script(*CASES[case]), encoding="utf-8")
    lines = {line.name: line for line in read_dss(path).lines}
    assert set(lines) == set(LINES)
    seen = 0
    for row in rows("wires.csv"):
        if row["case"] == str(case):
            line, at = lines[row["line"]], (int(row["i"]), int(row["j"]))
            assert line.z[at] == pytest.approx(complex(float(row["r"]), float(row["x"])), rel=1e-9), row
            assert line.y[at].imag == pytest.approx(float(row["b"]), rel=1e-5, abs=1e-6 * abs(line.y).max()), row
            seen += 1
    assert seen == sum(len(line.z) * (len(line.z) + 1) // 2 for line in lines.values())


def test_two_wires_by_hand() -> None:
    """Carson's first term at 60 Hz: r + 0.05922 ohm/km, 0.0754 (ln(1/D) + ln(658.5 sqrt(rho/f))) ohm/km."""
    wires = [Wire(x, 10.0, 2e-4, 2e-4, 0.01, 0.0128, 0.0128) for x in (0.0, 2.0)]
    z, y = line_constants(wires, 2, 60.0, earth="carson")
    w = 2 * np.pi * 60
    earth = np.log(658.5 * np.sqrt(100 / 60))
    assert z[0, 0] == pytest.approx(2e-4 + w * 1e-7 * (np.pi / 2 + 2j * (np.log(100) + earth)), rel=1e-6)
    assert z[0, 1] == pytest.approx(w * 1e-7 * (np.pi / 2 + 2j * (np.log(0.5) + earth)), rel=1e-6)
    logs = np.log(np.array([[20 / 0.0128, np.hypot(2, 20) / 2]] * 2))
    logs[1] = logs[1, ::-1]
    assert y == pytest.approx(1j * w * 2 * np.pi * 8.854e-12 * np.linalg.inv(logs), rel=1e-9)


def test_rating_and_rho_reach_the_line(tmp_path: Path) -> None:
    text = f"{WIRES}New LineGeometry.g nconds=1 nphases=1\n~ cond=1 wire=a units=m x=0 h=9\n"
    one = "New Line.{} bus1=sourcebus.1 bus2={}.1 geometry=g length=1 units=km {}\n"
    net = read(tmp_path, text + one.format("p", "p", "") + one.format("q", "q", "normamps=100"))
    assert [line.rating for line in net.lines] == [530.0, 100.0]
    wet = read(tmp_path, text + one.format("p", "p", "rho=10")).lines[0]
    assert wet.z[0, 0].imag < net.lines[0].z[0, 0].imag


GEOMETRY = "New LineGeometry.g nconds=2 nphases=2\n~ cond=1 wire=a x=0 h=9 units=m\n"
WRONG = [
    (GEOMETRY, "LineGeometry.g: conductor 2 has no wire"),
    (f"{GEOMETRY}~ cond=2 wire=a x=0 h=9\n", "same place"),
    (f"{GEOMETRY}~ cond=2 wire=a x=1 h=-9\n", "height -9 m"),
    (f"{GEOMETRY}~ cond=2 cncable=n x=1 h=9\n", "1 of 2 phases are cables"),
    (f"{GEOMETRY}~ cond=3 wire=a\n", "expected 1 to 2; say nconds=3 before"),
    (f"{GEOMETRY}~ nphases=3 cond=2 wire=a x=2 h=9\n", "nphases is 3 and nconds 2"),
    (f"{GEOMETRY}~ wires=[a a a]\n", r"2 conductors, as many as there are places \(got 3\)"),
    (f"{GEOMETRY}~ spacing=three\n", "a spacing of its 2 conductors, not 3"),
    (f"{GEOMETRY}~ cond=2 wire=zz\n", "a WireData that is declared before; known are a, b, c, d"),
    ("New LineGeometry.g cond=1\n", "expected 1 to 0"),
    ("New LineGeometry.g wire=a\n", "nconds before it"),
    ("New WireData.e rac=1\nNew LineGeometry.g nconds=1 nphases=1 wire=e h=3\n", "WireData.e: it needs a resistance"),
    ("New CNData.e rac=1 gmrac=1\nNew LineGeometry.g nconds=1 nphases=1 cncable=e h=3\n", "inslayer is missing"),
    ("New CNData.e like=n inslayer=9\nNew LineGeometry.g nconds=1 nphases=1 cncable=e\n", "more than half of diains"),
    ("New CNData.e like=n diastrand=9\nNew LineGeometry.g nconds=1 nphases=1 cncable=e\n", "more than diacable"),
    ("New TSData.e like=t tapelap=100\nNew LineGeometry.g nconds=1 nphases=1 tscable=e\n", "0 to 100 percent"),
    ("New LineSpacing.e nconds=2 nphases=2 x=[1 2 3]\n", "2 numbers, one a conductor"),
    ("New LineSpacing.e nconds=2 nphases=3\n", "expected at most its 2 conductors"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(NetworkFileError, match=said):
        read(tmp_path, f"{WIRES}{text}New Line.l bus1=sourcebus bus2=b geometry=g length=1\n")


def test_wires_need_their_spacing(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match="spacing=NAME before it"):
        read(tmp_path, f"{WIRES}New Line.l bus1=sourcebus bus2=b wires=[a a a]\n")
    with pytest.raises(NetworkFileError, match="its spacing has no conductors"):
        read(tmp_path, f"{WIRES}New Line.l bus1=sourcebus bus2=b spacing=three length=1\n")
    with pytest.raises(NetworkFileError, match="expected Carson, FullCarson or Deri"):
        read(tmp_path, "Set EarthModel=level\n")


def test_a_bare_wire_below_the_ground() -> None:
    wire = Wire(0.0, -1.0, 1e-3, 1e-3, 0.004, 0.005, 0.005)
    with pytest.raises(DataError, match="conductor 1 is at the height -1 m"):
        line_constants([wire], 1, 60.0)
