"""The agents' proximal answers, through the oracles of their whole local problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.augment import Augmented, augment
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer

__all__ = ["Proximal", "half_way"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@final
class Proximal:
    """argmin f_i(x) + 1/2 |v - v_i|^2_weight_i over all columns x of agent i, v the shared ones among them.

    stacks: the agents. columns: of the shared numbers in each stack, shape (N, d) each.
    """

    def __init__(self, stacks: tuple[Stack, ...], columns: list[Ints], accuracy: float) -> None:
        self._columns = columns
        # Oracles report columns in ascending order; the shared numbers have an order of their own.
        self._order = [np.argsort(part, axis=1) for part in columns]
        self._stacks = [_reporting(stack, part) for stack, part in zip(stacks, columns, strict=True)]
        self._ends = np.cumsum([stack.size for stack in stacks])[:-1]
        self._accuracy = accuracy
        self._made: tuple[Floats, list[Augmented], list[Oracle]] | None = None

    def __call__(self, V: Floats, weight: Floats) -> tuple[Floats, list[OracleAnswer]]:
        """The shared numbers, shape (N, d), and each stack's answer with all columns and multipliers.

        Args:
            V, weight: shape (N, d).
        """
        pulled, oracles = self._at(weight)
        out, answers = [], []
        for k, v in enumerate(np.split(V, self._ends)):
            target = np.take_along_axis(v, self._order[k], axis=1)
            answer = pulled[k].cut(oracles[k].solve(pulled[k].linear(np.zeros_like(target), target)))
            answers.append(answer)
            out.append(np.take_along_axis(answer.x, self._columns[k], axis=1))
        return np.concatenate(out), answers

    def _at(self, weight: Floats) -> tuple[list[Augmented], list[Oracle]]:
        """The oracles for these weights; made anew only where the weights have changed."""
        if self._made is None or not np.array_equal(self._made[0], weight):
            parts = zip(self._stacks, self._order, np.split(weight, self._ends), strict=True)
            pulled = [augment(stack, np.take_along_axis(w, order, axis=1)) for stack, order, w in parts]
            self._made = weight.copy(), pulled, [choose(made.stack, self._accuracy) for made in pulled]
        return self._made[1], self._made[2]


def half_way(follows: Callable[[float], float], decades: float = 6.0, steps: int = 6) -> float:
    """The factor, by halving its exponent's range, at which a share that grows with it is half way up.

    Agents whose costs are flat follow at every factor, and do not count.

    Args:
        follows: the share at a factor.
        decades: how far from 1 to look. steps: how often to halve.
    """
    least, most = follows(10.0**-decades), follows(10.0**decades)
    if most - least <= 1e-3:
        return 1.0
    low, high = -decades, decades
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if follows(10.0**middle) < 0.5 * (least + most) else (low, middle)
    return float(10.0 ** ((low + high) / 2))


def _reporting(stack: Stack, columns: Ints) -> Stack:
    """The stack that reports its shared columns, in ascending order."""
    own = np.sort(columns, axis=1)
    if not (own == own[:1]).all():
        # Blocks of one structure that hold the numbers in different columns: a matrix a block.
        used = np.unique(own)
        C = (own[:, :, None] == used).astype(np.float64)
        row, at = np.nonzero(C.any(axis=0))
        batch = Batch.build((own.shape[1], stack.columns), row, used[at], C[:, row, at], stack.size)
    else:
        k = own.shape[1]
        batch = Batch((k, stack.columns), np.arange(k), own[0], np.ones((1, k)), stack.size)
    return replace(stack, C=batch, rows=np.broadcast_to(np.arange(own.shape[1]), own.shape))
