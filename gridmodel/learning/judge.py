"""How days under policies, or without, turn out by the exact load flow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import Leaf, StateStep, TrainingGraph
from gridmodel.learning.certificate import Left
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies
from gridmodel.runtime.threads import threads

__all__ = ["Judged", "judge_days"]

Floats = NDArray[np.float64]

_AT_ONCE = 16  # days; what a day takes grows with agents
_NOISE = 1e-9  # pu, and of states in parts of the size of their limits


@dataclass(frozen=True)
class Judged:
    """Days as they turn out.

    cost: of all agents in the model's currency, shape (days,). u: voltages in pu at the nodes with limits, shape
    (days, steps, nodes), NaN where there is no load flow; None without a network. over: by how much they leave their
    limits, likewise. unsolved: steps without a load flow, which no statistic holds. states: how each "agent.state" with
    limits leaves them after the steps.
    """

    cost: Floats
    u: Floats | None
    over: Floats | None
    unsolved: int
    states: Mapping[str, Left]

    @property
    def share(self) -> float:
        """Share of node-steps outside the limits."""
        found = self._found
        return float((found > _NOISE).mean()) if found.size else 0.0

    @property
    def worst(self) -> float:
        """By how much limits are left at most, pu."""
        return float(self._found.max(initial=0.0))

    @property
    def p95(self) -> float:
        """The 95th percentile of the node-steps that leave their limits, pu; 0 where none does."""
        out = self._found[self._found > _NOISE]
        return float(np.quantile(out, 0.95)) if out.size else 0.0

    @property
    def _found(self) -> Floats:
        return np.empty(0) if self.over is None else self.over[np.isfinite(self.over)]


def judge_days(graph: TrainingGraph, policies: Policies | None, scenarios: Scenarios) -> Judged:
    """The days under policies, or, where there are none, under what agents do otherwise.

    In double precision throughout; voltages by ``Feeder.load_flow`` with its Newton fallback.
    """
    env = Environment(graph, torch.float64)
    own = None if policies is None else policies.like([x.to(env.device, env.dtype) for x in policies.tensors])
    tallies = _tallies(graph)
    with threads():
        parts = [
            _some(env, own, scenarios.take(slice(k, k + _AT_ONCE)), tallies) for k in range(0, len(scenarios), _AT_ONCE)
        ]
    cost = np.concatenate([cost for cost, _, _ in parts])
    states = {f"{graph.kinds[k].name}.{name}": one.left(graph.steps, len(cost)) for (k, name), one in tallies.items()}
    network = graph.network
    if network is None:
        return Judged(cost, None, None, 0, states)
    u = np.concatenate([u for _, u, _ in parts if u is not None])
    over = np.maximum(np.maximum(network.lower - u, u - network.upper), 0.0)
    return Judged(cost, u, over, sum(unsolved for _, _, unsolved in parts), states)


def _some(
    env: Environment, policies: Policies | None, days: Scenarios, tallies: Mapping[tuple[int, str], _Tally]
) -> tuple[Floats, Floats | None, int]:
    """Cost, voltages and steps without a load flow of a few days; states are added up."""
    network = env.graph.network
    with torch.no_grad():
        batch = env.batch(days)
        acts = env.baseline(batch, flow=False) if policies is None else env.rollout(policies, batch, flow=False)
        cost = acts.cost.numpy()
        for (k, name), tally in tallies.items():
            tally.add(acts.courses[k].leaves[Leaf("state", name)].numpy())
        if network is None:
            return cost, None, 0
        p, q = env.injections(acts.courses, batch)
    loads = None if batch.loads is None else batch.loads.numpy()
    found = network.exact(p.numpy(), None if q is None else q.numpy(), loads)
    u = np.where(found.solved[:, None], found.u, np.nan).reshape(env.graph.steps, len(days), -1)
    return cost, u.swapaxes(0, 1), int((~found.solved).sum())


@final
class _Tally:
    """How far a state is beyond its limits after the steps of many days, of which nothing else is kept."""

    def __init__(self, state: StateStep) -> None:
        self.state, self.count = state, 0
        self.worst = np.zeros(len(state.start))  # of each agent
        low, high = (np.where(np.isfinite(side), side, np.nan) for side in (state.lower, state.upper))
        bounded = np.isfinite(state.lower).any(axis=0) & np.isfinite(state.upper).any(axis=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of agents without any limit
            size = np.nanmax(np.abs(np.concatenate([low, high])), axis=0)
            width = np.nanmax(high, axis=0) - np.nanmin(low, axis=0)
        size = np.where(size > 0, size, 1.0)  # where there is no limit, or none but 0
        self.range = np.where(bounded & (width > 0), width, size)
        self.noise = _NOISE * size

    def add(self, values: Floats) -> None:
        """Some days of shape (T + 1, B, N)."""
        lower, upper = self.state.lower[1:], self.state.upper[1:]
        for day in range(values.shape[1]):  # one by one: of many agents a day is large
            after = values[1:, day]
            over = np.maximum(lower - after, after - upper)
            self.count += int((over > self.noise).sum())
            self.worst = np.maximum(self.worst, over.max(axis=0))

    def left(self, steps: int, days: int) -> Left:
        """What it came to."""
        worst = np.where(self.worst > self.noise, self.worst, 0.0)
        return Left(
            self.count / (steps * days * len(worst)), float(worst.max()), float((worst / self.range).max()),
            self.state.unit,
        )  # fmt: skip


def _tallies(graph: TrainingGraph) -> dict[tuple[int, str], _Tally]:
    """Of states with limits, by kind and name."""
    return {
        (k, state.name): _Tally(state)
        for k, kind in enumerate(graph.kinds)
        for state in kind.states
        if np.isfinite(state.lower).any() or np.isfinite(state.upper).any()
    }
