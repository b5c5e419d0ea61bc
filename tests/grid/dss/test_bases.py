"""Bus base voltages: the nearest listed base to the voltage without load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridmodel.grid.dss.bases import nearest
from tests.grid.dss.script import read

ROOT3 = np.sqrt(3)


def bases(folder: Path, text: str) -> dict[str, float]:
    """Line-to-line bases in kV."""
    return {bus.name: round(bus.base * ROOT3 / 1000, 9) for bus in read(folder, text).buses}


def test_nearest_is_relative() -> None:
    assert nearest(7000.0, [12.47, 4.16]) == pytest.approx(12470 / ROOT3)
    assert nearest(1.0, [115.0, 0.48]) == pytest.approx(480 / ROOT3)
    assert nearest(40e3 / ROOT3, [10.0, 115.0]) == pytest.approx(115e3 / ROOT3)  # 10 is nearer, not in proportion


def test_through_transformers_of_all_connections(tmp_path: Path) -> None:
    found = bases(
        tmp_path,
        """New Transformer.yd buses=[sourcebus d] conns=[wye delta] kvs=[12.47 4.16]
New Transformer.dy buses=[d e] conns=[delta wye] kvs=[4.16 .48]
New Transformer.ct phases=1 windings=3 buses=[sourcebus.2 s.1.0 s.0.2] kvs=[7.2 .12 .12]
New Transformer.ab phases=1 buses=[sourcebus.1 o.1.2] conns=[wye delta] kvs=[7.2 4.16]
New Transformer.bc phases=1 buses=[sourcebus.2 o.2.3] conns=[wye delta] kvs=[7.2 4.16]
New Line.l bus1=s.1.2 bus2=home.1.2 phases=2
Set voltagebases=[12.47 4.16 .48 .208]
Calcvoltagebases
""",
    )
    assert found == {"sourcebus": 12.47, "d": 4.16, "e": 0.48, "s": 0.208, "o": 4.16, "home": 0.208}


def test_without_calcvoltagebases_the_rated_voltage_counts(tmp_path: Path) -> None:
    found = bases(tmp_path, "~ pu=1.05\nNew Transformer.t buses=[sourcebus b] kvs=[12.47 .4] taps=[1 1.05]\n")
    assert found == {"sourcebus": pytest.approx(12.47), "b": pytest.approx(0.4)}


def test_set_base_of_one_bus(tmp_path: Path) -> None:
    text = "New Line.l bus1=sourcebus bus2=b\nNew Line.m bus1=b bus2=c\nSet voltagebases=[12.47]\ncalcv\n"
    found = bases(tmp_path, text + "SetkVBase b kVLL=11\nSetkVBase bus=c kvln=6\n")
    assert found == {"sourcebus": 12.47, "b": 11.0, "c": pytest.approx(6 * ROOT3)}


def test_beyond_an_open_switch_as_if_closed(tmp_path: Path) -> None:
    text = "New Line.l bus1=sourcebus bus2=b\nNew Transformer.t buses=[b c] kvs=[12.47 .48]\nOpen Line.l 1\n"
    assert bases(tmp_path, text + "Set voltagebases=[12.47 .48]\ncalcv\n") == {
        "sourcebus": 12.47,
        "b": 12.47,
        "c": 0.48,
    }


def test_islands_have_the_base_of_their_loads(tmp_path: Path) -> None:
    text = "New Load.x bus1=far.1 phases=1 kv=2.4\nSet voltagebases=[12.47 4.16]\ncalcv\n"
    assert bases(tmp_path, text)["far"] == 4.16
