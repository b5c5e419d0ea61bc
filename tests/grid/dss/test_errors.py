"""Every malformed script names the file and the line, what was got and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmodel.errors import NetworkFileError
from gridmodel.grid.dss.read import read_dss
from tests.grid.dss.script import read

LINE = "new line.l bus1=sourcebus bus2=b "
LOAD = "new load.q bus1=sourcebus "
# All texts begin at line 3, after the circuit.
WRONG = [
    ("redirect nofile.dss", 3, ("'nofile.dss' cannot be read",)),
    ("new foo.x a=1", 3, ("class `foo`", "transformer")),
    ("new isource.x amps=3", 3, ("isource are not supported",)),
    ("\n" + LINE + "foo=3", 4, ("Line.l: unknown property `foo`", "linecode")),
    (LINE + "length=abc", 3, ("Line.l: length is `abc`", "a number")),
    (LINE + "\n~ length=1e", 4, ("length is `1e`",)),
    (LINE + "rmatrix=[1|2 3]", 3, ("rmatrix", "3 rows", "rows of 1, 2")),
    (LINE + "rmatrix=[1|2 3|4 5 x]", 3, ("rmatrix", "a number")),
    (LINE + "linecode=zz", 3, ("linecode is `zz`", "known are none")),
    (LINE + "phases=2 rmatrix=[1|0 1] phases=3", 3, ("phases is `3`", "expected 2")),
    ("new line.l bus1=sourcebus.x bus2=b", 3, ("bus1 is `sourcebus.x`", "whole numbers")),
    ("new line.l bus1=sourcebus.-1 bus2=b", 3, ("bus1 is `sourcebus.-1`",)),
    ("new line.l bus1=sourcebus", 3, ("bus2 is missing",)),
    (LINE + "length=(3 +)", 3, ("`+` finds 1 numbers before it",)),
    (LINE + "length=(3 4 foo)", 3, ("`foo` is neither",)),
    (LINE + "length=(3 0 /)", 3, ("not defined",)),
    ("redirect small.dss", 3, ("small.dss reads itself",)),
    (LINE + "rmatrix=[1|2 3", 3, ("`[` is not closed", "expected `]`")),
    ('new line.l bus1="sourcebus bus2=b', 3, ('`"` is not closed',)),
    ("new line.l bus1=", 3, ("`bus1=` without a value",)),
    ("new line.l =3", 3, ("without an element",)),
    (LINE + "\n" + LINE, 4, ("line.l is declared twice", "small.dss:3")),
    ("frobnicate all", 3, ("got `frobnicate`", "New, Edit")),
    ("allocateloads", 3, ("allocateloads is not supported",)),
    ("set nothing=1", 3, ("unknown option",)),
    (LINE + "r1=0 x1=0 r0=0 x0=0", 3, ("line l has zero impedance", "merge")),
    (LINE + "r1=-1 r0=-1", 3, ("line l has a negative resistance",)),
    ("new transformer.t wdg=3 bus=a", 3, ("wdg is `3`", "windings=3")),
    ("new transformer.t buses=[a b c]", 3, ("at most 2",)),
    ("new transformer.t windings=3 xscarray=[1 2]", 3, ("3 reactances",)),
    ("new transformer.t buses=[sourcebus b] taps=[0 1]", 3, ("above 0",)),
    ("new regcontrol.r transformer=zz", 3, ("transformer is `zz`",)),
    ("new regcontrol.r winding=2", 3, ("transformer is missing",)),
    (LOAD + "model=9", 3, ("model is 9",)),
    (LOAD + "model=8 zipv=[1 2 3]", 3, ("seven numbers",)),
    (LOAD + "model=4 cvrwatts=.8", 3, ("exponent 0.8",)),
    (LOAD + "pf=2", 3, ("power factor between",)),
    (LOAD + "kw=nan", 3, ("finite",)),
    (LOAD + "phases=1.5", 3, ("whole number",)),
    (LOAD + "phases=99999999999999999999", 3, ("a whole number from 1 to 100",)),
    (LOAD + "kv=1e-320", 3, ("a number above 0",)),
    (LOAD + "conn=sideways", 3, ("wye or delta",)),
    (LOAD + "enabled=perhaps", 3, ("yes or no",)),
    (LOAD + "daily=zz", 3, ("a LoadShape that is declared before",)),
    ("new load.q kw=3", 3, ("bus1 is missing",)),
    ("new load.a bus1=b like=zz", 3, ("like is `zz`",)),
    ("new loadshape.s npts=4 mult=[1 2 3]", 3, ("at least npts = 4",)),
    ("new loadshape.s npts=4 mult=(file=no.csv)", 3, ("'no.csv' cannot be read",)),
    ("new loadshape.s npts=2 sngfile=no.sng", 3, ("'no.sng' cannot be read",)),
    ("new loadshape.s npts=2 interval=0 mult=[1 2]\n" + LOAD + "daily=s", 4, ("LoadShape s has no equal steps",)),
    ("new loadshape.s mult=[1 2]\nnew loadshape.t interval=.3 mult=[1 2]", 3, ("a multiple of it",)),
    (LINE + "geometry=g", 3, ("a LineGeometry that is declared before",)),
    ("open line.zz 1", 3, ("there is no line.zz",)),
    (LINE + "\nopen line.l 1 2", 4, ("one conductor alone",)),
    ("load.q.kw=3", 3, ("there is no load.q",)),
    ("new circuit.d", 3, ("second circuit",)),
    ("buscoords none.csv", 3, ("'none.csv' cannot be read",)),
    ("new generator.g bus1=sourcebus model=6", 3, ("model is 6",)),
    ("new capacitor.c bus1=sourcebus kvar=[1 2 3]", 3, ("numsteps=3",)),
    ("new reactor.r bus1=sourcebus x=0 r=0", 3, ("impedance is zero",)),
    ("new linecode.k nphases=1 kron=y", 3, ("kron is `y`",)),
    ("set voltagebases=[]", 3, ("voltages in kV",)),
    ("~ mvasc3=100 mvasc1=5000", 2, ("no zero-sequence impedance",)),
    ("~ bus2=b", 2, ("bus2 is not the ground",)),
    ("~ enabled=no", 0, ("no source is enabled",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), WRONG, ids=[text.strip()[:40] for text, _, _ in WRONG])
def test_malformed(tmp_path: Path, text: str, line: int, said: tuple[str, ...]) -> None:
    with pytest.raises(NetworkFileError) as caught:
        read(tmp_path, text + "\n")
    message = str(caught.value)
    assert message.startswith(f"small.dss:{line}: " if line else "small.dss: ")
    for piece in said:
        assert piece in message


def test_errors_in_other_files_name_them(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"^lines\.dss:2: Line\.l: length"):
        read(tmp_path, "redirect lines.dss\n", lines__dss="! lines\nnew line.l bus1=a bus2=b length=x\n")
    with pytest.raises(NetworkFileError, match=r"^a\.csv:2: .*expected numbers"):
        read(tmp_path, "new loadshape.s mult=(file=a.csv)\n", a__csv="1\nx\n3\n")
    with pytest.raises(NetworkFileError, match=r"^xy\.csv:2: .*a bus and two numbers"):
        read(tmp_path, "buscoords xy.csv\n", xy__csv="a 1 2\nb 1\n")


def test_two_files_that_read_each_other(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"^b\.dss:1: a\.dss reads itself .*a\.dss -> b\.dss -> a\.dss"):
        read(tmp_path, "redirect a.dss\n", a__dss="redirect b.dss\n", b__dss="redirect a.dss\n")


def test_no_file_and_no_circuit(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"cannot be read .*OpenDSS script"):
        read_dss(tmp_path / "none.dss")
    path = tmp_path / "empty.dss"
    path.write_text("! nothing\n")
    with pytest.raises(NetworkFileError, match=r"no circuit is declared"):
        read_dss(path)
    path.write_text("new load.x bus1=a\n")
    with pytest.raises(NetworkFileError, match=r"^empty\.dss:1: .*before the circuit"):
        read_dss(path)
