"""What IPPO and MAPPO share: exploring days, rewards, advantages, updates, state. Needs torch."""

from __future__ import annotations

import abc
import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gridmodel.errors import ModelError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.runtime.environment import Environment, Outcome
from gridmodel.runtime.perceptron import views
from gridmodel.runtime.policies import Policies
from gridmodel.runtime.training import AbstractTrainer, Round
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.calls import stakes
from gridmodel_solvers.gradmap.limits import Tightened, seen
from gridmodel_solvers.gradmap.schedule import falling
from gridmodel_solvers.marl.actor import Exploring, Surrogate
from gridmodel_solvers.marl.critic import Critic, Level
from gridmodel_solvers.marl.estimates import advantages

__all__ = ["AbstractPPO"]

_MANY = 0.2  # share of steps without a load flow
_LEAST = 0.02  # of spreads: below, ratios of densities are all noise


@dataclass(frozen=True)
class AbstractPPO(AbstractTrainer):
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

    hidden: tuple[int, ...] = (32, 32)
    days: int = 16
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
        positive = {"days": self.days, "penalty": self.penalty, "rate": self.rate, "clip": self.clip,
                    "spread": self.spread, "epochs": self.epochs, "parts": self.parts}  # fmt: skip
        for name, value in positive.items():
            if not value > 0:
                raise ModelError(f"{self.name}: {name}={value}; expected a number above 0.")
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

    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """First policies and value networks, and zero moments."""
        generator = torch.Generator().manual_seed(seed)
        drawn = Policies.drawn(env, self.hidden, generator)
        actors, critics, levels = [], [], []
        for k, (kind, layers) in enumerate(zip(env.graph.kinds, drawn.layers, strict=True)):
            acts = len(kind.actions)
            log_spread = torch.full((kind.size, acts), math.log(self.spread)).to(env.device, env.dtype)
            actors.append(_fresh(torch.cat([*(x.flatten(1) for pair in layers for x in pair), log_spread], dim=1)))
            count = kind.size if acts else 0
            critics.append(_fresh(self._critic.drawn(count, self._valued(env, k), generator, log_spread)))
            zero = torch.zeros(count).to(log_spread)
            levels.append(Level(zero, zero.clone(), 0.0).tree())
        return {"actors": actors, "critics": critics, "levels": levels, "unit": None, "calls": 0, "failed": 0,
                "random": generator.get_state()}  # fmt: skip

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def step(
        self, state: dict[str, Any], env: Environment, days: Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """One call of the environment on new days with exploring policies, and what both networks make of it."""
        generator = torch.Generator()
        generator.set_state(state["random"].cpu())
        chosen = torch.randperm(len(days), generator=generator)[: self.days]
        batch, policies = env.batch(days, chosen.numpy()), self.policies(state, env)
        unit = stakes(env, policies, batch) if state["unit"] is None else state["unit"]
        exploring = self._exploring(state, env, policies, batch.days, generator)
        found = env.rollout(exploring, batch)
        shared, common = self._violation(env, found) * (self.penalty * unit), self.common(env, found)
        new: dict[str, Any] = {"actors": [], "critics": [], "levels": []}
        for k, course in enumerate(found.courses):
            actor, critic = Moments.of(state["actors"][k]), Moments.of(state["critics"][k])
            level = Level(**state["levels"][k])
            made, fitted = 0, 0
            if env.graph.kinds[k].actions:
                reward = -course.cost.transpose(1, 2) - shared[:, None]
                sizes, rate = self._valued(env, k), falling(self.rate, 0.1, progress)
                value = self._critic.values(critic.weights, sizes, course.seen, common, level)
                better = advantages(reward, value, self.discount, self.trace)
                level = level.after(better + value)
                fitted = self._critic(critic, sizes, course.seen, common, better + value, level, rate)
                update = Surrogate(self.clip, self.entropy, self.epochs, self.parts)
                made = update(
                    actor, self._acting(env, k), course.seen, exploring.said[k], exploring.noise[k], _even(better), rate
                )
                actor.weights[:, -exploring.noise[k].shape[-1] :].clamp_(min=math.log(_LEAST))
            new["actors"].append(actor.tree(made))
            new["critics"].append(critic.tree(fitted))
            new["levels"].append(level.tree())
        was, calls = seen(env, found), state["calls"] + 1
        self._warn(was.failed)
        failed = state["failed"] + (0 if found.solved is None else int((~found.solved).sum()))
        new |= {"unit": unit, "calls": calls, "failed": failed, "random": generator.get_state()}
        return new, Round(float(found.cost.mean()), was.share, was.worst, calls)

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """The mean actions, without exploring."""
        return Policies(
            tuple(
                tuple(views(kept["weights"], self._acting(env, k))) if env.graph.kinds[k].actions else ()
                for k, kept in enumerate(state["actors"])
            )
        )

    @property
    def _critic(self) -> Critic:
        return Critic(self.epochs, self.parts)

    def _acting(self, env: Environment, k: int) -> tuple[int, ...]:
        return (env.width(k), *self.hidden, len(env.graph.kinds[k].actions))

    def _valued(self, env: Environment, k: int) -> tuple[int, ...]:
        return (env.width(k) + self.common_width(env), *self.hidden, 1)

    def _exploring(
        self, state: dict[str, Any], env: Environment, policies: Policies, days: int, generator: torch.Generator
    ) -> Exploring:
        spreads, noises = [], []
        for kind, kept in zip(env.graph.kinds, state["actors"], strict=True):
            acts = len(kind.actions)
            spreads.append(kept["weights"][:, None, kept["weights"].shape[1] - acts :].exp())
            drawn = torch.randn((env.graph.steps, kind.size, days, acts), generator=generator)
            noises.append(drawn.to(env.device, env.dtype))
        return Exploring(policies, spreads, noises)

    def _violation(self, env: Environment, found: Outcome) -> Tensor:
        """Sum over nodes of how far the tightened limits are left, pu, shape (T, B)."""
        if found.u is None or found.solved is None:
            return torch.zeros((env.graph.steps, len(found.cost))).to(found.cost)
        total = Tightened(1.0, self.margin, 1.0).excursions(env, found).sum(dim=2)
        # Were such steps free, policies would learn to ask for more than the network carries.
        return torch.where(found.solved, total, total.max())

    def _warn(self, failed: float) -> None:
        if failed > _MANY:
            warnings.warn(
                f"{self.name}: {failed:.0%} of this round's load flows have no solution; the policies ask for more "
                "than the network carries, and such steps count as the worst of the others.",
                stacklevel=3,
            )


def _fresh(weights: Tensor) -> dict[str, Any]:
    return Moments(weights, torch.zeros_like(weights), torch.zeros_like(weights), 0).tree(0)


def _even(advantage: Tensor) -> Tensor:
    """With mean 0 and spread 1 for every agent, shape (T, N, B)."""
    off = advantage - advantage.mean(dim=(0, 2), keepdim=True)
    return off / off.square().mean(dim=(0, 2), keepdim=True).sqrt().clamp(min=torch.finfo(off.dtype).tiny)
