"""Adam on the numbers of some agents, all in one tensor. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Moments"]

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Moments:
    """Weights of the agents of a kind with their moments, shape (N, parameters) each; updates: made so far.

    Source: Kingma and Ba (2015), algorithm 1.
    """

    weights: Tensor
    first: Tensor
    second: Tensor
    updates: int

    @classmethod
    def fresh(cls, weights: Tensor) -> Moments:
        """First weights."""
        return cls(weights, torch.zeros_like(weights), torch.zeros_like(weights), 0)

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Moments:
        """A copy of what ``tree`` gave: a round that is broken off leaves its state as it was."""
        return cls(kept["weights"].clone(), kept["first"].clone(), kept["second"].clone(), kept["updates"])

    def tree(self, made: int) -> dict[str, Any]:
        """For a state, after some more updates."""
        return {"weights": self.weights, "first": self.first, "second": self.second, "updates": self.updates + made}

    def descend(self, block: slice, gradient: Tensor, rate: float, made: int) -> None:
        """One update of some agents, in place; made: updates of this round before it."""
        count = self.updates + made + 1
        first, second = self.first[block], self.second[block]
        first.lerp_(gradient, 1 - _FIRST)
        second.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        spread = torch.sqrt(second).mul_((1 - _SECOND**count) ** -0.5).add_(_TINY)
        self.weights[block].addcdiv_(first, spread, value=-rate / (1 - _FIRST**count))
