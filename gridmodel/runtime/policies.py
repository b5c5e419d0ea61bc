"""Policies of many agents, each a small network of its own, evaluated together. Needs torch.

Agent i of a kind:  a = clip(s h_L, -1, 1),  h_l+1 = tanh(W_l h_l + b_l),  h_1 what it sees,  s = ``GAIN``;
no other number is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gridmodel.ir.training import TrainingGraph
from gridmodel.runtime.chain import Answer
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.perceptron import Layer, activations, blocks, columns, saturated, sensitivities

__all__ = ["Policies"]

_LAST = 0.1  # size of the last layer's first weights: actions start near idle


@dataclass(frozen=True)
class Policies:
    """layers: of each kind, weights (N, in, out) and offsets (N, 1, out) of every layer; no layer without actions."""

    layers: tuple[tuple[Layer, ...], ...]

    @classmethod
    def drawn(cls, env: Environment, hidden: Sequence[int], generator: torch.Generator) -> Policies:
        """First policies: uniform in +-1/sqrt(in), the last layer a tenth of it."""
        kinds = []
        for k, kind in enumerate(env.graph.kinds):
            sizes = [env.width(k), *hidden, len(kind.actions)]
            layers: list[Layer] = []
            for i, (one, two) in enumerate(pairwise(sizes)):
                reach = (_LAST if i == len(hidden) else 1.0) / np.sqrt(one)
                weight = (torch.rand((kind.size, one, two), generator=generator) * 2 - 1) * reach
                layers.append((weight.to(env.device, env.dtype), weight.new_zeros((kind.size, 1, two))))
            kinds.append(tuple(layers) if kind.actions else ())
        return cls(tuple(tuple((w, b.to(env.device, env.dtype)) for w, b in kind) for kind in kinds))

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        """Raw actions of the agents of kind k, shape (N, B, A), from what they see, (N, B, F), at any step."""
        del t
        return saturated(activations(self.layers[k], seen.transpose(1, 2))[-1]).transpose(1, 2)

    def day(self, k: int, seen: Tensor) -> Tensor:
        """Raw actions of all steps, shape (T, N, B, A), from what is seen, (T, N, B, F)."""
        if torch.is_grad_enabled():
            return torch.stack([self(k, t, seen[t]) for t in range(len(seen))])
        steps, count, days, _ = seen.shape
        out = seen.new_empty((steps, count, days, self.layers[k][-1][0].shape[-1]))
        for block in blocks(count, steps * days, seen.device):
            found = saturated(activations([(w[block], b[block]) for w, b in self.layers[k]], columns(seen, block))[-1])
            out[:, block] = found.view(*found.shape[:2], steps, days).permute(2, 0, 3, 1)
        return out

    def answer(self, k: int, seen: Tensor, env: Environment) -> Answer | None:
        """How policies of a kind answer what they see of themselves; None where they see nothing of it.

        seen: of a day as it went, shape (T, N, B, F).
        """
        own = env.own(k)
        if not own:
            return None
        steps, count, days, _ = seen.shape
        slopes = seen.new_empty((steps, days, count, self.layers[k][-1][0].shape[-1], len(own)))
        with torch.no_grad():
            for block in blocks(count, steps * days, seen.device):
                layers = [(w[block].detach(), b[block].detach()) for w, b in self.layers[k]]
                found = sensitivities(layers, columns(seen, block), slice(own[0][0], None))
                for j, one in enumerate(found):
                    slopes[:, :, block, j] = one.view(*one.shape[:2], steps, days).permute(2, 3, 0, 1)
            for c, (_, _, _, over) in enumerate(own):
                slopes[..., c] *= over[:, None]
        return Answer([leaf for _, leaf, _, _ in own], slopes)

    @property
    def tensors(self) -> list[Tensor]:
        """All weights and offsets."""
        return [tensor for kind in self.layers for layer in kind for tensor in layer]

    def like(self, tensors: Sequence[Tensor]) -> Policies:
        """The same networks with other numbers, in the order of ``tensors``."""
        rest = iter(tensors)
        return Policies(tuple(tuple((next(rest), next(rest)) for _ in kind) for kind in self.layers))

    def arrays(self, graph: TrainingGraph) -> dict[str, NDArray[np.float32]]:
        """Weights by "kind/layer/weight" and "kind/layer/offset"."""
        found = {}
        for kind, layers in zip(graph.kinds, self.layers, strict=True):
            for i, (weight, offset) in enumerate(layers):
                found[f"{kind.name}/{i}/weight"] = weight.detach().cpu().numpy().astype(np.float32)
                found[f"{kind.name}/{i}/offset"] = offset.detach().cpu().numpy().astype(np.float32)
        return found

    @classmethod
    def of_arrays(cls, env: Environment, arrays: Mapping[str, NDArray[np.float32]]) -> Policies:
        """What ``arrays`` gave."""
        kinds = []
        for kind in env.graph.kinds:
            layers: list[Layer] = []
            while f"{kind.name}/{len(layers)}/weight" in arrays:
                stem = f"{kind.name}/{len(layers)}"
                layers.append((env.tensor(arrays[f"{stem}/weight"]), env.tensor(arrays[f"{stem}/offset"])))
            kinds.append(tuple(layers))
        return cls(tuple(kinds))
