"""From what policies say, between -1 and 1, to actions that keep the limits of actions and states.

With lo <= hi what a step allows, and idle the point of [lo, hi] nearest to zero:

    u = idle + max(a, 0) (hi - idle) + min(a, 0) (idle - lo)

and where an action can have one sign only, u = idle + (a + 1)/2 (far - idle), far the other end. Clamping instead would
give no gradient at the limits. Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gridmodel.ir.training import ActionStep, AgentKind, Leaf, StateStep, StepMap
from gridmodel.runtime.limits import Floats, Lever, at_step, levers, sign_of, viable

__all__ = ["Affine", "Feasible", "Motion", "Moved"]


@dataclass(frozen=True)
class Affine:
    """A step map in tensors; shapes (T or 1, B or 1, N or 1)."""

    terms: Mapping[Leaf, Tensor]
    constant: Tensor

    def at(self, t: int | slice, leaves: Mapping[Leaf, Tensor]) -> Tensor:
        """The value at a step, or at all: slice(None)."""
        total: Tensor = at_step(self.constant, t)
        for leaf, factor in self.terms.items():
            total = torch.addcmul(total, leaves[leaf], at_step(factor, t))
        return total

    def folded(self, series: Mapping[Leaf, Tensor]) -> Affine:
        """The same with the series of some days in its constant."""
        total, rest = self.constant, {}
        for leaf, factor in self.terms.items():
            if leaf in series:
                total = total + series[leaf] * factor
            else:
                rest[leaf] = factor
        return Affine(rest, total)


@dataclass(frozen=True)
class Moved:
    """A lever in tensors, shape (T or 1, 1, N or 1).

    over: 1 / up, 1 / down. far: whether of the actions that move the state by x, x / up and x / down, the larger one
    does it; None where both are equal, and mixed where that differs between agents or steps.
    """

    state: Leaf
    up: Tensor
    down: Tensor
    over: tuple[Tensor, Tensor]
    rises: bool
    far: bool | None
    mixed: bool
    rest: Affine

    def by(self, t: int | slice, x: Tensor) -> Tensor:
        """The action that moves the state by x."""
        first = x * at_step(self.over[0], t)
        if self.far is None:
            return first
        second = x * at_step(self.over[1], t)
        if self.mixed:
            return torch.where((x > 0) == self.rises, first, second)
        return torch.maximum(first, second) if self.far else torch.minimum(first, second)

    def slope(self, value: Tensor) -> Tensor:
        """How the state moves with the action at its values, shape (T, B, N)."""
        return self.up if self.far is None else torch.where(value > 0, self.up, self.down)


@dataclass(frozen=True)
class _Room:
    """What limits of a state leave an action: low, high: shape (T, B or 1, N), less what else moves the state."""

    moved: Moved
    low: Affine
    high: Affine


class Feasible:
    """The agents of one kind on a device: how states move, and the limits of actions."""

    def __init__(self, kind: AgentKind, steps: int, dtype: torch.dtype, device: torch.device) -> None:
        self.kind, self.steps, self.dtype, self.device = kind, steps, dtype, device
        self._next = {Leaf("state", s.name): self.affine(s.next) for s in kind.states}
        self._bounds = [(self.affine(a.lower), self.affine(a.upper)) for a in kind.actions]
        self._otherwise = [None if a.otherwise is None else self.affine(a.otherwise) for a in kind.actions]
        self.sides = [sign_of(a) for a in kind.actions]
        self.moved = [[self._moved(one) for one in own] for own in levers(kind)]
        self._start = {Leaf("state", s.name): self._put(s.start) for s in kind.states}
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def motion(self, series: Mapping[Leaf, Tensor], arrays: Mapping[Leaf, Floats], days: int) -> Motion:
        """The agents over some days, from series of shape (T, B, N) and, once more, (B, T, N or 1)."""
        limits = {Leaf("state", s.name): self._limits(s, arrays) for s in self.kind.states}
        return Motion(
            self,
            days,
            {leaf: start.expand(days, -1) for leaf, start in self._start.items()},
            [(low.folded(series).constant, high.folded(series).constant) for low, high in self._bounds],
            [None if one is None else one.folded(series) for one in self._otherwise],
            [[_room(moved, limits[moved.state], series) for moved in own] for own in self.moved],
            {leaf: step.folded(series) for leaf, step in self._next.items()},
        )

    def affine(self, step: StepMap) -> Affine:
        """A step map as tensors."""
        terms = {leaf: self._put(values)[:, None] for leaf, values in step.terms.items()}
        return Affine(terms, self._put(step.constant)[:, None])

    def zeros(self, *shape: int) -> Tensor:
        """A tensor of zeros."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def _limits(self, state: StateStep, arrays: Mapping[Leaf, Floats]) -> tuple[Tensor, Tensor]:
        """Limits of a state that can be kept, shape (T + 1, 1 or B, N)."""
        if state.name in self._kept:
            return self._kept[state.name]
        low, high = viable(self.kind, state, arrays)
        if low.ndim == 3:
            return self._put(low.swapaxes(0, 1)), self._put(high.swapaxes(0, 1))
        found = self._kept[state.name] = (self._put(low)[:, None], self._put(high)[:, None])
        return found

    def _moved(self, one: Lever) -> Moved:
        over = 1 / one.up, 1 / one.down
        more, equal = over[0] > over[1], bool((one.up == one.down).all())
        first = bool(more.flat[0])
        up, down, *turned = (self._put(x)[:, None] for x in (one.up, one.down, *over))
        return Moved(
            Leaf("state", one.state), up, down, (turned[0], turned[1]), one.rises,
            None if equal else first == one.rises, bool((more != first).any()), self.affine(one.rest),
        )  # fmt: skip

    def _put(self, values: Floats) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), dtype=self.dtype, device=self.device)


def _room(moved: Moved, limits: tuple[Tensor, Tensor], series: Mapping[Leaf, Tensor]) -> _Room:
    rest = moved.rest.folded(series)
    minus = {leaf: -factor for leaf, factor in rest.terms.items()}
    low, high = (Affine(minus, side[1:] - rest.constant) for side in limits)
    return _Room(moved, low, high) if moved.rises else _Room(moved, high, low)


@dataclass(frozen=True)
class Motion:
    """Agents of a kind over some days: what a step allows, and what is next.

    Every method takes a step with tensors of shape (B, N), or slice(None) and tensors of shape (T, B, N).
    start: by state, shape (B, N).
    """

    of: Feasible
    days: int
    start: Mapping[Leaf, Tensor]
    bounds: Sequence[tuple[Tensor, Tensor]]
    without: Sequence[Affine | None]
    rooms: Sequence[Sequence[_Room]]
    steps: Mapping[Leaf, Affine]

    @property
    def parted(self) -> bool:
        """Whether the next states depend on parts of actions."""
        return any(leaf.sort in ("up", "down") for step in self.steps.values() for leaf in step.terms)

    def action(self, i: int, t: int | slice, raw: Tensor, states: Mapping[Leaf, Tensor]) -> Tensor:
        """The i-th action from what policies said."""
        lo, hi = self._interval(i, t, states)
        if self.of.sides[i] > 0:
            return torch.lerp(lo, hi, 0.5 * raw + 0.5)
        if self.of.sides[i] < 0:
            return torch.lerp(hi, lo, 0.5 * raw + 0.5)
        idle = torch.minimum(lo.clamp(min=0.0), hi)
        return torch.addcmul(idle, raw, torch.where(raw > 0, hi - idle, idle - lo))

    def otherwise(self, i: int, t: int | slice, states: Mapping[Leaf, Tensor]) -> Tensor:
        """The i-th action without a policy."""
        lo, hi = self._interval(i, t, states)
        step = self.without[i]
        return torch.minimum(lo.clamp(min=0.0), hi) if step is None else step.at(t, states).clamp(lo, hi)

    def next(self, t: int, leaves: Mapping[Leaf, Tensor]) -> dict[Leaf, Tensor]:
        """States after a step."""
        return {leaf: step.at(t, leaves) for leaf, step in self.steps.items()}

    def parts(self, action: ActionStep, value: Tensor) -> dict[Leaf, Tensor]:
        """An action and its two parts."""
        return {
            Leaf("action", action.name): value,
            Leaf("up", action.name): torch.relu(value),
            Leaf("down", action.name): torch.relu(-value),
        }

    def _interval(self, i: int, t: int | slice, states: Mapping[Leaf, Tensor]) -> tuple[Tensor, Tensor]:
        """What a step allows: least and most."""
        least, most = (at_step(bound, t) for bound in self.bounds[i])
        if not self.rooms[i]:
            return least, most
        lows = [room.moved.by(t, room.low.at(t, states)) for room in self.rooms[i]]
        highs = [room.moved.by(t, room.high.at(t, states)) for room in self.rooms[i]]
        lo, hi = lows[0], highs[0]
        for low, high in zip(lows[1:], highs[1:], strict=True):
            lo, hi = torch.maximum(lo, low), torch.minimum(hi, high)
        # Where a state's limits cannot be kept, what comes nearest to them.
        lo, hi = lo.clamp(least, most), hi.clamp(least, most)
        return torch.minimum(lo, hi), hi
