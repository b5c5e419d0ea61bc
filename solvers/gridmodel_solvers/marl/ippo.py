"""IPPO: every agent learns alone, from what it sees itself. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from gridmodel.runtime.environment import Environment, Outcome
from gridmodel_solvers.marl.ppo import AbstractPPO

__all__ = ["IPPO"]


@final
@dataclass(frozen=True)
class IPPO(AbstractPPO):
    """Independent PPO: the value network of an agent sees the agent's own observation only.

    Source: de Witt et al. (2020), Is independent learning all you need in the StarCraft multi-agent challenge?,
    without the parameter sharing there, as agents share none when deployed.
    """

    name: ClassVar[str] = "ippo"

    def common(self, env: Environment, found: Outcome) -> Tensor:
        """Nothing."""
        return found.cost.new_zeros((env.graph.steps, len(found.cost), 0))

    def common_width(self, env: Environment) -> int:
        """0."""
        return 0
