"""What voltages out of their limits cost in training. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gridmodel.runtime.environment import Environment, Outcome

__all__ = ["Seen", "Tightened", "seen"]


@dataclass(frozen=True)
class Tightened:
    """The penalty on leaving limits that are tightened by ``margin`` pu.

    sum over days b of share_b sum over steps and nodes of (weight + multiplier_n) v_tbn, v the excursion in pu, or
    v + v^2 / margin; the shares are a soft-max of the days' worst excursions, so that the worst days count.

    weight: per pu. temperature: of the soft-max, pu. multipliers: shape (nodes,), per pu, or None.
    """

    weight: float
    margin: float
    temperature: float
    squared: bool = False

    def excursions(self, env: Environment, found: Outcome) -> Tensor:
        """Pu by which the tightened limits are left, shape (T, B, nodes), 0 in steps without a load flow."""
        assert env.lower is not None
        assert env.upper is not None
        margin = torch.clamp((env.upper - env.lower) / 2, max=self.margin)
        return found.over(env.lower + margin, env.upper - margin)

    def __call__(self, over: Tensor, multipliers: Tensor | None) -> Tensor:
        """The penalty, a scalar, from excursions."""
        shares = torch.softmax(over.detach().amax(dim=(0, 2)) / self.temperature, dim=0)
        size = over + over.square() / max(self.margin, 1e-4) if self.squared else over
        each = size.sum(dim=0) * self.weight if multipliers is None else size.sum(dim=0) * (self.weight + multipliers)
        return (each.sum(dim=1) * shares).sum()


@dataclass(frozen=True)
class Seen:
    """Share of solved node-steps out of the true limits, worst excursion in pu, share of steps without a load flow."""

    share: float
    worst: float
    failed: float


def seen(env: Environment, found: Outcome) -> Seen:
    """How the days of a round kept the true limits."""
    if found.u is None or found.solved is None:
        return Seen(0.0, 0.0, 0.0)
    assert env.lower is not None
    assert env.upper is not None
    with torch.no_grad():
        over = found.over(env.lower, env.upper)
        solved = int(found.solved.sum())
        share = float((over > 0).sum()) / max(solved * over.shape[-1], 1)
        return Seen(share, float(over.max()), 1.0 - solved / found.solved.numel())
