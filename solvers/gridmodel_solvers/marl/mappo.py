"""MAPPO: agents act on what they see themselves, their value networks see everyone and the grid. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gridmodel.runtime.environment import Environment, Outcome
from gridmodel_solvers.marl.ppo import AbstractPPO

__all__ = ["MAPPO"]

_VOLTAGES = 3


@final
@dataclass(frozen=True)
class MAPPO(AbstractPPO):
    """PPO with central value networks, which are not deployed.

    Beside its agent's observation a value network sees the mean observation of every kind of agents, and the lowest,
    mean and highest voltage of the step before, each scaled so that -1 and 1 are the limits, 0 in the first step and
    after a step without a load flow.

    Source: Yu et al. (2022), The surprising effectiveness of PPO in cooperative multi-agent games, section 5.2
    (agent-specific global state) and 5.1 (normalised values), without parameter sharing.
    """

    name: ClassVar[str] = "mappo"

    def common(self, env: Environment, found: Outcome) -> Tensor:
        """The kinds' mean observations and the voltages' summary."""
        acting = [course.seen.mean(dim=1) for course in found.courses if course.raw.shape[-1]]
        return torch.cat([*acting, *_voltages(env, found)], dim=-1)

    def common_width(self, env: Environment) -> int:
        """G."""
        kinds = sum(env.width(k) for k, kind in enumerate(env.graph.kinds) if kind.actions)
        return kinds + (_VOLTAGES if env.graph.network is not None else 0)


def _voltages(env: Environment, found: Outcome) -> list[Tensor]:
    """Before every step, shape (T, B, 3)."""
    if found.u is None:
        return []
    assert env.lower is not None
    assert env.upper is not None
    scaled = (2 * found.u - env.lower - env.upper) / (env.upper - env.lower)
    after = torch.stack([scaled.amin(dim=-1), scaled.mean(dim=-1), scaled.amax(dim=-1)], dim=-1).nan_to_num(0.0)
    return [torch.cat([torch.zeros_like(after[:1]), after[:-1]])]
