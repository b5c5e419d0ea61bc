"""Load flows in words, as JSON and as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.report.plot_flow import electrical_distance

DATA = Path(__file__).parents[2] / "models" / "data"
IEEE13 = DATA / "feeders" / "13Bus" / "IEEE13Nodeckt.dss"


def test_the_load_flow_of_a_feeder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # OpenDSS, controls in static mode: 3567.05 kW, 1736.44 kvar, losses 112.39 kW, taps 9, 6, 9
    assert main(["flow", str(IEEE13), "--plot", str(tmp_path / "a.png"), "--json", str(tmp_path / "a.json")]) == 0
    text = capsys.readouterr().out
    assert "3567.05 kW, 1736.44 kvar" in text
    assert "reg1 1.05625, reg2 1.03750, reg3 1.05625" in text
    assert "proven near the voltages without load" in text
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["losses_kW"] == pytest.approx(112.39, abs=0.01)
    assert found["voltages"]["671.1"]["magnitude_pu"] == pytest.approx(abs(_flow()["671.1"]), abs=1e-12)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def _flow() -> object:
    return gm.read_network(IEEE13).load_flow(taps="auto")


def test_the_load_flow_of_a_balanced_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = DATA / "pglib_opf_case14_ieee.m"
    assert main(["flow", str(case), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    net = gm.read_network(case)
    assert found["power_MW"] - found["losses_MW"] == pytest.approx(net.buses.p_load.sum(), rel=1e-9)


def test_a_load_flow_that_fails_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = DATA / "pglib_opf_case14_ieee.m"
    assert main(["flow", str(case), "--scale", "20", "--plot", str(tmp_path / "a.png")]) == 1
    text = capsys.readouterr().out
    assert "the load flow failed; last mismatch" in text
    assert "at bus" in text
    assert not (tmp_path / "a.png").exists()
    assert main(["flow", str(case), "--scale", "-1"]) == 2


def test_distances_grow_along_the_feeder() -> None:
    far = electrical_distance(gm.read_network(IEEE13))
    line = next(line for line in gm.read_network(IEEE13).lines if line.name == "632670")
    assert far["sourcebus"] == far["650"] == 0.0
    assert far["670"] - far["632"] == pytest.approx(abs(line.z[0, 0]), rel=1e-12)
    assert np.all(np.array(list(far.values())) >= 0)


def test_every_formulation_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = DATA / "pglib_opf_case14_ieee.m"
    assert main(["opf", str(case), "--json", str(tmp_path / "a.json")]) == 0
    text = capsys.readouterr().out
    assert "lindistflow  does not fit: " in text
    rows = json.loads((tmp_path / "a.json").read_text())["formulations"]
    assert rows["ac"]["value"] == pytest.approx(2178.08, abs=0.01)  # PGLib's BASELINE.md: 2.1781e+03
    assert rows["ac"]["kind"] == "stationary"
    assert 100 * rows["soc"]["gap"] == pytest.approx(0.11, abs=0.01)
    assert rows["sdp"]["gap"] == pytest.approx(0.0, abs=1e-5)
    assert "rank one" in rows["sdp"]["remark"]
    assert main(["opf", str(case), "--formulations", "xy"]) == 2
    assert main(["opf", str(IEEE13)]) == 2
