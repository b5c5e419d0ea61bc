"""Typical sizes of columns and coupling rows, so that residuals and step sizes do not depend on units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack

__all__ = ["Scale"]

Floats = NDArray[np.float64]

_SPREAD = 30.0
"""Agents of one stack share ranges unless their own differ by more than this factor."""


@dataclass(frozen=True)
class Scale:
    """Sizes found from a model's data."""

    problem: Separable

    @cached_property
    def columns(self) -> list[Floats]:
        """Range of each column, shape (N or 1, n) for each stack.

        One range serves all columns of a user variable: the mean of upper - lower where both are finite. Unbounded
        variables take what their equations, then the couplings, allow from the bounded terms beside them.
        """
        stacks = self.problem.stacks
        found = [_bounded(stack) for stack in stacks]
        for _ in range(8):
            if not any(np.isnan(r).any() for r in found):
                break
            moved = [_through(s.A, s.b, s.group, r) for s, r in zip(stacks, found, strict=True)]
            if not any(moved) and not self._through_couplings(found):
                break
        found = [_rest(stack, r) for stack, r in zip(stacks, found, strict=True)]
        # Whoever has no cost moves as far as those it is coupled with; only where nobody says how far is it one.
        while any(np.isnan(r).any() for r in found) and self._through_couplings(found):
            pass
        return [np.where(np.isnan(r), 1.0, r) for r in found]

    @cached_property
    def flat(self) -> Floats:
        """Ranges of all columns as one vector."""
        return self._flatten(self.columns)

    @cached_property
    def rows(self) -> Floats:
        """Size of each coupling row, shape (m,): its largest term or side, whichever is larger."""
        couplings, coo = self.problem.couplings, self.problem.matrix.tocoo()
        size = np.zeros(couplings.size)
        np.maximum.at(size, coo.row, np.abs(coo.data) * self.flat[coo.col])
        for side in (couplings.lower, couplings.upper):
            size = np.maximum(size, np.where(np.isfinite(side), np.abs(side), 0.0))
        return np.where(size > 0, size, 1.0)

    @cached_property
    def cost(self) -> float:
        """Typical cost that a column moves over its range: mean |gradient| x range over columns with a cost."""
        sizes = []
        for stack, r in zip(self.problem.stacks, self.columns, strict=True):
            curve = np.zeros((1, stack.columns)) if not stack.P.nnz else np.abs(stack.P.diagonal())
            middle = _middle(stack)
            gradient = np.abs(stack.q + curve * middle) + curve * r
            part = (gradient * r).ravel()
            sizes.append(part[part > 0])
        every = np.concatenate(sizes) if sizes else np.empty(0)
        return float(every.mean()) if len(every) else 1.0

    def _flatten(self, ranges: list[Floats]) -> Floats:
        stacks = self.problem.stacks
        return self.problem.join([np.broadcast_to(r, s.q.shape) for s, r in zip(stacks, ranges, strict=True)])

    def _through_couplings(self, found: list[Floats]) -> bool:
        flat = self._flatten(found)
        coo = self.problem.matrix.tocoo()
        known = ~np.isnan(flat)
        terms = np.where(known[coo.col], np.abs(coo.data) * np.where(known, flat, 0.0)[coo.col], 0.0)
        size = np.zeros(self.problem.couplings.size)
        np.maximum.at(size, coo.row, terms)
        guess = np.where(known, 0.0, np.nan)
        open_ = ~known[coo.col] & (size[coo.row] > 0) & (coo.data != 0)
        np.fmax.at(guess, coo.col[open_], size[coo.row[open_]] / np.abs(coo.data[open_]))
        moved = False
        for stack, r, g in zip(self.problem.stacks, found, self.problem.split(guess), strict=True):
            for group in np.unique(stack.group[np.isnan(r).any(axis=0)]):
                at = stack.group == group
                values = g[:, at]
                values = values[values > 0]
                if len(values):
                    r[:, at] = np.median(values)
                    moved = True
        return moved


def _bounded(stack: Stack) -> Floats:
    width = stack.upper - stack.lower
    finite = np.isfinite(width) & (width > 0)
    width = np.where(finite, width, 0.0)
    groups = int(stack.group.max()) + 1 if stack.columns else 0
    member = np.zeros((stack.columns, groups))
    member[np.arange(stack.columns), stack.group] = 1.0
    total, count = width @ member, finite.astype(float) @ member
    own = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    ratio = np.nanmax(own, axis=0, initial=0.0) / np.nanmin(own, axis=0, initial=np.inf) if own.size else np.zeros(1)
    if not (ratio > _SPREAD).any():
        total, count = total.sum(axis=0, keepdims=True), count.sum(axis=0, keepdims=True)
        own = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return own[:, stack.group] if stack.columns else np.ones((1, 0))


def _through(A: Batch, b: Floats, group: NDArray[np.intp], r: Floats) -> bool:
    """Ranges of unknown columns from the equations that hold them; changes r, says whether it did."""
    unknown = np.isnan(r[0])
    if not unknown.any() or not A.nnz:
        return False
    size = np.abs(A.data).mean(axis=0)[None, :] if len(r) == 1 else np.abs(A.full)
    terms = size * np.where(np.isnan(r), 0.0, r)[:, A.col]
    sums = np.zeros((A.shape[0], len(r)))
    np.add.at(sums, A.row, terms.T)
    known = sums.T
    side = np.abs(b).mean(axis=0)[None, :] if len(r) == 1 else np.abs(b)
    known = np.where(known > 0, known, side)
    entry = unknown[A.col] & (known[:, A.row] > 0).all(axis=0) & (size > 0).all(axis=0)
    if not entry.any():
        return False
    guess = known[:, A.row[entry]] / size[:, entry]
    column = group[A.col[entry]]
    for g in np.unique(column):
        r[:, group == g] = np.median(guess[:, column == g], axis=1, keepdims=True)
    return True


def _rest(stack: Stack, r: Floats) -> Floats:
    """Columns that nothing bounds: from the cost's own minimum, else as the others; NaN where there are none."""
    if not np.isnan(r).any():
        return r
    curve = np.broadcast_to(stack.P.diagonal(), stack.q.shape) if stack.P.nnz else np.zeros_like(stack.q)
    guess = np.divide(np.abs(stack.q), curve, out=np.zeros_like(stack.q), where=curve > 0)
    fixed = np.where(np.isfinite(stack.lower), np.abs(stack.lower), 0.0)
    guess = np.maximum(guess, fixed).max(axis=0)
    known = r[~np.isnan(r)]
    typical = float(np.median(known)) if len(known) else np.nan
    for g in np.unique(stack.group[np.isnan(r).any(axis=0)]):
        at = stack.group == g
        size = guess[at].max()
        r[:, at] = np.where(np.isnan(r[:, at]), size if size > 0 else typical, r[:, at])
    return r


def _middle(stack: Stack) -> Floats:
    low, high = np.isfinite(stack.lower), np.isfinite(stack.upper)
    lower, upper = np.where(low, stack.lower, 0.0), np.where(high, stack.upper, 0.0)
    return np.asarray(np.where(low & high, 0.5 * (lower + upper), lower + upper))
