"""All formulations of one network beside each other."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gridmodel.errors import ModelError
from gridmodel.side_by_side import formulations
from tests.physics.cases import AC, FEEDER, from_text, shipped


def test_a_relaxation_that_is_not_exact_says_its_gap_to_the_exact_point():
    found = formulations(shipped("case5_pjm"))
    assert [one.name for one in found.solved] == ["dc", "ac", "soc", "sdp"]
    assert found["ac"].value == pytest.approx(AC["case5_pjm"], rel=1e-5)
    assert 100 * found.gap("soc") == pytest.approx(14.55, abs=0.02)  # PGLib's SOC column
    for name in ("soc", "sdp"):
        assert f"gap to a feasible point {100 * found.gap(name):.3g} %" in found[name].remark
    assert found["sdp"].remark.startswith("not rank one")
    assert "loop 1-2-3-4-1" in found.refused["lindistflow"]


def test_without_the_exact_point_the_relaxation_says_why_it_knows_no_gap():
    found = formulations(shipped("case5_pjm"), ["sdp"])
    assert "no gap: the load flow from there violates limits" in found["sdp"].remark


def test_the_order_is_that_of_the_names(tmp_path):
    found = formulations(from_text(tmp_path, FEEDER), ["lindistflow", "soc", "ac", "soc"])
    assert [one.name for one in found.solved] == ["lindistflow", "soc", "ac"]


def test_costs_of_zero():
    net = shipped("case14_ieee")
    nothing = np.zeros_like(net.costs.linear)
    free = replace(net, costs=replace(net.costs, linear=nothing, quadratic=nothing, constant=nothing))
    found = formulations(free, ["ac", "soc"])
    assert found.gap("soc") == pytest.approx(0.0, abs=1e-6)
    assert "0.000 %" in str(found)


def test_no_answer_says_why():
    found = formulations(shipped("case5_pjm"), ["dc", "sdp", "ac"], load_scale=1.5)
    for one in found.solved:
        assert one.status == "infeasible"
        assert "at branch 4-5" in one.remark


@pytest.mark.parametrize("missing", ["casadi", "pyomo"])
def test_a_solver_that_is_not_installed(monkeypatch, missing: str):
    kept = builtins.__import__

    def without(name: str, *rest: Any, **words: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return kept(name, *rest, **words)

    monkeypatch.setattr("gridmodel.ipopt.which", lambda name: None)
    monkeypatch.setattr(builtins, "__import__", without)
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    found = formulations(shipped("case5_pjm"), ["ac", "soc"])
    assert [one.name for one in found.solved] == ["soc"]
    assert "pip install 'gridmodel[acopf]'" in found.refused["ac"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"load_scale": float("nan")}, "load_scale=nan: expected a finite number"),
        ({"load_scale": "2"}, "load_scale='2': expected a finite number"),
        ({"names": []}, "has no name to solve"),
        ({"names": ["AC"]}, "no formulation 'AC'"),
    ],
)
def test_bad_words_are_refused_at_once(words: dict[str, Any], text: str):
    with pytest.raises(ModelError, match=text):
        formulations(shipped("case5_pjm"), **words)
