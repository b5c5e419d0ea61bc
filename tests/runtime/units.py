"""The same problem in other units of columns, of coupling rows and of money."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.ir.stack import Stack
from tests.solvers.build import Floats


def in_units(problem: Separable, columns: Any = 1.0, rows: Any = 1.0, money: float = 1.0) -> Separable:
    """The problem in x' = columns * x, rows' = rows * (C x), cost' = money * cost.

    Args:
        problem: stacks that all have as many columns as ``columns`` has entries, or any with one number.
        columns: one factor a column, or one for all. rows: one factor a coupling row, or one for all.
        money: factor of all costs.
    """
    weight = np.broadcast_to(np.asarray(rows, dtype=float), problem.couplings.lower.shape)
    sides = Couplings(weight * problem.couplings.lower, weight * problem.couplings.upper, problem.couplings.infos)
    return Separable(tuple(_stack(stack, columns, weight, money) for stack in problem.stacks), sides)


def _stack(stack: Stack, columns: Any, rows: Floats, money: float) -> Stack:
    f = np.broadcast_to(np.asarray(columns, dtype=float), (stack.columns,))
    P, C = stack.P, stack.C
    slot = rows[stack.rows][:, C.row]
    return replace(
        stack,
        P=replace(P, data=money * P.data / (f[P.row] * f[P.col])), q=money * stack.q / f, offset=money * stack.offset,
        A=_over(stack.A, f), lower=stack.lower * f, upper=stack.upper * f, G=_over(stack.G, f),
        C=Batch.build(C.shape, C.row, C.col, slot * C.full / f[C.col], C.size),
    )  # fmt: skip


def _over(batch: Batch, f: Floats) -> Batch:
    return replace(batch, data=batch.data / f[batch.col])
