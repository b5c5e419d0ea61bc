"""Compile once, solve as often as data change; verify, compare, and what a result says."""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import DataError, ModelError, NotApplicableError
from gridmodel.ir.result import Result, Status
from gridmodel.passes import joint, sums, template
from gridmodel.runtime.interface import Iterate
from gridmodel.verify.central import solve_central
from gridmodel_solvers.admm import ADMM
from gridmodel_solvers.dual_decomposition import DualDecomposition
from tests.small import dispatch, homes

METHODS = ["admm", "dual"]


def new_values(model: gm.Model, seed: int, share: float = 1.0) -> None:
    rng = np.random.default_rng(seed)
    for party in model.agents:
        for name, parameter in party.parameters.items():
            if name != "cap":
                parameter.value = parameter.value * (1 + share * 0.2 * rng.uniform(-1, 1, parameter.shape))


def same(one: Result, other: Result, tolerance: float) -> None:
    """Equal values and prices of two results; both models have one optimum."""
    assert one.status is other.status is Status.CERTIFIED
    assert one.value == pytest.approx(other.value, rel=tolerance)
    for agent, named in other.variables.items():
        for name, value in named.items():
            np.testing.assert_allclose(one[agent][name], value, atol=10 * tolerance)
    for name, price in other.price.items():
        np.testing.assert_allclose(one.price[name], price, atol=100 * tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_new_values_without_compiling_again(method):
    model = homes()
    plan = gm.compile(model, method)
    first = plan.solve(tolerance=1e-6)
    same(first, gm.solve(homes(), method, tolerance=1e-6), 1e-6)
    warm = first
    for seed in (1, 2):
        new_values(model, seed, 0.05)
        anew = gm.solve(model, method, tolerance=1e-6)
        cold, warm = plan.solve(tolerance=1e-6), plan.solve(tolerance=1e-6, warm=warm)
        assert abs(cold.value - first.value) > 1e-3
        same(cold, anew, 1e-6)
        same(warm, anew, 1e-5)
        assert warm.rounds < cold.rounds
        assert warm.value == pytest.approx(solve_central(model).value, rel=1e-5)


def test_values_given_between_compiling_and_solving_count():
    model = homes()
    plan = gm.compile(model, "admm")
    new_values(model, 3)
    assert plan.solve(tolerance=1e-6).value == pytest.approx(solve_central(model).value, rel=1e-5)


def test_a_cap_that_begins_to_bind_and_then_excludes_all():
    model = homes()
    plan = gm.compile(model, "admm")
    assert plan.solve().price["plant.cap"] == pytest.approx(0, abs=1e-3)
    total = float(model["home"]["energy"].value.sum())
    model["plant"]["cap"].value = total - 1.0
    result = plan.solve()
    assert result.status is Status.INFEASIBLE
    assert "cap" in result.culprit or "balance" in result.culprit
    model["plant"]["cap"].value = total + 1.0
    assert plan.solve(warm=result).status is Status.CERTIFIED  # there is nothing to start from, which is no error


def test_solving_again_canonicalises_nothing(monkeypatch):
    calls = []

    def counted(inner: Any) -> Any:
        def outer(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return inner(*args, **kwargs)

        return outer

    for module in (joint, sums, template):
        monkeypatch.setattr(module, "canonicalize", counted(module.canonicalize))
    monkeypatch.setattr(cp.Problem, "get_problem_data", counted(cp.Problem.get_problem_data))
    model = homes()
    plan = gm.compile(model, "admm")
    compiled = len(calls)
    assert compiled >= 2
    first = plan.solve()
    new_values(model, 4)
    plan.solve()
    plan.solve(warm=first)
    assert len(calls) == compiled


def test_a_plan_shows_what_it_will_do():
    plan = gm.compile(dispatch(), "admm")
    assert plan.model.name == "dispatch"
    assert isinstance(plan.algorithm, ADMM)
    assert plan.algorithm.form == "fused"
    assert plan.properties.coupling_rows == 1
    assert gm.compile(dispatch(), "central").algorithm is None


def test_a_parameter_without_value():
    model = dispatch()
    tax = model["g1"].parameter("tax")
    model["g1"].minimize(tax * model["g1"]["p"])
    with pytest.raises(DataError, match=r"g1\.tax.* no value"):
        gm.compile(model, "admm")
    tax.value = 0.5
    plan = gm.compile(model, "admm")
    assert plan.solve(tolerance=1e-6).value == pytest.approx(solve_central(model).value, rel=1e-6)
    tax.value = None
    with pytest.raises(DataError, match=r"g1\.tax.* no value"):
        plan.solve()


@pytest.mark.parametrize("tolerance", [0.0, -1e-4, np.nan, np.inf])
def test_a_tolerance_that_no_answer_can_meet(tolerance):
    with pytest.raises(ModelError, match="tolerance"):
        gm.compile(dispatch(), "admm").solve(tolerance=tolerance)


@pytest.mark.parametrize("budget", [{"max_rounds": 0}, {"max_rounds": -3}, {"seconds": 0.0}, {"seconds": np.nan}])
def test_a_budget_that_permits_nothing(budget):
    with pytest.raises(ModelError, match=rf"{next(iter(budget))} must be a positive number"):
        gm.solve(dispatch(), "admm", **budget)


def test_a_start_of_another_structure():
    plan = gm.compile(dispatch(), "admm")
    for other in (homes(), homes(size=3)):
        with pytest.raises(ModelError, match=r"warm=.*'homes'.*another structure"):
            plan.solve(warm=gm.solve(other, "admm"))
    limited = dispatch()
    limited["g1"].subject_to(limited["g1"]["p"] <= 2, name="cap")
    with pytest.raises(ModelError, match="another structure"):
        plan.solve(warm=gm.solve(limited, "admm"))
    assert plan.solve(warm=gm.solve(dispatch(4.0), "admm")).status is Status.CERTIFIED
    assert plan.solve(warm=gm.solve(dispatch(), "central")).status is Status.CERTIFIED


def interrupted_at(round_: int, monkeypatch: pytest.MonkeyPatch, kind: type) -> list[int]:
    """Presses Ctrl-C in a step of one algorithm; returns the list of its steps."""
    steps: list[int] = []
    inner = kind.step

    def step(self: Any, state: Any) -> Any:
        steps.append(1)
        if len(steps) == round_:
            raise KeyboardInterrupt
        return inner(self, state)

    monkeypatch.setattr(kind, "step", step)
    return steps


def test_an_interrupted_solve_keeps_its_answer_and_asks_no_central_solver(monkeypatch):
    interrupted_at(15, monkeypatch, ADMM)
    result = gm.solve(homes(), "admm", tolerance=1e-12, verify=True)
    assert result.status is Status.INTERRUPTED
    assert result.rounds == 14
    assert result["home"]["x"].shape == (6, 4)
    assert np.isfinite(result.value)
    assert result.certificate.central_status is None
    assert result.seconds.verify == 0.0


def test_an_interrupted_comparison_ends_with_what_it_has(monkeypatch):
    from gridmodel.methods import algorithms

    names = [name for name in algorithms() if name in ("admm", "dual")]
    interrupted_at(3, monkeypatch, algorithms()[names[0]])
    found = gm.compare(homes())
    assert list(found.results) == ["central", names[0]]
    assert found.results[names[0]].status is Status.INTERRUPTED
    assert found.results[names[0]].certificate.central_status is None


def test_rounds_are_spared_by_the_interior_point():
    assert gm.solve(dispatch(), prefer="rounds").algorithm == "interior"
    assert gm.solve(dispatch(), prefer="seconds").algorithm == "admm"
    linear = dispatch()
    linear["g2"].costs.clear()
    linear["g2"].minimize(linear["g2"]["p"])
    assert gm.solve(linear, prefer="rounds").algorithm == "interior"


@pytest.mark.parametrize("method", ["auto", "admm", "central", DualDecomposition()])
def test_a_preference_that_does_not_exist(method):
    with pytest.raises(ModelError, match=r'prefer must be "seconds" or "rounds", got \'luck\''):
        gm.solve(dispatch(), method, prefer="luck")


@pytest.mark.parametrize(
    ("method", "label"),
    [
        (ADMM(), "admm"), (ADMM(form="exchange"), "admm"), (ADMM(form="exchange", rho=0.7, memory=0), "admm"),
        (DualDecomposition(), "dual"), (DualDecomposition(accelerated=False), "dual"), ("central", "central"),
    ],
    ids=str,
)  # fmt: skip
def test_methods_with_options(method, label):
    result = gm.solve(dispatch(), method, tolerance=1e-6)
    assert result.status is Status.CERTIFIED
    assert result.algorithm == label
    assert result.value == pytest.approx(3.601, rel=1e-6)
    assert result.price["balance"] == pytest.approx(1.02, abs=1e-4)
    assert result.dual["balance"] == pytest.approx(-1.02, abs=1e-4)
    assert [result[g]["p"] for g in ("g1", "g2", "g3")] == pytest.approx([2.06, 1.0, 1.04], abs=1e-3)


def test_a_form_that_does_not_apply():
    with pytest.raises(NotApplicableError, match="no agreement of two variables"):
        gm.solve(dispatch(), ADMM(form="consensus"))


def test_what_is_sent_is_counted():
    """Each of three agents sends its power and gets the price: six messages of one number, eight bytes each."""
    for method in ("admm", "dual", ADMM(form="exchange", memory=0)):
        result = gm.solve(dispatch(), method)
        assert result.rounds > 0
        assert result.messages == 6 * result.rounds
        assert result.bytes == 8 * 6 * result.rounds
        assert result.trace.rounds[-1] == result.rounds
    central = gm.solve(dispatch(), "central")
    assert (central.rounds, central.messages, central.bytes) == (0, 0, 0)


def test_what_was_sent_is_counted_without_an_answer_too():
    result = gm.solve(dispatch(9.0), "admm")
    assert result.status is Status.INFEASIBLE
    assert result.rounds > 0
    assert (result.messages, result.bytes) == (6 * result.rounds, 48 * result.rounds)


def test_statuses_and_culprits():
    infeasible = gm.solve(dispatch(9.0), "admm")
    assert (infeasible.status, infeasible.value) == (Status.INFEASIBLE, np.inf)
    assert "'balance'" in infeasible.culprit
    assert infeasible.culprit in infeasible.message
    assert infeasible.variables == {}
    falling = dispatch()
    falling["g3"].minimize(-falling["g3"].variable("spill", bounds=(0, None)))
    unbounded = gm.solve(falling, "admm")
    assert (unbounded.status, unbounded.value) == (Status.UNBOUNDED, -np.inf)
    assert "'spill' of agent 'g3'" in unbounded.culprit
    stopped = gm.solve(dispatch(), "admm", tolerance=1e-12, max_rounds=2)
    assert (stopped.status, stopped.rounds) == (Status.STOPPED, 2)
    assert "2 rounds" in stopped.message
    assert np.isfinite(stopped.value)
    assert not stopped.certificate.holds


def test_a_price_history_ends_at_the_price():
    result = gm.solve(homes(), "admm", tolerance=1e-6)
    np.testing.assert_allclose(result.trace.prices[-1], result.price["balance"], rtol=1e-3, atol=1e-4)
    assert [result.coupling_rows[k] for k in range(4)] == ["balance"] * 4


@pytest.mark.parametrize("method", ["admm", "central"])
def test_results_keep_units(method):
    model = dispatch()
    model["g1"].subject_to(model["g1"]["p"] >= 0.1, name="least")
    heat = model["g2"].variable("heat", bounds=(0, 1), unit="K")
    model["g2"].subject_to(heat + model["g2"]["p"] <= 5, name="mixed")
    plain = model["g3"].variable("plain", bounds=(0, 1))
    model["g3"].subject_to(plain <= 0.5, name="bare")
    model["g3"].subject_to(plain + model["g3"]["p"] <= 5, name="half")
    result = gm.solve(model, method)
    assert result.currency == "EUR"
    assert result.units == {
        "balance": "kW", "g1.p": "kW", "g2.p": "kW", "g2.heat": "K", "g3.p": "kW", "g3.plain": None,
        "g1.least": "kW", "g2.mixed": None, "g3.bare": None, "g3.half": "kW",
    }  # fmt: skip
    assert set(result.price) <= set(result.units)


def test_limits_of_one_name_are_told_apart():
    model = dispatch(3.7)
    p = model["g3"]["p"]
    model["g3"].subject_to(p <= 0.8, name="cap")
    model["g3"].subject_to(p >= 0.2, name="cap")
    result = gm.solve(model, "admm", tolerance=1e-7, verify=True)
    assert {"g3.cap[0]", "g3.cap[1]"} <= set(result.price)
    # g1 and g2 make 2.9 at a price of (2.9 + 2) / 5; at its cap, g3 would make more for (0.8 + 1) / 2.
    assert result.price["balance"] == pytest.approx(0.98, abs=1e-5)
    assert result.price["g3.cap[0]"] == pytest.approx(0.9 - 0.98, abs=1e-5)
    assert result.price["g3.cap[1]"] == pytest.approx(0.0, abs=1e-6)
    assert max(result.certificate.price_errors.values()) < 1e-4


def test_warm_starts_from_multipliers_alone_do_not_share_memory():
    plan = gm.compile(homes(), "admm")
    first = plan.solve()
    state: Iterate = first.state
    kept = [np.array(x) for x in state.x], np.array(state.mu)
    plan.solve(warm=first, tolerance=1e-8)
    for x, before in zip(state.x, kept[0], strict=True):
        np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(state.mu, kept[1])
