"""Consensus plus innovations: the biased resting point of constant gains, the optimum of decaying ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

import gridmodel as gm
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.dispatch.innovations import Innovations
from models.economic_dispatch import build
from tests.solvers.build import central, separable, stack
from tests.solvers.dispatch.common import FAULTS, after, linked, path, random_graph
from tests.solvers.reference import dispatch, error

Floats = NDArray[np.float64]


def _x(price: Floats) -> Floats:
    return np.clip(np.array([3.0, 2.0, 2.0]) * price - 1.0, 0.0, [2.1, 1.0, 5.0])


def _resting(ratio: float, graph: Any) -> Floats:
    """Prices with L price = ratio (y - x(price)), y = 4.1 / 3, by Newton's method on the active pieces."""
    L = nx.laplacian_matrix(graph).toarray().astype(float)
    price = np.full(3, 1.02)
    for _ in range(100):
        free = (_x(price) > 0) & (_x(price) < [2.1, 1.0, 5.0])
        slope = np.diag(np.where(free, [3.0, 2.0, 2.0], 0.0))
        price = price - np.linalg.solve(L + ratio * slope, L @ price - ratio * (4.1 / 3 - _x(price)))
    return price


@pytest.mark.parametrize("graph", [nx.path_graph(3), nx.complete_graph(3)])
def test_constant_gains_rest_at_their_own_fixed_point(graph: Any) -> None:
    # alpha / beta = 18 as for alpha = 1/1000, beta = 1/18000, a hundred times faster.
    algorithm = Innovations(gains="constant", alpha=0.1, beta=1 / 180)
    state = after(algorithm, linked(path(), graph), 6000)
    price = _resting(18.0, graph)
    np.testing.assert_allclose(-state.nu.ravel(), price, atol=1e-10)
    np.testing.assert_allclose(algorithm.observe(state).x[0].ravel(), _x(price), atol=1e-10)


def test_the_known_resting_point_of_the_path() -> None:
    algorithm = Innovations(gains="constant", alpha=0.1, beta=1 / 180)
    found = algorithm.observe(after(algorithm, path(), 4000))
    np.testing.assert_allclose(found.x[0].ravel(), [1.561538, 1.0, 1.538462], atol=1e-6)
    cost = float((np.square(found.x[0].ravel() + 1) / [6.0, 4.0, 4.0]).sum())
    assert cost == pytest.approx(3.7045, abs=1e-4)
    # Supply meets demand there, and yet prices differ by seven: the stop test looks at both.
    assert abs(found.x[0].sum() - 4.1) < 1e-6
    assert found.dual_residual > 0.5


def test_the_bias_is_proportional_to_the_ratio_of_gains() -> None:
    error_of = []
    for ratio in (1 / 50, 1 / 500, 1 / 5000):
        price = _resting(ratio, nx.path_graph(3))
        algorithm = Innovations(gains="constant", alpha=0.5 * ratio, beta=0.5)
        state = algorithm.init(path(), None, 1e-8)
        state = algorithm.step(_at(state, -price[:, None]))
        np.testing.assert_allclose(state.nu, -price[:, None], atol=1e-12)  # it rests there
        error_of.append(np.abs(_x(price) - [2.06, 1.0, 1.04]).max())
    np.testing.assert_allclose(error_of, [0.0234, 0.0024, 0.00024], rtol=0.02)


def _at(state: Any, nu: Floats) -> Any:
    return replace(state, nu=nu)


def test_a_run_with_constant_gains_stops_and_says_why() -> None:
    algorithm = Innovations(gains="constant")
    result = gm.solve(build(), algorithm, tolerance=1e-6, max_rounds=4000)
    assert result.status.value == "stopped"
    assert "beta L lambda = alpha (y - x)" in algorithm.rests
    assert not Innovations(gains="decaying").rests


def test_decaying_gains_approach_the_optimum_as_they_say() -> None:
    algorithm = Innovations(alpha=0.6, beta=0.3, p=0.8, q=0.1)
    state: Any = algorithm.init(path(), None, 1e-8)
    apart = []
    for k in range(1, 40_001):
        state = algorithm.step(state)
        if k in (400, 4000, 40_000):
            apart.append(np.abs(algorithm.observe(state).x[0].ravel() - [2.06, 1.0, 1.04]).max())
    assert apart[2] < 3e-3
    np.testing.assert_allclose(apart[1] / apart[2], 10**0.7, rtol=0.05)


def test_equal_to_a_loop_over_agents() -> None:
    algorithm = Innovations(gains="decaying", alpha=0.2, beta=0.3, p=0.9, q=0.1)
    state: Any = algorithm.init(path(), None, 1e-8)
    price = [0.0, 0.0, 0.0]
    near = {0: [1], 1: [0, 2], 2: [1]}
    for t in range(80):
        state = algorithm.step(state)
        x = _x(np.array(price))
        price = [
            price[i] - 0.3 / (t + 1) ** 0.1 * sum(price[i] - price[j] for j in near[i])
            - 0.2 / (t + 1) ** 0.9 * (x[i] - 4.1 / 3)
            for i in range(3)
        ]  # fmt: skip
        np.testing.assert_allclose(-state.nu.ravel(), price, atol=1e-12)


@pytest.mark.parametrize("name", ["drop", "burst", "delay", "outage", "async"])
def test_losses_slow_decaying_gains_only(name: str) -> None:
    algorithm = Innovations(alpha=0.6, beta=0.3, channel=FAULTS[name])
    seen = algorithm.observe(after(algorithm, path(), 12_000))
    np.testing.assert_allclose(seen.x[0].ravel(), [2.06, 1.0, 1.04], atol=1e-2)


@pytest.mark.parametrize("name", ["drop", "burst", "delay", "outage", "async", "jitter"])
def test_losses_do_not_move_the_resting_point(name: str) -> None:
    algorithm = Innovations(gains="constant", alpha=0.05, beta=0.2, channel=FAULTS[name])
    state = after(algorithm, path(), 3000)
    np.testing.assert_allclose(-state.nu.ravel(), _resting(0.25, nx.path_graph(3)), atol=1e-9)


def test_inequality_rows_of_two_sides() -> None:
    # Three agents 1/2 (x - a)^2 with 1 <= sum x <= 2; alone they would sum to 4.
    made = stack([[1.0]] * 3, [[-1.0], [-1.0], [-2.0]], [[1.0]], [0])
    for side, total in ((1.0, 2.0), (5.0, 5.0)):
        problem = linked(separable([made], side, side + 1.0), nx.path_graph(3))
        algorithm = Innovations(gains="decaying", p=0.7, q=0.0)
        seen = algorithm.observe(after(algorithm, problem, 20_000))
        assert seen.x[0].sum() == pytest.approx(total, abs=1e-2)
        np.testing.assert_allclose(seen.x[0], central(problem).x[0], atol=2e-2)


def test_who_leaves_gives_its_share_of_the_demand() -> None:
    algorithm = Innovations(gains="constant", alpha=0.02, beta=0.3, channel=Channel(leaves={"g3": 50}))
    state = after(algorithm, linked(_two_large(), nx.cycle_graph(3)), 4000)
    seen = algorithm.observe(state)
    assert seen.x[0].sum() == pytest.approx(3.0, abs=1e-8)
    assert seen.x[0][2, 0] == 0.0


def _two_large() -> Separable:
    return separable([stack([[1.0]] * 3, [[0.0]] * 3, [[1.0]], [0], 0.0, 5.0, labels=["g1", "g2", "g3"])], 3.0, 3.0)


def test_who_comes_starts_at_the_price_of_its_neighbours() -> None:
    algorithm = Innovations(gains="constant", alpha=0.02, beta=0.3, channel=Channel(joins={"g3": 2000}))
    problem = linked(_two_large(), nx.cycle_graph(3))
    before, now = after(algorithm, problem, 2000), after(algorithm, problem, 2001)
    assert now.nu[2, 0] == pytest.approx(before.nu[:2].mean(), abs=0.05)
    seen = algorithm.observe(after(algorithm, problem, 6000))
    assert seen.x[0].sum() == pytest.approx(3.0, abs=1e-8)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"gains": "some"}, "gains='some'"),
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"beta": -1.0}, "beta=-1.0"),
        ({"p": 0.5}, "p=0.5.*above 0.5"),
        ({"p": 1.1}, "p=1.1"),
        ({"q": 0.9}, "q=0.9.*slower"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Innovations(**options)


def test_gains_that_do_not_settle_are_refused_with_the_bound() -> None:
    # lambda_N of the path is 3, the strongest reaction 3.
    with pytest.raises(ModelError, match=r"beta=0\.67 .*2 / lambda_N = 0\.666667"):
        Innovations(gains="constant", beta=0.67).init(path(), None, 1e-6)
    with pytest.raises(ModelError, match=r"alpha=0\.5 .*beta=0\.2.*= 0\.466667"):
        Innovations(gains="constant", beta=0.2, alpha=0.5).init(path(), None, 1e-6)


def test_forms_have_names_and_claims_of_their_own() -> None:
    forms = Innovations(beta=0.1).variants()
    assert set(forms) == {"decaying", "constant"}
    assert forms["constant"].beta == 0.1  # type: ignore[attr-defined]
    assert forms["constant"].claims["ideal"].outcome == "biased"
    assert forms["decaying"].claims["ideal"].outcome == "exact"


def test_edges_without_a_way_back_are_refused() -> None:
    model = build()
    model.connect(nx.DiGraph([("g1", "g2"), ("g2", "g3"), ("g3", "g1")]))
    with pytest.raises(NotApplicableError, match="without a way back"):
        gm.solve(model, Innovations())


def test_the_reference_problem_is_off_by_as_much_as_claimed() -> None:
    problem, optimum = dispatch(0)
    found = error(Innovations(gains="constant", beta=0.05, alpha=0.005), problem, optimum, 5000)
    assert 0.01 < found < 0.06


def test_random_graphs_and_the_price_by_root_finding() -> None:
    rng = np.random.default_rng(3)
    q, a = rng.uniform(0.5, 2, 8), rng.uniform(0, 2, 8)
    problem = linked(
        separable([stack(q[:, None], (-q * a)[:, None], [[1.0]], [0], 0.0, 2.0)], 6.0, 6.0), random_graph(8, 1)
    )
    price = brentq(lambda v: np.clip(a + v / q, 0, 2).sum() - 6.0, -10, 10)
    algorithm = Innovations()
    seen = algorithm.observe(after(algorithm, problem, 20_000))
    np.testing.assert_allclose(seen.x[0].ravel(), np.clip(a + price / q, 0, 2), atol=2e-2)
