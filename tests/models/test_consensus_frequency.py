"""The frequency after a trip, against its closed form."""

from __future__ import annotations

import numpy as np
import pytest

import gridmodel as gm
from models.consensus_frequency import balance, build

CASES = ["pglib_opf_case14_ieee.m", "pglib_opf_case30_ieee.m", "pglib_opf_case118_ieee.m"]


@pytest.mark.parametrize("case", CASES)
def test_all_buses_agree_on_lost_output_over_all_responses(case):
    model = build(case)
    net = gm.read_network(f"models/data/{case}")
    excess, stiffness = balance(net)
    f = excess.sum() / stiffness.sum()
    assert f < 0
    result = gm.solve(model, "averaging", tolerance=1e-8)
    assert result.status is gm.Status.CERTIFIED
    assert result["bus"]["f"] == pytest.approx(f, rel=1e-6)
    assert result.messages == result.rounds * 2 * model.topology.graph.number_of_edges()


def test_supply_meets_the_load_before_the_trip():
    net = gm.read_network("models/data/pglib_opf_case118_ieee.m")
    excess, _ = balance(net)
    largest = np.bincount(net.generators.bus, net.generators.p_max, len(net.buses.number)).max()
    total = net.generators.p_max.clip(0).sum()
    assert -excess.sum() == pytest.approx(largest * net.buses.p_load.sum() / total)


def test_bad_options_are_named():
    with pytest.raises(gm.ModelError, match="lost=9999 is no bus"):
        build(lost=9999)
    with pytest.raises(gm.ModelError, match="droop and load_response must be above 0"):
        build(droop=0.0)
    with pytest.raises(gm.ModelError, match="droop and load_response must be above 0"):
        build(load_response=float("inf"))
    with pytest.raises(gm.ModelError, match="no generator at bus 2"):
        build("pglib_opf_case118_ieee.m", lost=2)
