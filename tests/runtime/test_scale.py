"""Sizes of columns and rows follow the units of the data exactly."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridmodel as gm
from gridmodel.compile import compile_model
from gridmodel.ir.separable import Separable
from gridmodel.runtime.scale import Scale
from tests.runtime.units import in_units
from tests.solvers.build import INF, dispatch, separable, stack
from tests.solvers.runs import random_model
from tests.strategies import EXAMPLES

FACTORS = st.sampled_from([1e-6, 1e-3, 0.1, 7.0, 1e3, 1e6])


def battery() -> Separable:
    """Charge in [0, 2], a level without bounds, level = 3 charge, and a free purchase only in the coupling."""
    A = [[3.0, -1.0, 0.0]]
    C = [[0.0, 1.0, -2.0]]
    made = stack([0.0, 0.0, 0.0], np.ones((3, 3)), C, [0], [0, -INF, -INF], [2, INF, INF], A, [0.0])
    return separable([made], 0.0, 0.0)


def test_ranges_and_rows_of_the_dispatch():
    scale = Scale(dispatch())
    np.testing.assert_allclose(scale.columns[0], [[(2.1 + 1.0 + 5.0) / 3]])  # the mean over agents
    np.testing.assert_allclose(scale.rows, [4.1])  # the demand is larger than any range
    assert len(scale.flat) == 3


def test_ranges_pass_through_equations_and_couplings():
    """The level moves by 3 x 2, the purchase by a half of that."""
    scale = Scale(battery())
    np.testing.assert_allclose(scale.columns[0], [[2.0, 6.0, 3.0]])
    np.testing.assert_allclose(scale.rows, [6.0])


def test_columns_of_one_variable_share_a_range():
    made = stack(np.zeros(3), np.zeros((1, 3)), np.eye(3), [0, 1, 2], 0.0, [1.0, 2.0, 6.0])
    joint = replace(made, group=np.array([0, 0, 1]))
    np.testing.assert_allclose(Scale(separable([joint], -INF, 1.0)).columns[0], [[1.5, 1.5, 6.0]])


def test_agents_of_very_different_size_have_ranges_of_their_own():
    upper = [[1.0], [2.0], [1000.0]]
    made = stack([0.0], np.zeros((3, 1)), [[1.0]], [0], 0.0, upper)
    np.testing.assert_allclose(Scale(separable([made], -INF, 1.0)).columns[0], upper)


def test_an_unbounded_column_with_a_quadratic_cost_takes_the_place_of_its_minimum():
    made = stack([2.0], [[-10.0]], [[0.0]], [0])
    np.testing.assert_allclose(Scale(separable([made], -INF, 1.0)).columns[0], [[5.0]])


@settings(EXAMPLES, max_examples=40)
@given(st.integers(0, 2**32 - 1), FACTORS, FACTORS, FACTORS, st.booleans())
def test_sizes_follow_the_units(seed: int, column: float, row: float, money: float, curved: bool):
    problem = random_model(seed, curved)
    first, other = Scale(problem), Scale(in_units(problem, column, row, money))
    np.testing.assert_allclose(other.flat, column * first.flat, rtol=1e-12)
    np.testing.assert_allclose(other.rows, row * first.rows, rtol=1e-12)
    assert other.cost == pytest.approx(money * first.cost, rel=1e-12)


@settings(EXAMPLES, max_examples=20)
@given(st.lists(FACTORS, min_size=3, max_size=3), FACTORS)
def test_sizes_follow_the_units_of_each_column(columns: list[float], row: float):
    first, other = Scale(battery()), Scale(in_units(battery(), columns, row))
    np.testing.assert_allclose(other.columns[0], first.columns[0] * columns, rtol=1e-12)
    np.testing.assert_allclose(other.rows, row * first.rows, rtol=1e-12)


def test_agents_without_a_cost_move_as_far_as_those_they_agree_with() -> None:
    model = gm.Model("idle")
    for name in ("busy", "idle"):
        theta = model.agent(name).variable("theta")
        if name == "busy":
            model[name].minimize(cp.square(theta - 5000))
    model.agree("theta")
    assert Scale(compile_model(model).lowered.separable).flat == pytest.approx(5000)
