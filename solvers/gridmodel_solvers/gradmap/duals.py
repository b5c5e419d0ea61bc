"""Multipliers on the voltage limits of nodes, with a slack budget and a clock of their own. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

__all__ = ["Duals"]


@final
@dataclass(frozen=True)
class Duals:
    """Ascent on how far nodes leave the tightened limits: mu_n <- [mu_n + step weight clip(v_n / slack - 1, -1, 1)]+.

    v_n is the mean excursion of a node over the steps and days since the last ascent. Without the slack, multipliers of
    excursions, which are never negative, could only grow.

    step: in units of the penalty's weight. slack: pu. clock: calls of the environment between two ascents. most: of a
    multiplier, in units of the weight.
    """

    step: float = 0.02
    slack: float = 1e-5
    clock: int = 4
    most: float = 4.0

    def first(self, nodes: Tensor) -> dict[str, Any]:
        """Zero for all nodes, nodes: a tensor of their number, its type and its device."""
        return {"multipliers": torch.zeros_like(nodes), "sum": torch.zeros_like(nodes), "calls": 0}

    def after(self, state: dict[str, Any], over: Tensor, weight: float) -> dict[str, Any]:
        """The state after a call with excursions of shape (T, B, nodes)."""
        total, calls = state["sum"] + over.detach().mean(dim=(0, 1)), state["calls"] + 1
        if calls < self.clock:
            return {"multipliers": state["multipliers"], "sum": total, "calls": calls}
        rise = (total / (calls * self.slack) - 1.0).clamp(-1.0, 1.0) * (self.step * weight)
        new = (state["multipliers"] + rise).clamp(0.0, self.most * weight)
        return {"multipliers": new, "sum": torch.zeros_like(total), "calls": 0}
