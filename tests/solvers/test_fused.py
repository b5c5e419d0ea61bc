"""The fused sweep against central solvers, dense linear algebra and other units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from gridmodel.ir.cones import Cones
from gridmodel.ir.result import Status
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.runtime.loop import Limits, Outcome, run
from gridmodel.runtime.residuals import cost_and_size
from gridmodel_solvers.fused import Fused
from tests.runtime.units import in_units
from tests.solvers.build import INF, central, dispatch, dispatch_cost, separable, stack
from tests.solvers.runs import optimal, properties, random_model, two_bus
from tests.strategies import EXAMPLES

SEEDS = st.integers(0, 2**32 - 1)


def solved(
    problem: Separable, algorithm: Fused | None = None, tolerance: float = 1e-6, rounds: int = 20_000
) -> Outcome:
    outcome = run(problem, algorithm or Fused(), Limits(tolerance=tolerance, max_rounds=rounds))
    assert outcome.status is Status.CERTIFIED, outcome.message
    return outcome


def linear_model(seed: int) -> Separable:
    """Agents with linear costs."""
    problem = random_model(seed, curved=False)
    return replace(problem, stacks=tuple(replace(s, P=s.P.empty(*s.P.shape, s.size)) for s in problem.stacks))


def different_agents(seed: int, curved: bool) -> Separable:
    """One stack of agents whose matrices, bounds and rows all differ, beside one of equal agents with few bounds."""
    rng = np.random.default_rng(seed)
    size, n, m = 6, 4, 5
    x = rng.normal(size=(size, n))
    A, C = rng.normal(size=(size, 2, n)), rng.normal(size=(size, 2, n))
    rows = np.stack([np.sort(rng.choice(m, 2, replace=False)) for _ in range(size)])
    P = rng.uniform(0.5, 2, (size, n)) * curved
    low, high = x - rng.uniform(0, 1, x.shape), x + rng.uniform(0, 1, x.shape)
    own = stack(P, rng.normal(size=(size, n)), C, rows, low, high, A, np.einsum("imn,in->im", A, x))
    z = rng.normal(size=(8, 3))
    free = np.array([False, curved, False])
    alike = stack(
        np.full(3, 1.0 * curved), rng.normal(size=(8, 3)), np.eye(3), np.arange(3), np.where(free, -INF, z - 1),
        np.where(free, INF, z + 1), [[1.0, 1.0, 1.0]], z.sum(axis=1, keepdims=True),
    )  # fmt: skip
    total = np.zeros(m)
    np.add.at(total, rows, own.C.dot(x))
    total[:3] += z.sum(axis=0)
    room = rng.uniform(0, 0.5, m) * (rng.random(m) < 0.5)
    return separable([own, alike], np.where(rng.random(m) < 0.3, -INF, total - room), total + room)


def by_highs(problem: Separable) -> float:
    """The optimum of a linear problem of which all equations and bounds are stacked for HiGHS."""
    s, y, C = problem.stacks, problem.couplings, problem.matrix.toarray()
    blocks = [part.A.diagonal_blocks.toarray() for part in s]
    A = np.zeros((sum(len(b) for b in blocks), C.shape[1]))
    row = 0
    for block, start in zip(blocks, problem.offsets, strict=False):
        A[row : row + len(block), start : start + block.shape[1]] = block
        row += len(block)
    above, below = np.isfinite(y.upper), np.isfinite(y.lower)
    found = linprog(
        problem.join([part.q for part in s]), np.vstack([C[above], -C[below]]),
        np.concatenate([y.upper[above], -y.lower[below]]), A, problem.join([part.b for part in s]),
        np.column_stack([problem.join([p.lower for p in s]), problem.join([p.upper for p in s])]),
    )  # fmt: skip
    assert found.status == 0
    return float(found.fun)


def moved(problem: Separable, row: int, by: float) -> Separable:
    """The problem with both sides of one row moved."""
    y, step = problem.couplings, by * np.eye(problem.couplings.size)[row]
    return replace(problem, couplings=Couplings(y.lower + step, y.upper + step, ()))


def test_the_dispatch():
    outcome = solved(dispatch(), tolerance=1e-8)
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], [[2.06], [1.0], [1.04]], rtol=1e-7)
    np.testing.assert_allclose(outcome.judgement.iterate.mu, [-1.02], rtol=1e-7)
    assert dispatch_cost(outcome.judgement.value) == pytest.approx(3.601, rel=1e-9)


@pytest.mark.parametrize(("line", "prices", "cost"), [(200.0, None, 1000.0), (40.0, [10.0, 30.0], 2200.0)])
def test_prices_of_two_buses(line, prices, cost):
    outcome = solved(two_bus(line), tolerance=1e-7)
    assert outcome.judgement.value == pytest.approx(cost, rel=1e-6)
    np.testing.assert_allclose(-outcome.judgement.iterate.mu, prices or [10.0, 10.0], rtol=1e-6)


@settings(EXAMPLES, max_examples=40)
@given(SEEDS)
def test_quadratic_models_against_clarabel(seed: int):
    problem = random_model(seed)
    outcome, best = solved(problem), central(problem)
    size = max(abs(best.value), 0.01 * cost_and_size(problem, best.x)[1])
    assert abs(outcome.judgement.value - best.value) <= 2e-6 * size
    for x, other in zip(outcome.judgement.iterate.x, best.x, strict=True):
        np.testing.assert_allclose(x, other, atol=1e-3)  # strictly convex: the optimum is unique


@settings(EXAMPLES, max_examples=30)
@given(SEEDS, st.booleans())
def test_agents_that_differ_in_everything(seed: int, curved: bool):
    problem = different_agents(seed, curved)
    best = central(problem)
    outcome = solved(problem)
    size = max(abs(best.value), 0.01 * cost_and_size(problem, best.x)[1])
    assert abs(outcome.judgement.value - best.value) <= 2e-6 * size
    assert outcome.judgement.bound.value <= best.value + 1e-7 * size


@pytest.mark.parametrize("seed", range(6))
def test_equations_that_follow_from_others_do_no_harm(seed):
    problem = random_model(seed)
    first = problem.stacks[0]
    A, b = first.A.dense(), first.b
    twice = stack(
        first.P.diagonal(), first.q, first.C.dense(), first.rows, first.lower, first.upper,
        np.vstack([A, 2 * A, A]), np.hstack([b, 2 * b, b]),
    )  # fmt: skip
    again = replace(problem, stacks=(twice, *problem.stacks[1:]))
    assert solved(again).judgement.value == pytest.approx(solved(problem).judgement.value, rel=1e-6, abs=1e-6)


@settings(EXAMPLES, max_examples=15)
@given(SEEDS)
def test_prices_bound_the_cost_of_other_sides(seed: int):
    """The optimal cost V of the sides y is convex with slope -mu:  V(y + d) >= V(y) - mu d  whatever d."""
    problem = random_model(seed)
    outcome, best = solved(problem, tolerance=1e-8), central(problem)
    for row in range(problem.couplings.size):
        for by in (1e-2, -1e-2):
            try:
                other = central(moved(problem, row, by)).value
            except AssertionError:
                continue  # nothing is feasible there: V is infinite
            assert other >= best.value - outcome.judgement.iterate.mu[row] * by - 1e-6 * (1 + abs(best.value))


@settings(EXAMPLES, max_examples=25)
@given(SEEDS)
def test_linear_models_against_highs(seed: int):
    problem = linear_model(seed)
    best = by_highs(problem)
    outcome = solved(problem)
    size = max(abs(best), 0.01 * cost_and_size(problem, outcome.judgement.iterate.x)[1])
    assert abs(outcome.judgement.value - best) <= 2e-6 * size


@pytest.mark.parametrize("curved", [True, False])
@pytest.mark.parametrize("halpern", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_both_forms_of_the_sweep_reach_the_same_optimum(curved, halpern, seed):
    problem = random_model(seed) if curved else linear_model(seed)
    best = central(problem)
    outcome = solved(problem, Fused(halpern=halpern, relaxation=1.5), tolerance=1e-5)
    assert outcome.judgement.value == pytest.approx(best.value, rel=1e-5, abs=1e-5)


def test_the_anchored_form_is_what_linear_programs_need():
    """Rounds of both forms, without refinement, on a transport of 12 sources to 8 sinks with spare supply."""
    rng = np.random.default_rng(0)
    cost = rng.uniform(1, 10, (12, 8))
    demand = rng.uniform(5, 12, 8)
    slack = np.hstack([np.eye(8), np.zeros((8, 1))])
    made = stack(
        np.zeros(9), np.hstack([cost, np.zeros((12, 1))]), slack, np.arange(8), 0.0, 10.0, np.ones((1, 9)), [10.0]
    )
    problem = separable([made], demand, demand)
    best = by_highs(problem)
    rounds = {}
    for halpern in (True, False):
        algorithm = Fused(halpern=halpern)
        state = algorithm.init(problem, None, 1e-6)
        count = 0
        while count < 20_000:
            state, count = algorithm.step(state), count + 1
            seen = algorithm.observe(state)
            apart = np.abs(problem.coupling_value(list(seen.x)) - demand).max() / 10
            outside = max(float((-seen.x[0]).max()), float((seen.x[0] - 10).max()), 0.0) / 10
            if max(apart, outside, seen.dual_residual) < 1e-6 and abs(problem.cost(list(seen.x)) - best) < 1e-5 * best:
                break
        rounds[halpern] = count
    assert rounds[True] < rounds[False], rounds


@settings(EXAMPLES, max_examples=25)
@given(SEEDS, st.sampled_from([1e3, 1e-3]), st.sampled_from([1.0, 1e3]), st.booleans())
def test_units_change_neither_rounds_nor_answer(seed: int, column: float, row: float, curved: bool):
    problem = random_model(seed) if curved else linear_model(seed)
    first, other = solved(problem), solved(in_units(problem, column, row))
    assert abs(first.rounds - other.rounds) <= 2
    assert other.judgement.value == pytest.approx(first.judgement.value, rel=1e-6, abs=1e-6)
    for x, moved_x in zip(first.judgement.iterate.x, other.judgement.iterate.x, strict=True):
        if curved:
            np.testing.assert_allclose(moved_x / column, x, atol=1e-4)
    if curved:
        mu = first.judgement.iterate.mu
        np.testing.assert_allclose(other.judgement.iterate.mu * row, mu, atol=1e-3 * (1 + np.abs(mu).max()))


@settings(EXAMPLES, max_examples=25)
@given(SEEDS, st.sampled_from([1.0, 2.0**10, 2.0**-10]), st.integers(-12, 12), st.integers(-10, 10), st.booleans())
def test_units_of_rows_and_money_change_no_round_at_all(seed: int, column: float, row: int, money: int, curved: bool):
    """Factors of two hardly move a rounding error, so that the runs stay together from end to end."""
    problem = random_model(seed) if curved else linear_model(seed)
    rows = 2.0 ** np.where(np.arange(problem.couplings.size) % 2, row, -row)
    first, other = solved(problem), solved(in_units(problem, column, rows, 4.0**money))
    assert other.rounds == first.rounds
    assert other.judgement.value == pytest.approx(4.0**money * first.judgement.value, rel=1e-9)
    np.testing.assert_allclose(other.trace.primal, first.trace.primal, rtol=1e-6, atol=1e-9)
    for x, moved_x in zip(first.judgement.iterate.x, other.judgement.iterate.x, strict=True):
        np.testing.assert_allclose(moved_x, column * x, atol=1e-9 * column)


@pytest.mark.parametrize("row", range(2))
def test_one_row_in_other_units(row):
    problem = two_bus(40.0)
    factors = np.where(np.arange(2) == row, 1e3, 1.0)
    first, other = solved(problem), solved(in_units(problem, rows=factors))
    assert abs(first.rounds - other.rounds) <= 2
    np.testing.assert_allclose(other.judgement.iterate.mu * factors, first.judgement.iterate.mu, rtol=1e-5)


@pytest.mark.parametrize("money", [1e-6, 1e6])
def test_money_in_other_units(money):
    problem = random_model(5)
    first, other = solved(problem), solved(in_units(problem, money=money))
    assert abs(first.rounds - other.rounds) <= 2
    assert other.judgement.value == pytest.approx(money * first.judgement.value, rel=1e-6)


@pytest.mark.parametrize("curved", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_refined_answer_is_exact(curved, seed):
    problem = random_model(seed) if curved else linear_model(seed)
    algorithm = Fused()
    state = algorithm.init(problem, None, 1e-4)
    for _ in range(1500):
        state = algorithm.step(state)
    found = algorithm.refine(state)
    assert found is not None
    optimal(problem, found[0], 1e-9)
    assert found[0].dual_residual <= 1e-9


def test_a_few_wrong_signs_in_the_guess_are_corrected():
    """After 15 rounds some agent's guess is wrong, and the refinement finds the optimum all the same."""
    rng = np.random.default_rng(3)
    made = stack(rng.uniform(0.5, 2, (30, 1)), rng.normal(size=(30, 1)), [[1.0]], [0], -1.0, 1.0)
    problem = separable([made], 4.0, 4.0)
    algorithm = Fused()
    state, end = algorithm.init(problem, None, 1e-4), algorithm.init(problem, None, 1e-4)
    for k in range(300):
        end = algorithm.step(end)
        if k < 3:
            state = end
    assert algorithm.guess(state) != algorithm.guess(end)
    found = algorithm.refine(state)
    assert found is not None
    optimal(problem, found[0], 1e-9)


@pytest.mark.parametrize("demand", [9.0, -1.0])
def test_a_demand_out_of_reach_is_infeasible(demand):
    assert run(dispatch(demand), Fused(), Limits()).status is Status.INFEASIBLE


def test_an_agent_out_of_its_own_reach_is_infeasible():
    """x1 + x2 = 5 within [0, 2]^2, beside agents that are well."""
    bad = stack([1.0, 1.0], [[0.0, 0.0]], [[1.0, 0.0]], [0], 0.0, 2.0, [[1.0, 1.0]], [5.0], labels=["bad"])
    well = stack([1.0], np.ones((3, 1)), [[1.0]], [0], -5.0, 5.0)
    assert run(separable([bad, well], 3.0, 3.0), Fused(), Limits()).status is Status.INFEASIBLE


def test_a_warm_start_at_the_optimum_is_done_after_a_round():
    problem = random_model(11)
    first = solved(problem, tolerance=1e-8)
    again = run(problem, Fused(), Limits(tolerance=1e-6), warm=first.judgement.iterate)
    assert again.status is Status.CERTIFIED
    assert first.rounds > 10
    assert again.rounds <= 1 + 20  # one sweep, and a refinement at most
    nearby = moved(problem, 0, 1e-4)
    cold, warm = solved(nearby), run(nearby, Fused(), Limits(tolerance=1e-6), warm=first.judgement.iterate)
    assert warm.status is Status.CERTIFIED
    assert warm.rounds < cold.rounds
    assert warm.judgement.value == pytest.approx(cold.judgement.value, rel=1e-6, abs=1e-6)


def test_agents_send_a_number_a_row_and_get_one_back():
    alone = stack([1.0], np.ones((2, 1)), np.zeros((0, 1)), np.zeros((2, 0)))
    pair = stack([1.0, 1.0], np.ones((3, 2)), np.eye(2), [0, 1])
    traffic = Fused().traffic(separable([alone, pair], [0.0, 0.0], [0.0, 0.0]))
    assert (traffic.messages, traffic.numbers) == (6, 12)
    assert traffic.bytes == 96


def test_what_it_refuses():
    facts = properties()
    assert Fused().verdict(facts).applies
    assert "coordinator" in Fused().verdict(replace(facts, coordinator=False)).reason
    conic = replace(facts.blocks[0], kind="conic", cones=str(Cones(soc=(3,))))
    refused = Fused().verdict(replace(facts, is_qp=False, blocks=(facts.blocks[0], conic)))
    assert not refused.applies
    assert "1 second-order cones" in refused.reason


def test_no_coupling_rows_and_fixed_columns():
    """Two agents alone: (x - 1)^2 / 2 within [0, 3], and a column that its bounds fix."""
    made = stack([1.0, 1.0], [[-1.0, -1.0], [-5.0, -1.0]], np.zeros((0, 2)), np.zeros((2, 0)), [0, 2], [3, 2])
    problem = separable([made], np.empty(0), np.empty(0))
    outcome = solved(problem, tolerance=1e-8)
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], [[1, 2], [3, 2]], atol=1e-7)


def test_rows_without_agents_do_no_harm():
    made = stack([1.0], [[-1.0]], [[1.0]], [1], 0.0, 3.0)
    problem = separable([made], [-INF, -INF, -1.0], [INF, 0.5, 1.0])
    outcome = solved(problem, tolerance=1e-8)
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], [[0.5]], atol=1e-7)
    np.testing.assert_allclose(outcome.judgement.iterate.mu, [0, 0.5, 0], atol=1e-7)
