"""What the checks of a feeder find, and what they let pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridmodel.errors import DataError
from gridmodel.grid.checks import check_feeder, require_sound
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.elements import Bus, Terminal
from gridmodel.grid.feeder import Feeder
from tests.grid.dss.script import FEEDERS, read


def small(folder: Path) -> Feeder:
    return read(
        folder,
        """New Line.l bus1=sourcebus bus2=b
New Transformer.t buses=[b c] conns=[delta wye] kvs=[12.47 .48]
New Load.x bus1=c kv=.48
""",
    )


def found(net: Feeder) -> set[tuple[str, str, bool]]:
    return {(finding.kind, finding.element, finding.serious) for finding in check_feeder(net)}


def test_sound_feeders(tmp_path: Path) -> None:
    assert not check_feeder(small(tmp_path))
    assert not check_feeder(read_dss(FEEDERS / "13Bus" / "IEEE13Nodeckt.dss"))
    require_sound(read_dss(FEEDERS / "37Bus" / "ieee37.dss"))


def test_floating_secondary(tmp_path: Path) -> None:
    net = small(tmp_path)
    (unit,) = net.transformers
    high, low = unit.windings
    loose = replace(unit, windings=(high, replace(low, connection="delta", terminal=Terminal("c", (1, 2, 3)))))
    assert found(replace(net, transformers=(loose,), loads=())) == {("floating", "winding of transformer t", False)}
    bare = replace(net, transformers=(replace(loose, anti_float=0.0),), loads=())
    assert found(bare) == {("floating", "winding of transformer t", True)}
    with pytest.raises(DataError, match=r"winding of transformer t nothing ties it to the ground \(c\)"):
        require_sound(bare)


def test_islands_and_what_hangs_in_them(tmp_path: Path) -> None:
    net = small(tmp_path)
    line = replace(net.lines[0], closed=False)
    findings = found(replace(net, lines=(line,)))
    assert ("island", "island of bus b", False) in findings
    assert ("unfed", "load x", False) in findings
    text = next(finding.text for finding in check_feeder(replace(net, lines=(line,))) if finding.kind == "island")
    assert "(b, c)" in text


def test_a_phase_that_no_line_carries(tmp_path: Path) -> None:
    net = read(tmp_path, "New Line.l bus1=sourcebus.1 bus2=b.1 phases=1\nNew Load.x bus1=b.2 phases=1 kv=7.2\n")
    assert found(net) == {("island", "bus b", False), ("unfed", "load x", False)}
    assert any(note.startswith("small.dss:4: load x is at b.2") for note in net.notes)


@pytest.mark.parametrize(
    ("z", "kind", "serious"),
    [
        (np.zeros((3, 3)), "zero impedance", True),
        (np.ones((3, 3)) * (1 + 1j), "zero impedance", True),
        (np.eye(3) * (-1 + 1j), "impedance", True),
        (np.eye(3) + 1j * np.array([[1, 0.2, 0], [0.1, 1, 0], [0, 0, 1]]), "impedance", True),
        (np.eye(3) * np.nan, "impedance", True),
        (np.array([[1, 2, 0], [2, 1, 0], [0, 0, 1]]) + 9j * np.eye(3), "impedance", False),
    ],
)
def test_impedances_that_no_line_has(tmp_path: Path, z: np.ndarray, kind: str, serious: bool) -> None:
    net = small(tmp_path)
    wrong = replace(net, lines=(replace(net.lines[0], z=z.astype(complex)),))
    assert found(wrong) == {(kind, "line l", serious)}


def test_transformers_that_cannot_be(tmp_path: Path) -> None:
    net = small(tmp_path)
    (unit,) = net.transformers
    assert found(replace(net, transformers=(replace(unit, x=(-0.1,)),))) == {("impedance", "transformer t", True)}
    windings = tuple(replace(winding, r=0.0) for winding in unit.windings)
    short = replace(unit, x=(0.0,), windings=windings)
    assert found(replace(net, transformers=(short,))) == {("zero impedance", "transformer t", True)}
    giving = replace(unit, windings=(replace(unit.windings[0], r=-0.1), unit.windings[1]))
    assert found(replace(net, transformers=(giving,))) == {("impedance", "transformer t", True)}


def test_names_twice_and_unknown_buses(tmp_path: Path) -> None:
    net = small(tmp_path)
    assert found(replace(net, loads=net.loads * 2)) == {("duplicate", "load x", True)}
    fewer = replace(net, loads=(replace(net.loads[0], terminal=Terminal("far", (1, 2, 3, 0))),))
    assert ("unknown bus", "load x", True) in found(fewer)
    thin = replace(net, buses=(*net.buses[:-1], Bus("c", (1, 2), 277.0)))
    assert {("unknown bus", "load x", True), ("unknown bus", "transformer t", True)} <= found(thin)


def test_a_voltage_that_is_not_the_buss_and_what_joins_nothing(tmp_path: Path) -> None:
    net = read(
        tmp_path,
        """New Line.l bus1=sourcebus bus2=b
New Line.m bus1=b bus2=b
New Load.x bus1=b kv=.48
New Load.y bus1=b.1 phases=1 kv=7.2
New Load.z bus1=b.1.1 phases=1 kv=7.2
""",
    )
    assert found(net) == {
        ("rated", "load x", False), ("rated", "load z", False), ("rated", "line m", False)
    }  # fmt: skip
    assert any("is rated 0.48 kV between lines, its bus 12.47" in note for note in net.notes)
