"""Bounds are checked and broadcast where they are declared."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.errors import BoundsError
from gridmodel.language.model import Model

N, T = 3, 4


def bounds_of(shape, bounds, size=None, **attributes):
    model = Model()
    party = model.agent("g") if size is None else model.fleet("home", size)
    return party.variable("x", shape, bounds=bounds, **attributes).attributes["bounds"]


@pytest.mark.parametrize(
    ("upper", "row", "column"),
    [
        (2.0, 1, 1),
        (np.array([1.0, 2, 3]), 1, 0),  # one an agent
        (np.array([[1.0], [2], [3]]), 1, 0),
        (np.array([1.0, 2, 3, 4]), 0, 1),  # one a column
        (np.array([[1.0, 2, 3, 4]]), 0, 1),
        (np.arange(12.0).reshape(N, T), 1, 1),
    ],
)
def test_every_shape_is_broadcast_to_the_fleet(upper, row, column):
    lower, got = bounds_of(T, (-1, upper), size=N)
    assert lower.shape == got.shape == (N, T)
    assert (lower == -1).all()
    source = np.asarray(upper)
    for i in range(N):
        for t in range(T):
            if source.ndim == 0:
                expected = 2.0
            elif source.ndim == 1:
                expected = source[i if row else t]
            else:
                expected = source[i * row, t * column]
            assert got[i, t] == expected


def test_a_scalar_fleet_variable_takes_one_bound_an_agent():
    lower, upper = bounds_of((), ([0, 1, 2], 5), size=N)
    assert lower.tolist() == [0, 1, 2]
    assert upper.tolist() == [5, 5, 5]


def test_none_and_infinity_mean_no_bound():
    lower, upper = bounds_of((2,), (None, [1, np.inf]))
    assert np.isneginf(lower).all()
    assert upper.tolist() == [1, np.inf]
    assert bounds_of((2,), (None, None)) is None


def test_a_sign_tightens_bounds():
    lower, upper = bounds_of((2,), ([-1, 1], 3), nonneg=True)
    assert lower.tolist() == [0, 1]
    assert upper.tolist() == [3, 3]


def test_as_many_agents_as_columns_is_ambiguous():
    with pytest.raises(BoundsError, match=r"one an agent or one a column.*\(4, 1\) or \(1, 4\)"):
        bounds_of(4, (0, np.ones(4)), size=4)


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ((1e21, None), r"a lower bound of \+inf or an upper bound of -inf leaves no value"),
        ((0, np.nan), r"variable g\.x: the upper bound is NaN"),
        ((2, 1), r"the lower bound 2 exceeds the upper bound 1 at entry \(0,\)"),
        (([0, 5], [1, 4]), r"5 exceeds the upper bound 4 at entry \(1,\)"),
        ((0, [1, 2, 3]), r"has shape \(3,\), the variable \(2,\)"),
        ((0, "high"), "must be a number or an array of numbers, got 'high'"),
        ((np.inf, None), "leaves no value"),
        ((None, -np.inf), "leaves no value"),
        ((0, 1, 2), "must be a pair"),
        (5, "must be a pair"),
    ],
)
def test_bad_bounds_name_the_variable_and_what_was_got(bounds, text):
    with pytest.raises(BoundsError, match=text) as caught:
        bounds_of((2,), bounds)
    assert "g.x" in str(caught.value)


def test_the_callers_array_is_not_shared():
    upper = np.ones(2)
    kept = bounds_of((2,), (0, upper))[1]
    upper[:] = 9
    assert kept.tolist() == [1, 1]


def test_a_bound_of_1e20_is_no_bound():
    lower, upper = bounds_of(3, (-1e20, [1e19, 1e20, 1e300]))
    assert np.isneginf(lower).all()
    assert upper.tolist() == [1e19, np.inf, np.inf]
