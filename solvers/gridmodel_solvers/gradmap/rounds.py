"""What rounds of all ways of training have in common: days drawn anew, one call of the environment, what was seen.

Needs torch.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gridmodel.errors import ModelError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.runtime.environment import Batch, Environment, Outcome
from gridmodel.runtime.perceptron import views
from gridmodel.runtime.policies import Policies
from gridmodel.runtime.training import AbstractTrainer, Round
from gridmodel_solvers.gradmap.calls import stakes
from gridmodel_solvers.gradmap.limits import seen

__all__ = ["AbstractRounds"]

_MANY = 0.2  # share of steps without a load flow


@dataclass(frozen=True)
class AbstractRounds(AbstractTrainer):
    """hidden: sizes of the policies' hidden layers. days: of a round, drawn anew each time.

    A state has "unit", what is at stake on a day, "calls" of the environment, "failed" load flows, the generator's
    "random", and what ``first`` and ``learn`` give. unsolved: what becomes of steps without a load flow.
    """

    unsolved: ClassVar[str]
    hidden: tuple[int, ...] = (32, 32)
    days: int = 16

    @abc.abstractmethod
    def first(self, env: Environment, weights: Sequence[Tensor], generator: torch.Generator) -> dict[str, Any]:
        """Its own part of the first state; weights: of each kind's first policies, shape (N, numbers)."""

    @abc.abstractmethod
    def learn(
        self, state: dict[str, Any], env: Environment, batch: Batch, generator: torch.Generator, progress: float
    ) -> tuple[dict[str, Any], Outcome]:
        """Its own part of the state after a call of the environment on some days, and how these went."""

    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """First policies."""
        generator = torch.Generator().manual_seed(seed)
        drawn = Policies.drawn(env, self.hidden, generator)
        weights = [
            torch.cat([x.flatten(1) for layer in layers for x in layer], dim=1)
            if layers
            else one.zeros(one.kind.size, 0)
            for one, layers in zip(env.feasible, drawn.layers, strict=True)
        ]
        own = self.first(env, weights, generator)
        return {**own, "unit": None, "calls": 0, "failed": 0, "random": generator.get_state()}

    def step(
        self, state: dict[str, Any], env: Environment, days: Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """One call of the environment on new days, and what the policies make of it."""
        generator = torch.Generator()
        generator.set_state(state["random"].cpu())
        batch = env.batch(days, torch.randperm(len(days), generator=generator)[: self.days].numpy())
        unit = stakes(env, self.policies(state, env), batch) if state["unit"] is None else state["unit"]
        own, found = self.learn({**state, "unit": unit}, env, batch, generator, progress)
        was, calls = seen(env, found), state["calls"] + 1
        if was.failed > _MANY:
            warnings.warn(
                f"{self.name}: {was.failed:.0%} of this round's load flows have no solution; the policies ask for more "
                f"than the network carries, and {self.unsolved}.",
                stacklevel=2,
            )
        failed = state["failed"] + (0 if found.solved is None else int((~found.solved).sum()))
        new = {**own, "unit": unit, "calls": calls, "failed": failed, "random": generator.get_state()}
        return new, Round(float(found.cost.mean().detach()), was.share, was.worst, calls)

    def sizes(self, env: Environment, k: int) -> tuple[int, ...]:
        """Of the layers of a kind's policies."""
        return (env.width(k), *self.hidden, len(env.graph.kinds[k].actions))

    def viewed(self, env: Environment, weights: Sequence[Tensor]) -> Policies:
        """The policies whose numbers come first in the weights of each kind."""
        acting = [bool(kind.actions) for kind in env.graph.kinds]
        layers = [views(one, self.sizes(env, k)) if acting[k] else () for k, one in enumerate(weights)]
        return Policies(tuple(tuple(one) for one in layers))

    def require_positive(self, *options: str) -> None:
        """Refuses options that are not above 0."""
        for name in options:
            if not getattr(self, name) > 0:
                raise ModelError(f"{self.name}: {name}={getattr(self, name)}; expected a number above 0.")
