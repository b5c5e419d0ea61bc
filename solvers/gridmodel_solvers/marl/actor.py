"""Gaussian policies of many agents: how they explore, and how they follow the clipped objective. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gridmodel.runtime.perceptron import activations, backward, blocks, columns, inwards, saturated, views
from gridmodel.runtime.policies import Policies
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.updates import spans
from gridmodel_solvers.marl.estimates import clipped

__all__ = ["Exploring", "Surrogate", "log_density"]


class Exploring:
    """A policy for a roll-out that says x = pi(o) + sigma z; the environment is given x clipped to -1 and 1.

    spread: sigma of each kind, shape (N, 1, A). noise: z of each kind, shape (T, N, B, A). said: x, likewise, as far as
    the roll-out has come.
    """

    def __init__(self, policies: Policies, spread: Sequence[Tensor], noise: Sequence[Tensor]) -> None:
        self.policies, self.spread, self.noise = policies, spread, noise
        self.said = [torch.empty_like(one) for one in noise]

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        """At one step: from shape (N, B, F) to (N, B, A)."""
        said = self.said[k][t]
        torch.addcmul(self.policies(k, t, seen), self.spread[k], self.noise[k][t], out=said)
        return said.clamp(-1.0, 1.0)

    def day(self, k: int, seen: Tensor) -> Tensor:
        """At all steps: from shape (T, N, B, F) to (T, N, B, A)."""
        torch.addcmul(self.policies.day(k, seen), self.spread[k], self.noise[k], out=self.said[k])
        return self.said[k].clamp(-1.0, 1.0)


def log_density(z: Tensor, log_spread: Tensor) -> Tensor:
    """Of an action, z its distance from the mean in sigmas; shape (n, A, ...) to (n, 1, ...), less a constant."""
    return (-0.5 * z.square() - log_spread).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class Surrogate:
    """Ascent on the clipped objective, each agent's by itself.

    max over theta, sigma of the mean of min(r A, clip(r) A) + entropy sum log sigma, r = N(x; pi_theta(o), sigma) at
    its value now over that when x was said

    An agent's numbers are its network's and, last, log sigma of its actions. epochs, parts: passes over the days, and
    updates in each.
    """

    clip: float
    entropy: float
    epochs: int
    parts: int

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(
        self, moments: Moments, sizes: Sequence[int], seen: Tensor, said: Tensor, noise: Tensor, advantage: Tensor,
        rate: float,
    ) -> int:  # fmt: skip
        """Updates numbers in place and gives how often; seen, said, noise: (T, N, B, ...), advantage: (T, N, B)."""
        count, days, acts = said.shape[1:]
        parts = spans(days, self.parts)
        for block in blocks(count, said.shape[0] * parts[0].stop, said.device):
            own, gradient = moments.weights[block], torch.empty_like(moments.weights[block])
            log_spread = own[:, -acts:, None]
            known = []
            for span in parts:
                old = log_density(columns(noise, block, span), log_spread)
                better = columns(advantage[..., None], block, span)
                known.append((columns(seen, block, span), columns(said, block, span), old, better))
            for k in range(self.epochs * len(parts)):
                self._slopes(own, gradient, sizes, *known[k % len(parts)])
                moments.descend(block, gradient, rate, k)
        return self.epochs * len(parts)

    def _slopes(
        self, own: Tensor, gradient: Tensor, sizes: Sequence[int], seen: Tensor, said: Tensor, old: Tensor,
        advantage: Tensor,
    ) -> None:  # fmt: skip
        """Writes the slope, downhill, of the objective by all numbers of some agents."""
        layers, log_spread = views(own, sizes), own[:, -said.shape[1] :, None]
        through = activations(layers, seen)
        z = (said - saturated(through[-1])) * (-log_spread).exp()
        _, slope = clipped(log_density(z, log_spread) - old, advantage, self.clip)
        slope.mul_(-1.0 / slope.shape[-1])
        backward(layers, through, inwards(through[-1], slope * z * (-log_spread).exp()), views(gradient, sizes))
        gradient[:, -said.shape[1] :] = (slope * (z.square() - 1.0)).sum(dim=2) - self.entropy
