"""The proximal form of a stack: its blocks with a quadratic pull on what they report to the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.interface import OracleAnswer

__all__ = ["Augmented", "augment"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Augmented:
    """A stack whose blocks minimise f_i(x) + g_i' C_i x + 1/2 |C_i x - w_i|^2_weight.

    base: the blocks without the pull. stack: with it; the pull is on P's diagonal (``direct``) or on k columns
    y = C x of their own. weight: shape (N, k).
    """

    base: Stack
    stack: Stack
    weight: Floats
    direct: bool

    def linear(self, price: Floats, target: Floats) -> Floats:
        """q of the augmented stack for prices g and targets w of shape (N, k)."""
        pull = price - self.weight * target
        if self.direct:
            return self.base.q + self.base.C.tdot(pull)
        return np.concatenate([self.base.q, pull], axis=1)

    def cut(self, answer: OracleAnswer) -> OracleAnswer:
        """The answer without the columns and equations of the pull."""
        columns, equations = self.base.columns, self.base.A.shape[0]
        return OracleAnswer(answer.x[:, :columns], answer.nu[:, :equations], answer.zeta)


def augment(stack: Stack, weight: Floats) -> Augmented:
    """Adds 1/2 |C_i x|^2_weight to the cost of every block.

    Args:
        stack: the blocks.
        weight: positive, shape (k,) or (N, k).
    """
    full = np.broadcast_to(weight, (stack.size, stack.slots))
    # Equal weights are kept once, so that blocks with equal matrices keep sharing a factorisation.
    data = full[:1] if (full == full[:1]).all() else full
    C = stack.C
    alone = len(np.unique(C.row)) == C.nnz
    made = _on_diagonal(stack, data) if alone else _with_columns(stack, data)
    return Augmented(stack, made, full, alone)


def _on_diagonal(stack: Stack, weight: Floats) -> Stack:
    C = stack.C
    pull = weight[:, C.row] * C.data**2
    return replace(stack, P=_joined(stack.P, stack.P.shape, C.col, C.col, pull))


def _with_columns(stack: Stack, weight: Floats) -> Stack:
    n, k, m, size = stack.columns, stack.slots, stack.A.shape[0], stack.size
    wide = np.arange(n, n + k)
    P = _joined(stack.P, (n + k, n + k), wide, wide, weight)
    C = stack.C
    rows, cols = np.concatenate([C.row + m, np.arange(m, m + k)]), np.concatenate([C.col, wide])
    data = np.concatenate([C.data, np.full((len(C.data), k), -1.0)], axis=1)
    free = np.full((size, k), np.inf)
    return replace(
        stack,
        P=P,
        q=np.concatenate([stack.q, np.zeros((size, k))], axis=1),
        A=_joined(stack.A, (m + k, n + k), rows, cols, data),
        b=np.concatenate([stack.b, np.zeros((size, k))], axis=1),
        lower=np.concatenate([stack.lower, -free], axis=1),
        upper=np.concatenate([stack.upper, free], axis=1),
        G=replace(stack.G, shape=(stack.G.shape[0], n + k)),
        C=replace(C, shape=(k, n + k)),
        group=np.concatenate([stack.group, stack.group.max(initial=-1) + 1 + np.arange(k)]),
    )


def _joined(base: Batch, shape: tuple[int, int], row: NDArray[np.intp], col: NDArray[np.intp], data: Floats) -> Batch:
    """The base's matrices, enlarged, plus entries at (row, col)."""
    size = max(len(base.data), len(data))
    values = [np.broadcast_to(part, (size, part.shape[1])) for part in (base.data, data)]
    rows, cols = np.concatenate([base.row, row]), np.concatenate([base.col, col])
    return Batch.build(shape, rows, cols, np.concatenate(values, axis=1), base.size)
