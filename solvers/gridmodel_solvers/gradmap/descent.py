"""What GradMAP, GradMA and SSL share: days, roll-out, loss, gradient by actions, state. Needs torch."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gridmodel.errors import ModelError
from gridmodel.runtime.environment import Batch, Environment, Outcome
from gridmodel.runtime.policies import Policies
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.calls import Called, Gradient, call
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.limits import Tightened
from gridmodel_solvers.gradmap.rounds import AbstractRounds
from gridmodel_solvers.gradmap.schedule import falling

__all__ = ["AbstractDescent"]


@dataclass(frozen=True)
class AbstractDescent(AbstractRounds):
    """Training down exact gradients of cost and network limits.

    loss = mean cost of a day + the penalty of ``Tightened`` with weight = penalty * what a day costs without policies

    hidden: sizes of the policies' hidden layers. days: of a round, drawn anew each time. gradient: "through" is exact,
    "open-loop" leaves out the later policies' answers and costs less.
    margin: pu by which limits are tightened. penalty: of one pu at one node in one step. temperature: pu.
    squared: whether excursions count by their squares too.
    rate: of Adam; falls to a tenth. average: rounds over which weights are averaged to the policies that a run gives;
    one at its start, when they still move far, so many at its end.

    Raises:
        ModelError: an option out of its range.
    """

    unsolved: ClassVar[str] = "learn from the other steps only"
    hidden: tuple[int, ...] = (24, 24)
    days: int = 8
    gradient: Gradient = "open-loop"
    margin: float = 6e-3
    penalty: float = 1.0
    temperature: float = 2e-3
    squared: bool = True
    rate: float = 1e-2
    average: int = 10

    def __post_init__(self) -> None:
        self.require_positive("days", "penalty", "temperature", "rate", "average")
        if not self.hidden or any(size < 1 for size in self.hidden) or self.margin < 0:
            raise ModelError(f"{self.name}: hidden={self.hidden}, margin={self.margin}; expected sizes and pu.")
        if self.gradient not in ("open-loop", "through"):
            raise ModelError(f"{self.name}: gradient={self.gradient!r}; expected 'open-loop' or 'through'.")

    @abc.abstractmethod
    def improve(
        self, moments: Moments, sizes: tuple[int, ...], called: Called, k: int, rate: float, progress: float
    ) -> int:
        """Changes the policies of kind k in place by what a call found; gives the number of updates."""

    @abc.abstractmethod
    def duals(self) -> Duals | None:
        """The multipliers' options; None where there are none."""

    def first(self, env: Environment, weights: Sequence[Tensor], generator: torch.Generator) -> dict[str, Any]:
        """Zero moments and multipliers."""
        del generator
        duals = self.duals()
        first = None if duals is None or env.lower is None else duals.first(env.lower)
        return {"kinds": [Moments.fresh(one).tree(0) for one in weights], "means": list(weights), "duals": first}

    def learn(
        self, state: dict[str, Any], env: Environment, batch: Batch, generator: torch.Generator, progress: float
    ) -> tuple[dict[str, Any], Outcome]:
        """Down the gradient of the loss by raw actions."""
        del generator
        tightened = Tightened(self.penalty * state["unit"], self.margin, self.temperature, self.squared)
        over: list[Tensor] = []

        def loss(found: Outcome) -> Tensor:
            value = found.cost.mean()
            if found.u is None:
                return value
            over.append(tightened.excursions(env, found))
            return value + tightened(over[0], None if state["duals"] is None else state["duals"]["multipliers"])

        called = call(env, self.viewed(env, [kept["weights"] for kept in state["kinds"]]), batch, loss, self.gradient)
        kinds, duals, known, rate = [], state["duals"], self.duals(), falling(self.rate, 0.1, progress)
        for k, kept in enumerate(state["kinds"]):
            moments, acts = Moments.of(kept), env.graph.kinds[k].actions
            made = self.improve(moments, self.sizes(env, k), called, k, rate, progress) if acts else 0
            kinds.append(moments.tree(made))
        if over and duals is not None and known is not None:
            duals = known.after(duals, over[0], tightened.weight)
        share = 1.0 / (1.0 + (self.average - 1) * progress)
        means = [torch.lerp(mean, kept["weights"], share) for mean, kept in zip(state["means"], kinds, strict=True)]
        return {"kinds": kinds, "means": means, "duals": duals}, called.outcome

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """The policies, averaged over the last rounds."""
        return self.viewed(env, state["means"])
