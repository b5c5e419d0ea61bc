"""LinDistFlow on radial networks: closed form, areas, prices, loops refused."""

from __future__ import annotations

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.ir.result import Status
from gridmodel.physics.opf import opf
from gridmodel.physics.prices import bus_prices
from tests.physics.cases import FEEDER, TWO, from_text, shipped


def test_two_buses_in_closed_form(tmp_path):
    net = from_text(tmp_path, TWO)
    result = gm.solve(opf(net, "lindistflow"), "central")
    own = result["area1"]
    assert own["p"] == pytest.approx([0.3], abs=1e-7)
    assert own["q"] == pytest.approx([0.1], abs=1e-7)
    assert own["w"] == pytest.approx([1.0, 1.0 - 2 * (0.1 * 0.3 + 0.2 * 0.1)], abs=1e-7)


def test_a_feeder_in_closed_form(tmp_path):
    # generator 4 at cost p^2 + 20 p stands at its limit of 2 MW below the substation's 30 $/MWh (marginal cost 24)
    net = from_text(tmp_path, FEEDER)
    result = gm.solve(opf(net, "lindistflow"), "central")
    own = result["area1"]
    w1, w2, w3, w4 = own["w"]
    assert w1 == pytest.approx(1.0, abs=1e-7)
    assert own["p"][1] == pytest.approx(2.0, abs=1e-5)
    P3, Q3 = 3 + 0.2 * w3, 1 - 0.5 * w3
    P4, Q4 = 1 - own["p"][1], -own["q"][1]
    P2, Q2 = 2 + P3 + P4, 1 + Q3 + Q4 - 10 * 0.005 * w2
    assert own["flow_p"] == pytest.approx([P2, P3, P4], abs=1e-5)
    assert own["flow_q"] == pytest.approx([Q2, Q3, Q4], abs=1e-5)
    assert w1 / 1.02**2 - w2 == pytest.approx(2 * (0.02 * P2 + 0.04 * Q2) / 10, abs=1e-6)
    assert w2 - w3 == pytest.approx(2 * (0.03 * P3 + 0.05 * Q3) / 10, abs=1e-6)
    assert w2 - w4 == pytest.approx(2 * (0.02 * P4 + 0.03 * Q4) / 10, abs=1e-6)
    # the shunt of bus 3 takes power that rises with the voltage, so a price is not exactly 30 everywhere
    assert next(iter(bus_prices(result, net).values())) == pytest.approx(30.0, abs=1e-4)


@pytest.mark.parametrize("areas", [2, {1: "up", 2: "up", 3: "down", 4: "side"}])
def test_areas_give_the_same_answer(tmp_path, areas):
    net = from_text(tmp_path, FEEDER)
    whole, parts = (gm.solve(opf(net, "lindistflow", k), "central") for k in (1, areas))
    assert parts.value == pytest.approx(whole.value, rel=1e-7)
    w = dict(zip(whole.model.layout.buses["area1"].tolist(), whole["area1"]["w"], strict=True))
    for name, numbers in parts.model.layout.buses.items():
        assert parts[name]["w"] == pytest.approx([w[n] for n in numbers.tolist()], abs=1e-5)


def test_areas_settle_it_by_messages(tmp_path):
    net = from_text(tmp_path, FEEDER)
    model = opf(net, "lindistflow", areas=2)
    result = gm.solve(model, "admm", tolerance=1e-5, verify=True)
    assert result.certificate.central_gap == pytest.approx(0.0, abs=1e-4)


def test_it_is_close_to_the_cone_relaxation_without_its_losses(tmp_path):
    net = from_text(tmp_path, FEEDER)
    linear, cone = (gm.solve(opf(net, name), "central") for name in ("lindistflow", "branchflow"))
    assert linear.value < cone.value
    assert linear.value == pytest.approx(cone.value, rel=0.02)  # the losses are 1.5 % of the load


def test_limits_of_angles_and_powers_bind(tmp_path):
    # bus 4 sends 1 MW at most over line 2-4 whose limit is 0.5 MVA: the generator gives 1.5 MW of its 2
    text = FEEDER.replace("2	4	0.02	0.03	0	0	0	0", "2	4	0.02	0.03	0	0.5	0	0")
    net = from_text(tmp_path, text)
    own = gm.solve(opf(net, "lindistflow"), "central")["area1"]
    assert own["p"][1] == pytest.approx(1.5, abs=1e-4)
    # at least 4.1 MW and at most 2.6 MVAr flow over line 1-2, so x P - r Q is at least 0.011 rad
    for radians, status in ((0.010, Status.INFEASIBLE), (0.013, Status.CERTIFIED)):
        limited = FEEDER.replace("1.02	0	1	-60	60", f"1.02	0	1	-60	{np.rad2deg(radians):.12f}")
        result = gm.solve(opf(from_text(tmp_path, limited), "lindistflow"), "central")
        assert result.status is status
    own = result["area1"]
    assert (0.04 * own["flow_p"][0] - 0.02 * own["flow_q"][0]) / 10 <= 0.013 + 1e-7


def test_a_loop_is_named():
    with pytest.raises(ModelError, match=r"needs a radial network, and pglib_opf_case5_pjm has the loop (\d+-)+\d+\."):
        opf(shipped("case5_pjm"), "lindistflow")


def test_lines_in_parallel_are_a_loop(tmp_path):
    line = "	1	2	0.1	0.2	0	0	0	0	0	0	1	-60	60;\n"
    with pytest.raises(ModelError, match="has the loop 1-2-1"):
        opf(from_text(tmp_path, TWO.replace(line, line + line)), "lindistflow")
