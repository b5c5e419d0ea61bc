"""The model of those who are there: agents that left, or have not come, cost nothing and offer nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.agreed import all_agreements

__all__ = ["without"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def without(problem: Separable, names: Iterable[str]) -> Separable:
    """The problem in which the named agents have no cost and no limits.

    Where couplings share resources they offer zero; where all couplings are agreements they follow the others. Shapes
    stay as they are.
    """
    gone = set(names)
    free = problem.couplings.size > 0 and all_agreements(problem)
    stacks = []
    for stack in problem.stacks:
        out = np.array([label in gone for label in stack.labels])
        stacks.append(_without(stack, out, free) if out.any() else stack)
    return replace(problem, stacks=tuple(stacks))


def _without(stack: Stack, out: Flags, free: bool) -> Stack:
    gone = out[:, None]
    return replace(
        stack,
        P=_zeroed(stack.P, gone),
        q=np.where(gone, 0.0, stack.q),
        offset=np.where(out, 0.0, stack.offset),
        A=_zeroed(stack.A, gone),
        b=np.where(gone, 0.0, stack.b),
        lower=np.where(gone, -np.inf if free else 0.0, stack.lower),
        upper=np.where(gone, np.inf if free else 0.0, stack.upper),
        G=_zeroed(stack.G, gone),
        h=np.where(gone, _inside(stack.cones), stack.h),
    )


def _zeroed(batch: Batch, gone: Flags) -> Batch:
    return replace(batch, data=np.where(gone, 0.0, batch.full)) if batch.nnz else batch


def _inside(cones: Cones) -> Floats:
    """A point inside the cones, shape (g,)."""
    parts = [np.ones(cones.nonneg)]
    parts += [np.eye(1, k)[0] for k in cones.soc]
    parts += [np.concatenate([np.eye(1, j + 1, j)[0] for j in range(k)]) for k in cones.psd]
    parts += [np.array([0.0, 1.0, 2.0])] * cones.exp + [np.array([1.0, 1.0, 0.0])] * len(cones.pow3d)
    return np.concatenate(parts)
