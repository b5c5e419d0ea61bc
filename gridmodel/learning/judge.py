"""How days under policies, or without, turn out by the exact load flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import TrainingGraph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies

__all__ = ["Judged", "judge_days"]

Floats = NDArray[np.float64]

_AT_ONCE = 16  # days; what a day takes grows with agents
_NOISE = 1e-9  # pu


@dataclass(frozen=True)
class Judged:
    """Days as they turn out.

    cost: of all agents in the model's currency, shape (days,). u: voltages in pu at the nodes with limits, shape
    (days, steps, nodes), NaN where there is no load flow; None without a network. over: by how much they leave their
    limits, likewise. unsolved: steps without a load flow, which no statistic holds.
    """

    cost: Floats
    u: Floats | None
    over: Floats | None
    unsolved: int

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
    parts = [_some(env, own, scenarios.take(slice(k, k + _AT_ONCE))) for k in range(0, len(scenarios), _AT_ONCE)]
    cost = np.concatenate([cost for cost, _, _ in parts])
    network = graph.network
    if network is None:
        return Judged(cost, None, None, 0)
    u = np.concatenate([u for _, u, _ in parts if u is not None])
    over = np.maximum(np.maximum(network.lower - u, u - network.upper), 0.0)
    return Judged(cost, u, over, sum(unsolved for _, _, unsolved in parts))


def _some(env: Environment, policies: Policies | None, days: Scenarios) -> tuple[Floats, Floats | None, int]:
    """Cost, voltages and steps without a load flow of a few days."""
    network = env.graph.network
    with torch.no_grad():
        batch = env.batch(days)
        acts = env.baseline(batch, flow=False) if policies is None else env.rollout(policies, batch, flow=False)
        cost = acts.cost.numpy()
        if network is None:
            return cost, None, 0
        p, q = env.injections(acts.courses, batch)
    loads = None if batch.loads is None else batch.loads.numpy()
    found = network.exact(p.numpy(), None if q is None else q.numpy(), loads)
    u = np.where(found.solved[:, None], found.u, np.nan).reshape(env.graph.steps, len(days), -1)
    return cost, u.swapaxes(0, 1), int((~found.solved).sum())


def require_days(scenarios: tuple[Scenarios, Scenarios] | None, name: str) -> tuple[Scenarios, Scenarios]:
    """The days of a model.

    Raises:
        NotApplicableError: it has none.
    """
    if scenarios is None:
        raise NotApplicableError(
            f"model {name!r} has no days to learn from: model.days(train, held_out), each a gm.Scenarios."
        )
    return scenarios
