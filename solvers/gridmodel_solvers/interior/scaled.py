"""The same model in numbers without units: ranges, rows and costs of size one, fixed columns taken out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.scale import Scale

__all__ = ["Scaled"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaled:
    """x = fixed + range x^, costs over the typical cost, rows over their largest term.

    problem: the scaled model. pinned: columns whose bounds are equal, shape (N, n) for each stack: their entries are
    moved into the right sides. ranges, equations, cones: factors of columns, equations and cone rows, (N or 1, .).
    """

    problem: Separable
    cost: float
    rows: Floats
    ranges: tuple[Floats, ...]
    fixed: tuple[Floats, ...]
    pinned: tuple[NDArray[np.bool_], ...]
    equations: tuple[Floats, ...]
    cones: tuple[Floats, ...]

    @classmethod
    def of(cls, problem: Separable) -> Scaled:
        """The scaled form of a model."""
        scale = Scale(problem)
        cost, rows = scale.cost, scale.rows
        pinned = tuple(stack.lower == stack.upper for stack in problem.stacks)
        fixed = tuple(np.where(at, s.lower, 0.0) for at, s in zip(pinned, problem.stacks, strict=True))
        shift = problem.coupling_value(list(fixed))
        made = [
            _stack(stack, r, at, x, cost, rows)
            for stack, r, at, x in zip(problem.stacks, scale.columns, pinned, fixed, strict=True)
        ]
        couplings = problem.couplings
        sides = Couplings((couplings.lower - shift) / rows, (couplings.upper - shift) / rows, couplings.infos)
        inner = Separable(tuple(stack for stack, _, _ in made), sides, problem.links)
        equations, cones = tuple(e for _, e, _ in made), tuple(g for _, _, g in made)
        return cls(inner, cost, rows, tuple(scale.columns), fixed, pinned, equations, cones)

    def outward(self, iterate: Iterate) -> Iterate:
        """An iterate of the scaled model in the units of the given one."""
        return Iterate(
            x=[x * r + at for x, r, at in zip(iterate.x, self.ranges, self.fixed, strict=True)],
            mu=iterate.mu * self.cost / self.rows,
            nu=[nu * self.cost / e for nu, e in zip(iterate.nu, self.equations, strict=True)],
            zeta=[zeta * self.cost / e for zeta, e in zip(iterate.zeta, self.cones, strict=True)],
            dual_residual=iterate.dual_residual,
        )

    def inward(self, iterate: Iterate) -> Iterate:
        """An iterate of the given model in the scaled one's numbers."""
        return Iterate(
            x=[(x - at) / r for x, r, at in zip(iterate.x, self.ranges, self.fixed, strict=True)],
            mu=iterate.mu * self.rows / self.cost,
            nu=[nu * e / self.cost for nu, e in zip(iterate.nu, self.equations, strict=True)],
            zeta=[zeta * e / self.cost for zeta, e in zip(iterate.zeta, self.cones, strict=True)],
            dual_residual=iterate.dual_residual,
        )


def _stack(
    stack: Stack, r: Floats, pinned: NDArray[np.bool_], fixed: Floats, cost: float, rows: Floats
) -> tuple[Stack, Floats, Floats]:
    free = ~pinned
    if (free == free[:1]).all():
        free = free[:1]
    b, h = stack.b - stack.A.dot(fixed), stack.h + stack.G.dot(fixed)
    A, G = _times(stack.A, None, r * free), _times(stack.G, None, r * free)
    equations = _row_sizes(A, b, Cones())
    cones = _row_sizes(G, h, stack.cones)
    P = _times(stack.P, r * free / cost, r * free)
    row_sizes = rows[stack.rows]
    if (row_sizes == row_sizes[:1]).all():
        row_sizes = row_sizes[:1]
    scaled = replace(
        stack,
        P=P,
        q=free * r * (stack.q + stack.P.dot(fixed)) / cost,
        offset=np.zeros_like(stack.offset),
        A=_times(A, 1.0 / equations, None),
        b=b / equations,
        lower=np.where(pinned, -np.inf, stack.lower / r),
        upper=np.where(pinned, np.inf, stack.upper / r),
        G=_times(G, 1.0 / cones, None),
        h=h / cones,
        C=_times(stack.C, 1.0 / row_sizes, r * free),
    )
    return scaled, equations, cones


def _times(batch: Batch, rows: Floats | None, columns: Floats | None) -> Batch:
    """diag(rows_i) M_i diag(columns_i), factors of shape (N or 1, .)."""
    data = batch.data
    if rows is not None:
        data = data * rows[:, batch.row]
    if columns is not None:
        data = data * columns[:, batch.col]
    return replace(batch, data=data)


def _row_sizes(batch: Batch, side: Floats, cones: Cones) -> Floats:
    """The largest entry of each row, one number for all rows of a cone, shape (N or 1, rows)."""
    size = np.zeros((batch.shape[0], len(batch.data)))
    np.maximum.at(size, batch.row, np.abs(batch.data).T)
    size = size.T.copy()
    start = cones.nonneg
    for count in (*cones.soc, *(k * (k + 1) // 2 for k in cones.psd)):
        size[:, start : start + count] = size[:, start : start + count].max(axis=1, keepdims=True)
        start += count
    # A row without entries is judged by its side alone.
    bare = np.abs(side).max(axis=0, keepdims=True, initial=0.0)
    size = np.where(size > 0, size, np.where(bare > 0, bare, 1.0))
    return np.asarray(size, dtype=np.float64)
