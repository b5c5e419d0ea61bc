"""How far a point is from feasible, each violation over the size of what is violated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Separable
from gridmodel.runtime.dual_cone import project_dual
from gridmodel.runtime.scale import Scale

__all__ = ["Residuals", "cost_and_size", "residuals"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Residuals:
    """Largest relative violation of coupling rows and of local limits, and where they occur.

    coupling, local: the numbers. row: the worst coupling row. block: name of the worst block.
    """

    coupling: float
    local: float
    row: int | None
    block: str | None

    @property
    def primal(self) -> float:
        """The larger of the two."""
        return max(self.coupling, self.local)


def residuals(problem: Separable, scale: Scale, parts: Sequence[Floats]) -> Residuals:
    """Violations at a point.

    Args:
        problem: the model as matrices.
        scale: sizes of its columns and rows.
        parts: columns of each stack, shape (N, n).
    """
    couplings = problem.couplings
    value = problem.coupling_value(list(parts))
    outside = np.maximum(np.maximum(couplings.lower - value, value - couplings.upper), 0.0) / scale.rows
    row = int(np.argmax(outside)) if len(outside) else None
    worst, block = 0.0, None
    for k, (stack, x) in enumerate(zip(problem.stacks, parts, strict=True)):
        r = scale.columns[k]
        by_block = (np.maximum(np.maximum(stack.lower - x, x - stack.upper), 0.0) / r).max(axis=1, initial=0.0)
        if stack.A.nnz:
            gap = np.abs(stack.A.dot(x) - stack.b) / _row_size(stack.A.row, stack.A.col, stack.A.data, r, stack.b)
            by_block = np.maximum(by_block, gap.max(axis=1, initial=0.0))
        if stack.cones:
            inside = stack.G.dot(x) + stack.h
            away = _cone_distance(stack.cones, inside)
            size = _row_size(stack.G.row, stack.G.col, stack.G.data, r, stack.h)
            by_block = np.maximum(by_block, (away / size).max(axis=1, initial=0.0))
        i = int(np.argmax(by_block)) if len(by_block) else 0
        if len(by_block) and by_block[i] > worst:
            worst, block = float(by_block[i]), stack.labels[i]
    return Residuals(float(outside.max(initial=0.0)), worst, row, block)


def cost_and_size(problem: Separable, parts: Sequence[Floats]) -> tuple[float, float]:
    """The cost at a point, and the sum of the sizes of its terms, which a relative gap is measured against in part."""
    total = size = 0.0
    for stack, x in zip(problem.stacks, parts, strict=True):
        linear = stack.q * x
        total += float(linear.sum() + stack.offset.sum())
        size += float(np.abs(linear).sum() + np.abs(stack.offset).sum())
        if stack.P.nnz:
            quadratic = 0.5 * float(np.einsum("ij,ij->", x, stack.P.dot(x)))
            total += quadratic
            size += abs(quadratic)
    return total, size


def _row_size(row: NDArray[np.intp], col: NDArray[np.intp], data: Floats, r: Floats, side: Floats) -> Floats:
    """The largest term or side of each row, shape (N or 1, rows)."""
    terms = np.abs(data) * r[:, col]
    size = np.zeros((side.shape[1], len(terms)))
    np.maximum.at(size, row, terms.T)
    size = np.maximum(size.T, np.abs(side).max(axis=0, keepdims=True))
    return np.where(size > 0, size, 1.0)


def _cone_distance(cones: Cones, s: Floats) -> Floats:
    """Violation of each cone row: for self-dual cones the distance to the cone, else the missing height."""
    away = np.zeros_like(s)
    self_dual = Cones(cones.nonneg, cones.soc, cones.psd)
    stop = self_dual.rows
    away[:, :stop] = np.abs(project_dual(self_dual, s[:, :stop]) - s[:, :stop])  # self-dual cones
    for _ in range(cones.exp):
        x, y, z = s[:, stop], s[:, stop + 1], s[:, stop + 2]
        safe = np.maximum(y, 1e-300)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            height = np.where(y > 0, safe * np.exp(np.minimum(x / safe, 700.0)), np.where(x <= 0, 0.0, np.inf))
        missing = np.maximum(height - z, 0.0)
        # Near y = 0 the height explodes for a tiny error in x: then x is what is out of place.
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where((y > 0) & (z > 0), np.abs(x - safe * np.log(np.maximum(z, 1e-300) / safe)), np.inf)
        away[:, stop + 2] = np.minimum(missing, np.where(missing > 0, shift, 0.0))
        away[:, stop + 1] = np.maximum(-y, 0.0)
        stop += 3
    for alpha in cones.pow3d:
        x, y, z = s[:, stop], s[:, stop + 1], s[:, stop + 2]
        reach = np.maximum(x, 0.0) ** alpha * np.maximum(y, 0.0) ** (1 - alpha)
        away[:, stop + 2] = np.maximum(np.abs(z) - reach, 0.0)
        away[:, stop] = np.maximum(-x, 0.0)
        away[:, stop + 1] = np.maximum(-y, 0.0)
        stop += 3
    return away
