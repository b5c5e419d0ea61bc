"""Violations by hand, in any units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.ir.cones import Cones
from gridmodel.runtime.residuals import Residuals, cost_and_size, residuals
from gridmodel.runtime.scale import Scale
from tests.runtime.units import in_units
from tests.solvers.build import INF, central, dispatch, separable, stack
from tests.solvers.runs import random_model
from tests.strategies import EXAMPLES


def of(problem, *parts) -> Residuals:
    return residuals(problem, Scale(problem), [np.asarray(part, dtype=float) for part in parts])


def test_a_missed_balance_and_a_broken_bound():
    """The balance misses 0.41 of 4.1; g2 is 0.27 above its cap, a tenth of the mean range 2.7."""
    found = of(dispatch(), [[2.0], [1.27], [0.42]])
    assert found.coupling == pytest.approx(0.1)
    assert (found.row, found.block) == (0, "g2")
    assert found.local == pytest.approx(0.1)
    assert found.primal == max(found.coupling, found.local)


def test_inside_there_is_nothing_to_report():
    assert of(dispatch(), [[2.06], [1.0], [1.04]]) == Residuals(pytest.approx(0.0, abs=1e-15), 0.0, 0, None)


def test_the_worst_row_of_several_and_both_sides():
    made = stack([0.0, 0.0], np.zeros((1, 2)), np.eye(2), [0, 1], 0.0, 10.0)
    problem = separable([made], [2.0, -INF], [8.0, 5.0])
    assert of(problem, [[1.0, 4.0]]).coupling == pytest.approx(0.1)
    assert of(problem, [[9.0, 7.0]]).coupling == pytest.approx(0.2)
    assert of(problem, [[9.0, 7.0]]).row == 1
    assert of(problem, [[5.0, -99.0]]).coupling == 0.0


def test_an_equation_is_measured_by_its_largest_term():
    """2 x = 3 with x in [0, 4]: at x = 1 one of eight is missing."""
    made = stack([0.0], np.zeros((2, 1)), [[1.0]], [0], 0.0, 4.0, [[2.0]], [3.0], labels=["a", "b"])
    found = of(separable([made], -INF, INF), [[1.5], [1.0]])
    assert found.local == pytest.approx(1 / 8)
    assert found.block == "b"


@pytest.mark.parametrize(
    ("cones", "inside", "outside", "away"),
    [
        (Cones(nonneg=2), [1.0, 0.0], [1.0, -0.25], 0.25),
        (Cones(soc=(3,)), [5.0, 3.0, 4.0], [0.0, 3.0, 4.0], 2.5),
        (Cones(psd=(2,)), [1.0, np.sqrt(2), 1.0], [1.0, 0.0, -0.5], 0.5),
        (Cones(exp=1), [0.0, 1.0, 1.0], [0.0, 1.0, 0.75], 0.25),
        (Cones(pow3d=(0.5,)), [4.0, 1.0, -2.0], [4.0, 1.0, 2.5], 0.5),
    ],
    ids=["nonneg", "soc", "psd", "exp", "pow"],
)
def test_distances_to_cones(cones, inside, outside, away):
    k = cones.rows
    G = np.eye(k) / 20  # over ranges of 20 each row has size one
    made = stack(np.zeros(k), np.zeros((1, k)), np.ones((1, k)), [0], -10, 10, G=G, h=np.zeros(k), cones=cones)
    problem = separable([made], -INF, INF)
    # A twentieth of the points stays within the bounds, and violations are of first order.
    assert of(problem, np.array([inside])).local <= 1e-12
    assert of(problem, np.array([outside])).local == pytest.approx(away / 20)


@settings(EXAMPLES, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-4, 1e3]), st.sampled_from([1e-3, 1e5]), st.booleans())
def test_units_do_not_matter(seed: int, column: float, row: float, curved: bool):
    problem = random_model(seed, curved)
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=s.q.shape) for s in problem.stacks]
    other = in_units(problem, column, row, 10.0)
    moved = [column * part for part in parts]
    first, second = of(problem, *parts), of(other, *moved)
    assert second.coupling == pytest.approx(first.coupling, rel=1e-9)
    assert second.local == pytest.approx(first.local, rel=1e-9)
    assert (first.row, first.block) == (second.row, second.block)
    assert cost_and_size(other, moved)[1] == pytest.approx(10.0 * cost_and_size(problem, parts)[1], rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_of_a_central_solver_is_feasible(seed):
    problem = random_model(seed)
    assert of(problem, *central(problem).x).primal < 1e-8


def test_the_size_of_costs_adds_up_what_cancels():
    made = stack([2.0], [[-6.0]], [[1.0]], [0])
    assert cost_and_size(separable([made], -INF, INF), [np.array([[3.0]])])[1] == pytest.approx(18 + 9)
