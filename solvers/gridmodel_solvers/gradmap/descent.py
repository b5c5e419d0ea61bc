"""What GradMAP, GradMA and SSL share: days, roll-out, loss, gradient by actions, state. Needs torch."""

from __future__ import annotations

import abc
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
from gridmodel_solvers.gradmap.calls import Called, Gradient, call, stakes
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.limits import Seen, Tightened, seen

__all__ = ["AbstractDescent"]

_MANY = 0.2  # share of steps without a load flow


@dataclass(frozen=True)
class AbstractDescent(AbstractTrainer):
    """Training down exact gradients of cost and network limits.

    loss = mean cost of a day + the penalty of ``Tightened`` with weight = penalty * what a day costs without policies

    hidden: sizes of the policies' hidden layers. days: of a round, drawn anew each time. gradient: "through" is exact,
    "open-loop" leaves out the later policies' answers and costs less.
    margin: pu by which limits are tightened. penalty: of one pu at one node in one step. temperature: pu.
    rate: of Adam; falls to a tenth.

    Raises:
        ModelError: an option out of its range.
    """

    hidden: tuple[int, ...] = (32, 32)
    days: int = 16
    gradient: Gradient = "open-loop"
    margin: float = 5e-3
    penalty: float = 4.0
    temperature: float = 2e-3
    rate: float = 1e-2

    def __post_init__(self) -> None:
        positive = {"days": self.days, "penalty": self.penalty, "temperature": self.temperature, "rate": self.rate}
        for name, value in positive.items():
            if not value > 0:
                raise ModelError(f"{self.name}: {name}={value}; expected a number above 0.")
        if not self.hidden or any(size < 1 for size in self.hidden) or self.margin < 0:
            raise ModelError(f"{self.name}: hidden={self.hidden}, margin={self.margin}; expected sizes and pu.")
        if self.gradient not in ("open-loop", "through"):
            raise ModelError(f"{self.name}: gradient={self.gradient!r}; expected 'open-loop' or 'through'.")

    @abc.abstractmethod
    def improve(self, moments: Moments, sizes: tuple[int, ...], called: Called, k: int, progress: float) -> int:
        """Changes the policies of kind k in place by what a call found; gives the number of updates."""

    @abc.abstractmethod
    def duals(self) -> Duals | None:
        """The multipliers' options; None where there are none."""

    @abc.abstractmethod
    def quadratic(self) -> bool:
        """Whether the penalty has a quadratic part."""

    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """First policies, zero moments and multipliers."""
        generator = torch.Generator().manual_seed(seed)
        drawn = Policies.drawn(env, self.hidden, generator)
        kinds = []
        for layers in drawn.layers:
            parts = [x.reshape(len(x), -1) for layer in layers for x in layer]
            flat = torch.cat(parts, dim=1) if parts else torch.zeros((0, 0))
            kinds.append(Moments(flat, torch.zeros_like(flat), torch.zeros_like(flat), 0).tree(0))
        duals = self.duals()
        first = None if duals is None or env.lower is None else duals.first(env.lower)
        return {"kinds": kinds, "duals": first, "unit": None, "calls": 0, "failed": 0, "random": generator.get_state()}

    def step(
        self, state: dict[str, Any], env: Environment, days: Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """One call of the environment on new days, and what the policies make of it."""
        generator = torch.Generator()
        generator.set_state(state["random"].cpu())
        drawn = torch.randperm(len(days), generator=generator)[: self.days]
        batch, policies = env.batch(days, drawn.numpy()), self.policies(state, env)
        unit = stakes(env, policies, batch) if state["unit"] is None else state["unit"]
        tightened = Tightened(self.penalty * unit, self.margin, self.temperature, self.quadratic())
        over: list[Tensor] = []

        def loss(found: Outcome) -> Tensor:
            value = found.cost.mean()
            if found.u is None:
                return value
            over.append(tightened.excursions(env, found))
            return value + tightened(over[0], None if state["duals"] is None else state["duals"]["multipliers"])

        called = call(env, policies, batch, loss, self.gradient)
        was = _warned(self.name, seen(env, called.outcome))
        kinds, duals, known = [], state["duals"], self.duals()
        for k, kept in enumerate(state["kinds"]):
            moments = Moments.of(kept)
            acts = bool(env.graph.kinds[k].actions)
            kinds.append(moments.tree(self.improve(moments, self._sizes(env, k), called, k, progress) if acts else 0))
        if over and duals is not None and known is not None:
            duals = known.after(duals, over[0], tightened.weight)
        calls = state["calls"] + 1
        solved = called.outcome.solved
        failed = state["failed"] + (0 if solved is None else int((~solved).sum()))
        new = {"kinds": kinds, "duals": duals, "unit": unit, "calls": calls, "failed": failed,
               "random": generator.get_state()}  # fmt: skip
        return new, Round(float(called.outcome.cost.mean().detach()), was.share, was.worst, calls)

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """The policies as they stand."""
        return Policies(
            tuple(
                tuple(views(kept["weights"], self._sizes(env, k))) if env.graph.kinds[k].actions else ()
                for k, kept in enumerate(state["kinds"])
            )
        )

    def _sizes(self, env: Environment, k: int) -> tuple[int, ...]:
        return (env.width(k), *self.hidden, len(env.graph.kinds[k].actions))


def _warned(name: str, was: Seen) -> Seen:
    if was.failed > _MANY:
        warnings.warn(
            f"{name}: {was.failed:.0%} of this round's load flows have no solution; the policies ask for more than the "
            "network carries, and learn from the other steps only.",
            stacklevel=3,
        )
    return was
