"""Rewrites the rows of blocks until only equations, bounds and true cones are left.

Rows with a single variable become bounds; an auxiliary with equal bounds becomes a number; one that one equation
expresses by one variable is substituted; other inequalities a'x + b >= 0 become a'x - s = -b with a slack column
s >= 0; in blocks without cones a quadratic form that is not diagonal becomes a diagonal one over added columns.
Rows of limits that the user named stay rows, so that they have multipliers to report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.stack import Stack
from gridmodel.passes.blocks import Blocks
from gridmodel.passes.diagonal import diagonalise

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
    work.fix()
    work.substitute()
    return work.finish(labels)


class _Work:
    """The blocks while they are rewritten: rows and columns are dropped by mask until ``finish``."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.rows, self.P = blocks.rows, blocks.P
        self.count = self.rows.shape[0]
        self.width = blocks.q.shape[1]
        self.lower, self.upper = blocks.lower, blocks.upper
        self.q, self.offset, self.constant = blocks.q, blocks.offset, blocks.constant
        self.keep_row = np.ones(self.count, dtype=bool)
        self.keep_col = np.ones(self.width, dtype=bool)
        self.conflicts: list[Conflict] = []
        self.protected = np.zeros(self.count, dtype=bool)
        for at in blocks.named.values():
            self.protected[at] = True
        self.in_coupling = np.zeros(self.width, dtype=bool)
        self.in_coupling[blocks.C.col] = True
        self.entries = np.bincount(self.rows.row, minlength=self.count)
        self.plain = blocks.zero + blocks.cones.nonneg

    def empty_rows(self) -> None:
        """Rows without variables: true, or a conflict."""
        for row in np.flatnonzero(self.entries[: self.plain] == 0):
            self._judge(int(row), np.ones(self.blocks.size, dtype=bool))
            self.keep_row[row] = self.protected[row]

    def _judge(self, row: int, empty: Bools) -> None:
        """Notes the blocks of which a row without variables is false."""
        value = self.constant[:, row]
        size = _TOLERANCE * np.maximum(1.0, np.abs(value))
        bad = np.abs(value) > size if row < self.blocks.zero else value < -size
        for i in np.flatnonzero(bad & empty):
            self.conflicts.append(Conflict(int(self.blocks.block[i]), "a limit without variables is false"))

    def bounds(self) -> None:
        """Rows with one variable; where its factor is zero the row is true or false by itself."""
        alone = (self.entries == 1) & ~self.protected
        alone[self.plain :] = False
        single = np.flatnonzero(alone[self.rows.row])
        if len(single):
            self.lower, self.upper = self.lower.copy(), self.upper.copy()
        for k in single:
            row, col = int(self.rows.row[k]), int(self.rows.col[k])
            a, b = np.broadcast_to(self.rows.data[:, k], self.blocks.size), self.constant[:, row]
            there = a != 0
            at = np.divide(-b, a, out=np.zeros_like(b), where=there)
            equal = row < self.blocks.zero
            self._narrow(
                col,
                np.where(there & (equal | (a > 0)), at, -np.inf),
                np.where(there & (equal | (a < 0)), at, np.inf),
            )
            if not there.all():
                self._judge(row, ~there)
            self.keep_row[row] = False

    def _narrow(self, col: int, lower: Floats, upper: Floats) -> None:
        low = np.maximum(self.lower[:, col], lower)
        high = np.minimum(self.upper[:, col], upper)
        slack = _TOLERANCE * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
        for i in np.flatnonzero(low > high + np.where(np.isfinite(slack), slack, 0.0)):
            text = f"a variable must be at least {low[i]:g} and at most {high[i]:g}"
            self.conflicts.append(Conflict(int(self.blocks.block[i]), text))
        crossed = low > high
        low[crossed] = high[crossed] = 0.5 * (low[crossed] + high[crossed])
        self.lower[:, col], self.upper[:, col] = low, high

    def fix(self) -> None:
        """Auxiliaries with equal bounds in all blocks: their terms become constants."""
        known = (self.lower == self.upper).all(axis=0) & ~self.in_coupling
        known[: self.blocks.user] = False
        if not known.any():
            return
        P, rows, x = self.P, self.rows, np.where(known, self.lower, 0.0)
        slope = P.dot(x)
        self.offset = self.offset + np.einsum("ij,ij->i", self.q + 0.5 * slope, x)
        self.q = self.q + slope
        self.constant = self.constant + rows.dot(x)
        gone = known[rows.col]
        self.entries -= np.bincount(rows.row[gone], minlength=self.count)
        self.rows = Batch(rows.shape, rows.row[~gone], rows.col[~gone], rows.data[:, ~gone], rows.size)
        self.keep_col[known] = False
        for row in np.flatnonzero((self.entries[: self.plain] == 0) & self.keep_row[: self.plain]):
            self._judge(int(row), np.ones(self.blocks.size, dtype=bool))
            self.keep_row[row] = self.protected[row]

    def substitute(self) -> None:
        """Auxiliaries t with one equation a t + c x_j + b = 0: t = -(c x_j + b)/a."""
        rows = self.rows
        pairs = self._pairs()
        if not pairs:
            return
        row, at, other = (np.array(part, dtype=np.intp) for part in zip(*pairs, strict=True))
        t = rows.col[at]
        # All columns are slope * (their target) + shift; those that stay are themselves.
        target = np.arange(self.width)
        target[t] = rows.col[other]
        slope, shift = np.ones((len(rows.data), self.width)), np.zeros_like(self.q)
        slope[:, t] = -rows.data[:, other] / rows.data[:, at]
        shift[:, t] = -self.constant[:, row] / rows.data[:, at]
        P = self.P
        bend = P.dot(shift)
        self.offset = self.offset + np.einsum("ij,ij->i", self.q + 0.5 * bend, shift)
        to_target = sp.csr_array((np.ones(self.width), (np.arange(self.width), target)), shape=(self.width, self.width))
        self.q = np.asarray(((self.q + bend) * slope) @ to_target)
        data = P.data * slope[:, P.row] * slope[:, P.col]
        self.P = Batch.build(P.shape, target[P.row], target[P.col], data, P.size)
        self.keep_col[t] = False
        self.keep_row[row] = False

    def _pairs(self) -> list[tuple[int, int, int]]:
        """Equations to substitute: row, entry of t, entry of x_j."""
        blocks, rows = self.blocks, self.rows
        used = np.bincount(rows.col[self.keep_row[rows.row]], minlength=self.width)
        free = np.isneginf(self.lower).all(axis=0) & np.isposinf(self.upper).all(axis=0)
        may = free & (used == 1) & ~self.in_coupling
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
        return pairs

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
        lower, upper = self._columns(self.lower, slacks, 0.0), self._columns(self.upper, slacks, np.inf)
        q = self._columns(self.q, slacks, 0.0)
        group = blocks.group[self.keep_col]
        start = int(group.max()) + 1 if len(group) else 0
        group = np.concatenate([group, start + np.arange(slacks)])
        G, h, cones = self._cone_rows(new_col, width + slacks)
        stack = Stack(
            labels=list(labels),
            P=self._quadratic(new_col, width + slacks),
            q=q, offset=self.offset, A=A, b=-self.constant[:, source], lower=lower, upper=upper,
            G=G, h=h, cones=cones,
            C=Batch.build(
                (blocks.C.shape[0], width + slacks), blocks.C.row, new_col[blocks.C.col], blocks.C.data, size
            ),
            rows=blocks.slots, group=group,
        )  # fmt: skip
        if stack.is_qp and not stack.P.diagonal_only:
            stack = diagonalise(stack)
        named = {}
        for name, at in blocks.named.items():
            named[name] = (new_row[at], 1.0 if (at < blocks.zero).all() else -1.0)
        return Presolved(stack, named, tuple(self.conflicts))

    def _columns(self, array: Floats, slacks: int, value: float) -> Floats:
        """The columns that stay, and ``value`` for slacks."""
        if slacks == 0 and self.keep_col.all():
            return array
        kept = np.flatnonzero(self.keep_col)
        out = np.full((len(array), len(kept) + slacks), value)
        out[:, : len(kept)] = array if len(kept) == self.width else array[:, kept]
        return out

    def _quadratic(self, new_col: Ints, width: int) -> Batch:
        P = self.P
        inside = self.keep_col[P.row] & self.keep_col[P.col]
        return Batch((width, width), new_col[P.row[inside]], new_col[P.col[inside]], P.data[:, inside], P.size)

    def _cone_rows(self, new_col: Ints, width: int) -> tuple[Batch, Floats, Cones]:
        old = self.blocks.cones
        cones = Cones(0, old.soc, old.psd, old.exp, old.pow3d)
        inside = (self.rows.row >= self.plain) & self.keep_col[self.rows.col]
        G = Batch.build(
            (cones.rows, width),
            self.rows.row[inside] - self.plain,
            new_col[self.rows.col[inside]],
            self.rows.data[:, inside],
            self.blocks.size,
        )
        return G, np.ascontiguousarray(self.constant[:, self.plain :]), cones
