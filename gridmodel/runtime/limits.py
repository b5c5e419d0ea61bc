"""How actions move states, and between which limits states stay: what training and deployment both keep to.

Arrays end in steps and agents, (..., T or 1, N or 1): of one day, or of many with the days first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.training import ActionStep, AgentKind, Leaf, StateStep, StepMap

__all__ = ["Floats", "Lever", "at_step", "levers", "sign_of", "viable"]

Floats = NDArray[np.float64]
_TINY = 1e-12


def at_step(values: Any, t: int | slice) -> Any:
    """The row of a step, of an array or a tensor whose first axis has one row a step or one for all; all at a slice."""
    return values if isinstance(t, slice) else values[t if len(values) > 1 else 0]


def sign_of(action: ActionStep) -> int:
    """1 where the action is never negative, -1 where it is never positive, 0 where it can be both."""
    if not action.lower.terms and (action.lower.constant >= 0).all():
        return 1
    return -1 if not action.upper.terms and (action.upper.constant <= 0).all() else 0


@dataclass(frozen=True)
class Lever:
    """An action u that moves a state x: x_next = rest + up max(u, 0) + down min(u, 0).

    up, down: shape (T or 1, N or 1), of one sign and not zero. rises: whether that sign is 1.
    """

    state: str
    up: Floats
    down: Floats
    rises: bool
    rest: StepMap


def _lever(action: ActionStep, state: StateStep) -> Lever:
    """How an action moves a state."""
    own = (Leaf("action", action.name), Leaf("up", action.name), Leaf("down", action.name))
    plain, up, down = (state.next.terms.get(leaf, np.zeros((1, 1))) for leaf in own)
    slopes = plain + up, plain - down
    rises = any(bool((slope > 0).any()) for slope in slopes)
    # A side without slope is never the one that a limit asks for.
    rising, falling = (np.where(slope == 0, _TINY if rises else -_TINY, slope) for slope in slopes)
    rest = {leaf: factor for leaf, factor in state.next.terms.items() if leaf not in own}
    return Lever(state.name, rising, falling, rises, StepMap(rest, state.next.constant))


def levers(kind: AgentKind) -> list[list[Lever]]:
    """Of every action, one for each state that it moves."""
    return [[_lever(action, state) for state in kind.states if state.name in action.states] for action in kind.actions]


def viable(kind: AgentKind, state: StateStep, series: Mapping[Leaf, Floats]) -> tuple[Floats, Floats]:
    """Limits of a state before the first step and after every one, from which later ones can still be kept.

    With x_next = keep x + w and least <= w <= most, backwards from the last step:

        lower_t = max(lower_t, (lower_t+1 - most_t) / keep_t),   upper_t = min(upper_t, (upper_t+1 - least_t) / keep_t)

    The declared ones where the future is not known, or where the state depends on others.

    Args:
        series: shape (..., T, N or 1).

    Returns:
        lower, upper: shape (..., T + 1, N); without leading axes where no series matters.

    Raises:
        DataError: a series has no number where the limits need one.
    """
    own = Leaf("state", state.name)
    keep = state.next.terms.get(own)
    apart = all(leaf == own for leaf in state.next.terms if leaf.sort == "state")
    if not state.known or not apart or keep is None or not (keep > 0).all():
        return state.lower, state.upper
    most = least = _of_series(state.next, series)
    for action in kind.actions:
        if state.name in action.states:  # one at most
            by, rest = _lever(action, state), least
            ends = [_of_series(side, series) for side in (action.lower, action.upper)]
            moved = [np.where(end > 0, end * by.up, end * by.down) for end in ends]
            most, least = rest + np.maximum(*moved), rest + np.minimum(*moved)
    steps = len(state.lower) - 1
    shape = np.broadcast_shapes(most.shape, least.shape, (steps, kind.size))
    most, least, keep = (np.broadcast_to(x, shape) for x in (most, least, keep))
    if not (found := np.isfinite(most + least)).all():
        step = int(np.argwhere(~found)[0, -2])
        raise DataError(
            f"{kind.name}: the limits of {state.name!r} need series of the whole day, and step {step} has no number."
        )
    full = (*shape[:-2], steps + 1, kind.size)
    lower, upper = (np.array(np.broadcast_to(side, full)) for side in (state.lower, state.upper))
    for t in range(steps - 1, -1, -1):
        now, after = (..., t, slice(None)), (..., t + 1, slice(None))
        lower[now] = np.maximum(lower[now], (lower[after] - most[now]) / keep[now])
        upper[now] = np.minimum(upper[now], (upper[after] - least[now]) / keep[now])
    return lower, upper


def _of_series(step: StepMap, series: Mapping[Leaf, Floats]) -> Floats:
    """What constant and series come to in all steps, shape (..., T or 1, N or 1)."""
    total = step.constant
    for leaf, factor in step.terms.items():
        if leaf.sort == "series":
            total = total + series[leaf] * factor
    return total
