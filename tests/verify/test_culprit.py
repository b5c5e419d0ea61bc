"""What makes a model infeasible or unbounded is named."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings

from gridmodel.language.model import Model
from gridmodel.verify.central import solve_central
from tests.strategies import EXAMPLES, Drawn, drawn_models

RANDOM = settings(EXAMPLES, max_examples=30)


def three(demand=4.1) -> Model:
    model = Model()
    for name, cap in [("g1", 2.1), ("g2", 1.0), ("g3", 5.0)]:
        p = model.agent(name).variable("p", bounds=(0, cap))
        model[name].minimize(cp.square(p))
    model.couple(sum(a["p"] for a in model.agents) == demand, name="balance")
    return model


def culprit(model: Model) -> str:
    central = solve_central(model)
    assert central.status in ("infeasible", "unbounded")
    assert central.culprit is not None
    return central.culprit


def test_an_agent_against_its_own_bounds():
    model = three()
    model["g2"].subject_to(model["g2"]["p"] >= 0.5)
    model["g2"].subject_to(model["g2"]["p"] >= 2, name="least")
    text = culprit(model)
    assert text.startswith("agent 'g2' is infeasible by itself: least at test_culprit.py:")
    assert "0.5" not in text
    assert "cannot hold together" not in text


def test_only_the_limits_that_contradict_are_named():
    model = three()
    for level, name in [(0.1, "a"), (0.9, "b"), (0.2, "c")]:
        model["g2"].subject_to(model["g2"]["p"] >= level, name=name)
    model["g2"].subject_to(model["g2"]["p"] <= 0.7, name="d")
    text = culprit(model)
    assert "b at" in text
    assert "d at" in text
    assert "a at" not in text
    assert "c at" not in text
    assert "cannot hold together" in text


@pytest.mark.parametrize("guilty", [0, 7, 19])
def test_one_of_many_agents(guilty):
    model = Model()
    for k in range(20):
        p = model.agent(f"g{k}").variable("p", bounds=(0, 1))
        model[f"g{k}"].subject_to(p >= (2 if k == guilty else 0.5))
    assert culprit(model).startswith(f"agent 'g{guilty}' is infeasible")


def test_the_rows_of_a_fleet():
    model = Model()
    x = model.fleet("home", 5).variable("x", 3, bounds=(0, 1))
    model["home"].subject_to(cp.sum(x, axis=1) >= np.array([1, 2, 3.5, 1, 4]), name="energy")
    assert culprit(model).startswith("agent 'home[2]' (and 1 more of its fleet) is infeasible by itself: energy at")


@pytest.mark.parametrize(("demand", "word", "reach"), [(9.0, "at most", 8.1), (-1.0, "no less than", 0.0)])
def test_a_coupling_out_of_reach(demand, word, reach):
    text = culprit(three(demand))
    assert text.startswith("coupling 'balance' at test_culprit.py:")
    said, asked = text.split(f"the agents reach {word} ")[1].split(";")[0].split(" of ")
    assert float(said) == pytest.approx(reach, abs=1e-5)
    assert float(asked) == demand


def test_the_worst_entry_of_a_vector_coupling():
    model = Model()
    for name in "ab":
        model.agent(name).variable("x", 3, bounds=(0, 1))
    model.couple(model["a"]["x"] + model["b"]["x"] >= np.array([1.0, 2.5, 2.1]), name="floor")
    text = culprit(model)
    assert "coupling 'floor'" in text
    assert "of 2.5 in entry 1" in text


def test_both_sides_variable():
    model = Model()
    x = model.agent("a").variable("x", bounds=(0, 1))
    y = model.agent("b").variable("y", bounds=(3, 4))
    model.couple(x == y, name="equal")
    assert "coupling 'equal'" in culprit(model)
    assert "its two sides stay at least 2 apart" in culprit(model)


def test_couplings_that_exclude_each_other_without_the_innocent():
    model = three()
    model.couple(model["g1"]["p"] <= 1, name="low")
    model.couple(model["g1"]["p"] + model["g2"]["p"] >= 2.5, name="high")
    model.couple(model["g3"]["p"] <= 4, name="innocent")
    text = culprit(model)
    assert "coupling 'low'" in text
    assert "coupling 'high'" in text
    assert "innocent" not in text
    assert "balance" not in text
    assert "cannot be met together" in text


def test_a_cone_coupling_out_of_reach():
    model = Model()
    for name in "ab":
        model.agent(name).variable("x", bounds=(3, 4))
    model.couple(cp.SOC(cp.Constant(1.0), cp.hstack([a["x"] for a in model.agents])), name="disc")
    assert "coupling 'disc'" in culprit(model)
    # The nearest point (3, 3) has norm 4.24264.
    assert "missed by at least 3.2426" in culprit(model)


def test_an_unbounded_agent_and_its_variable():
    model = three()
    model["g2"].minimize(-model["g2"].variable("spill", bounds=(0, None)))
    assert "variable 'spill' of agent 'g2'" in culprit(model)
    assert "g1" not in culprit(model)


def test_an_unbounded_row_of_a_fleet():
    model = three()
    upper = np.array([1.0, np.inf, 1.0])
    y = model.fleet("home", 3).variable("y", bounds=(None, upper))
    model["home"].minimize(-y)
    assert "variable 'y' of agent 'home[1]'" in culprit(model)


def test_agents_that_run_away_only_together():
    model = Model()
    x, y = model.agent("a").variable("x", bounds=(0, None)), model.agent("b").variable("y", bounds=(0, None))
    model["a"].minimize(2 * x)
    model["b"].minimize(-3 * y)
    model.couple(x == y, name="link")
    assert "variable 'y' of agent 'b'" in culprit(model)


@RANDOM
@given(drawn_models(("infeasible", "unbounded")))
def test_random_models_name_what_was_put_in(drawn: Drawn):
    central = solve_central(drawn.model)
    assert central.status == drawn.kind
    assert central.culprit is not None
    if drawn.kind == "unbounded":
        assert "agent 'runaway'" in central.culprit
    elif "infeasible agent" in drawn.words:
        assert f"'{drawn.parts[0].party.name}" in central.culprit
    else:
        assert "coupling 'impossible'" in central.culprit
