"""What a way of training is: frozen options, a separate state, steps that are one call of the environment each."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

from gridmodel.ir.scenarios import Scenarios
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies

__all__ = ["AbstractTrainer", "Round"]


@dataclass(frozen=True)
class Round:
    """One round of training as it went, on the days that it was trained on.

    cost: mean of a day, of all agents, in the model's currency. share: of node-steps outside the true limits.
    worst: pu by which they were left. calls: of the environment so far.
    """

    cost: float
    share: float
    worst: float
    calls: int


class AbstractTrainer(abc.ABC):
    """A way to train policies; ``name`` is the word on the command line, options are fields of a frozen dataclass.

    A state is a plain tree of dicts, lists, numbers and tensors, which ``torch.save`` keeps and from which a run goes
    on to the same numbers: random numbers come from a generator whose state is in it.
    """

    name: ClassVar[str]

    @abc.abstractmethod
    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """The first state."""

    @abc.abstractmethod
    def step(
        self, state: dict[str, Any], env: Environment, days: Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """The state after one round on some of the days; progress: share of the run that is over, for schedules."""

    @abc.abstractmethod
    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """The policies as they stand."""
