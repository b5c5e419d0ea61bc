"""Neighbours only: the metric of their equations, and the rounds that optimal power flow in areas takes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import brentq

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.errors import ModelError
from gridmodel.grid.read import read_network
from gridmodel.ir.cones import Cones
from gridmodel.ir.result import Status
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.physics.opf import opf
from gridmodel.runtime.bound import Bounder
from gridmodel.runtime.judgement import judge
from gridmodel.runtime.scale import Scale
from gridmodel_solvers import compliance
from gridmodel_solvers.admm import ADMM
from gridmodel_solvers.exchange import Exchange
from gridmodel_solvers.metric import Metric, _turned, geometric_mean
from gridmodel_solvers.subgradient import Subgradient
from gridmodel_solvers.traffic import edge_traffic
from tests.solvers.build import Floats, separable, stack
from tests.solvers.runs import agreement, run, two_bus

DATA = Path(__file__).parents[2] / "models" / "data"


def model(buses: str, areas: int, **options: Any) -> gm.Model:
    net = read_network(DATA / f"pglib_opf_case{buses}_ieee.m")
    return opf(net, areas=areas, coordinator=False, **options)


def rounds_to(problem: Separable, algorithm: Any, tolerance: float, limit: int) -> int:
    """Rounds until the algorithm's own stop, limit + 1 where it is not met."""
    scale = Scale(problem)
    bounder, state = Bounder(problem, scale), algorithm.init(problem, None, tolerance)
    for rounds in range(1, limit + 1):
        state = algorithm.step(state)
        if judge(problem, scale, bounder, algorithm.observe(state)).within(tolerance):
            return rounds
    return limit + 1


def spd(rng: np.random.Generator, k: int) -> Floats:
    A = rng.normal(size=(k, k))
    return A @ A.T + 0.1 * np.eye(k)


def test_geometric_mean_solves_its_equation() -> None:
    rng = np.random.default_rng(0)
    A, B, F = spd(rng, 4), spd(rng, 4), rng.normal(size=(4, 4))
    X = geometric_mean(A, B)
    np.testing.assert_allclose(X @ np.linalg.inv(A) @ X, B, atol=1e-10)
    np.testing.assert_allclose(geometric_mean(F @ A @ F.T, F @ B @ F.T), F @ X @ F.T, atol=1e-8)
    np.testing.assert_allclose(geometric_mean(np.diag([4.0, 1.0]), np.diag([9.0, 16.0])), np.diag([6.0, 4.0]))


def test_metric_maps_there_and_back() -> None:
    problem = compile_model(model("30", 3)).problem
    assert isinstance(problem, Separable)
    metric = Metric.of(problem)
    assert metric.paired.all()
    np.testing.assert_allclose((metric.T @ metric.back).toarray(), np.eye(problem.couplings.size), atol=1e-9)
    rng = np.random.default_rng(1)
    x = [rng.normal(size=s.q.shape) for s in problem.stacks]
    there = metric.turned(problem).coupling_value(x)
    np.testing.assert_allclose(there, metric.T @ problem.coupling_value(x), atol=1e-8 * np.abs(there).max())


def test_rows_that_are_no_equations_of_two_stay() -> None:
    metric = Metric.of(two_bus(60.0))
    np.testing.assert_array_equal(metric.paired, [True, True])
    three = separable([stack([1.0], [[0.0]], [[1.0]], [0])] * 3, 1.0, 1.0)
    limit = separable([stack([1.0], [[-1.0]], [[1.0]], [0])] * 2, -np.inf, 1.0)
    for problem in (three, limit):
        metric = Metric.of(problem)
        assert not metric.paired.any()
        np.testing.assert_array_equal(metric.T.toarray(), [[1.0]])


def test_rounds_do_not_depend_on_units_of_rows() -> None:
    problem = compile_model(model("30", 3)).problem
    assert isinstance(problem, Separable)
    factor = sp.csr_array(sp.diags_array(np.random.default_rng(2).choice([1e-3, 1.0, 1e3], problem.couplings.size)))
    y = problem.couplings
    scaled = replace(
        problem,
        stacks=tuple(_turned(s, factor) for s in problem.stacks),
        couplings=Couplings(factor @ y.lower, factor @ y.upper, y.infos),
    )
    plain, other = (rounds_to(p, ADMM(form="edge"), 1e-4, 80) for p in (problem, scaled))
    assert plain <= 40
    assert abs(plain - other) <= 1


@pytest.mark.parametrize(
    ("buses", "areas", "options", "most"),
    [
        ("14", 2, {}, 20),
        ("30", 3, {}, 45),
        ("118", 4, {}, 120),
        ("30", 3, {"boundary": "angle"}, 90),
        ("14", 2, {"formulation": "soc", "boundary": "flow"}, 70),
    ],
)
def test_convex_areas_are_certified_within(buses: str, areas: int, options: dict[str, Any], most: int) -> None:
    result = gm.solve(model(buses, areas, **options), "admm:edge", tolerance=1e-4, max_rounds=most)
    assert result.status is Status.CERTIFIED
    assert gm.verify(result).central_gap == pytest.approx(0.0, abs=1e-4)


def test_areas_that_are_not_convex_meet_the_published_optimum() -> None:
    result = gm.solve(model("14", 2, formulation="ac", coordinates="polar"), "admm:edge", tolerance=1e-4, max_rounds=70)
    assert result.status is Status.SOLVED
    assert result.value == pytest.approx(2178.08, rel=1e-4)  # PGLib v23.07, BASELINE.md


def test_subgradient_needs_more_than_ten_times_the_rounds() -> None:
    problem = compile_model(model("14", 2)).problem
    assert isinstance(problem, Separable)
    rounds = rounds_to(problem, ADMM(form="edge"), 1e-4, 40)
    assert rounds <= 20
    assert rounds_to(problem, Subgradient(edge=True), 1e-4, 10 * rounds) > 10 * rounds


def test_subgradient_settles_prices_that_jump() -> None:
    state: Any = Subgradient().init(two_bus(60.0), None, 1e-4)
    for _ in range(3000):
        state = Subgradient().step(state)
    seen = Subgradient().observe(state)
    np.testing.assert_allclose(-seen.mu, [10.0, 30.0], atol=1.0)
    np.testing.assert_allclose([part.item() for part in seen.x], [60.0, 40.0, 60.0], atol=1.0)


def test_subgradient_keeps_agents_without_bounds_in_reach() -> None:
    # min x + y^2 / 2 with x = y: at prices other than -1 the cost of x alone falls without end.
    loose, bent = stack([0.0], [[1.0]], [[1.0]], [0]), stack([1.0], [[0.0]], [[-1.0]], [0])
    problem = separable([loose, bent], 0.0, 0.0)
    reach = 100 * Scale(problem).columns[0].item()
    algorithm = Subgradient()
    state: Any = algorithm.init(problem, None, 1e-4)
    for _ in range(20):
        state = algorithm.step(state)
        assert abs(abs(state.answers[0].x.item()) - reach) <= 1e-6 * reach
    with pytest.raises(ModelError, match="pace=0"):
        Subgradient(pace=0)


def test_sums_travel_along_a_tree() -> None:
    path = agreement([1.0] * 3, [0.0] * 3, [(0, 1), (1, 2)])
    # Two pairs send one number each way; two branches of the tree carry 2 * 5 + 5 sums up and down.
    sent = Exchange(edge=True, memory=5).traffic(path)
    assert (sent.messages, sent.numbers) == (4 + 4, 4 + 4 * 15)
    ring = [np.array([0, 2]), np.array([0, 1]), np.array([1, 2])]
    assert edge_traffic(ring, 0).messages == 6
    assert edge_traffic(ring, 1).messages == 6 + 4


def test_a_quadratic_of_two_is_settled_at_once() -> None:
    rng = np.random.default_rng(3)
    ends = []
    for sign in (1.0, -1.0):
        P, q = rng.uniform(0.5, 20.0, 3), rng.normal(size=(1, 3))
        ends.append(stack(P, q, sign * np.eye(3), [0, 1, 2]))
    problem = separable(ends, np.zeros(3), np.zeros(3))
    seen, rounds = run(Exchange(edge=True, memory=30), problem, 1e-7, 40)
    assert rounds <= 12
    total = sum(s.P.dense() for s in ends)
    x = np.linalg.solve(total, -sum(s.q[0] for s in ends))
    np.testing.assert_allclose(seen.x[0][0], x, atol=1e-6)


@pytest.mark.parametrize(("curve", "slope"), [(1.0, 0.3), (4.0, -2.0), (0.5, 5.0)])
def test_a_cone_yields_by_its_barrier(curve: float, slope: float) -> None:
    block = stack(curve, [[slope]], [[1.0]], [0], G=np.ones((1, 1)), h=np.zeros(1), cones=Cones(nonneg=1))
    seen = compliance._central(block, np.ones((1, 1)), 0, 1.0)
    assert seen is not None
    b, far = compliance._BARRIER, compliance._WIDE
    x = brentq(lambda x: curve * x + slope - b / x - b / (x + far) + b / (far - x), 1e-9, far - 1e-9)
    bend = curve + b / x**2 + b / (x + far) ** 2 + b / (far - x) ** 2
    np.testing.assert_allclose(seen, [[1.0 / bend]], rtol=0.1)
