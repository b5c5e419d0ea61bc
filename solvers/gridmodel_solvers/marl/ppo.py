"""What IPPO and MAPPO share: exploring days, rewards, advantages, updates, state. Needs torch."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gridmodel.errors import ModelError
from gridmodel.runtime.environment import Batch, Environment, Outcome
from gridmodel.runtime.policies import Policies
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.limits import Tightened
from gridmodel_solvers.gradmap.rounds import AbstractRounds
from gridmodel_solvers.gradmap.schedule import falling
from gridmodel_solvers.marl.actor import Exploring, Surrogate
from gridmodel_solvers.marl.critic import Critic, Level
from gridmodel_solvers.marl.estimates import advantages

__all__ = ["AbstractPPO"]

_LEAST = 0.02  # of spreads: below, ratios of densities are all noise


@dataclass(frozen=True)
class AbstractPPO(AbstractRounds):
    """Proximal policy optimisation of every agent, from rewards alone: no gradient of devices or load flow is used.

    r_itb = -cost_itb - weight sum_n v_tbn,  weight = penalty * what a day costs without policies

    is what agent i gets in step t of day b. v is by how much node n leaves the tightened limits, in pu, which all pay;
    a step without a load flow counts as the worst of the round's others. As nobody's cost depends on others' actions,
    this differs from a reward of all costs together by what an agent cannot influence. Policies are trained as
    Gaussians around the networks that are deployed; a round's statistics are those of the exploring policies.

    hidden: sizes of hidden layers of policies and value networks. days: of a round, drawn anew each time. margin: pu.
    penalty: of one pu at one node in one step. rate: of Adam; falls to a tenth.
    clip: of ratios of densities. discount, trace: of advantages. spread: first standard deviation of actions, whose
    range is -1 to 1. entropy: its weight. epochs, parts: of a round's updates.

    Raises:
        ModelError: an option out of its range.
    """

    unsolved: ClassVar[str] = "such steps count as the worst of the others"
    margin: float = 3e-3
    penalty: float = 1.0
    rate: float = 5e-3
    clip: float = 0.2
    discount: float = 0.95
    trace: float = 0.95
    spread: float = 0.6
    entropy: float = 0.0
    epochs: int = 4
    parts: int = 2

    def __post_init__(self) -> None:
        self.require_positive("days", "penalty", "rate", "clip", "spread", "epochs", "parts")
        if not self.hidden or any(size < 1 for size in self.hidden) or self.margin < 0 or self.entropy < 0:
            raise ModelError(
                f"{self.name}: hidden={self.hidden}, margin={self.margin}, entropy={self.entropy}; expected sizes, pu, "
                "and a number that is not negative."
            )
        if not (0 <= self.discount <= 1 and 0 <= self.trace <= 1):
            raise ModelError(f"{self.name}: discount={self.discount}, trace={self.trace}; expected 0 to 1.")

    @abc.abstractmethod
    def common(self, env: Environment, found: Outcome) -> Tensor:
        """What value networks see beside their agents' own observation, before each step, shape (T, B, G)."""

    @abc.abstractmethod
    def common_width(self, env: Environment) -> int:
        """G."""

    def first(self, env: Environment, weights: Sequence[Tensor], generator: torch.Generator) -> dict[str, Any]:
        """First value networks, and zero moments."""
        actors, critics, levels = [], [], []
        for k, kind in enumerate(env.graph.kinds):
            log_spread = weights[k].new_full((kind.size, len(kind.actions)), math.log(self.spread))
            count = kind.size if kind.actions else 0
            valued = self._critic.drawn(count, self._valued(env, k), generator, log_spread)
            actors.append(Moments.fresh(torch.cat([weights[k], log_spread], dim=1)).tree(0))
            critics.append(Moments.fresh(valued).tree(0))
            levels.append(Level(log_spread.new_zeros(count), log_spread.new_zeros(count), 0.0).tree())
        return {"actors": actors, "critics": critics, "levels": levels}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def learn(
        self, state: dict[str, Any], env: Environment, batch: Batch, generator: torch.Generator, progress: float
    ) -> tuple[dict[str, Any], Outcome]:
        """Explores, and what both networks make of it."""
        exploring = self._exploring(state, env, batch.days, generator)
        found, rate = env.rollout(exploring, batch), falling(self.rate, 0.1, progress)
        shared, common = self._violation(env, found) * (self.penalty * state["unit"]), self.common(env, found)
        new: dict[str, Any] = {"actors": [], "critics": [], "levels": []}
        for k, course in enumerate(found.courses):
            actor, critic = Moments.of(state["actors"][k]), Moments.of(state["critics"][k])
            level, made, fitted = Level(**state["levels"][k]), 0, 0
            if env.graph.kinds[k].actions:
                reward = -course.cost.transpose(1, 2) - shared[:, None]
                sizes, noise = self._valued(env, k), exploring.noise[k]
                value = self._critic.values(critic.weights, sizes, course.seen, common, level)
                better = advantages(reward, value, self.discount, self.trace)
                level = level.after(better + value)
                fitted = self._critic(critic, sizes, course.seen, common, better + value, level, rate)
                update = Surrogate(self.clip, self.entropy, self.epochs, self.parts)
                made = update(actor, self.sizes(env, k), course.seen, exploring.said[k], noise, _even(better), rate)
                actor.weights[:, -noise.shape[-1] :].clamp_(min=math.log(_LEAST))
            new["actors"].append(actor.tree(made))
            new["critics"].append(critic.tree(fitted))
            new["levels"].append(level.tree())
        return new, found

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """The mean actions, without exploring."""
        return self.viewed(env, [kept["weights"] for kept in state["actors"]])

    @property
    def _critic(self) -> Critic:
        return Critic(self.epochs, self.parts)

    def _valued(self, env: Environment, k: int) -> tuple[int, ...]:
        return (env.width(k) + self.common_width(env), *self.hidden, 1)

    def _exploring(self, state: dict[str, Any], env: Environment, days: int, generator: torch.Generator) -> Exploring:
        spreads, noises = [], []
        for kind, kept in zip(env.graph.kinds, state["actors"], strict=True):
            acts = len(kind.actions)
            spreads.append(kept["weights"][:, None, kept["weights"].shape[1] - acts :].exp())
            drawn = torch.randn((env.graph.steps, kind.size, days, acts), generator=generator)
            noises.append(drawn.to(env.device, env.dtype))
        return Exploring(self.policies(state, env), spreads, noises)

    def _violation(self, env: Environment, found: Outcome) -> Tensor:
        """Sum over nodes of how far the tightened limits are left, pu, shape (T, B)."""
        if found.u is None or found.solved is None:
            return found.cost.new_zeros((env.graph.steps, len(found.cost)))
        total = Tightened(1.0, self.margin, 1.0).excursions(env, found).sum(dim=2)
        # Were such steps free, policies would learn to ask for more than the network carries.
        return torch.where(found.solved, total, total.max())


def _even(advantage: Tensor) -> Tensor:
    """With mean 0 and spread 1 for every agent, shape (T, N, B)."""
    off = advantage - advantage.mean(dim=(0, 2), keepdim=True)
    return off / off.square().mean(dim=(0, 2), keepdim=True).sqrt().clamp(min=torch.finfo(off.dtype).tiny)
