"""From what policies say, between -1 and 1, to actions that keep the limits of actions and states.

With lo <= hi what a step allows, and idle the point of [lo, hi] nearest to zero:

    u = idle + max(a, 0) (hi - idle) + min(a, 0) (idle - lo)

and where an action can have one sign only, u = idle + (a + 1)/2 (far - idle), far the other end. Clamping instead would
give no gradient at the limits. Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gridmodel.ir.training import ActionStep, AgentKind, Leaf, StateStep, StepMap

__all__ = ["Feasible"]


@dataclass(frozen=True)
class _Affine:
    """A step map in tensors; shapes (T or 1, 1, N or 1)."""

    terms: Mapping[Leaf, Tensor]
    constant: Tensor

    def at(self, t: int, leaves: Mapping[Leaf, Tensor], without: frozenset[Leaf] = frozenset()) -> Tensor:
        total = _at(self.constant, t)
        for leaf, factor in self.terms.items():
            if leaf not in without:
                total = total + leaves[leaf] * _at(factor, t)
        return total


@dataclass(frozen=True)
class _Moved:
    """A state that an action moves: its slopes by a rising and a falling action, T or 1 rows each."""

    state: Leaf
    step: _Affine
    up: Tensor
    down: Tensor
    rises: bool
    own: frozenset[Leaf]


class Feasible:
    """The limits of one kind's actions."""

    def __init__(self, kind: AgentKind, steps: int, dtype: torch.dtype, device: torch.device) -> None:
        self.kind, self.steps, self._dtype, self._device = kind, steps, dtype, device
        self._next = {Leaf("state", s.name): self._affine(s.next) for s in kind.states}
        self._bounds = [(self._affine(a.lower), self._affine(a.upper)) for a in kind.actions]
        self._otherwise = [None if a.otherwise is None else self._affine(a.otherwise) for a in kind.actions]
        self._sides = [_side(a) for a in kind.actions]
        self._moved = [[self._moves(a, s) for s in kind.states if s.name in a.states] for a in kind.actions]
        self._start = {s.name: self._put(s.start) for s in kind.states}

    def start(self, state: StateStep, days: int) -> Tensor:
        """The state before the first step, shape (B, N)."""
        return self._start[state.name].expand(days, -1)

    def next(self, t: int, leaves: Mapping[Leaf, Tensor]) -> dict[Leaf, Tensor]:
        """States after a step."""
        return {leaf: step.at(t, leaves) for leaf, step in self._next.items()}

    def parts(self, action: ActionStep, value: Tensor) -> dict[Leaf, Tensor]:
        """An action and its two parts."""
        return {
            Leaf("action", action.name): value,
            Leaf("up", action.name): torch.relu(value),
            Leaf("down", action.name): torch.relu(-value),
        }

    def limits(self, series: Mapping[Leaf, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Limits of states after every step, shape (T + 1, 1 or B, N), from which later ones can be kept.

        Backwards from the last step, for a state with next keep x + moved + rest: lower_t is at least
        (lower_t+1 - rest - the most that it can be moved up) / keep.
        """
        found = {}
        for state in self.kind.states:
            fixed = (self._put(state.lower)[:, None], self._put(state.upper)[:, None])
            found[state.name] = self._viable(state, series) if state.known else fixed
        return found

    def action(
        self, i: int, t: int, raw: Tensor, here: Mapping[Leaf, Tensor], limits: Mapping[str, tuple[Tensor, Tensor]]
    ) -> Tensor:
        """The i-th action at step t, shape (B, N), from what policies said."""
        lo, hi, idle = self._interval(i, t, here, limits)
        if self._sides[i] > 0:
            return idle + 0.5 * (raw + 1.0) * (hi - idle)
        if self._sides[i] < 0:
            return idle - 0.5 * (raw + 1.0) * (idle - lo)
        return idle + torch.relu(raw) * (hi - idle) - torch.relu(-raw) * (idle - lo)

    def otherwise(
        self, i: int, t: int, here: Mapping[Leaf, Tensor], limits: Mapping[str, tuple[Tensor, Tensor]]
    ) -> Tensor:
        """The i-th action at step t, shape (B, N), without a policy."""
        lo, hi, idle = self._interval(i, t, here, limits)
        step = self._otherwise[i]
        return idle if step is None else torch.minimum(torch.maximum(step.at(t, here), lo), hi)

    def _interval(
        self, i: int, t: int, here: Mapping[Leaf, Tensor], limits: Mapping[str, tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a step allows: least, most, and what is nearest to zero, shape (B, N)."""
        lo, hi = (bound.at(t, here) for bound in self._bounds[i])
        lo, hi = torch.broadcast_tensors(lo, hi)
        least, most = lo, hi
        for moved in self._moved[i]:
            rest = moved.step.at(t, here, moved.own)
            low, high = (side[t + 1] - rest for side in limits[moved.state.name])
            if not moved.rises:
                low, high = high, low
            up, down = _at(moved.up, t), _at(moved.down, t)
            lo = torch.maximum(lo, torch.where((low > 0) == moved.rises, low / up, low / down))
            hi = torch.minimum(hi, torch.where((high > 0) == moved.rises, high / up, high / down))
        # Where a state's limits cannot be kept, what comes nearest to them.
        lo = torch.minimum(lo, most)
        hi = torch.maximum(torch.minimum(hi, most), least)
        lo = torch.minimum(torch.maximum(lo, least), hi)
        return lo, hi, torch.minimum(torch.maximum(torch.zeros_like(lo), lo), hi)

    def _viable(self, state: StateStep, series: Mapping[Leaf, Tensor]) -> tuple[Tensor, Tensor]:
        own, step = Leaf("state", state.name), self._next[Leaf("state", state.name)]
        lower, upper = list(self._put(state.lower)[:, None]), list(self._put(state.upper)[:, None])
        others = {leaf for leaf in step.terms if leaf.sort == "state" and leaf != own}
        acts = [i for i, moved in enumerate(self._moved) if any(one.state == own for one in moved)]
        keep = step.terms.get(own)
        if others or keep is None or not bool((keep > 0).all()):
            return torch.stack(lower), torch.stack(upper)
        for t in range(self.steps - 1, -1, -1):
            here = {leaf: values[t] for leaf, values in series.items()}
            rest = step.at(t, here, frozenset(leaf for leaf in step.terms if leaf.sort != "series"))
            most = least = torch.zeros_like(rest)
            for i in acts:
                moved = next(one for one in self._moved[i] if one.state == own)
                ends = [_moved_by(moved, t, bound.at(t, here)) for bound in self._bounds[i]]
                most, least = torch.maximum(*ends), torch.minimum(*ends)
            kept = _at(keep, t)
            lower[t] = torch.maximum(lower[t], (lower[t + 1] - rest - most) / kept)
            upper[t] = torch.minimum(upper[t], (upper[t + 1] - rest - least) / kept)
        shape = torch.broadcast_shapes(*(side.shape for side in (*lower, *upper)))
        return torch.stack([x.expand(shape) for x in lower]), torch.stack([x.expand(shape) for x in upper])

    def _moves(self, action: ActionStep, state: StateStep) -> _Moved:
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
        return _Moved(leaf, step, rising, falling, rises, own)

    def _affine(self, step: StepMap) -> _Affine:
        terms = {leaf: self._put(values)[:, None] for leaf, values in step.terms.items()}
        return _Affine(terms, self._put(step.constant)[:, None])

    def _put(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self._dtype, device=self._device)


def _side(action: ActionStep) -> int:
    """1 where the action is never negative, -1 where it is never positive, 0 where it can be both."""
    if not action.lower.terms and (action.lower.constant >= 0).all():
        return 1
    return -1 if not action.upper.terms and (action.upper.constant <= 0).all() else 0


def _moved_by(moved: _Moved, t: int, value: Tensor) -> Tensor:
    return torch.where(value > 0, value * _at(moved.up, t), value * _at(moved.down, t))


def _at(values: Tensor, t: int) -> Tensor:
    return values[t] if len(values) > 1 else values[0]
