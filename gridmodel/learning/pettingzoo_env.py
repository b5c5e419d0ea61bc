"""The model's days as a parallel environment of PettingZoo. Needs pettingzoo; see ``gridmodel.learning.adapters``."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from gridmodel.learning.stepping import SteppedDays, seen_range

__all__ = ["DayParallelEnv"]

Seen = NDArray[np.float32]


@final
class DayParallelEnv(ParallelEnv):  # type: ignore[misc]
    """Every acting agent for itself, in the same step; an episode is a day.

    Reward of an agent: -(its cost + penalty x sum of all voltages outside the limits in pu). What one agent's action
    changes in its own reward is thus what it changes in the objective of all.
    """

    metadata = {"name": "gridmodel_day_v0", "render_modes": []}  # noqa: RUF012 - PettingZoo's own form

    def __init__(self, days: SteppedDays) -> None:
        self.days = days
        kinds = days.graph.kinds
        self._place = {kinds[k].labels[i]: (k, i) for k, i in days.acting}
        self.possible_agents = list(self._place)
        self.agents: list[str] = []
        self.render_mode = None
        self._rng = np.random.default_rng()
        ranges = [seen_range(kind, days.graph.steps, days.scenarios) for kind in kinds]
        self._seen_spaces, self._raw_spaces = {}, {}
        for name, (k, i) in self._place.items():
            low, high = (side[i].astype(np.float32) for side in ranges[k])
            self._seen_spaces[name] = Box(low, high, dtype=np.float32)
            self._raw_spaces[name] = Box(-1.0, 1.0, (len(kinds[k].actions),), dtype=np.float32)

    def observation_space(self, agent: str) -> Box:
        """What the agent sees, scaled."""
        return self._seen_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """One number in [-1, 1] for each of its actions."""
        return self._raw_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Seen], dict[str, dict[str, Any]]]:
        """Starts a day: ``options={"day": k}``, or one drawn with the seed."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
            for space in (*self._seen_spaces.values(), *self._raw_spaces.values()):
                space.seed(seed)
        self.days.begin(self._rng, options)
        self.agents = list(self.possible_agents)
        return self._seen(), {name: {"day": self.days.day} for name in self.agents}

    def step(
        self, actions: dict[str, Seen]
    ) -> tuple[dict[str, Seen], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One step of all agents; one without an action does what it does otherwise."""
        raw = self.days.unsaid()
        for name, action in actions.items():
            k, i = self._place[name]
            raw[k][i] = action
        stepped = self.days.stepper.step(raw)
        about = self.days.about(stepped)
        names, over = self.agents, self.days.stepper.over
        hinge = self.days.penalty * about["violation_pu"]
        rewards = {name: -(float(stepped.cost[k][i]) + hinge) for name, (k, i) in self._place.items()}
        seen, infos = self._seen(), {name: dict(about) for name in names}
        self.agents = [] if over else names
        return seen, rewards, dict.fromkeys(names, over), dict.fromkeys(names, False), infos

    def _seen(self) -> dict[str, Seen]:
        seen = self.days.stepper.seen()
        return {name: seen[k][i].astype(np.float32) for name, (k, i) in self._place.items()}
