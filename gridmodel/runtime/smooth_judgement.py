"""What can be said of a point of a smooth model: violations, and the conditions of a stationary point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.smooth import SmoothBlock, SmoothProblem
from gridmodel.runtime.interface import Iterate

__all__ = ["SmoothJudgement", "SmoothScale", "judge_smooth"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothScale:
    """Sizes. columns: of each block's columns, the width of its bounds, else its size at the start, else 1.
    rows: of the coupling rows, the largest of their terms; both shape-equal to what they scale."""

    columns: tuple[Floats, ...]
    rows: Floats

    @classmethod
    def of(cls, problem: SmoothProblem) -> SmoothScale:
        """The sizes of a problem."""
        columns = tuple(_column_sizes(block) for block in problem.blocks)
        rows = np.zeros(problem.couplings.size)
        for block, size in zip(problem.blocks, columns, strict=True):
            own = abs(block.C).multiply(size[None, :]).max(axis=1)
            np.maximum.at(rows, block.rows, np.asarray(own.todense()).ravel())
        return cls(columns, np.where(rows > 0, rows, 1.0))


@dataclass(frozen=True)
class SmoothJudgement:
    """A point and what can be said of it, all relative.

    coupling, local: largest violations. stationarity: what moving single columns within their bounds, or activating
    limits that are not, could gain to first order, over the size of the cost: zero at a point that meets the
    Karush-Kuhn-Tucker conditions. value: the cost. size: of the cost.
    """

    iterate: Iterate
    coupling: float
    local: float
    stationarity: float
    value: float
    size: float

    def badness(self) -> float:
        """The largest measure: the best point has the least."""
        worst = max(self.coupling, self.local, self.stationarity)
        return worst if np.isfinite(worst) else np.inf


def judge_smooth(problem: SmoothProblem, scale: SmoothScale, iterate: Iterate) -> SmoothJudgement:
    """Violations, stationarity and cost of a point."""
    parts = [x[0] for x in iterate.x]
    total = problem.coupling_value(parts)
    rows = problem.couplings
    away = np.maximum(total - rows.upper, rows.lower - total)
    loose = np.where(rows.equality, 0.0, np.abs(iterate.mu) * np.maximum(-away, 0.0))
    local = gain = value = terms = 0.0
    for block, size, x, nu, zeta in zip(problem.blocks, scale.columns, parts, iterate.nu, iterate.zeta, strict=True):
        own = _block(block, size, x, iterate.mu, nu[0], zeta[0])
        local, gain, value, terms = max(local, own[0]), gain + own[1], value + own[2], terms + own[3]
    cost = max(abs(value), 0.01 * terms, 1e-300)
    gain = (gain + float(np.where(np.isfinite(loose), loose, 0.0).sum())) / cost
    coupling = float((np.maximum(away, 0.0) / scale.rows).max(initial=0.0))
    return SmoothJudgement(iterate, coupling, local, gain, value, cost)


def _block(
    block: SmoothBlock, size: Floats, x: Floats, mu: Floats, nu: Floats, zeta: Floats
) -> tuple[float, float, float, float]:
    """Violation, first-order gain, cost and its size, of one agent."""
    f = block.functions
    h, c = f.residuals(x)
    of_h, of_c = f.jacobians(x)
    worst = 0.0
    for matrix, miss in ((of_h, np.abs(h)), (of_c, np.maximum(c, 0.0))):
        if miss.size:
            reach = np.asarray(abs(matrix).multiply(size[None, :]).max(axis=1).todense()).ravel()
            worst = max(worst, float((miss / np.maximum(reach, 1e-12)).max()))
    outside = np.maximum(block.lower - x, x - block.upper) / size
    worst = max(worst, float(outside.max(initial=0.0)))
    slope = f.gradient(x)
    g = slope + of_h.T @ nu + of_c.T @ zeta + block.C.T @ mu[block.rows]
    room = np.where(g > 0, x - block.lower, block.upper - x)
    room = np.where(np.isfinite(room), np.maximum(room, 0.0), size)
    gain = float(np.abs(g) @ room) + float(np.abs(zeta * np.minimum(c, 0.0)).sum())
    gain += float(np.maximum(-zeta, 0.0) @ (np.abs(c) + 1.0)) if zeta.size else 0.0
    return worst, gain, f.cost(x), float(np.abs(slope) @ size)


def _column_sizes(block: SmoothBlock) -> Floats:
    width = block.upper - block.lower
    start = np.where(np.abs(block.start) > 0, np.abs(block.start), 1.0)
    return np.where(np.isfinite(width) & (width > 0), width, start)
