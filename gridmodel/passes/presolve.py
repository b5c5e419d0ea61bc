"""Rewrites the rows of blocks until only equations, bounds and true cones are left.

Rows with a single variable become bounds; an auxiliary that one equation expresses by one variable is substituted;
other inequalities a'x + b >= 0 become a'x - s = -b with a slack column s >= 0; a quadratic form that is not
diagonal becomes a diagonal one over added columns t = F'x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel.passes.blocks import Blocks

__all__ = ["Conflict", "Presolved", "presolve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Conflict:
    """A block whose limits cannot hold together, found without solving."""

    block: int
    reason: str


@dataclass(frozen=True)
class Presolved:
    """The stack, where each named limit's rows went (rows of A and sign of cvxpy's dual), and conflicts."""

    stack: Stack
    named: dict[str, tuple[Ints, float]]
    conflicts: tuple[Conflict, ...]


def presolve(blocks: Blocks, labels: Sequence[str]) -> Presolved:
    """Runs all rewritings on one set of blocks.

    Args:
        blocks: as cut and put together.
        labels: names of the blocks.
    """
    work = _Work(blocks)
    work.empty_rows()
    work.bounds()
    work.substitute()
    return work.finish(labels)


class _Work:
    """The blocks while they are rewritten: rows and columns are dropped by mask until ``finish``."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.rows = blocks.rows
        self.count = self.rows.shape[0]
        self.width = blocks.q.shape[1]
        self.lower, self.upper = blocks.lower.copy(), blocks.upper.copy()
        self.q, self.offset = blocks.q.copy(), blocks.offset.copy()
        self.keep_row = np.ones(self.count, dtype=bool)
        self.keep_col = np.ones(self.width, dtype=bool)
        self.extra_diagonal: list[tuple[Ints, Floats]] = []
        self.conflicts: list[Conflict] = []
        self.protected = np.zeros(self.count, dtype=bool)
        for at in blocks.named.values():
            self.protected[at] = True
        self.entries = np.bincount(self.rows.row, minlength=self.count)
        self.plain = blocks.zero + blocks.cones.nonneg
        self.diagonal = blocks.P.diagonal_only

    def empty_rows(self) -> None:
        """Rows without variables: true, or a conflict."""
        for row in np.flatnonzero(self.entries[: self.plain] == 0):
            value = self.blocks.constant[:, row]
            bad = np.abs(value) > _TOLERANCE if row < self.blocks.zero else value < -_TOLERANCE
            for i in np.flatnonzero(bad):
                self.conflicts.append(Conflict(int(self.blocks.block[i]), "a limit without variables is false"))
            self.keep_row[row] = self.protected[row]

    def bounds(self) -> None:
        """Rows with one variable."""
        single = np.flatnonzero((self.entries[self.rows.row] == 1) & (self.rows.row < self.plain))
        for k in single:
            row, col = int(self.rows.row[k]), int(self.rows.col[k])
            a, b = self.rows.data[:, k], self.blocks.constant[:, row]
            if self.protected[row] or (a == 0).any():
                continue
            at = -b / a
            if row < self.blocks.zero:
                self._narrow(col, at, at)
            else:
                self._narrow(col, np.where(a > 0, at, -np.inf), np.where(a < 0, at, np.inf))
            self.keep_row[row] = False

    def _narrow(self, col: int, lower: Floats, upper: Floats) -> None:
        low = np.maximum(self.lower[:, col], lower)
        high = np.minimum(self.upper[:, col], upper)
        slack = _TOLERANCE * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
        for i in np.flatnonzero(low > high + np.where(np.isfinite(slack), slack, 0.0)):
            text = f"a variable must be at least {low[i]:g} and at most {high[i]:g}"
            self.conflicts.append(Conflict(int(self.blocks.block[i]), text))
        middle = np.where(low > high, 0.5 * (low + high), 0.0)
        self.lower[:, col] = np.where(low > high, middle, low)
        self.upper[:, col] = np.where(low > high, middle, high)

    def substitute(self) -> None:
        """Auxiliaries t with one equation a t + c x_j + b = 0 and a separable cost: t = -(c x_j + b)/a."""
        if not self.diagonal:
            return
        blocks, rows = self.blocks, self.rows
        live = self.keep_row[rows.row]
        used = np.bincount(rows.col[live], minlength=self.width)
        free = np.isneginf(self.lower).all(axis=0) & np.isposinf(self.upper).all(axis=0)
        in_coupling = np.zeros(self.width, dtype=bool)
        in_coupling[blocks.C.col] = True
        may = free & (used == 1) & ~in_coupling
        may[: blocks.user] = False
        two = (self.entries == 2) & self.keep_row & ~self.protected
        two[blocks.zero :] = False
        first = np.flatnonzero(two[rows.row] & may[rows.col] & (rows.data != 0).all(axis=0))
        # One auxiliary a row; where both columns of a row qualify, the later one goes.
        chosen = {int(rows.row[k]): int(k) for k in first}
        taken = {int(rows.col[k]) for k in chosen.values()}
        pairs = []
        for row, k in chosen.items():
            other = np.flatnonzero((rows.row == row) & (rows.col != rows.col[k]))
            if len(other) == 1 and int(rows.col[other[0]]) not in taken:
                pairs.append((row, k, int(other[0])))
        if not pairs:
            return
        row, at, other = (np.array(part, dtype=np.intp) for part in zip(*pairs, strict=True))
        t, j = rows.col[at], rows.col[other]
        slope = -rows.data[:, other] / rows.data[:, at]
        shift = -blocks.constant[:, row] / rows.data[:, at]
        curve = blocks.P.diagonal()[:, t]
        linear = self.q[:, t]
        np.add.at(self.q, (slice(None), j), linear * slope + curve * slope * shift)
        self.offset += (linear * shift + 0.5 * curve * shift**2).sum(axis=1)
        self.extra_diagonal.append((j, curve * slope**2))
        self.keep_col[t] = False
        self.keep_row[row] = False

    def finish(self, labels: Sequence[str]) -> Presolved:
        """Numbers the columns and rows that stay and adds slacks."""
        blocks, size = self.blocks, self.blocks.size
        new_col = np.cumsum(self.keep_col) - 1
        width = int(self.keep_col.sum())
        equation = np.flatnonzero(self.keep_row[: blocks.zero])
        unequal = blocks.zero + np.flatnonzero(self.keep_row[blocks.zero : self.plain])
        source = np.concatenate([equation, unequal])
        new_row = np.full(self.count, -1, dtype=np.intp)
        new_row[source] = np.arange(len(source))
        slacks = len(unequal)
        inside = (new_row[self.rows.row] >= 0) & self.keep_col[self.rows.col]
        shared = len(self.rows.data)
        A = Batch.build(
            (len(source), width + slacks),
            np.concatenate([new_row[self.rows.row[inside]], len(equation) + np.arange(slacks)]),
            np.concatenate([new_col[self.rows.col[inside]], width + np.arange(slacks)]),
            np.concatenate([self.rows.data[:, inside], np.full((shared, slacks), -1.0)], axis=1),
            size,
        )
        lower = np.concatenate([self.lower[:, self.keep_col], np.zeros((size, slacks))], axis=1)
        upper = np.concatenate([self.upper[:, self.keep_col], np.full((size, slacks), np.inf)], axis=1)
        q = np.concatenate([self.q[:, self.keep_col], np.zeros((size, slacks))], axis=1)
        group = blocks.group[self.keep_col]
        start = int(group.max()) + 1 if len(group) else 0
        group = np.concatenate([group, start + np.arange(slacks)])
        G, h, cones = self._cone_rows(new_col, width + slacks)
        stack = Stack(
            labels=list(labels),
            P=self._quadratic(new_col, width + slacks),
            q=q, offset=self.offset, A=A, b=-blocks.constant[:, source], lower=lower, upper=upper,
            G=G, h=h, cones=cones,
            C=Batch.build(
                (blocks.C.shape[0], width + slacks), blocks.C.row, new_col[blocks.C.col], blocks.C.data, size
            ),
            rows=blocks.slots, group=group,
        )  # fmt: skip
        if stack.is_qp and not stack.P.diagonal_only:
            stack = _diagonalise(stack)
        named = {}
        for name, at in blocks.named.items():
            if (new_row[at] >= 0).all():
                named[name] = (new_row[at], 1.0 if (at < blocks.zero).all() else -1.0)
        return Presolved(stack, named, tuple(self.conflicts))

    def _quadratic(self, new_col: Ints, width: int) -> Batch:
        P = self.blocks.P
        inside = self.keep_col[P.row] & self.keep_col[P.col]
        row, col, data = [new_col[P.row[inside]]], [new_col[P.col[inside]]], [P.data[:, inside]]
        for j, value in self.extra_diagonal:
            row.append(new_col[j])
            col.append(new_col[j])
            data.append(value)
        depth = max(len(part) for part in data)
        values = np.concatenate([np.broadcast_to(part, (depth, part.shape[1])) for part in data], axis=1)
        return Batch.build((width, width), np.concatenate(row), np.concatenate(col), values, self.blocks.size)

    def _cone_rows(self, new_col: Ints, width: int) -> tuple[Batch, Floats, Cones]:
        old = self.blocks.cones
        cones = Cones(0, old.soc, old.psd, old.exp, old.pow3d)
        inside = self.rows.row >= self.plain
        G = Batch.build(
            (cones.rows, width),
            self.rows.row[inside] - self.plain,
            new_col[self.rows.col[inside]],
            self.rows.data[:, inside],
            self.blocks.size,
        )
        return G, self.blocks.constant[:, self.plain :], cones


def _diagonalise(stack: Stack) -> Stack:
    """P = F F' over the columns it touches becomes 1/2 |t|^2 with added columns t = F'x."""
    touched = np.unique(stack.P.row)
    count = len(touched)
    place = np.full(stack.columns, -1, dtype=np.intp)
    place[touched] = np.arange(count)
    dense = np.zeros((len(stack.P.data), count, count))
    dense[:, place[stack.P.row], place[stack.P.col]] = stack.P.data
    values, vectors = np.linalg.eigh(0.5 * (dense + dense.transpose(0, 2, 1)))
    values = np.maximum(values, 0.0)
    needed = (values > 1e-12 * values.max(axis=1, keepdims=True)).any(axis=0)
    values, factor = values[:, needed], vectors[:, :, needed]
    rank, width = int(needed.sum()), stack.columns
    depth = max(len(stack.A.data), len(values))
    rows = np.repeat(np.arange(rank), count)
    cols = np.tile(touched, rank)
    entries = factor.transpose(0, 2, 1).reshape(len(values), -1)
    A = Batch.build(
        (stack.A.shape[0] + rank, width + rank),
        np.concatenate([stack.A.row, stack.A.shape[0] + rows, stack.A.shape[0] + np.arange(rank)]),
        np.concatenate([stack.A.col, cols, width + np.arange(rank)]),
        np.concatenate(
            [
                np.broadcast_to(stack.A.data, (depth, stack.A.nnz)),
                np.broadcast_to(entries, (depth, entries.shape[1])),
                np.full((depth, rank), -1.0),
            ],
            axis=1,
        ),
        stack.size,
    )
    pad = np.zeros((stack.size, rank))
    free = np.full((stack.size, rank), np.inf)
    P = Batch.build((width + rank,) * 2, width + np.arange(rank), width + np.arange(rank), values, stack.size)
    start = int(stack.group.max()) + 1
    return Stack(
        stack.labels, P, np.concatenate([stack.q, pad], axis=1), stack.offset, A,
        np.concatenate([stack.b, pad], axis=1), np.concatenate([stack.lower, -free], axis=1),
        np.concatenate([stack.upper, free], axis=1), Batch.empty(0, width + rank, stack.size), stack.h, stack.cones,
        Batch(  (stack.C.shape[0], width + rank), stack.C.row, stack.C.col, stack.C.data, stack.size),
        stack.rows, np.concatenate([stack.group, start + np.arange(rank)]),
    )  # fmt: skip
