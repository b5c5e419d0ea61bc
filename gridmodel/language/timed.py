"""What a horizon holds: states, actions, series, costs, what is seen and what is drawn, each with where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.language.source import Place

__all__ = ["Action", "Drawn", "Said", "Seen", "Series", "State"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """An expression with one entry an agent and step, and where it stands."""

    expression: cp.Expression
    place: Place


@dataclass
class State:
    """variable: shape (N, T + 1), or (T + 1,) of one agent. next: (N, T), what it is after each step."""

    variable: cp.Variable
    start: Floats
    lower: Floats
    upper: Floats
    place: Place
    next: Said | None = None


@dataclass
class Action:
    """variable: shape (N, T), or (T,). lower, upper: affine in series. up, down: its parts, if they were asked for.

    otherwise: what the agent does without a policy, (N, T); None for what is nearest to zero.
    """

    variable: cp.Variable
    lower: cp.Expression
    upper: cp.Expression
    place: Place
    up: cp.Variable | None = None
    down: cp.Variable | None = None
    otherwise: Said | None = None

    def most(self) -> tuple[Floats, Floats] | None:
        """How far it may go up and down from zero, both at least 0; None where its bounds are not numbers."""
        if any(side.parameters() or side.variables() for side in (self.lower, self.upper)):
            return None
        return np.maximum(self.upper.value, 0.0), np.maximum(-self.lower.value, 0.0)


@dataclass(frozen=True)
class Series:
    """parameter: shape (N, T), or (T,). known: whether the whole day is known at its start."""

    parameter: cp.Parameter
    shared: bool
    known: bool
    unit: str | None = None


@dataclass(frozen=True)
class Seen:
    """What a policy sees: a state, an action's last value, or a series, ``ahead`` steps from now."""

    quantity: cp.Variable | cp.Parameter
    ahead: int


@dataclass(frozen=True)
class Drawn:
    """Power drawn from the network: p kW, q kvar or None, at nodes such as "60.1", rating in kVA, a droop or None."""

    p: cp.Expression
    q: cp.Expression | None
    at: tuple[str, ...]
    rating: Floats | None
    droop: Any
    place: Place
