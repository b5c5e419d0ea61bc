"""Limits from which later ones can be kept: against all that an agent can do, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.errors import DataError
from gridmodel.ir.training import AbstractCost, ActionStep, AgentKind, Leaf, StateStep, StepMap
from gridmodel.runtime.limits import levers, viable

T, N, DAYS = 5, 2, 3
WIND, X = Leaf("series", "wind"), Leaf("state", "x")


class Free(AbstractCost):
    def __call__(self, leaves: object) -> float:
        return 0.0


def battery(sign: float, by_series: bool, known: bool = True) -> AgentKind:
    """x_next = .9 x + sign (.95 up - down / .95) + .1 (+ wind), -1 <= u <= 2 (+ wind); limits at noon and at night."""
    rng = np.random.default_rng(0)
    terms = {X: np.full((1, 1), 0.9), Leaf("up", "u"): np.full((1, N), sign * 0.95),
             Leaf("down", "u"): np.full((T, 1), -sign / 0.95)}  # fmt: skip
    wind = {WIND: rng.uniform(0.1, 0.5, (T, N))} if by_series else {}
    most = StepMap({WIND: np.ones((1, 1))} if by_series else {}, np.full((1, 1), 2.0))
    lower, upper = np.zeros((T + 1, N)), np.full((T + 1, N), 9.0)
    lower[3], lower[T], upper[T] = 4.0, 5.0, [5.5, np.inf]
    state = StateStep("x", None, np.full(N, 5.0), lower, upper, StepMap(terms | wind, np.full((T, 1), 0.1)), known)
    action = ActionStep("u", None, StepMap({}, np.full((1, 1), -1.0)), most, ("x",))
    return AgentKind("one", ("a", "b"), (state,), (action,), {"wind": False}, (), (), Free())


def ends(kind: AgentKind, t: int, x: np.ndarray, wind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most that a state can be next, from the maps as they are declared; wind: shape (..., T, N)."""
    state, action = kind.states[0], kind.actions[0]
    here = {WIND: wind[..., t, :]}
    reached = []
    for side in (action.lower, action.upper):
        u = side(t, here) + np.zeros_like(x)
        reached.append(
            state.next(t, here | {X: x, Leaf("up", "u"): np.maximum(u, 0), Leaf("down", "u"): np.maximum(-u, 0)})
        )
    return np.minimum(*reached), np.maximum(*reached)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("by_series", [False, True])
def test_from_the_limits_later_ones_are_just_kept_and_from_beyond_they_are_not(sign: float, by_series: bool) -> None:
    kind = battery(sign, by_series)
    wind = np.random.default_rng(1).uniform(-1, 1, (DAYS, T, N))
    lower, upper = viable(kind, kind.states[0], {WIND: wind})
    assert lower.shape == upper.shape == ((DAYS, T + 1, N) if by_series else (T + 1, N))
    state, step = kind.states[0], 1e-6
    wide = np.broadcast_to(lower, (DAYS, T + 1, N)), np.broadcast_to(upper, (DAYS, T + 1, N))
    tighter = 0
    for t in range(T):
        for which, (side, own, off) in enumerate(((wide[0], state.lower, -step), (wide[1], state.upper, step))):
            tighter += int((np.abs(side[:, t] - own[t]) > 0).sum())
            for start, keeps in ((side[:, t], True), (side[:, t] + off, False)):
                x, kept = start, ~((start < own[t] - 1e-9) if which == 0 else (start > own[t] + 1e-9))
                for later in range(t, T):
                    x = ends(kind, later, x, wind)[1 - which]
                    kept &= x >= own[later + 1] - 1e-9 if which == 0 else x <= own[later + 1] + 1e-9
                assert (kept == (keeps | ~np.isfinite(start))).all()
    assert tighter > 5


def test_one_day_has_the_limits_of_many_and_a_shared_series_those_of_its_copies() -> None:
    kind = battery(1.0, by_series=True)
    wind = np.random.default_rng(1).uniform(-1, 1, (DAYS, T, 1))
    many = viable(kind, kind.states[0], {WIND: wind})
    copies = viable(kind, kind.states[0], {WIND: np.repeat(wind, N, axis=2)})
    for day in range(DAYS):
        for side, copy, one in zip(many, copies, viable(kind, kind.states[0], {WIND: wind[day]}), strict=True):
            assert np.array_equal(side[day], one)
            assert np.array_equal(copy[day], one)


def test_what_is_not_known_tightens_nothing_and_a_missing_number_is_named() -> None:
    wind = np.zeros((T, N))
    wind[2, 1] = np.nan
    unknown = battery(1.0, by_series=True, known=False)
    assert viable(unknown, unknown.states[0], {WIND: wind})[0] is unknown.states[0].lower
    known = battery(1.0, by_series=True)
    with pytest.raises(
        DataError, match="one: the limits of 'x' need series of the whole day, and step 2 has no number"
    ):
        viable(known, known.states[0], {WIND: wind})


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_lever_says_what_the_declared_step_does(sign: float) -> None:
    kind = battery(sign, by_series=True)
    ((found,),) = levers(kind)
    assert found.rises == (sign > 0)
    x, wind = np.array([[1.0, 3.0]]), np.array([[0.2, -0.4]])
    for u in (-0.7, 1.3):
        here = {X: x, WIND: wind, Leaf("up", "u"): max(u, 0.0), Leaf("down", "u"): max(-u, 0.0)}
        moved = found.up * max(u, 0.0) + found.down * min(u, 0.0)
        for t in range(T):
            truth = kind.states[0].next(t, here)
            row = moved[t if len(moved) > 1 else 0]
            assert np.allclose(found.rest(t, {X: x, WIND: wind}) + row, truth, rtol=1e-14)
