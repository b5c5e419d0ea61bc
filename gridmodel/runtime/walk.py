"""Days of the agents of a kind, step by step: what they saw, said and did. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gridmodel.ir.training import Leaf
from gridmodel.runtime.feasible import Motion

__all__ = ["Given", "Own", "Policy", "Said", "Seen", "Walk", "walk"]

_WHOLE = slice(None)

Policy = Callable[[int, int, Tensor], Tensor]
"""(kind, step, what its agents see, shape (N, B, F)) -> raw actions, shape (N, B, A), between -1 and 1.

A method ``day(kind, seen)`` of it, from shape (T, N, B, F), is called where no step depends on the one before it.
"""

Own = Sequence[tuple[int, Leaf, Tensor, Tensor]]
"""What policies see of themselves: its place in what they see, center and 1 / scale, shape (N,)."""


class Seen:
    """What policies of a kind see on some days, memory of shape (N, T, F, B)."""

    def __init__(self, own: Own, memory: Tensor) -> None:
        self.own, self._taped = own, torch.is_grad_enabled()
        self._memory = memory.clone() if own and not self._taped else memory
        self._taken: list[Tensor] = []

    @property
    def full(self) -> Tensor:
        """Shape (T, N, B, F)."""
        return self._memory.permute(1, 0, 3, 2)

    def at(self, t: int, now: Mapping[Leaf, Tensor], last: Mapping[Leaf, Tensor]) -> Tensor:
        """At one step, shape (N, B, F)."""
        values = [
            ((now if leaf.sort == "state" else last)[leaf] - center).mul(over).T for _, leaf, center, over in self.own
        ]
        if not self._taped:
            for (column, *_), value in zip(self.own, values, strict=True):
                self._memory[:, t, column] = value
            return self._memory[:, t].transpose(1, 2)
        rest = self._memory[:, t, : self._memory.shape[2] - len(values)].transpose(1, 2)
        self._taken.append(torch.cat([rest, *(value[..., None] for value in values)], dim=-1))
        return self._taken[-1]

    def whole(self) -> Tensor:
        """Of the day, shape (T, N, B, F), without gradient."""
        return torch.stack(self._taken).detach() if self._taken else self.full


@dataclass(frozen=True)
class Walk:
    """Steps of a kind: raw actions, what was seen, states of shape (T + 1, B, N) and actions of (T, B, N)."""

    raw: Tensor
    seen: Tensor
    states: Mapping[Leaf, Tensor]
    actions: Mapping[Leaf, Tensor]


@dataclass(frozen=True)
class Said:
    """Raw actions that policies of kind k say."""

    policy: Policy
    k: int

    def __call__(self, t: int, seen: Tensor) -> Tensor:
        """Of one step, shape (N, B, A)."""
        return self.policy(self.k, t, seen)

    def day(self, seen: Tensor) -> Tensor:
        """Of all steps, where no agent sees what another step changes."""
        whole = getattr(self.policy, "day", None)
        if whole is not None:
            found: Tensor = whole(self.k, seen)
            return found
        return torch.stack([self(t, seen[t]) for t in range(len(seen))])


@dataclass(frozen=True)
class Given:
    """Raw actions that are given, shape (T, N, B, A)."""

    raw: Tensor

    def __call__(self, t: int, seen: Tensor) -> Tensor:
        """Of one step, shape (N, B, A)."""
        return self.raw[t]

    def day(self, seen: Tensor) -> Tensor:
        """Of all steps, where no agent sees what another step changes."""
        return self.raw


def walk(motion: Motion, said: Said | Given | None, seen: Seen | None) -> Walk:
    """Days under raw actions, or, where nothing is said, under what agents do otherwise.

    seen: None where nobody looks.
    """
    kind, steps = motion.of.kind, motion.of.steps
    blank = motion.of.zeros(steps, kind.size, motion.days, 0)
    if not kind.actions:
        said = seen = None
    if kind.states or (seen is not None and seen.own):
        return _in_turn(motion, said, seen, blank)
    full = blank if seen is None else seen.full
    raw = blank if said is None else said.day(full)
    size, actions = (steps, motion.days, kind.size), {}
    for i, action in enumerate(kind.actions):
        value = _done(motion, i, _WHOLE, None if said is None else raw[..., i].transpose(1, 2), {})
        actions[Leaf("action", action.name)] = value.expand(size)
    return Walk(raw, full, {}, actions)


def _in_turn(motion: Motion, said: Said | Given | None, seen: Seen | None, blank: Tensor) -> Walk:
    """Step by step, as states, or what agents see of themselves, need the step before."""
    kind, now, size = motion.of.kind, dict(motion.start), (motion.days, motion.of.kind.size)
    last = {Leaf("action", action.name): motion.of.zeros(*size) for action in kind.actions}
    track: dict[Leaf, list[Tensor]] = {leaf: [value] for leaf, value in now.items()} | {leaf: [] for leaf in last}
    raws, parted = [], motion.parted
    for t in range(motion.of.steps):
        if said is not None:
            raws.append(said(t, blank[t] if seen is None else seen.at(t, now, last)))
        here = dict(now)
        for i, action in enumerate(kind.actions):
            value = _done(motion, i, t, raws[t][:, :, i].T if raws else None, now)
            leaf = Leaf("action", action.name)
            last[leaf] = value.expand(size)
            here |= motion.parts(action, value) if parted else {leaf: value}
        now = motion.next(t, here)
        for leaf, value in (now | last).items():
            track[leaf].append(value)
    whole = {leaf: torch.stack(values) for leaf, values in track.items()}
    return Walk(
        torch.stack(raws) if raws else blank, blank if seen is None else seen.whole(),
        {leaf: whole[leaf] for leaf in motion.start}, {leaf: whole[leaf] for leaf in last},
    )  # fmt: skip


def _done(motion: Motion, i: int, t: int | slice, raw: Tensor | None, now: Mapping[Leaf, Tensor]) -> Tensor:
    """The i-th action, from raw actions of shape (..., B, N)."""
    return motion.otherwise(i, t, now) if raw is None else motion.action(i, t, raw, now)
