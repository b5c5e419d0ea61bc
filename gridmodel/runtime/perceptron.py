"""Small tanh networks of many agents, forward and backward by hand, a few agents at a time.

    h_l+1 = tanh(W_l' h_l + b_l),   dJ/dz_l = (W_l+1 dJ/dz_l+1) (1 - h_l+1^2),   dJ/dW_l = h_l dJ/dz_l'
    a = clip(s h_L, -1, 1), the raw actions, with s = ``GAIN``

All agents at once would move every activation through memory; a few agents' stay in the cache. Needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gridmodel.runtime.agents import GAIN

__all__ = [
    "Layer", "activations", "backward", "blocks", "columns", "inwards", "layer", "parameters", "saturated",
    "sensitivities", "views",
]  # fmt: skip

Layer = tuple[Tensor, Tensor]
"""Weights, shape (N, in, out), and offsets, (N, 1, out)."""

_CACHE, _LARGE = 4096, 1 << 22  # columns of all agents of a block together, and on a GPU


def layer(weight: Tensor, offset: Tensor, value: Tensor) -> Tensor:
    """tanh(W' value + b), shape (N, out, B), from (N, in, B): narrow layers are several times faster this way round."""
    turned, offset = weight.transpose(1, 2), offset.transpose(1, 2)
    if torch.is_grad_enabled() or value.is_cuda:
        return torch.baddbmm(offset, turned, value).tanh()
    # tanh x = 2 sigmoid(2 x) - 1, of which torch has a much faster kernel.
    return torch.baddbmm(offset, turned, value, beta=2, alpha=2).sigmoid_().mul_(2).sub_(1)


def activations(layers: Sequence[Layer], value: Tensor) -> list[Tensor]:
    """Input and outputs of all layers, shape (N, ..., B)."""
    found = [value]
    for weight, offset in layers:
        found.append(layer(weight, offset, found[-1]))
    return found


def saturated(out: Tensor) -> Tensor:
    """Raw actions from the last outputs."""
    return (out * GAIN).clamp(-1.0, 1.0)


def _within(out: Tensor) -> Tensor:
    return out.abs() < 1.0 / GAIN


def inwards(out: Tensor, g: Tensor) -> Tensor:
    """The gradient by the last outputs, from that by raw actions, g; 0 where a step down it leads further past an end.

    Past an end the exact one is 0 in both directions, and a raw action that is once there would stay.
    """
    return torch.where(_within(out) | (out * g > 0), g * GAIN, torch.zeros_like(g))


def backward(
    layers: Sequence[Layer], acts: Sequence[Tensor], g: Tensor, out: Sequence[Layer] | None, down: bool = False
) -> Tensor:
    """The gradient by the input, or by the first layer's sums, from that by the output.

    Args:
        g: by the output, shape (N, A, B).
        out: where gradients by weights and offsets, of the layers' shapes, are written.
        down: whether the input's is wanted.
    """
    for k in range(len(layers) - 1, -1, -1):
        g = torch.ops.aten.tanh_backward(g, acts[k + 1])
        if out is not None:
            out[k][0].copy_(torch.bmm(acts[k], g.transpose(1, 2)))
            out[k][1].copy_(g.sum(dim=2)[:, None])
        if k or down:
            g = torch.bmm(layers[k][0], g)
    return g


def sensitivities(layers: Sequence[Layer], value: Tensor, inputs: slice) -> list[Tensor]:
    """The slopes of every raw action by some inputs, shape (N, inputs, B) each."""
    acts = activations(layers, value)
    found = []
    first = (layers[0][0][:, inputs], layers[0][1])
    for j in range(acts[-1].shape[1]):
        g = torch.zeros_like(acts[-1])
        g[:, j] = GAIN * _within(acts[-1][:, j])
        found.append(backward([first, *layers[1:]], acts, g, None, down=True))
    return found


def blocks(count: int, each: int, device: torch.device) -> Iterator[slice]:
    """Agents in blocks whose activations fit a cache; each: columns of one agent."""
    size = max(1, (_LARGE if device.type == "cuda" else _CACHE) // each)
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def columns(values: Tensor, block: slice, days: slice = slice(None)) -> Tensor:
    """Of some agents, with steps and days as columns: from shape (T, N, B, F) to (n, F, T B)."""
    part = values[:, block, days].permute(1, 3, 0, 2)
    return part.reshape(*part.shape[:2], -1)


def parameters(sizes: Sequence[int]) -> int:
    """Numbers of one agent."""
    return sum((one + 1) * two for one, two in pairwise(sizes))


def views(flat: Tensor, sizes: Sequence[int]) -> list[Layer]:
    """Layers as views of all numbers of agents, shape (N, parameters)."""
    found, first = [], 0
    for one, two in pairwise(sizes):
        weight = flat[:, first : first + one * two].view(-1, one, two)
        first += one * two
        found.append((weight, flat[:, first : first + two].view(-1, 1, two)))
        first += two
    return found
