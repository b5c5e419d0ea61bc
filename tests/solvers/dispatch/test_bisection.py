"""Bisection: the optimum, the bracket, the inner rounds, what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.dispatch.bisection import Bisection
from gridmodel_solvers.dispatch.separate import entangled
from models.economic_dispatch import build
from tests.solvers.build import central, separable, stack
from tests.solvers.dispatch.common import FAULTS, linked, off, path, random_graph, settled
from tests.solvers.dispatch.models import battery_model, elastic_model
from tests.solvers.reference import dispatch, error


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize("options", [{}, {"demand": "virtual"}, {"inner": "signs"}, {"inner": 400}])
def test_dispatch_of_three_generators(options: dict[str, Any], loads: bool) -> None:
    result = gm.solve(build(loads=loads), Bisection(**options), tolerance=1e-9)
    found = [float(result[g]["p"]) for g in ("g1", "g2", "g3")]
    np.testing.assert_allclose(found, [2.06, 1.0, 1.04], atol=1e-7)
    assert result.price["balance"] == pytest.approx(1.02, abs=1e-7)
    assert result.value == pytest.approx(3.601, abs=1e-7)


@pytest.mark.parametrize("name", ["drop", "burst", "delay", "jitter", "async"])
def test_every_loss_only_takes_longer(name: str) -> None:
    result = gm.solve(build(), Bisection(channel=FAULTS[name]), tolerance=1e-8, max_rounds=60_000)
    np.testing.assert_allclose([float(result[g]["p"]) for g in ("g1", "g2", "g3")], [2.06, 1.0, 1.04], atol=1e-6)


def test_the_bracket_starts_at_one_third_and_three_and_halves() -> None:
    algorithm = Bisection(inner="signs")
    state: Any = algorithm.init(path(), None, 1e-8)
    widths: list[float] = []
    rounds: list[int] = []
    tried: list[float] = []
    last = 0
    for k in range(1, 400):
        state = algorithm.step(state)
        width = float((state.bracket.high - state.bracket.low)[0, 0])
        if not widths or width != widths[-1]:
            widths.append(width)
            tried.append(-float(state.bracket.tried[0, 0]))
            rounds.append(k - last)
            last = k
    started = widths.index(3 - 1 / 3)
    np.testing.assert_allclose(widths[started : started + 12], (3 - 1 / 3) * 0.5 ** np.arange(12), rtol=1e-9)
    # The twelfth price is the first whose mismatch is under .0013.
    apart = [abs(sum(np.clip(np.array([3, 2, 2]) * v - 1, 0, [2.1, 1, 5])) - 4.1) for v in tried[started:]]
    assert next(k for k, value in enumerate(apart, start=1) if value < 0.0013) == 12
    # Near the optimum the signs agree later.
    assert max(rounds[started + 8 :]) > max(rounds[started + 1 : started + 4])


def test_all_agents_try_the_same_price_and_the_surplus_is_kept() -> None:
    for name in ("ideal", "drop", "burst", "jitter", "outage", "bits", "async"):
        algorithm = Bisection(inner=60, channel=FAULTS[name])
        state: Any = algorithm.init(path(), None, 1e-8)
        for _ in range(300):
            state = algorithm.step(state)
            assert off(algorithm, state) <= 1e-12
        if name in ("ideal", "drop"):
            assert np.ptp(algorithm.shown(state)) == 0.0


def test_agents_that_never_saturate_are_bracketed_by_doubling() -> None:
    q = np.array([[1.0], [2.0], [0.5]])
    for demand in (1000.0, -1000.0, 0.0):  # prices far beyond any guess from the costs
        problem = linked(separable([stack(q, [[0.1], [0.0], [0.0]], [[1.0]], [0])], demand, demand), nx.path_graph(3))
        seen = settled(Bisection(), problem, 1e-9, 40_000)
        price = (demand + 0.1) / (1 + 0.5 + 2)
        np.testing.assert_allclose(seen.x[0].ravel(), [price - 0.1, price / 2, price / 0.5], rtol=1e-7, atol=1e-7)


def test_an_inequality_that_does_not_press_has_price_zero() -> None:
    made = stack([[1.0]] * 3, [[-1.0], [-1.0], [-2.0]], [[1.0]], [0], 0.0, 5.0)
    problem = linked(separable([made], -np.inf, 4.5), nx.path_graph(3))
    seen = settled(Bisection(), problem)
    assert seen.mu[0] == 0.0
    np.testing.assert_allclose(seen.x[0].ravel(), [1.0, 1.0, 2.0], atol=1e-12)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 300), st.integers(2, 9))
def test_random_rows_of_every_kind_in_parallel(seed: int, agents: int) -> None:
    rng = np.random.default_rng(seed)
    hours = 3
    top = rng.uniform(0.5, 2, (agents, hours))
    made = stack(rng.uniform(0.5, 3, (agents, hours)), rng.normal(size=(agents, hours)), np.eye(hours),
                 np.arange(hours), 0.0, top)  # fmt: skip
    side = rng.uniform(0.2, 0.8, hours) * top.sum(axis=0)
    kind = rng.integers(0, 4, hours)
    lower = np.where(kind == 1, -np.inf, np.where(kind == 3, 0.5 * side, side))
    problem = linked(separable([made], lower, np.where(kind == 2, np.inf, side)), random_graph(agents, seed))
    truth = central(problem)
    seen = settled(Bisection(), problem, 1e-8, 60_000)
    np.testing.assert_allclose(seen.x[0], truth.x[0], atol=1e-5)
    np.testing.assert_allclose(seen.mu, truth.mu, atol=1e-5)


def test_elastic_loads_maximise_welfare() -> None:
    result = gm.solve(elastic_model(), Bisection(), tolerance=1e-8)
    assert result.value == pytest.approx(gm.solve(elastic_model(), "central").value, rel=1e-7)


def test_batteries_in_one_hour_are_general_agents() -> None:
    result = gm.solve(battery_model(1), Bisection(), tolerance=1e-7)
    assert result.value == pytest.approx(gm.solve(battery_model(1), "central").value, rel=1e-6)


def test_few_inner_rounds_end_beside_the_optimum() -> None:
    graph = nx.path_graph(12)
    made = stack([[1.0]] * 12, np.linspace(-2, 0, 12)[:, None], [[1.0]], [0], 0.0, 2.0)
    problem = linked(separable([made], 6.0, 6.0), graph)
    state: Any = Bisection(inner=3).init(problem, None, 1e-8)
    for _ in range(400):
        state = Bisection(inner=3).step(state)
    assert np.ptp(state.bracket.tried) > 1e-3
    settled(Bisection(), problem, 1e-9, 60_000)


@pytest.mark.parametrize("leaving", [{"leaves": {"g2": 5}}, {"joins": {"g2": 5}}])
def test_leaving_and_coming_are_refused(leaving: dict[str, Any]) -> None:
    with pytest.raises(NotApplicableError, match=r"g2 leaves or comes.*tan-yang-xu"):
        Bisection(channel=Channel(**leaving))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"inner": 0}, "inner=0"),
        ({"inner": "some"}, "inner='some'"),
        ({"inner": 2.5}, "inner=2.5"),
        ({"demand": "all"}, "demand='all'"),
        ({"accuracy": 0.0}, "accuracy=0.0"),
        ({"inner": "signs", "channel": Channel(drop=0.1)}, "inner='signs' needs a channel on which everything arrives"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Bisection(**options)


def test_rows_that_hang_together_are_refused_with_the_agent() -> None:
    with pytest.raises(NotApplicableError, match="several rows are halved each by itself"):
        gm.solve(battery_model(4), Bisection())
    made = stack([[1.0]] * 2, [[0.0]] * 2, [[1.0], [2.0]], [0, 1], labels=["one", "two"])
    problem = linked(separable([made], [1.0, 2.0], [1.0, 2.0]), nx.path_graph(2))
    found = entangled(problem)
    assert found is not None
    assert found.agent == "one"
    with pytest.raises(NotApplicableError, match="the report of one"):
        Bisection().init(problem, None, 1e-6)


def test_rows_hang_together_through_costs_equations_and_cones() -> None:
    def tied(**more: Any) -> bool:
        made = stack(more.pop("P", [1.0, 1.0]), [[0.0, 0.0]], np.eye(2), [0, 1], **more)
        return entangled(separable([made], [0.0, 0.0], [0.0, 0.0])) is not None

    from gridmodel.ir.cones import Cones

    assert not tied()
    assert tied(P=[[[1.0, 0.5], [0.5, 1.0]]])
    assert tied(A=[[1.0, 1.0]], b=[0.0])
    assert tied(G=[[0, 0], [1, 0], [0, 1]], h=[1.0, 0, 0], cones=Cones(soc=(3,)))
    assert not tied(G=[[1, 0], [0, 1]], h=[1.0, 1.0], cones=Cones(nonneg=2))


def test_virtual_demand_takes_balances_only() -> None:
    made = stack([[1.0]] * 2, [[0.0]] * 2, [[1.0]], [0], 0.0, 5.0)
    with pytest.raises(NotApplicableError, match="inequality"):
        Bisection(demand="virtual").init(linked(separable([made], 1.0, 2.0), nx.path_graph(2)), None, 1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("channel", "rounds", "least", "most"),
    [
        (Channel(), 40_000, 0.0, 1e-10),
        (Channel(outages={"n3": (200, 300)}), 40_000, 0.0, 1e-10),
        (Channel(noise=1e-3), 15_000, 1e-3, 0.1),
        (Channel(bits=8), 15_000, 0.02, 0.6),
    ],
)
def test_the_claims(seed: int, channel: Channel, rounds: int, least: float, most: float) -> None:
    problem, optimum = dispatch(seed)
    assert least <= error(Bisection(channel=replace(channel, seed=seed)), problem, optimum, rounds) <= most


def test_losses_keep_the_claim() -> None:
    problem, optimum = dispatch(0)
    assert error(Bisection(channel=Channel(drop=0.3)), problem, optimum, 75_000) <= 1e-9
