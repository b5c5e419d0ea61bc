"""What push methods keep under faults, who leaves and comes, options, and refusals in words."""

from __future__ import annotations

import cvxpy as cp
import networkx as nx
import numpy as np
import pytest

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.errors import ModelError, NotApplicableError, TopologyError
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.push_diging import PushDIGing
from gridmodel_solvers.agreement.push_pull import PushPull
from gridmodel_solvers.agreement.push_sum import PushSum
from tests.solvers.agreement.small_graphs import FAULTS, known, shown_after
from tests.solvers.agreement.test_push_loops import lopsided
from tests.solvers.reference import agreeing

ALL = pytest.mark.parametrize("algorithm", [PushPull, PushDIGing, PushSum], ids=lambda one: one.name)


@pytest.mark.parametrize("fault", [*FAULTS, "leave and join", "newcomer"])
@ALL
def test_sums_are_kept_in_every_round(algorithm, fault):
    more = {
        "leave and join": {"leaves": {"n2": 30}, "joins": {"n5": 60}, "drop": 0.2, "delay": 1},
        "newcomer": {"leaves": {"n2": 30}, "joins": {"n2": 60}, "awake": 0.8},
    }
    made = known(lopsided(), seed=3)
    one = algorithm(eta=1e-3, channel=Channel(seed=4, **(FAULTS | more)[fault]))
    state = one.init(made.problem, None, 1e-9)
    # Rounded totals of push-sum run away; a few rounds show that their sum is kept all the same.
    for _ in range(20 if algorithm is PushSum and fault in ("bits", "all") else 150):
        state = one.step(state)
        kept = one.conserved(state)
        assert np.abs(kept.off).max() <= 1e-12 * kept.size
    assert kept.size > 1


def test_noise_keeps_the_sum_of_running_totals():
    made = known(lopsided(), seed=3)
    one = PushPull(eta=1e-2, channel=Channel(noise=1e-2, drop=0.2))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(200):
        state = one.step(state)
        kept = one.conserved(state)
        assert np.abs(kept.off).max() <= 1e-12 * kept.size


def test_shares_that_are_lost_break_the_sum():
    made = known(lopsided(), seed=3)
    one = PushPull(eta=1e-2, channel=Channel(drop=0.3, rule="lose"))
    state = one.init(made.problem, None, 1e-9)
    for _ in range(4000):
        state = one.step(state)
    kept = one.conserved(state)
    assert np.abs(kept.off).max() > 1e-2
    assert np.abs(one.shown(state) - made.optimum).max() > 1e-2


@pytest.mark.parametrize("handover", [True, False])
@pytest.mark.parametrize("algorithm", [PushPull, PushDIGing], ids=lambda one: one.name)
def test_who_leaves_hands_over(algorithm, handover):
    made = known(lopsided(8, 24), seed=3)
    there = np.arange(8) != 2
    one = algorithm(eta=0.02, channel=Channel(leaves={"n2": 40}, handover=handover))
    error = np.abs(shown_after(one, made.problem, 6000)[there] - made.optimum_of(there)).max()
    assert error < 1e-9 if handover else error > 1e-4


@pytest.mark.parametrize("algorithm", [PushPull, PushDIGing], ids=lambda one: one.name)
def test_who_comes_is_counted(algorithm):
    made = known(lopsided(8, 24), seed=3)
    one = algorithm(eta=0.02, channel=Channel(leaves={"n2": 40}, joins={"n2": 500, "n5": 300}))
    x = shown_after(one, made.problem, 6000)
    np.testing.assert_allclose(x, np.tile(made.optimum, (8, 1)), rtol=0, atol=1e-9)


def test_push_sum_ends_near_the_optimum_of_those_who_stay():
    made = known(lopsided(8, 24), seed=3)
    there = np.arange(8) != 2
    one = PushSum(eta=1e-3, channel=Channel(leaves={"n2": 40}))
    x = shown_after(one, made.problem, 8000)[there]
    near, far = np.abs(x - made.optimum_of(there)).max(), np.abs(made.optimum - made.optimum_of(there)).max()
    assert near < 0.2 * far


@ALL
@pytest.mark.parametrize("eta", [0.0, -1.0, np.inf, np.nan])
def test_a_step_that_cannot_be(algorithm, eta):
    with pytest.raises(ModelError, match=rf"{algorithm.name}: eta=.* must be above 0"):
        algorithm(eta=eta)


@pytest.mark.parametrize("decay", [-1.0, 0.5, 1.1])
def test_a_decay_that_cannot_be(decay):
    with pytest.raises(ModelError, match=r"push-sum: decay=.* above 0.5 and at most 1"):
        PushSum(decay=decay)


@ALL
def test_a_step_beyond_the_limit_is_refused_and_does_diverge(algorithm):
    made = known(lopsided(), seed=3)
    limit = algorithm().limit(made.h, made.problem.links)
    with pytest.raises(ModelError, match=rf"eta={1.01 * limit:g} is above .*; leave eta out"):
        algorithm(eta=1.01 * limit).init(made.problem, None, 1e-9)
    state = algorithm(eta=0.999 * limit).init(made.problem, None, 1e-9)
    for _ in range(200):
        state = algorithm(eta=1e-9).step(state)
    assert np.abs(state.x).max() > 1e6


@pytest.mark.parametrize("algorithm", [PushSum, PushDIGing])
def test_limits_of_an_agent_are_refused(algorithm):
    made = known(lopsided(), seed=3)
    boxed = agreeing(made.h, made.c, made.problem.links, lower=made.c - 1, upper=made.c + 1)
    with pytest.raises(NotApplicableError, match=f"{algorithm.name} needs gradients .* use relaxed-admm"):
        algorithm().init(boxed, None, 1e-9)


@ALL
def test_parts_that_do_not_hear_each_other(algorithm):
    made = known(nx.path_graph(4, create_using=nx.DiGraph))
    with pytest.raises(TopologyError, match=f"{algorithm.name} needs a strongly connected topology"):
        algorithm().init(made.problem, None, 1e-9)


def model(boxed: bool = False) -> gm.Model:
    made = gm.Model("directed")
    for k in range(5):
        agent = made.agent(f"a{k}")
        theta = agent.variable("theta", 2, bounds=(-9, 9) if boxed else None)
        agent.minimize((k + 1) * cp.sum_squares(theta - k))
    made.agree("theta")
    return made


@ALL
def test_verdicts(algorithm):
    ring = nx.cycle_graph([f"a{k}" for k in range(5)], create_using=nx.DiGraph)
    chain = nx.path_graph([f"a{k}" for k in range(5)], create_using=nx.DiGraph)

    def verdict(boxed, graph):
        made = model(boxed)
        if graph is not None:
            made.connect(graph)
        return algorithm().verdict(compile_model(made).properties)

    assert verdict(False, ring).applies
    rough = verdict(True, ring)
    assert rough.applies == (algorithm is PushPull)
    assert "a0 has bounds" in rough.reason
    if algorithm is not PushPull:
        assert "gradient at every point" in rough.reason
        assert "use relaxed-admm" in rough.reason
    assert "call model.connect" in verdict(False, None).reason
    assert "not strongly connected" in verdict(False, chain).reason


def test_a_directed_model_is_certified():
    made = model()
    made.connect(nx.cycle_graph([f"a{k}" for k in range(5)], create_using=nx.DiGraph))
    result = gm.solve(made, PushPull(channel=Channel(drop=0.2)), tolerance=1e-8, max_rounds=20_000)
    assert result.status.name == "CERTIFIED"
    np.testing.assert_allclose(result["a0"]["theta"], (np.arange(5) * np.arange(1, 6)).sum() / 15, rtol=1e-6)
    assert abs(gm.verify(result).central_gap) < 1e-8
