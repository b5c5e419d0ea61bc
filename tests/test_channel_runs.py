"""Whole runs over a channel: from gm.solve and the command line to the certificate."""

from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.methods import methods
from models.economic_dispatch import build

EXACT = ["tan-yang-xu", "dual-consensus", "relaxed-dual-consensus", "bisection", "dual", "admm"]


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("loads", [False, True])
def test_dispatch_reaches_the_hand_solution_under_losses(method, loads):
    result = gm.solve(build(loads=loads), method, tolerance=1e-5, channel=gm.Channel(drop=0.3, seed=4))
    assert result.status is gm.Status.CERTIFIED
    assert [float(result[g]["p"]) for g in ("g1", "g2", "g3")] == pytest.approx([2.06, 1.0, 1.04], abs=2e-4)
    assert result.price["balance"] == pytest.approx(1.02, abs=2e-4)
    assert gm.verify(result).holds


def test_messages_and_bytes_are_a_hand_count():
    # On the path g1 - g2 - g3 four packets a round, with two numbers of eight bytes each.
    result = gm.solve(build(), "tan-yang-xu")
    assert result.messages == 4 * result.rounds
    assert result.bytes == 4 * 2 * 8 * result.rounds
    # g1 sleeps in rounds 10 to 19: neither its packet nor the one to it is sent.
    asleep = gm.solve(build(), "tan-yang-xu", channel=gm.Channel(outages={"g1": (10, 20)}))
    assert asleep.messages == 4 * asleep.rounds - 10


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    channel = gm.Channel(drop=0.4)
    runs = [gm.solve(build(), "tan-yang-xu", channel=channel, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].value == runs[1].value
    assert runs[0].rounds == runs[1].rounds
    assert runs[0].value != runs[2].value


def test_auto_takes_what_stands_the_faults():
    late = gm.solve(build(), channel=gm.Channel(delay=3))
    assert late.status is gm.Status.CERTIFIED
    assert gm.explain(build(), channel=gm.Channel(delay=3)).choice == late.algorithm


def test_constant_gains_come_to_rest_and_the_certificate_shows_it():
    result = gm.solve(build(), "innovations:constant", tolerance=1e-4)
    assert result.status is gm.Status.STOPPED
    assert "came to rest beside the optimum" in result.message
    certificate = gm.verify(result)
    assert not certificate.holds
    assert abs(certificate.central_gap) > 1e-4 or certificate.primal_residual > 1e-4


def test_who_leaves_is_absent_and_the_others_are_optimal_without():
    model = build(demand=2.0)
    model.connect(nx.complete_graph(["g1", "g2", "g3"]), coordinator=False)
    result = gm.solve(model, "tan-yang-xu", tolerance=1e-6, channel=gm.Channel(leaves={"g3": 60}))
    # g1 and g2 share 2 kW: (p + 1) / 3 = (p' + 1) / 2, p + p' = 2, and p' = 0.6, p = 1.4, price 0.8.
    assert result.absent == ("g3",)
    assert np.isnan(result["g3"]["p"])
    assert result["g1"]["p"] == pytest.approx(1.4, abs=1e-4)
    assert result["g2"]["p"] == pytest.approx(0.6, abs=1e-4)
    assert result.price["balance"] == pytest.approx(0.8, abs=1e-4)
    certificate = gm.verify(result)
    assert certificate.holds
    assert certificate.central_value == pytest.approx(2.4**2 / 6 + 1.6**2 / 4)


def test_states_of_agents_are_kept_for_pictures(tmp_path):
    result = gm.solve(build(), "tan-yang-xu")
    trace = result.trace
    assert trace.agents == ("g1", "g2", "g3")
    assert trace.states.shape == (len(trace.rounds), 3)
    assert trace.rounds[0] == 0
    assert trace.states[-1] == pytest.approx(1.02, abs=1e-3)
    gm.plot(result, tmp_path / "states.png")
    gm.plot(gm.compare(build()), tmp_path / "all.svg")
    assert (tmp_path / "states.png").stat().st_size > 10_000
    assert "tan-yang-xu" in (tmp_path / "all.svg").read_text() or (tmp_path / "all.svg").stat().st_size > 10_000


class TestBadInput:
    def test_a_channel_is_a_channel(self):
        with pytest.raises(gm.ModelError, match=r"channel must be a gridmodel\.Channel"):
            gm.solve(build(), "tan-yang-xu", channel={"drop": 0.1})

    def test_the_central_solver_has_none(self):
        with pytest.raises(gm.ModelError, match="sends no messages"):
            gm.solve(build(), "central", channel=gm.Channel(drop=0.1))

    def test_who_leaves_must_not_cut_the_topology(self):
        with pytest.raises(
            gm.ModelError, match=r"from round 5 on the topology falls apart into 2 parts, \{g1\}, \{g3\}"
        ):
            gm.solve(build(), "tan-yang-xu", channel=gm.Channel(leaves={"g2": 5}))

    def test_somebody_must_stay(self):
        with pytest.raises(gm.ModelError, match="from round 7 on no agent is there"):
            gm.solve(build(), "tan-yang-xu", channel=gm.Channel(leaves={"g2": 7, "g1": 7, "g3": 7}))

    def test_a_newcomer_may_be_what_joins_the_parts_only_once_it_is_there(self):
        with pytest.raises(gm.ModelError, match="from round 0 on the topology falls apart"):
            gm.solve(build(), "tan-yang-xu", channel=gm.Channel(joins={"g2": 5}))

    @pytest.mark.parametrize("method", ["admm:edge"])
    def test_algorithms_for_perfect_channels_say_so(self, method):
        model = gm.Model()
        for name in "ab":
            x = model.agent(name).variable("x")
            model[name].minimize((x - 1) ** 2)
        model.agree("x")
        model.connect(nx.path_graph(["a", "b"]), coordinator=False)
        with pytest.raises(gm.ModelError, match=r"perfect channel|coordinator"):
            gm.solve(model, method, channel=gm.Channel(drop=0.1))


class TestCommandLine:
    def test_faults_are_read_and_counted(self, tmp_path, capsys):
        file = tmp_path / "out.json"
        words = "solve economic_dispatch --algorithm tan-yang-xu --faults drop=0.2,outage=g2:5-9 --seed 3 --json"
        assert main([*words.split(), str(file)]) == 0
        found = json.loads(file.read_text())
        assert found["status"] == "certified"
        assert found["messages"] < 4 * found["rounds"]
        capsys.readouterr()

    @pytest.mark.parametrize(
        ("faults", "text"),
        [
            ("dorp=0.1", "unknown fault"),
            ("drop=1.5", "drop=1.5"),
            ("drop", "drop"),
            ("delay=1.5", "whole number"),
            ("outage=nobody:1-5", "nobody"),
            ("bits=8,coding=difference,drop=0.1", "coding"),
        ],
    )
    def test_bad_faults_are_one_line(self, faults, text, capsys):
        assert main(["solve", "economic_dispatch", "--algorithm", "tan-yang-xu", "--faults", faults]) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1

    def test_explain_warns_of_the_algorithms_that_go_wrong(self, capsys):
        assert main(["explain", "economic_dispatch", "--faults", "delay=3"]) == 0
        out = capsys.readouterr().out
        assert "dual-consensus does not reach the optimum under delay" in out
        assert "relaxed-dual-consensus does not reach" not in out

    def test_privacy_is_printed_where_asked(self, capsys):
        assert main(["solve", "economic_dispatch", "--algorithm", "tan-yang-xu", "--privacy"]) == 0
        out = capsys.readouterr().out
        assert "what agents revealed" in out
        assert "its prices of all coupling rows" in out

    def test_compare_draws_all_algorithms(self, tmp_path, capsys):
        file = tmp_path / "all.png"
        assert main(["compare", "economic_dispatch", "--plot", str(file)]) == 0
        assert file.stat().st_size > 10_000
        capsys.readouterr()


def test_a_seed_holds_for_the_channel_that_an_algorithm_brings():
    def solved(seed, own):
        algorithm = methods()["tan-yang-xu"].over(gm.Channel(drop=0.4, seed=own))
        return gm.solve(build(), algorithm, seed=seed, max_rounds=30)

    assert solved(7, 1).channel.seed == 7
    assert solved(7, 1).value == solved(7, 2).value != solved(8, 1).value
    assert solved(None, 7).value == solved(7, 1).value


def test_explain_refuses_what_is_no_channel():
    with pytest.raises(gm.ModelError, match=r"channel must be a gridmodel\.Channel.* got 'drop=0\.1'"):
        gm.explain(build(), channel="drop=0.1")


def test_a_comparison_is_with_the_optimum_of_those_who_stay():
    found = gm.compare(build(demand=2.5), channel=gm.Channel(leaves={"g3": 20}), tolerance=1e-3)
    # p = (-1 + 3 price, -1 + 2 price) adds up to 2.5 at a price of 0.9.
    central = found.results["central"]
    assert central.value == pytest.approx(2.7**2 / 6 + 1.8**2 / 4, rel=1e-7)
    assert central.price["balance"] == pytest.approx(0.9, rel=1e-6)
    assert [float(central[g]["p"]) for g in ("g1", "g2")] == pytest.approx([1.7, 0.8], abs=1e-6)
    assert np.isnan(central["g3"]["p"])
    assert central.certificate.holds
    assert found.results["tan-yang-xu"].value == pytest.approx(2.025, rel=2e-3)


def test_a_comparison_where_those_who_stay_cannot_meet_the_demand():
    found = gm.compare(build(), channel=gm.Channel(leaves={"g3": 20}), tolerance=1e-2)
    assert found.results["central"].status is gm.Status.INFEASIBLE
    assert found.results["central"].value == np.inf


def test_explain_warns_of_who_leaves():
    told = gm.explain(build(), channel=gm.Channel(leaves={"g3": 20}, handover=False)).warnings
    assert any(line.startswith("bisection does not run over this channel: bisection: g3 leaves") for line in told)
    assert "where an agent leaves without handing over, the others reach their optimum by none of these only" in told
    told = gm.explain(build(), channel=gm.Channel(leaves={"g3": 20})).warnings
    assert not any("handing over" in line for line in told)
    for misfit, text in (
        (gm.Channel(outages={"g9": (1, 2)}), "no agent 'g9' in the topology"),
        (gm.Channel(leaves={"g2": 20}), "falls apart into 2 parts"),
    ):
        told = gm.explain(build(), channel=misfit).warnings[0]
        assert told.startswith("no algorithm without a coordinator runs over this channel: ")
        assert text in told


def test_auto_takes_what_forgives_an_agent_that_leaves_without_a_word():
    model = gm.Model()
    for k in range(5):
        theta = model.agent(f"a{k}").variable("theta")
        model[f"a{k}"].minimize((1 + k) * (theta - k) ** 2)
    model.agree("theta")
    model.connect(nx.complete_graph([f"a{k}" for k in range(5)]))
    silent = gm.Channel(leaves={"a4": 30}, handover=False)
    result = gm.solve(model, channel=silent, tolerance=1e-6)
    assert result.algorithm == "relaxed-admm"
    assert result.status is gm.Status.CERTIFIED
    assert float(result["a0"]["theta"]) == pytest.approx(sum((1 + k) * k for k in range(4)) / 10, abs=1e-5)
    assert gm.verify(result).holds
    told = gm.explain(model, channel=silent).warnings
    assert any("reach their optimum by relaxed-admm only" in line for line in told)


def test_bisection_is_refused_where_the_topology_varies():
    model = build()
    model.connect([nx.path_graph(["g1", "g2", "g3"]), nx.path_graph(["g1", "g3", "g2"])], coordinator=False)
    with pytest.raises(gm.ModelError, match="the topology varies with time"):
        gm.solve(model, "bisection")
    assert gm.solve(model, "tan-yang-xu").status is gm.Status.CERTIFIED


def test_auto_and_explain_know_what_masks_suit():
    channel = gm.Channel(mask=3.0)
    assert gm.solve(build(), channel=channel).algorithm in ("dual", "tan-yang-xu")
    assert any(line.startswith("dual-consensus does not run") for line in gm.explain(build(), channel=channel).warnings)
