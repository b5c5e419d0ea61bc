"""Value networks of many agents, each by itself: tanh inside, linear at the end. Needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gridmodel.runtime.perceptron import Layer, activations, backward, blocks, columns, parameters, views
from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.updates import spans

__all__ = ["Critic", "Level"]

_KEPT = 0.9  # of the level in a round


@dataclass(frozen=True)
class Level:
    """Running mean and mean square of each agent's returns, shape (N,): networks learn numbers near 1 in any currency.

    weight: how much of the running means is not their zero start.
    """

    mean: Tensor
    square: Tensor
    weight: float

    def tree(self) -> dict[str, Any]:
        """For a state."""
        return {"mean": self.mean, "square": self.square, "weight": self.weight}

    def after(self, returns: Tensor) -> Level:
        """After a round with returns of shape (T, N, B)."""
        mean, square = returns.mean(dim=(0, 2)), returns.square().mean(dim=(0, 2))
        return Level(
            torch.lerp(mean, self.mean, _KEPT), torch.lerp(square, self.square, _KEPT),
            _KEPT * self.weight + 1.0 - _KEPT,
        )  # fmt: skip

    @property
    def center(self) -> Tensor:
        """Shape (N, 1)."""
        return (self.mean / max(self.weight, 1e-9))[:, None]

    @property
    def size(self) -> Tensor:
        """Standard deviation, shape (N, 1); 1 before the first round and where returns never differ."""
        spread = (self.square / max(self.weight, 1e-9))[:, None] - self.center.square()
        # Below what cancellation leaves, the difference of two squares says nothing.
        floor = 16 * torch.finfo(spread.dtype).eps * self.center.square()
        return torch.where(spread > floor, spread.clamp(min=0.0).sqrt(), torch.ones_like(spread))


@dataclass(frozen=True)
class Critic:
    """What an agent expects from here on, from what it sees and, where there is such a thing, a state common to all.

    epochs, parts: passes over the days, and updates in each.
    """

    epochs: int
    parts: int

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def values(self, weights: Tensor, sizes: Sequence[int], seen: Tensor, common: Tensor, level: Level) -> Tensor:
        """Shape (T, N, B), in the rewards' unit, from seen, (T, N, B, F), and common, (T, B, G)."""
        steps, count, days, _ = seen.shape
        found = seen.new_empty((steps, count, days))
        for block in blocks(count, steps * days, seen.device):
            out = _through(views(weights[block], sizes), _inputs(seen, common, block))[-1]
            found[:, block] = out.view(-1, steps, days).transpose(0, 1)
        return found * level.size + level.center

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def __call__(
        self, moments: Moments, sizes: Sequence[int], seen: Tensor, common: Tensor, returns: Tensor, level: Level,
        rate: float,
    ) -> int:  # fmt: skip
        """Regression onto returns, shape (T, N, B), in place; gives the number of updates."""
        count, days = returns.shape[1:]
        goals = ((returns - level.center) / level.size)[..., None]
        parts = spans(days, self.parts)
        for block in blocks(count, returns.shape[0] * parts[0].stop, seen.device):
            layers, gradient = views(moments.weights[block], sizes), torch.empty_like(moments.weights[block])
            out = views(gradient, sizes)
            known = [(_inputs(seen, common, block, span), columns(goals, block, span)) for span in parts]
            for k in range(self.epochs * len(parts)):
                inputs, goal = known[k % len(parts)]
                acts = _through(layers, inputs)
                _slopes(layers, acts, (acts[-1] - goal).mul_(2.0 / goal.shape[-1]), out)
                moments.descend(block, gradient, rate, k)
        return self.epochs * len(parts)

    def drawn(self, count: int, sizes: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
        """First weights, shape (N, parameters): uniform in +-1/sqrt(in), the last layer zero: nothing is expected."""
        flat = torch.zeros((count, parameters(sizes)))
        for weight, _ in views(flat, sizes)[:-1]:
            weight.copy_((torch.rand(weight.shape, generator=generator) * 2 - 1) / weight.shape[1] ** 0.5)
        return flat.to(like)


def _inputs(seen: Tensor, common: Tensor, block: slice, days: slice = slice(None)) -> Tensor:
    """Of some agents, shape (n, F + G, T B)."""
    own = columns(seen, block, days)
    if not common.shape[-1]:
        return own
    shared = common[:, days].permute(2, 0, 1).reshape(1, common.shape[-1], -1)
    return torch.cat([own, shared.expand(len(own), -1, -1)], dim=1)


def _through(layers: Sequence[Layer], inputs: Tensor) -> list[Tensor]:
    """Inputs and outputs of all layers."""
    acts = activations(layers[:-1], inputs)
    weight, offset = layers[-1]
    return [*acts, torch.baddbmm(offset, weight.transpose(1, 2), acts[-1])]


def _slopes(layers: Sequence[Layer], acts: Sequence[Tensor], g: Tensor, out: Sequence[Layer]) -> None:
    """Writes gradients by weights and offsets from that by the output, shape (n, 1, T B)."""
    out[-1][0].copy_(torch.bmm(acts[-2], g.transpose(1, 2)))
    out[-1][1].copy_(g.sum(dim=2)[:, None])
    backward(layers[:-1], acts[:-1], torch.bmm(layers[-1][0], g), out[:-1])
