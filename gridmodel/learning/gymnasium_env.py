"""The model's days as an environment of Gymnasium. Needs gymnasium; see ``gridmodel.learning.adapters``."""

from __future__ import annotations

from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from gridmodel.learning.export import find_agent
from gridmodel.learning.stepping import SteppedDays, seen_range

__all__ = ["DayEnv"]

Seen = NDArray[np.float32]


@final
class DayEnv(gymnasium.Env[Seen, Seen]):
    """All acting agents as one, or one of them while the others go their way; an episode is a day.

    An observation is what the agents see, scaled, one after the other; an action is one number in [-1, 1] for every
    action of each. Reward: -(cost + penalty x sum of voltages outside the limits in pu), of all agents, or with
    ``agent`` of its own cost and the whole violation.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, days: SteppedDays, agent: str | None = None) -> None:
        self.days, self.agent = days, agent
        self._own = days.acting if agent is None else [find_agent(days.graph, agent)]
        ranges = [seen_range(kind, days.graph.steps, days.scenarios) for kind in days.graph.kinds]
        low, high = (np.concatenate([ranges[k][side][i] for k, i in self._own]) for side in (0, 1))
        self.observation_space = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        self._widths = [len(days.graph.kinds[k].actions) for k, _ in self._own]
        self.action_space = Box(-1.0, 1.0, (sum(self._widths),), dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Seen, dict[str, Any]]:
        """Starts a day: ``options={"day": k}``, or one drawn with the seed."""
        super().reset(seed=seed)
        self.days.begin(self.np_random, options)
        return self._seen(), {"day": self.days.day}

    def step(self, action: Seen) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """One step of all agents; a day that is over has terminated."""
        raw = self.days.unsaid()
        parts = np.split(np.asarray(action, dtype=np.float64), np.cumsum(self._widths)[:-1])
        for (k, i), part in zip(self._own, parts, strict=True):
            raw[k][i] = part
        stepped = self.days.stepper.step(raw)
        about = self.days.about(stepped)
        cost = about["cost"]
        if self.agent is not None:
            ((k, i),) = self._own
            cost = float(stepped.cost[k][i])
        reward = -(cost + self.days.penalty * about["violation_pu"])
        return self._seen(), reward, self.days.stepper.over, False, about

    def _seen(self) -> Seen:
        seen = self.days.stepper.seen()
        return np.concatenate([seen[k][i] for k, i in self._own]).astype(np.float32)
