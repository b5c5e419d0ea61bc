"""How scripts are written: comments, continuation, quotes, arithmetic, names and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmodel.grid.dss.rpn import rpn
from tests.grid.dss.script import read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.00625 7 * 1 +", 1.04375), ("8 1000 /", 0.008), ("2 3 ^", 8.0), ("9 sqrt", 3.0), ("3 sqr", 9.0),
        ("4 inv", 0.25),
        ("1 2 swap -", 1.0), ("pi", 3.141592653589793), ("60 cos", 0.5), ("1 1 atan2", 45.0), ("1 2 3 rollup - -", 4.0),
        ("1 2 3 rolldn - -", 0.0), ("1 exp ln", 1.0), ("100 log10", 2.0), ("0.5 asin", 30.0), ("0.5 acos", 60.0),
        ("1 atan", 45.0), ("30 sin", 0.5), ("45 tan", 1.0),
    ],
)  # fmt: skip
def test_arithmetic(text: str, value: float) -> None:
    assert rpn(text) == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("text", ["1 +", "1 2", "", "1 foo", "1 0 /", "-1 sqrt", "0 ln"])
def test_arithmetic_that_has_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|defined|operator"):
        rpn(text)


def test_comments_continuation_and_case(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """/* a block
New Line.hidden bus1=a bus2=b
*/
// a comment
! another
NEW LINE.L1 BUS1=SourceBus, bus2 = B1   ! the rest is no parameter r1=9
~ R1=0.5 // nor is this x1=9
more x1 = 0.25
m length=2
~ c1=0 c0=0 r0=0.5 x0=.25
? Line.L1.r1
""",
    )
    assert [line.name for line in net.lines] == ["l1"]
    assert net.lines[0].z[0, 0] == pytest.approx(1 + 0.5j)
    assert net.lines[0].end.bus == "b1"


@pytest.mark.parametrize(
    "array", ["(0.4 | 0.1 0.5)", "[0.4 | 0.1, 0.5]", '"0.4|0.1 0.5"', "'.4 | .1 .5'", "{.4 .1|.1 .5}"]
)
def test_brackets_and_quotes(tmp_path: Path, array: str) -> None:
    net = read(tmp_path, f"New Line.l phases=2 bus1=sourcebus.1.3 bus2=b.1.3 rmatrix={array} xmatrix=(1 | 0 (2 2 /))\n")
    assert net.lines[0].z.tolist() == [[0.4 + 1j, 0.1], [0.1, 0.5 + 1j]]


def test_values_without_names_follow_the_last_name(tmp_path: Path) -> None:
    net = read(tmp_path, "New Load.a 1 sourcebus.2 2.4 model=5\nNew Load.b 1 bus1=sourcebus.1 7.2 30 .8\n")
    first, second = net.loads
    assert (first.phases, str(first.terminal), first.v, first.zip_p) == (1, "sourcebus.2.0", 2400.0, (0.0, 1.0, 0.0))
    assert second.v == 7200.0
    assert second.s == pytest.approx(30e3 + 22.5e3j)


def test_names_by_their_beginning_and_editing(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Load.a bus1=sourcebus kW=10 kvar=5 vmin=.8
Load.a.vmaxpu=1.2 kw=20
Edit Load.a pf=1
New Load.b like=a kW=7
BatchEdit load.b.* phases=1
calcv
""",
    )
    first, second = net.loads
    assert (first.v_min, first.v_max, first.s) == (0.8, 1.2, 20e3)
    assert (second.v_min, second.s, second.phases) == (0.8, 7e3, 1)


def test_files_in_other_folders_and_case(tmp_path: Path) -> None:
    (tmp_path / "Sub").mkdir()
    (tmp_path / "Sub" / "Lines.DSS").write_text("Redirect codes.dss\nNew Line.l bus1=sourcebus bus2=b linecode=c\n")
    (tmp_path / "Sub" / "CODES.dss").write_text("New Linecode.c r1=3 x1=1 r0=3 x0=1\n")
    (tmp_path / "more.dss").write_text("New Line.m bus1=b bus2=d linecode=c\n")
    net = read(tmp_path, "Redirect sub\\lines.dss\nRedirect MORE.dss\n")
    assert [line.z[0, 0] for line in net.lines] == [3 + 1j, 3 + 1j]


def test_compile_stays_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.dss").write_text("New Linecode.c r1=3 x1=1 r0=3 x0=1\n")
    (tmp_path / "sub" / "b.dss").write_text("New Line.l bus1=sourcebus bus2=b linecode=c\n")
    net = read(tmp_path, "Compile sub/a.dss\nRedirect b.dss\n")
    assert net.lines[0].end.bus == "b"


def test_clear_forgets(tmp_path: Path) -> None:
    net = read(
        tmp_path, "New Line.l bus1=sourcebus bus2=b\nClear\nNew Circuit.other basekv=4\nNew Load.x bus1=sourcebus\n"
    )
    assert net.name == "other"
    assert not net.lines
    assert len(net.loads) == 1


def test_open_close_enable_disable(tmp_path: Path) -> None:
    lines = "".join(f"New Line.l{k} bus1=sourcebus bus2=b{k}\n" for k in range(5))
    net = read(
        tmp_path,
        lines
        + "Open Line.l0 1\nOpen Line.l1 term=2\nClose Line.l1 2\nDisable Line.l2\nLine.l3.enabled=no\nEnable Line.l3\n",
    )
    assert {line.name: line.closed for line in net.lines} == {"l0": False, "l1": True, "l3": True, "l4": True}
    assert "b2" not in {bus.name for bus in net.buses}


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Line.l bus1=sourcebus bus2=b
New Monitor.m1 element=line.l terminal=1 mode=0
~ ppolar=no
New Monitor.m2 element=line.l
New SwtControl.c switchedobj=line.l
monitor.m1.mode=1
Show voltages LN nodes
Plot circuit power
Solve mode=daily number=24
""",
    )
    (monitors, controls) = net.notes
    assert "2 elements of the class monitor" in monitors
    assert "m1, m2" in monitors
    assert "swtcontrol" in controls
    assert "stays as the file declares it" in controls


def test_set_options(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Transformer.t buses=[sourcebus b]
New RegControl.r transformer=t winding=2 tapnum=-4
New Load.a bus1=b kw=10 kvar=0
New Load.f bus1=b kw=10 kvar=0 status=fixed
Set LoadMult=1.5 controlmode=off
Set maxiterations=100
""",
    )
    assert [load.s for load in net.loads] == [15e3, 10e3]
    assert not net.regulators[0].enabled
    assert net.transformers[0].windings[1].tap == pytest.approx(1 - 4 * 0.00625)


def test_coordinates(tmp_path: Path) -> None:
    text = "New Line.l bus1=sourcebus bus2=b\nBusCoords xy.csv\nLatLongCoords where.csv\n"
    net = read(tmp_path, text, xy__csv="! x y\nB, 10, 20\nunknown 1 2\n", where__csv="SOURCEBUS,46.5,-119.25\n")
    assert (net.bus("b").x, net.bus("b").y) == (10.0, 20.0)
    assert (net.bus("sourcebus").x, net.bus("sourcebus").y) == (-119.25, 46.5)
