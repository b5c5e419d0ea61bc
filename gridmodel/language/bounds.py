"""Bounds of a variable, checked and broadcast to its shape when they are declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import BoundsError

__all__ = ["Bounds", "read_bounds"]

_UNBOUNDED = 1e20

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_bounds(bounds: Sequence[Any], shape: tuple[int, ...], where: str, agents: int | None = None) -> Bounds:
    """Lower and upper bounds as arrays of the variable's shape.

    Args:
        bounds: a pair (lower, upper); None stands for no bound, and so does 1e20 and more, as in most solvers.
        shape: the variable's shape; its first axis counts the agents of a fleet.
        where: the variable in the user's words, for the error text.
        agents: the number of agents of a fleet, whose bounds may be given as (N,), one an agent.

    Raises:
        BoundsError: not a pair, not numbers, NaN, of a shape that does not fit, or crossing.
    """
    if not isinstance(bounds, Sequence) or isinstance(bounds, str) or len(bounds) != 2:
        raise BoundsError(f"{where}: bounds must be a pair (lower, upper), got {bounds!r}.")
    lower = _side(bounds[0], -np.inf, shape, where, "lower", agents)
    upper = _side(bounds[1], np.inf, shape, where, "upper", agents)
    crossed = np.argwhere(lower > upper)
    if len(crossed):
        at = tuple(int(i) for i in crossed[0])
        raise BoundsError(
            f"{where}: the lower bound {lower[at]:g} exceeds the upper bound {upper[at]:g}"
            f"{f' at entry {at}' if at else ''}. Give bounds=(lower, upper) with lower <= upper."
        )
    if np.isposinf(lower).any() or np.isneginf(upper).any():
        raise BoundsError(f"{where}: a lower bound of +inf or an upper bound of -inf leaves no value.")
    return lower, upper


def _side(
    value: Any, missing: float, shape: tuple[int, ...], where: str, side: str, agents: int | None
) -> NDArray[np.float64]:
    if value is None:
        return np.full(shape, missing)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BoundsError(
            f"{where}: the {side} bound must be a number or an array of numbers, got {value!r}. "
            "A bound that holds a parameter or a variable is a constraint: subject_to(x <= ...)."
        ) from None
    if np.isnan(array).any():
        raise BoundsError(f"{where}: the {side} bound is NaN. Use None (or inf) where there is no bound.")
    array = np.where(np.abs(array) >= _UNBOUNDED, np.copysign(np.inf, array), array)
    one_an_agent = agents is not None and array.shape == (agents,) and len(shape) > 1
    if one_an_agent and array.shape == shape[-1:]:
        raise BoundsError(
            f"{where}: a {side} bound of shape {array.shape} may mean one an agent or one a column. "
            f"Give it the shape ({agents}, 1) or (1, {agents})."
        )
    if one_an_agent:
        array = array.reshape((-1,) + (1,) * (len(shape) - 1))
    try:
        return np.broadcast_to(array, shape).copy()
    except ValueError:
        raise BoundsError(
            f"{where}: the {side} bound has shape {array.shape}, the variable {shape}. "
            "Give a number, or an array that broadcasts to the variable's shape."
        ) from None
