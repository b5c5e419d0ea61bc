"""The interior point method on declared models: certified, few rounds, prices as the central solver's."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.ir.result import Status
from gridmodel.methods import choose, methods
from gridmodel.verify.whole import solve_whole
from gridmodel_solvers.interior.method import Interior
from models import community, dc_opf, economic_dispatch, lmp
from tests.strategies import EXAMPLES, Drawn, drawn_models

TIGHT = 1e-6


@pytest.mark.parametrize("build", [economic_dispatch.build, lmp.build, community.build])
def test_shipped_models_to_a_millionth(build) -> None:
    result = gm.solve(build(), "interior", tolerance=TIGHT)
    assert result.status is Status.CERTIFIED
    assert result.rounds <= 30
    certificate = gm.verify(result)
    assert abs(certificate.central_gap) <= TIGHT
    assert certificate.price_error_relative <= 1e-2


@pytest.mark.parametrize(("case", "areas"), [("pglib_opf_case14_ieee.m", 2), ("pglib_opf_case30_ieee.m", 3)])
def test_dc_opf_in_areas(case: str, areas: int) -> None:
    result = gm.solve(dc_opf.build(case=case, areas=areas, susceptance="pglib"), "interior", tolerance=TIGHT)
    assert result.status is Status.CERTIFIED
    assert result.rounds <= 22
    assert abs(gm.verify(result).central_gap) <= TIGHT


def test_rounds_do_not_depend_on_the_number_of_areas() -> None:
    rounds = []
    for areas in (2, 4, 8):
        model = dc_opf.build(case="pglib_opf_case118_ieee.m", areas=areas, susceptance="pglib")
        result = gm.solve(model, "interior", tolerance=TIGHT)
        assert result.status is Status.CERTIFIED
        assert result.value == pytest.approx(93100.7, abs=0.1)  # PGLib's baseline for DC
        rounds.append(result.rounds)
    assert max(rounds) <= 22
    assert max(rounds) - min(rounds) <= 2


def test_auto_takes_it_where_rounds_are_dear() -> None:
    properties = compile_model(dc_opf.build(case="pglib_opf_case14_ieee.m", areas=2)).properties
    assert choose(properties, "rounds")[0] == "interior"
    assert choose(properties, "seconds")[0] != "interior"


def test_refusals() -> None:
    import cvxpy as cp

    model = gm.Model("two")
    for name in ("a", "b"):
        agent = model.agent(name)
        x = agent.variable("x", bounds=(0, 2))
        agent.minimize(cp.exp(x))
    model.couple(model.agents[0]["x"] + model.agents[1]["x"] == 1, name="sum")
    verdict = methods()["interior"].verdict(compile_model(model).properties)
    assert not verdict.applies
    assert "exponential" in verdict.reason
    quiet = gm.Model("no coordinator")
    for name in ("a", "b"):
        agent = quiet.agent(name)
        agent.minimize(cp.square(agent.variable("x")))
    quiet.couple(quiet.agents[0]["x"] + quiet.agents[1]["x"] == 1, name="sum")
    quiet.connect(nx.path_graph(["a", "b"]), coordinator=False)
    with pytest.raises(gm.ModelError, match="coordinator"):
        gm.solve(quiet, "interior")


def test_traffic_counts_a_triangle_up_and_columns_both_ways_twice() -> None:
    compiled = compile_model(dc_opf.build(case="pglib_opf_case14_ieee.m", areas=2))
    problem = compiled.lowered.separable
    traffic = Interior().traffic(problem)
    slots = [stack.slots for stack in problem.stacks for _ in range(stack.size)]
    assert traffic.messages == 4 * len(slots)
    assert 0 <= traffic.numbers - sum(k * (k + 1) // 2 + 4 * k for k in slots) <= 20 * len(slots)


def test_a_warm_start_needs_fewer_rounds() -> None:
    plan = gm.compile(dc_opf.build(case="pglib_opf_case14_ieee.m", areas=2), "interior")
    cold = plan.solve(tolerance=TIGHT)
    warm = plan.solve(tolerance=TIGHT, warm=cold)
    assert warm.status is Status.CERTIFIED
    assert warm.rounds < cold.rounds


def semidefinite() -> gm.Model:
    """Two owners of matrices that share an entry; each has a cone of order three."""
    import cvxpy as cp

    model, rng = gm.Model("matrices"), np.random.default_rng(3)
    for name in ("a", "b"):
        agent = model.agent(name)
        X = agent.variable("X", (3, 3), PSD=True)
        price = rng.normal(size=(3, 3))
        agent.minimize(cp.trace((price @ price.T) @ X))
        agent.subject_to(X[0, 0] + X[2, 2] == 2, X[0, 2] >= 0.3)
    model.couple(model.agents[0]["X"][1, 1] + model.agents[1]["X"][0, 1] == 0.7, name="sum")
    model.couple(model.agents[0]["X"][0, 1] - model.agents[1]["X"][1, 2] <= -0.2, name="difference")
    return model


def test_semidefinite_cones() -> None:
    result = gm.solve(semidefinite(), "interior", tolerance=TIGHT)
    assert result.status is Status.CERTIFIED
    assert result.rounds <= 25
    _, value, _, mu = solve_whole(compile_model(semidefinite()).lowered.separable)
    assert result.value == pytest.approx(value, rel=2 * TIGHT)
    assert result.state.mu == pytest.approx(mu, abs=1e-3)


@pytest.mark.parametrize(("kind", "examples"), [("solvable", 25), ("infeasible", 8), ("unbounded", 8)])
def test_random_models(kind: str, examples: int) -> None:
    ended: Counter[str] = Counter()
    rounds: list[int] = []

    @settings(EXAMPLES, max_examples=examples)
    @given(drawn_models((kind,)))
    def run(drawn: Drawn) -> None:
        compiled = compile_model(drawn.model)
        if not Interior().verdict(compiled.properties).applies:
            return
        result = gm.solve(drawn.model, "interior", tolerance=TIGHT, max_rounds=100)
        ended[result.status.value] += 1
        rounds.append(result.rounds)
        if kind == "solvable":
            assert result.status is Status.CERTIFIED, drawn.words
            status, value, _, _ = solve_whole(compiled.lowered.separable)
            assert result.certificate is not None
            assert "Solved" in status
            assert abs(result.value - value) <= 2 * TIGHT * result.certificate.size
        else:
            assert result.status.value == kind, drawn.words
            assert result.culprit

    run()
    assert ended.total() >= examples // 2
    assert max(rounds) <= 60
