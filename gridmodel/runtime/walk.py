"""One day of the agents of a kind, step by step: what they saw, said and did. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gridmodel.ir.training import Leaf

__all__ = ["Given", "Own", "Policy", "Said", "Seen", "Walk"]

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
    """Raw actions that policies say."""

    policy: Policy

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        """Of one step, shape (N, B, A)."""
        return self.policy(k, t, seen)

    def day(self, k: int, seen: Tensor) -> Tensor:
        """Of all steps, where no agent sees what another step changes."""
        whole = getattr(self.policy, "day", None)
        if whole is not None:
            found: Tensor = whole(k, seen)
            return found
        return torch.stack([self.policy(k, t, seen[t]) for t in range(len(seen))])


@dataclass(frozen=True)
class Given:
    """Raw actions that are given, shape (T, N, B, A)."""

    raw: Tensor

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        """Of one step, shape (N, B, A)."""
        return self.raw[t]

    def day(self, k: int, seen: Tensor) -> Tensor:
        """Of all steps, where no agent sees what another step changes."""
        return self.raw
