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

__all__ = ["Affine", "Feasible", "Motion", "Moved"]


@dataclass(frozen=True)
class Affine:
    """A step map in tensors; shapes (T or 1, B or 1, N or 1)."""

    terms: Mapping[Leaf, Tensor]
    constant: Tensor

    def at(self, t: int | slice, leaves: Mapping[Leaf, Tensor]) -> Tensor:
        """The value at a step, or at all: slice(None)."""
        total = _at(self.constant, t)
        for leaf, factor in self.terms.items():
            total = torch.addcmul(total, leaves[leaf], _at(factor, t))
        return total

    def folded(self, series: Mapping[Leaf, Tensor], without: frozenset[Leaf] = frozenset()) -> Affine:
        """The same with the series of some days in its constant, and without some terms."""
        total, rest = self.constant, {}
        for leaf, factor in self.terms.items():
            if leaf in without:
                continue
            if leaf.sort == "series":
                total = total + series[leaf] * factor
            else:
                rest[leaf] = factor
        return Affine(rest, total)


@dataclass(frozen=True)
class Moved:
    """A state that an action moves: its slopes by a rising and by a falling action, shape (T or 1, 1, N or 1).

    far: whether of the actions p that move it by x, x / up and x / down, the larger one does it; None where both are
    equal. mixed: whether that differs between agents or steps. over: 1 / up, 1 / down.
    """

    state: Leaf
    up: Tensor
    down: Tensor
    rises: bool
    own: frozenset[Leaf]
    far: bool | None
    mixed: bool
    over: tuple[Tensor, Tensor]

    def by(self, t: int | slice, x: Tensor) -> Tensor:
        """The action that moves the state by x."""
        first = x * _at(self.over[0], t)
        if self.far is None:
            return first
        second = x * _at(self.over[1], t)
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
    """The limits of one kind's actions."""

    def __init__(self, kind: AgentKind, steps: int, dtype: torch.dtype, device: torch.device) -> None:
        self.kind, self.steps, self._dtype, self._device = kind, steps, dtype, device
        self._next = {Leaf("state", s.name): self._affine(s.next) for s in kind.states}
        self._bounds = [(self._affine(a.lower), self._affine(a.upper)) for a in kind.actions]
        self._otherwise = [None if a.otherwise is None else self._affine(a.otherwise) for a in kind.actions]
        self.sides = [_side(a) for a in kind.actions]
        self.moved = [[self._moves(a, s) for s in kind.states if s.name in a.states] for a in kind.actions]
        self._start = {s.name: self._put(s.start) for s in kind.states}
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def motion(self, series: Mapping[Leaf, Tensor], days: int) -> Motion:
        """The agents over some days."""
        limits = {Leaf("state", s.name): self._limits(s, series) for s in self.kind.states}
        rooms = [[self._room(moved, limits[moved.state], series) for moved in own] for own in self.moved]
        return Motion(
            self,
            {leaf: start.expand(days, -1) for leaf, start in self._starts.items()},
            [(low.folded(series).constant, high.folded(series).constant) for low, high in self._bounds],
            [None if one is None else one.folded(series) for one in self._otherwise],
            rooms,
            {leaf: step.folded(series) for leaf, step in self._next.items()},
        )

    @property
    def _starts(self) -> dict[Leaf, Tensor]:
        return {Leaf("state", name): start for name, start in self._start.items()}

    def _room(self, moved: Moved, limits: tuple[Tensor, Tensor], series: Mapping[Leaf, Tensor]) -> _Room:
        rest = self._next[moved.state].folded(series, moved.own)
        minus = {leaf: -factor for leaf, factor in rest.terms.items()}
        low, high = (Affine(minus, side[1:] - rest.constant) for side in limits)
        return _Room(moved, low, high) if moved.rises else _Room(moved, high, low)

    def _limits(self, state: StateStep, series: Mapping[Leaf, Tensor]) -> tuple[Tensor, Tensor]:
        """Limits of a state after every step, shape (T + 1, 1 or B, N), from which later ones can be kept."""
        if not state.known:
            return self._put(state.lower)[:, None], self._put(state.upper)[:, None]
        if state.name in self._kept:
            return self._kept[state.name]
        own = Leaf("state", state.name)
        acts = [i for i, moved in enumerate(self.moved) if any(one.state == own for one in moved)]
        maps = [self._next[own], *(bound for i in acts for bound in self._bounds[i])]
        found = self._viable(state, acts, series)
        if not any(leaf.sort == "series" for one in maps for leaf in one.terms):
            self._kept[state.name] = found
        return found

    def _viable(self, state: StateStep, acts: Sequence[int], series: Mapping[Leaf, Tensor]) -> tuple[Tensor, Tensor]:
        """Backwards from the last step: with next keep x + moved + rest, lower_t is at least
        (lower_t+1 - rest - the most that it can be moved up) / keep.
        """
        own, step = Leaf("state", state.name), self._next[Leaf("state", state.name)]
        lower, upper = list(self._put(state.lower)[:, None]), list(self._put(state.upper)[:, None])
        others = {leaf for leaf in step.terms if leaf.sort == "state" and leaf != own}
        keep = step.terms.get(own)
        if others or keep is None or not bool((keep > 0).all()):
            return torch.stack(lower), torch.stack(upper)
        rest = step.folded(series, frozenset(leaf for leaf in step.terms if leaf.sort != "series")).constant
        most = least = torch.zeros_like(rest)
        for i in acts:
            moved = next(one for one in self.moved[i] if one.state == own)
            ends = [bound.folded(series).constant for bound in self._bounds[i]]
            by = [torch.where(end > 0, end * moved.up, end * moved.down) for end in ends]
            most, least = torch.maximum(*by), torch.minimum(*by)
        least, most = rest + least, rest + most
        for t in range(self.steps - 1, -1, -1):
            kept = _at(keep, t)
            lower[t] = torch.maximum(lower[t], (lower[t + 1] - _at(most, t)) / kept)
            upper[t] = torch.minimum(upper[t], (upper[t + 1] - _at(least, t)) / kept)
        shape = torch.broadcast_shapes(*(side.shape for side in (*lower, *upper)))
        return torch.stack([x.expand(shape) for x in lower]), torch.stack([x.expand(shape) for x in upper])

    def _moves(self, action: ActionStep, state: StateStep) -> Moved:
        leaf = Leaf("state", state.name)
        step = self._next[leaf]
        own = frozenset((Leaf("action", action.name), Leaf("up", action.name), Leaf("down", action.name)))
        zero = torch.zeros((1, 1, 1), dtype=self._dtype, device=self._device)
        plain, up, down = (step.terms.get(Leaf(sort, action.name), zero) for sort in ("action", "up", "down"))
        rising, falling = plain + up, plain - down
        rises = bool((rising > 0).any() or (falling > 0).any())
        # A side without slope is never the one that a limit asks for.
        tiny = 1e-12 if rises else -1e-12
        rising, falling = (torch.where(s == 0, torch.full_like(s, tiny), s) for s in (rising, falling))
        over = (1 / rising, 1 / falling)
        more, equal = over[0] > over[1], bool((rising == falling).all())
        mixed, far = bool((more != more.flatten()[0]).any()), bool(more.flatten()[0]) == rises
        return Moved(leaf, rising, falling, rises, own, None if equal else far, mixed, over)

    def _affine(self, step: StepMap) -> Affine:
        terms = {leaf: self._put(values)[:, None] for leaf, values in step.terms.items()}
        return Affine(terms, self._put(step.constant)[:, None])

    def _put(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self._dtype, device=self._device)


@dataclass(frozen=True)
class Motion:
    """Agents of a kind over some days: what a step allows, and what is next.

    Every method takes a step with tensors of shape (B, N), or slice(None) and tensors of shape (T, B, N).
    start: by state, shape (B, N).
    """

    of: Feasible
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
        least, most = (_at(bound, t) for bound in self.bounds[i])
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


def _side(action: ActionStep) -> int:
    """1 where the action is never negative, -1 where it is never positive, 0 where it can be both."""
    if not action.lower.terms and (action.lower.constant >= 0).all():
        return 1
    return -1 if not action.upper.terms and (action.upper.constant <= 0).all() else 0


def _at(values: Tensor, t: int | slice) -> Tensor:
    if isinstance(t, slice):
        return values
    return values[t] if values.shape[0] > 1 else values[0]
