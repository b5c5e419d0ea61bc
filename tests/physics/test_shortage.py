"""Infeasible optimal power flows name the buses and lines whose limits have to give way."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.physics.opf import opf
from tests.physics.cases import TWO, from_text, shipped


def message(net: Network, formulation: str, **words: object) -> str:
    result = gm.solve(opf(net, formulation, **words), "central")  # type: ignore[arg-type]
    assert result.status is gm.Status.INFEASIBLE
    return result.message


def amount(text: str, after: str) -> float:
    found = re.search(rf"{after} by ([\d.e+-]+) ", text)
    assert found is not None, text
    return float(found[1])


@pytest.mark.parametrize("areas", [1, 4])
@pytest.mark.parametrize("formulation", ["dc", "soc", "sdp", "branchflow", "ac"])
def test_too_much_load_is_said_in_megawatts_and_at_buses(formulation: str, areas: int):
    net = shipped("case14_ieee")
    text = message(net, formulation, areas=areas, load_scale=4.0)
    short = 4 * net.buses.p_load.sum() - net.generators.p_max.sum()
    assert f"the loads take {4 * net.buses.p_load.sum():.5g} MW and the generators give at most" in text
    missing = amount(text, "less load or more generation")
    if formulation == "dc":
        assert missing == pytest.approx(short, rel=1e-3)
    else:  # lines lose some of what is generated
        assert short < missing < 1.1 * short
    assert "at bus " in text


def test_generation_that_nobody_takes():
    net = shipped("case14_ieee")
    units = net.generators
    net = replace(net, generators=replace(units, p_min=units.p_max))
    text = message(net, "dc")
    assert f"the generators give at least {units.p_max.sum():.5g} MW" in text
    assert amount(text, "more load or less generation") == pytest.approx(units.p_max.sum() - 259.0, rel=1e-3)


@pytest.mark.parametrize("formulation", ["soc", "sdp", "branchflow", "ac"])
def test_the_rating_of_a_line_that_is_too_small(tmp_path, formulation: str):
    # What the line of two buses must carry solves a quadratic equation: .311180 pu at bus 1, and x / r of its loss.
    net = from_text(tmp_path, TWO.replace("0.1	0.2	0	0	0	0", "0.1	0.2	0	0.2	0.2	0.2"))
    current = 0.011180 / 0.1
    needed = np.hypot(0.311180, 0.1 + 0.2 * current)
    text = message(net, formulation)
    assert amount(text, "higher ratings") == pytest.approx(needed - 0.2, abs=2e-4)
    assert "at branch 1-2" in text


def test_the_rating_of_a_line_in_direct_current():
    net = shipped("case5_pjm")
    rate = net.branches.rate_a.copy()
    at = np.flatnonzero((net.branches.start == 3) | (net.branches.end == 3))
    rate[at] = 10.0  # bus 4 draws 400 MW and has a generator of 200 MW
    text = message(replace(net, branches=replace(net.branches, rate_a=rate)), "dc")
    names = {f"branch {net.buses.number[net.branches.start[k]]}-{net.buses.number[net.branches.end[k]]}" for k in at}
    assert any(name in text for name in names)
    assert amount(text, "higher ratings") == pytest.approx(200 - 10 * at.size, rel=1e-6)


@pytest.mark.parametrize("formulation", ["soc", "sdp", "branchflow"])
def test_voltages_that_cannot_lie_so_far_apart(tmp_path, formulation: str):
    # The bound on generation leaves hardly any current but that of the exact equations, .11180.
    case = TWO.replace("12	1	1.1	0.9", "12	1	0.75	0.7").replace(
        "1	1	1	2	-2", "1	1	1	0.3112	-2"
    )
    text = message(from_text(tmp_path, case), formulation)
    P, current = 0.3112, 0.112
    Q = 0.1 + 0.2 * current
    v = np.sqrt(1 - 2 * (0.1 * P + 0.2 * Q) + 0.05 * current)
    # The least sum may take a little at bus 1 as well, whose voltage then is below 1.
    assert 0.99 * (v - 0.75) < amount(text, "a higher v_max") < v - 0.75 + 1e-5
    assert "at bus 2" in text


def test_a_point_search_that_fails_is_backed_by_the_tighter_relaxation():
    # Cones admit a point at this load, semidefinite blocks and the exact equations do not.
    net = shipped("case5_pjm")
    assert gm.solve(opf(net, "soc", load_scale=1.5), "central").status is gm.Status.CERTIFIED
    proven, exact = message(net, "sdp", load_scale=1.5), message(net, "ac", load_scale=1.5, areas=2)
    assert "a convex relaxation proves it: " in exact
    lacking = "less load or more generation"
    assert amount(exact, lacking) == pytest.approx(amount(proven, lacking), rel=1e-3)
    assert "branch 4-5" in exact


@pytest.mark.parametrize(
    ("table", "field", "value", "text"),
    [
        ("buses", "v_min", 1.3, r"bus 1 of .* limits \|v\| to 1.3 \.\.\. 1.06 pu"),
        ("generators", "p_min", 999.0, r"generator 1 at bus 1 of .* limits p to 999 \.\.\. 340 MW"),
        ("generators", "q_min", 99.0, r"generator 1 at bus 1 of .* limits q to 99 \.\.\. 10 MVAr"),
    ],
)
def test_crossed_limits_name_the_bus_or_generator(table: str, field: str, value: float, text: str):
    net = shipped("case14_ieee")
    part = getattr(net, table)
    wrong = getattr(part, field).copy()
    wrong[0] = value
    with pytest.raises(ModelError, match=text):
        opf(replace(net, **{table: replace(part, **{field: wrong})}), "soc")
