"""What the certificate of policies says beside voltages: states, days without a plan, baselines, seeds, the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.cli_learn import learned_status
from gridmodel.errors import DataError, ModelError, NotApplicableError
from gridmodel.learning.certificate import Left
from gridmodel.learning.certify import certify
from gridmodel.learning.judge import judge_days
from gridmodel.learning.network_optimum import foresight_on_network
from gridmodel.learning.policy import Policy
from gridmodel.passes.training.graph import training_graph
from gridmodel.report.policy_text import policy_dict
from tests.learning.street import FEEDER, build, policy
from tests.learning.test_judging import sunny

CALM = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
SPILL = [[3.0, 0.0, 0.0], [0.0, 0.0, 0.0]]  # from 2 kWh, 1 kWh in: none is left, where 1 must be


def tanks(use: Any, most: float | None = 5) -> gm.Model:
    """Two tanks that nobody knows the use of before it comes; use: shape (days, 2, 3)."""
    model = gm.Model("tanks")
    day = model.fleet("tank", 2).horizon(3)
    drawn = day.series("use", unit="kWh")
    heat = day.action("heat", bounds=(0, 1), unit="kW")
    e = day.state("e", start=2, bounds=(1, most), unit="kWh")
    free = day.state("worn", start=0)
    day.next("e", e[:, :-1] + heat - drawn)
    day.next("worn", free[:, :-1] + heat)
    day.minimize(heat + cp.square(e[:, 1:] - 4))
    model.days(*(gm.Scenarios({"use": np.array(days, dtype=np.float64)}) for days in ([CALM, SPILL], use)))
    return model


def numbers(left: Left) -> tuple[float, float, float]:
    """All but the unit."""
    return left.share, left.worst, left.part


def test_states_that_are_left_are_counted_by_hand() -> None:
    """At rest the first tank is empty after a step of one day in two, the second at -1 after the last of the other."""
    model = tanks([SPILL, [[0.0, 0.0, 0.0], [0.0, 0.0, 4.0]]] * 10)
    assert model.scenarios is not None
    found = judge_days(training_graph(model, model.scenarios[0]), None, model.scenarios[1])
    assert list(found.states) == ["tank.e"]
    assert numbers(found.states["tank.e"]) == pytest.approx((2 / 12, 2.0, 0.5))


def test_without_an_upper_limit_the_range_is_the_size_of_the_lower_one() -> None:
    model = tanks([SPILL], None)
    assert model.scenarios is not None
    found = judge_days(training_graph(model, model.scenarios[0]), None, model.scenarios[1])
    assert numbers(found.states["tank.e"]) == pytest.approx((1 / 6, 1.0, 1.0))


def test_the_certificate_says_which_state_policies_leave() -> None:
    left = policy(tanks([SPILL]))
    certificate = gm.verify(left)
    assert numbers(certificate.states["tank.e"]) == pytest.approx((1 / 6, 1.0, 0.25))
    assert "tank.e             outside in 17 % of agent-steps, worst 1 kWh (25 % of its range)" in str(certificate)
    assert policy_dict(left)["states"]["tank.e"]["worst"] == pytest.approx(1.0)
    kept = policy(tanks([CALM]))
    assert gm.verify(kept).states["tank.e"] == Left(0.0, 0.0, 0.0, "kWh")
    assert "outside in" not in str(kept.certificate)


@pytest.mark.parametrize(("beyond", "status"), [(0.0039, 0), (0.0041, 1)])
def test_the_status_is_1_beyond_a_thousandth_of_the_range(beyond: float, status: int) -> None:
    left = policy(tanks([[[2.0 + beyond, 0.0, 0.0], [0.0, 0.0, 0.0]]]))
    assert gm.verify(left).states["tank.e"].worst == pytest.approx(beyond)
    assert learned_status(left) == status


def test_days_without_a_plan_are_left_out_of_the_bound() -> None:
    model = tanks([CALM, SPILL, CALM])
    assert model.scenarios is not None
    days = model.scenarios[1]
    with pytest.raises(ModelError, match="the optimum of day 1 with perfect foresight"):
        gm.foresight(model, days)
    learned = policy(model)
    certificate = gm.verify(learned)
    best = gm.foresight(model, days.take(slice(1)))[0]
    assert certificate.cost_optimum == pytest.approx(best)
    whole = gm.verify(policy(tanks([CALM])))
    assert certificate.savings_share == pytest.approx(whole.savings_share)
    assert certificate.cost > whole.cost + 1.0
    assert "No optimum with perfect foresight on day 1: " in str(certificate)
    assert f"are of 2 of 3 days, on which the policies cost {whole.cost:.6g}, and doing without" in str(certificate)


def test_of_many_agents_the_bound_is_of_the_first_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridmodel.learning.certify._PROBLEMS", 5)
    certificate = gm.verify(policy(tanks([CALM, SPILL[::-1], SPILL])))
    assert "The lower bound and the savings are of the first day, on which" in str(certificate)
    assert "No optimum with perfect foresight on day 1: " in str(certificate)
    certificate = gm.verify(policy(tanks([CALM, CALM, SPILL])))
    assert "The lower bound and the savings are of the first 2 days, on which" in str(certificate)


def test_without_any_plan_there_is_no_bound() -> None:
    certificate = gm.verify(policy(tanks([SPILL] * 10)))
    assert (certificate.cost_optimum, certificate.savings_share) == (None, None)
    assert "No optimum with perfect foresight on days 0, 1, 2, 3, 4, 5, 6, 7 and 2 more: " in str(certificate)
    assert "lower bound         not known" in str(certificate)


def plant(droop: gm.VoltVar | None, rest: float | None) -> gm.Model:
    """Solar plants that do otherwise than nothing, and hold the voltage down."""
    model = gm.Model("plant")
    day = model.fleet("pv", 2).horizon(2)
    sun = day.series("sun", shared=True)
    p = day.action("p", bounds=(-2500 * sun, 0), unit="kW")
    if rest is not None:
        day.otherwise("p", -rest * np.ones((2, 1)) @ cp.reshape(sun, (1, 2), order="C"))
    day.minimize(p + 1e-5 * cp.square(p))
    model.place(gm.read_network(str(FEEDER)), 0.9, 1.0)
    day.draw(p, at=["675.1", "611.3"], rating=2500, droop=droop)
    days = gm.Scenarios({"sun": np.array([[1.0, 0.2]])})
    model.days(days, days)
    return model


def test_baselines_are_those_of_models_built_without() -> None:
    droop = gm.VoltVar()
    certificate = certify(policy(plant(droop, 2000.0)), optimum=False)
    built = {
        "without policies": plant(droop, 2000.0),
        "nearest to zero": plant(droop, None),
        "droops off": plant(None, 2000.0),
    }
    assert list(certificate.baselines) == list(built)
    costs = []
    for name, model in built.items():
        assert model.scenarios is not None
        alone = judge_days(training_graph(model, model.scenarios[0]), None, model.scenarios[1])
        found = certificate.baselines[name]
        costs.append(found.cost)
        assert found.cost == pytest.approx(alone.cost.mean(), rel=1e-12)
        assert (found.share, found.worst_pu, found.p95_pu) == pytest.approx((alone.share, alone.worst, alone.p95))
        assert f"{name:<20}" in str(certificate)
    assert costs[0] == costs[2] == certificate.cost_idle != costs[1] == 0.0
    worst = {name: one.worst_pu for name, one in certificate.baselines.items()}
    assert worst["droops off"] > worst["without policies"] + 1e-3
    plain = certify(policy(plant(None, None)), optimum=False)
    assert list(plain.baselines) == ["without policies"]


def test_several_seeds_are_judged_as_each_by_itself() -> None:
    model = build()
    seeds = [policy(model, seed) for seed in range(3)]
    alone = [certify(one) for one in seeds]
    found = gm.verify(seeds)
    assert [one.certificate for one in seeds] == alone
    for key in ("savings_share", "cost", "violation_share", "violation_worst_pu"):
        values = np.array([getattr(one, key) for one in alone])
        assert np.ptp(values) > 0
        assert found.mean[key] == pytest.approx(values.mean())
        assert found.spread[key] == pytest.approx(np.ptp(values))
    rows = [line.split() for line in str(found).splitlines()]
    assert [row[:2] for row in rows[2:5]] == [["seed", "0"], ["seed", "1"], ["seed", "2"]]
    shown = np.array([[float(x) for x in row[2:]] for row in rows[2:5]])
    assert [float(x) for x in rows[6][1:]] == pytest.approx(np.ptp(shown, axis=0), rel=2e-2)
    assert rows[5][0] == "mean"
    assert rows[6][0] == "spread"


def test_notes_of_one_seed_are_told_with_it() -> None:
    model = tanks([CALM, SPILL])
    text = str(gm.verify([policy(model, seed) for seed in range(2)]))
    assert text.count("No optimum with perfect foresight on day 1: ") == 1
    assert text.count("seed 1: The lower bound and the savings are of the first day, on which") == 1
    assert text.count("seed 0: tank.e             outside in 8.3 % of agent-steps, worst 1 kWh") == 1


def test_policies_of_different_models_and_results_are_not_judged_together() -> None:
    some, others = (policy(build(houses=k, grid=False)) for k in (1, 2))
    with pytest.raises(ModelError, match=r"of one model: Policy\('street'.*differ \(fingerprints"):
        gm.verify([some, others])
    with pytest.raises(ModelError, match=r"takes policies of one model; got none. .* verify\(result\)"):
        gm.verify([])
    with pytest.raises(ModelError, match="got Policy, int"):
        gm.verify([some, 3])  # type: ignore[list-item]


def test_the_optimum_within_the_networks_limits_on_request() -> None:
    model = sunny(1.06)
    assert model.scenarios is not None
    learned = policy(model)
    certificate = learned.verified(network_days=4)
    best = foresight_on_network(model, model.scenarios[1], 0).cost
    assert certificate.cost_network == pytest.approx(best)
    assert certificate.network_days == 1
    assert certificate.savings_network_share == pytest.approx(
        (certificate.cost_idle - certificate.cost) / (certificate.cost_idle - best)
    )
    assert certificate.cost_optimum is not None
    assert best > certificate.cost_optimum + 100
    assert "with network, 1 day" in str(certificate)
    assert "not proven to be the best, so no bound" in str(certificate)
    plain = certify(learned)
    assert (plain.cost_network, plain.savings_network_share, plain.network_days) == (None, None, 0)
    assert "network, " not in str(plain).replace("no network", "")


def test_the_network_optimum_needs_a_network_that_can_be_kept() -> None:
    with pytest.raises(NotApplicableError, match="leave network_days out"):
        certify(policy(build(grid=False)), network_days=1)
    with pytest.raises(DataError, match="network_days=-1"):
        certify(policy(build()), network_days=-1)
    model = sunny(1.06)
    assert model.network is not None
    model.place(model.network, 0.85, 0.9)
    certificate = certify(policy(model), optimum=False, network_days=1)
    assert certificate.cost_network is None
    assert "No optimum with the network on day 0: day 0: the devices cannot keep" in str(certificate)


def test_evaluate_takes_several_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("street.py").write_text(
        "from tests.learning import street\n\ndef build(houses=2):\n    return street.build(houses)\n"
    )
    model = build()
    for seed in range(2):
        one = policy(model, seed)
        one.source = {"model": "street.py", "options": {}}
        one.save(f"p{seed}")
    assert main(["evaluate", "p0.npz", "p1.npz", "--json", "told.json", "--no-optimum"]) == 1
    out = capsys.readouterr().out
    assert "seed 0: policies in p0.npz" in out
    assert "  spread" in out
    told = json.loads(Path("told.json").read_text())
    each = [certify(Policy.load(f"p{seed}.npz", model), optimum=False) for seed in range(2)]
    assert [one["file"] for one in told["policies"]] == ["p0.npz", "p1.npz"]
    assert [one["cost"] for one in told["policies"]] == pytest.approx([one.cost for one in each])
    assert told["mean"]["cost"] == pytest.approx(np.mean([one.cost for one in each]))
    assert told["spread"]["violation_share"] == pytest.approx(np.ptp([one.violation_share for one in each]))
    assert told["mean"]["savings_share"] is None
    assert set(told["policies"][0]["baselines"]) == {"without policies", "nearest to zero", "droops off"}

    other = policy(build(houses=1))
    other.source = {"model": "street.py", "options": {"houses": "1"}}
    other.save("other")
    assert main(["evaluate", "p0.npz", "other.npz"]) == 2
    err = capsys.readouterr().err
    assert "p0.npz is of street.py, other.npz of street.py --set houses=1. Judge each by itself." in err
