"""The lower bound: below the optimum at any multipliers, at the optimum at its own; positive without costs only where
nothing is feasible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridmodel.compile import compile_model
from gridmodel.ir.separable import Separable
from gridmodel.runtime.bound import Bound, Bounder
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.scale import Scale
from tests.solvers.build import INF, Floats, Optimum, central, dispatch, separable, stack
from tests.solvers.runs import random_model
from tests.strategies import EXAMPLES, Drawn, drawn_models

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1e-8, 1e-4, 1e-2, 1.0, 1e3, 1e8])
KINDS = ("quadratic", "linear", "full", "free")


def with_free_columns(seed: int) -> Separable:
    """A linear program of which some columns have no or one bound, feasible, and bounded by multipliers that exist."""
    rng = np.random.default_rng(seed)
    n, m, size = int(rng.integers(3, 7)), int(rng.integers(1, 3)), int(rng.integers(1, 5))
    x, mu, nu = rng.normal(size=(size, n)), rng.normal(size=m), rng.normal(size=(size, 2))
    A, C = rng.normal(size=(2, n)), rng.normal(size=(m, n))
    open_low, open_high = rng.random(n) < 0.5, rng.random(n) < 0.5
    reduced = rng.uniform(0, 1, (size, n)) * np.where(open_low, -1, np.where(open_high, 1, rng.choice([-1, 1], n)))
    reduced[:, open_low & open_high] = 0.0
    lower = np.where(open_low, -INF, x - rng.uniform(0, 1, n))
    upper = np.where(open_high, INF, x + rng.uniform(0, 1, n))
    made = stack(np.zeros(n), reduced - nu @ A - mu @ C, C, np.arange(m), lower, upper, A, x @ A.T)
    total = made.C.dot(x).sum(axis=0)
    equal = rng.random(m) < 0.5
    room = np.where(equal, 0.0, rng.uniform(0, 1, m))
    low, high = np.where(~equal & (mu > 0), -INF, total - room), np.where(~equal & (mu < 0), INF, total + room)
    return separable([made], low, high)


def with_full_quadratics(seed: int) -> Separable:
    """The blocks' quadratic forms are not diagonal."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 3))
    root = rng.normal(size=(3, 3, 2))
    made = stack(root @ root.transpose(0, 2, 1), rng.normal(size=(3, 3)), rng.normal(size=(2, 3)), [0, 1], x - 1, x + 2)
    total = made.C.dot(x).sum(axis=0)
    return separable([made], [total[0], -INF], total)


def problem_of(kind: str, seed: int) -> Separable:
    if kind == "full":
        return with_full_quadratics(seed)
    return with_free_columns(seed) if kind == "free" else random_model(seed, curved=kind == "quadratic")


def bounder(problem: Separable) -> Bounder:
    return Bounder(problem, Scale(problem))


def iterate(best: Optimum, rng: np.random.Generator | None = None, size: float = 0.0, near: bool = True) -> Iterate:
    """Multipliers at a distance of ``size`` from the optimal ones, or anywhere."""

    def moved(part: Floats) -> Floats:
        start = part if near else np.zeros_like(part)
        return start if rng is None else np.asarray(start + size * rng.normal(size=part.shape))

    return Iterate(best.x, moved(best.mu), [moved(p) for p in best.nu], [moved(p) for p in best.zeta], 0.0)


def below(found: Bound, value: float) -> None:
    assert found.value <= value + 1e-7 * (1 + abs(value))


@pytest.mark.parametrize("kind", KINDS)
def test_no_multipliers_lift_the_bound_above_the_optimum(kind):
    @settings(EXAMPLES, max_examples=60)
    @given(SEEDS, SIZES, st.booleans())
    def run(seed: int, size: float, near: bool) -> None:
        problem, rng = problem_of(kind, seed), np.random.default_rng(seed)
        best = central(problem)
        # Columns without bounds keep the bound within their reach, which contains the optimum at the optimum.
        below(bounder(problem)(iterate(best, rng, size, near)), best.value)

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_that_paid_nothing_holds_wherever_it_is_asked(kind):
    finite = 0

    @settings(EXAMPLES, max_examples=60)
    @given(SEEDS, SIZES)
    def run(seed: int, size: float) -> None:
        nonlocal finite
        problem, rng = problem_of(kind, seed), np.random.default_rng(seed)
        best = central(problem)
        asked = iterate(best, rng, size, near=True)
        elsewhere = [rng.normal(size=x.shape) for x in best.x]
        found = bounder(problem)(Iterate(elsewhere, asked.mu, asked.nu, asked.zeta, 0.0))
        if found.paid == 0.0:
            below(found, best.value)
            finite += bool(np.isfinite(found.value))

    run()
    assert finite >= (20 if kind == "free" else 55)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_the_bound_is_the_optimum_at_the_optimal_multipliers(kind, seed):
    problem = problem_of(kind, seed)
    best = central(problem)
    found = bounder(problem)(iterate(best))
    assert found.value == pytest.approx(best.value, rel=1e-6, abs=1e-6)
    assert found.paid <= 1e-6 * (1 + abs(best.value))


def test_the_bound_of_the_dispatch_in_closed_form():
    """p_i(price) = clip(price beta_i + alpha_i, 0, cap_i): the dual function of the price alone."""
    problem = dispatch()
    beta, cap = np.array([3.0, 2.0, 2.0]), np.array([2.1, 1.0, 5.0])
    for price in (-1.0, 0.3, 1.02, 2.0, 50.0):
        p = np.clip(price * beta - 1, 0, cap)
        dual = float(np.sum(p**2 / (2 * beta) + p / beta - price * p)) + price * 4.1
        asked = Iterate([np.zeros((3, 1))], np.array([-price]), [np.zeros((3, 0))], [np.zeros((3, 0))], 0.0)
        assert bounder(problem)(asked) == Bound(pytest.approx(dual, rel=1e-12), 0.0)


def test_a_multiplier_of_the_wrong_sign_counts_as_zero():
    made = stack([0.0], [[1.0]], [[1.0]], [0], -2.0, 3.0)
    for lower, upper, wrong in ((-INF, 1.0, -5.0), (-1.0, INF, 5.0)):
        problem = separable([made], lower, upper)
        asked = Iterate([np.zeros((1, 1))], np.array([wrong]), [np.zeros((1, 0))], [np.zeros((1, 0))], 0.0)
        assert bounder(problem)(asked).value == pytest.approx(-2.0)


def test_a_free_column_with_a_cost_proves_nothing_for_sure():
    problem = separable([stack([0.0], [[1.0]], [[1.0]], [0])], -INF, 1.0)
    asked = Iterate([np.full((1, 1), 7.0)], np.zeros(1), [np.zeros((1, 0))], [np.zeros((1, 0))], 0.0)
    found = bounder(problem)(asked)
    assert found.paid > 0
    assert found.value == pytest.approx(-100 * 7.0)


@settings(EXAMPLES, max_examples=40)
@given(drawn_models(), SEEDS, SIZES, st.booleans())
def test_bounds_of_compiled_models_with_cones(drawn: Drawn, seed: int, size: float, near: bool):
    problem = compile_model(drawn.model).lowered.separable
    best = solved(problem)
    assume(best is not None)
    rng = np.random.default_rng(seed)
    below_optimum = bounder(problem)(iterate(best, rng, size, near))
    # Clarabel's own optimum is good to 1e-7 of the terms that cancel in it.
    assert below_optimum.value <= best.value + 1e-6 * (1e-3 + terms(problem, best))


def test_the_bound_is_tight_on_most_compiled_models():
    gaps = []

    @settings(EXAMPLES, max_examples=40)
    @given(drawn_models())
    def run(drawn: Drawn) -> None:
        problem = compile_model(drawn.model).lowered.separable
        best = solved(problem)
        assume(best is not None)
        size = abs(best.value) + 0.01 * terms(problem, best)
        gaps.append((best.value - bounder(problem)(iterate(best)).value) / size)

    run()
    assert np.median(np.abs(gaps)) < 1e-6
    assert np.mean(np.abs(gaps) < 1e-4) > 0.9, sorted(gaps)


def terms(problem: Separable, best: Optimum) -> float:
    pairs = zip(problem.stacks, best.x, strict=True)
    return sum(float(np.abs(s.q * x).sum() + np.abs(s.offset).sum()) for s, x in pairs)


def solved(problem: Separable) -> Any:
    """The optimum, or None where Clarabel gives up half-way on these unscaled matrices."""
    try:
        return central(problem)
    except AssertionError:
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_without_costs_nothing_is_positive_where_a_point_is_feasible(kind):
    @settings(EXAMPLES, max_examples=60)
    @given(SEEDS, SIZES)
    def run(seed: int, size: float) -> None:
        problem, rng = problem_of(kind, seed), np.random.default_rng(seed)
        best = central(problem)
        found = bounder(problem)(iterate(best, rng, size, near=False), costs=False)
        assert found.value <= 1e-7 * size

    run()


def test_without_costs_the_shortfall_is_what_the_ray_proves():
    problem = dispatch(demand=9.0)  # the caps add up to 8.1
    ray = Iterate([np.zeros((3, 1))], np.array([-1.0]), [np.zeros((3, 0))], [np.zeros((3, 0))], 0.0)
    assert bounder(problem)(ray, costs=False) == Bound(pytest.approx(0.9), 0.0)
    assert bounder(dispatch(demand=8.0))(ray, costs=False).value == pytest.approx(-0.1)


def test_without_costs_equations_of_one_agent_can_prove_it():
    """x1 + x2 = 5 within [0, 2]^2 misses by one."""
    made = stack([1.0, 1.0], [[3.0, -4.0]], [[1.0, 0.0]], [0], 0.0, 2.0, [[1.0, 1.0]], [5.0])
    problem = separable([made], -INF, 10.0)
    ray = Iterate([np.ones((1, 2))], np.zeros(1), [np.array([[-1.0]])], [np.zeros((1, 0))], 0.0)
    assert bounder(problem)(ray, costs=False).value == pytest.approx(1.0)
