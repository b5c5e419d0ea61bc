"""How the policies of a kind change, a few agents at a time, each by itself. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gridmodel.runtime.agents import GAIN
from gridmodel.runtime.perceptron import activations, backward, blocks, columns, inwards, saturated, views
from gridmodel_solvers.gradmap.adam import Moments

__all__ = ["Proximal", "descend", "spans"]


@dataclass(frozen=True)
class Proximal:
    """Regression of every policy onto better actions, near those that it took.

    min over theta of the mean of (a_theta(o) - y)^2
    y = clip(a - clip(delta g / mean |g|, -reach delta, reach delta), -1, 1)

    with a = clip(s h, -1, 1) the raw action taken, h the network's output, s the gain, g the loss's gradient by it and
    the mean over the agent's steps and days: one call of the environment serves many updates, and the trust region is
    one of actions, not of weights. Few steps of few days have most of what g is; a mean of its size, where one of
    squares would be usual, leaves the others their part. Past an end the gradient by h is taken as from inside; an
    output past the end that it should be at is not drawn back.

    delta: of raw actions, whose range is -1 to 1. reach: of single actions, in deltas.
    epochs, parts: passes over the days, and updates in each.
    """

    delta: float
    reach: float
    epochs: int
    parts: int

    def __call__(
        self, moments: Moments, sizes: Sequence[int], raw: Tensor, seen: Tensor, g: Tensor, rate: float
    ) -> int:
        """Updates weights in place and gives their number; raw, seen, g: shape (T, N, B, ...)."""
        count, parts = raw.shape[1], spans(raw.shape[2], self.parts)
        scale = g.abs().mean(dim=(0, 2), keepdim=True)
        step = (g * (self.delta / scale.clamp_(min=torch.finfo(g.dtype).tiny))).clamp_(
            -self.reach * self.delta, self.reach * self.delta
        )
        wanted = (raw - step).clamp_(-1.0, 1.0)
        for block in blocks(count, raw.shape[0] * parts[0].stop, raw.device):
            known = [(columns(seen, block, span), columns(wanted, block, span)) for span in parts]
            _regress(moments, sizes, block, known * self.epochs, rate)
        return self.epochs * len(parts)


def _regress(
    moments: Moments, sizes: Sequence[int], block: slice, parts: Sequence[tuple[Tensor, Tensor]], rate: float
) -> None:
    """Some agents' updates, one for each part of inputs and goals."""
    layers = views(moments.weights[block], sizes)
    gradient = torch.empty_like(moments.weights[block])
    out = views(gradient, sizes)
    with torch.no_grad():
        for k, (inputs, goal) in enumerate(parts):
            acts = activations(layers, inputs)
            off = saturated(acts[-1]).sub_(goal)
            backward(layers, acts, off.mul_(2.0 * GAIN / goal.shape[-1]), out)
            moments.descend(block, gradient, rate, k)


def descend(moments: Moments, sizes: Sequence[int], seen: Tensor, g: Tensor, rate: float) -> int:
    """One step down the gradient sum_t (d pi / d theta)' g, in place; gives the number of updates, 1."""
    count = seen.shape[1]
    for block in blocks(count, seen.shape[0] * seen.shape[2], seen.device):
        layers = views(moments.weights[block], sizes)
        gradient = torch.empty_like(moments.weights[block])
        with torch.no_grad():
            acts = activations(layers, columns(seen, block))
            backward(layers, acts, inwards(acts[-1], columns(g, block)), views(gradient, sizes))
            moments.descend(block, gradient, rate, 0)
    return 1


def spans(days: int, parts: int) -> list[slice]:
    """Days in parts of one size, but the last."""
    size = -(-days // min(parts, days))
    return [slice(first, min(first + size, days)) for first in range(0, days, size)]
