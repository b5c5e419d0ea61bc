"""What PPO makes of rewards: advantages by traces, and the clipped objective with its slope. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["advantages", "clipped"]

_MOST = 10.0  # of log ratios, far beyond where they are clipped


def advantages(reward: Tensor, value: Tensor, discount: float, trace: float) -> Tensor:
    """How much better actions were than expected; days end with their last step, so that nothing follows it.

    A_t = delta_t + discount trace A_t+1,   delta_t = r_t + discount V_t+1 - V_t,   A_T = V_T = 0

    reward, value: r_t and V_t, shape (T, ...), both in one unit.

    Source: Schulman et al. (2016), High-dimensional continuous control using generalized advantage estimation, eq. 16.
    """
    found = torch.empty_like(reward)
    later = after = torch.zeros_like(reward[0])
    for t in range(len(reward) - 1, -1, -1):
        later = reward[t] + discount * after - value[t] + discount * trace * later
        found[t], after = later, value[t]
    return found


def clipped(log_ratio: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The objective min(r A, clip(r, 1 - clip, 1 + clip) A) of every action and its slope by log r.

    log_ratio: of the action's density now to that when it was taken, r = exp(log_ratio).

    Source: Schulman et al. (2017), Proximal policy optimization algorithms, eq. 7.
    """
    ratio = log_ratio.clamp(-_MOST, _MOST).exp()
    free, held = ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage
    return torch.minimum(free, held), torch.where(free <= held, free, torch.zeros_like(free))
