"""Random models that need not be convex: whatever a run says of its answer is true."""

from __future__ import annotations

import re

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.ir.result import Result, Status
from gridmodel.passes.smooth.lower import lower_smooth
from gridmodel.verify.central import solve_central
from gridmodel_solvers.interior.local import solve_local
from tests.solvers.interior.smooth_models import Owner, Row, Term, Whole, random_whole
from tests.strategies import EXAMPLES

Floats = NDArray[np.float64]
TOLERANCE = 1e-6


def solved(whole: Whole) -> tuple[Result, float]:
    """The result, held to the truth of its status, and the cost as numpy finds it."""
    result = gm.solve(whole.declared(), "interior", tolerance=TOLERANCE)
    parts = [np.asarray(result.variables[f"a{k}"]["x"]) for k in range(len(whole.owners))]
    cost, violation, residual = whole.judged(parts)
    assert result.status in (Status.SOLVED, Status.STOPPED)
    assert result.value == pytest.approx(cost, rel=1e-9, abs=1e-9)
    if result.status is Status.SOLVED:
        # Limits count over what their columns can do to them, which is at most 20 here.
        assert violation <= 20 * TOLERANCE
        assert residual <= 100 * TOLERANCE * max(abs(cost), 1.0)
    else:
        assert "no progress" in result.message or "no longer numbers" in result.message
    return result, cost


@settings(EXAMPLES, max_examples=6)
@given(st.integers(1000, 1_000_000))
def test_what_a_run_says_of_its_answer_is_true(seed: int) -> None:
    solved(random_whole(seed))


def test_these_models_stay_solved() -> None:
    ends = [solved(random_whole(seed))[0].status for seed in range(40, 47)]
    assert ends.count(Status.SOLVED) == len(ends)


def test_a_block_alone_gets_a_second_start_too() -> None:
    block = lower_smooth(random_whole(1154).declared()).problem.blocks[1]
    found = solve_local(block, weight=1.0)
    assert found.rounds > 40  # no progress from the first one
    h, c = block.functions.residuals(found.x)
    assert np.abs(h).max(initial=0.0) < 1e-7
    assert max(c.max(initial=0.0), (block.lower - found.x).max(), (found.x - block.upper).max()) < 1e-7
    of_h, of_c = block.functions.jacobians(found.x)
    slope = (
        block.functions.gradient(found.x) + block.C.T @ (block.C @ found.x) + of_h.T @ found.nu + of_c.T @ found.zeta
    )
    inside = (found.x > block.lower + 1e-4) & (found.x < block.upper - 1e-4)
    assert np.abs(slope[inside]).max(initial=0.0) < 1e-5


def test_one_basin_has_one_value() -> None:
    for seed in (1, 2):
        whole = random_whole(seed)
        central = solve_central(whole.declared())
        assert central.status == "stationary"
        assert solved(whole)[1] == pytest.approx(central.value, rel=1e-4, abs=1e-4)


def disguised(seed: int, convex: bool) -> gm.Model:
    """Squared distances, exponentials and a ball, as cvxpy's convex atoms or as products of numbers."""
    rng = np.random.default_rng(seed)
    model = gm.Model("disguised", convex=convex)
    columns = []
    for k in range(int(rng.integers(2, 5))):
        n = int(rng.integers(2, 4))
        agent = model.agent(f"a{k}")
        x = agent.variable("x", n, bounds=(-2, 2))
        away, ball = x - rng.uniform(-1, 1, n), x - rng.uniform(-0.5, 0.5, n)
        if convex:
            cost, inside = cp.sum_squares(away), cp.sum_squares(ball)
        else:
            cost, inside = cp.sum(cp.multiply(away, away)), cp.sum(cp.multiply(ball, ball))
        agent.minimize(rng.uniform(0.5, 2) * cost + rng.uniform(-1, 1, n) @ x)
        agent.subject_to(inside <= rng.uniform(0.5, 2))
        columns.append(x)
    sides = sum(rng.uniform(0.5, 2) * x[0] for x in columns)
    model.couple(sides == rng.uniform(-0.4, 0.4))
    model.couple(sum(cp.sum(x) for x in columns) <= rng.uniform(0.4, 1))
    return model


@pytest.mark.parametrize("seed", range(4))
def test_a_convex_model_in_disguise_has_the_value_of_the_convex_one(seed: int) -> None:
    found = gm.solve(disguised(seed, convex=False), "interior", tolerance=TOLERANCE)
    assert found.status is Status.SOLVED
    plain = solve_central(disguised(seed, convex=True))
    assert plain.status == "optimal"
    assert found.value == pytest.approx(plain.value, rel=1e-5, abs=1e-5)


def _one(equal: Row, start: Floats | None = None, coupled: float = 0.5) -> Whole:
    """An owner of two numbers in [-1, 1] with an equation, and one of a third, tied by a row."""
    bowl = Row((Term(1.0, "square", 0), Term(1.0, "line", 1)))
    ends = -np.ones(2), np.ones(2)
    owners = (
        Owner(bowl, (equal,), (), *ends, start),
        Owner(Row((Term(1.0, "square", 0),)), (), (), *(e[:1] for e in ends)),
    )
    A = np.array([[1.0, 0.0]]), np.array([[1.0]])
    return Whole(owners, A, np.array([coupled]), np.array([True]))


# with what is off in the end: where a row pulls against an equation, either
IMPOSSIBLE = {
    "a product beyond its bounds": (_one(Row((Term(1.0, "product", 0, 1),), 1.5)), "a0"),
    "a sine beyond one": (_one(Row((Term(1.0, "sin", 0),), 1.5)), "a0"),
    "a negative square": (_one(Row((Term(1.0, "square", 0), Term(1.0, "square", 1)), -0.5)), "a0"),
    "a row beyond all bounds": (
        _one(Row((Term(1.0, "square", 0), Term(-1.0, "line", 1))), coupled=3.0),
        "(row0|a0)",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_a_model_without_a_feasible_point_is_never_solved(name: str) -> None:
    whole, culprit = IMPOSSIBLE[name]
    result, _ = solved(whole)
    assert re.search(f"at best .*{culprit} is off by [0-9.e+-]+ of its size", result.message)
    assert result.status is Status.STOPPED
    assert result.certificate is not None
    assert result.certificate.primal_residual > 1e-2


@pytest.mark.parametrize("start", [(0.0, 0.0), (1.0, -1.0), (1e-9, 1.0)])
def test_a_start_where_the_equation_has_no_slope_ends_with_a_true_status(start: tuple[float, float]) -> None:
    solved(_one(Row((Term(1.0, "product", 0, 1),), 0.2), np.array(start)))
