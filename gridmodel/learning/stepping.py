"""What the adapters for reinforcement learning share: days drawn at random, rewards, and the range of what is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import ActionStep, AgentKind, Leaf, TrainingGraph
from gridmodel.learning.certify import policies_of
from gridmodel.passes.training.graph import training_days, training_graph
from gridmodel.runtime.agents import seen_order
from gridmodel.runtime.stepper import Stepped, Stepper

if TYPE_CHECKING:
    from gridmodel.language.model import Model
    from gridmodel.learning.policy import Policy

__all__ = ["SteppedDays", "seen_range"]

Floats = NDArray[np.float64]
_SLACK = 1e-3


@final
class SteppedDays:
    """The days of a model's scenarios, each from its first step to its last.

    penalty: of a node's voltage outside the limits, in the model's currency per pu and step. others: policies of agents
    that nobody decides for; None where they do what they do otherwise.
    """

    def __init__(
        self, model: Model, scenarios: Scenarios | None = None, penalty: float = 1000.0, others: Policy | None = None
    ) -> None:
        known = training_days(model)[0]
        self.graph: TrainingGraph = training_graph(model, known)
        self.scenarios = known if scenarios is None else scenarios
        self.penalty, self.stepper, self.day = penalty, Stepper(self.graph), 0
        if others is not None and others.graph.fingerprint != self.graph.fingerprint:
            raise DataError(f"others={others!r} belongs to another model than {model.name!r}.")
        self._others = None if others is None else policies_of(others)
        self.acting = [
            (k, i) for k, kind in enumerate(self.graph.kinds) if kind.actions for i in range(kind.size)
        ]  # fmt: skip

    def begin(self, rng: np.random.Generator, options: dict[str, Any] | None) -> tuple[Floats, ...]:
        """Starts the day that ``options={"day": k}`` names, or one at random; what agents see, (N, F) of each kind.

        Raises:
            DataError: no such day.
        """
        day = (options or {}).get("day", None)
        self.day = int(rng.integers(len(self.scenarios))) if day is None else int(day)
        if not 0 <= self.day < len(self.scenarios):
            raise DataError(f"options={{'day': {self.day}}}: there are days 0 to {len(self.scenarios) - 1}.")
        return self.stepper.begin(self.scenarios, self.day)

    def unsaid(self) -> list[Floats]:
        """What agents say that nobody decides for: of each kind, shape (N, A), NaN for what they do otherwise."""
        found = []
        for k, (kind, seen) in enumerate(zip(self.graph.kinds, self.stepper.seen(), strict=True)):
            raw = np.full((kind.size, len(kind.actions)), np.nan)
            if self._others is not None and kind.actions:
                with torch.no_grad():
                    raw = self._others(k, 0, torch.as_tensor(seen)[:, None])[:, 0].numpy()
            found.append(raw)
        return found

    def about(self, stepped: Stepped) -> dict[str, Any]:
        """Cost and violation of a step of all agents, and whether its load flow was solved."""
        return {
            "cost": float(sum(cost.sum() for cost in stepped.cost)), "violation_pu": float(stepped.over.sum()),
            "worst_pu": float(stepped.over.max(initial=0.0)), "solved": stepped.solved, "day": self.day,
        }  # fmt: skip


def seen_range(kind: AgentKind, steps: int, scenarios: Scenarios) -> tuple[Floats, Floats]:
    """Between which numbers lies what agents see, scaled, shape (N, F).

    Of states three times the width of their limits, since those that nobody can keep may leave them.
    """
    low, high = [np.full(kind.size, -1.0)] * 2, [np.full(kind.size, 1.0)] * 2
    for seen in seen_order(kind):
        if seen.leaf.sort == "series":
            values = scenarios.of(kind.name, seen.leaf.name)
            least, most = values.min(axis=(0, -1)), values.max(axis=(0, -1))
        elif seen.leaf.sort == "state":
            state = next(one for one in kind.states if one.name == seen.leaf.name)
            least, most = state.lower.min(axis=0), state.upper.max(axis=0)
            least, most = least - (most - least), most + (most - least)
        else:
            least, most = _reach(
                next(one for one in kind.actions if one.name == seen.leaf.name), kind, steps, scenarios
            )
        low.append((least - seen.center) / seen.scale - _SLACK)
        high.append((most - seen.center) / seen.scale + _SLACK)
    wide = np.zeros(kind.size)
    return np.stack([x + wide for x in low], axis=1), np.stack([x + wide for x in high], axis=1)


def _reach(action: ActionStep, kind: AgentKind, steps: int, scenarios: Scenarios) -> tuple[Floats, Floats]:
    """The bounds of an action over all days, and 0, which stands for the action before the first."""
    series = {}
    for name in kind.series:
        values = scenarios.of(kind.name, name)
        series[Leaf("series", name)] = values[:, None, :] if values.ndim == 2 else values
    least, most = np.zeros(kind.size), np.zeros(kind.size)
    for t in range(steps):
        here = {leaf: values[..., t] for leaf, values in series.items()}
        least = np.minimum(least, np.min(action.lower(t, here) + np.zeros((1, kind.size)), axis=0))
        most = np.maximum(most, np.max(action.upper(t, here) + np.zeros((1, kind.size)), axis=0))
    return least, most
