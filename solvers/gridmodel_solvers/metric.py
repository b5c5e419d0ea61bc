"""The metric in which neighbours agree: a matrix for every pair of them, from how far both yield at their rows.

Two neighbours a, b with the equations E between them tell each other S_a[E, E] and S_b[E, E] (see ``compliance``) once,
and measure their disagreement w by w'R w, R the inverse of the geometric mean of both. So the units of rows do not
matter, nor that they follow from each other, nearly, as the angles and flows of tie lines do.

Source: Bhatia (2007), Positive Definite Matrices, section 4.1, for the mean. The choice is that of optimised Schwarz
methods, Gander (2006): on a quadratic model a mode that both sides resist alike is settled at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.ir.stack import Stack
from gridmodel_solvers.compliance import compliances, smooth_compliances

__all__ = ["Metric", "geometric_mean"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_APART = 100.0


@dataclass(frozen=True)
class Metric:
    """Coordinates of the rows in which the disagreement of a pair is measured by its plain square.

    T, back: the map and its inverse, shape (m, m), a block for each pair, one elsewhere. paired: rows that belong to
    a pair, shape (m,). yields: the mean over participants of what a row yields alone, shape (m,), in given rows.
    """

    T: sp.csr_array
    back: sp.csr_array
    paired: NDArray[np.bool_]
    yields: Floats

    @classmethod
    def of(cls, problem: Separable | SmoothProblem) -> Metric:
        """The metric of all equations of two blocks."""
        if isinstance(problem, SmoothProblem):
            rows, S = [block.rows for block in problem.blocks], smooth_compliances(problem)
        else:
            rows, S = [own for stack in problem.stacks for own in stack.rows], compliances(problem)
        m = problem.couplings.size
        total, count = np.zeros(m), np.zeros(m)
        for own, part in zip(rows, S, strict=True):
            total[own] += np.diag(part)
            count[own] += 1.0
        pairs = _pairs(rows, problem.couplings.equality & (count == 2))
        paired = np.zeros(m, dtype=np.bool_)
        entries: list[tuple[Ints, Ints, Floats, Floats]] = []
        for size in sorted({len(pair.rows) for pair in pairs}):
            alike = [pair for pair in pairs if len(pair.rows) == size]
            at = np.stack([pair.rows for pair in alike])
            T, back = _maps(alike, S)
            across = np.broadcast_to(at[:, :, None], T.shape)
            entries.append((across.ravel(), np.swapaxes(across, 1, 2).ravel(), T.ravel(), back.ravel()))
            paired[at] = True
        one = np.flatnonzero(~paired)
        entries.append((one, one, np.ones(len(one)), np.ones(len(one))))
        row, col, T, back = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        made, inverse = (sp.csr_array((data, (row, col)), shape=(m, m)) for data in (T, back))
        return cls(made, inverse, paired, np.where(total > 0, total / np.maximum(count, 1.0), 1.0))

    def turned(self, problem: Separable) -> Separable:
        """The problem with the rows T C in place of C."""
        stacks = tuple(_turned(stack, self.T) for stack in problem.stacks)
        return Separable(stacks, self._sides(problem.couplings), problem.links)

    def turned_smooth(self, problem: SmoothProblem) -> SmoothProblem:
        """The same for smooth blocks."""
        blocks = tuple(
            replace(block, C=sp.csr_array(self.T[block.rows][:, block.rows] @ block.C)) for block in problem.blocks
        )
        return SmoothProblem(blocks, self._sides(problem.couplings), problem.links)

    def _sides(self, y: Couplings) -> Couplings:
        return Couplings(self.T @ y.lower, self.T @ y.upper, y.infos)


@dataclass(frozen=True)
class _Pair:
    """Two blocks, their common equations, and which of the rows of each these are."""

    ends: tuple[int, int]
    slots: tuple[Ints, Ints]
    rows: Ints


def geometric_mean(A: Floats, B: Floats) -> Floats:
    """A # B = A^1/2 (A^-1/2 B A^-1/2)^1/2 A^1/2 of positive definite matrices of shape (..., k, k)."""
    values, vectors = np.linalg.eigh(A)
    root = np.sqrt(values)[..., None, :]
    half, inverse = vectors * root, vectors / root
    inner, turn = np.linalg.eigh(np.swapaxes(inverse, -1, -2) @ B @ inverse)
    made = half @ turn
    mean = (made * np.sqrt(np.maximum(inner, 0.0))[..., None, :]) @ np.swapaxes(made, -1, -2)
    return np.asarray(0.5 * (mean + np.swapaxes(mean, -1, -2)))


def _pairs(rows: Sequence[Ints], chosen: NDArray[np.bool_]) -> list[_Pair]:
    """The pairs of blocks that have chosen rows in common, which nobody else touches."""
    if not rows:
        return []
    block = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    slot = np.concatenate([np.arange(len(own)) for own in rows])
    row = np.concatenate(rows)
    keep = np.flatnonzero(chosen[row])
    keep = keep[np.lexsort((block[keep], row[keep]))]
    first, second = keep[::2], keep[1::2]
    together: dict[tuple[int, int], list[int]] = {}
    for k, ends in enumerate(zip(block[first].tolist(), block[second].tolist(), strict=True)):
        together.setdefault(ends, []).append(k)
    return [
        _Pair(ends, (slot[first[at]], slot[second[at]]), row[first[at]])
        for ends, at in together.items()
        if ends[0] != ends[1]
    ]


def _maps(pairs: list[_Pair], S: list[Floats]) -> tuple[Floats, Floats]:
    """T with T'T = (S_a # S_b)^-1 and its inverse for pairs with equally many rows, shape (pairs, k, k) each."""
    sides = [np.stack([S[pair.ends[k]][np.ix_(pair.slots[k], pair.slots[k])] for pair in pairs]) for k in (0, 1)]
    # Rows over the root of what they yield: then eigenvalues compare them whatever their units.
    unit = np.sqrt(np.sqrt(np.einsum("...ii->...i", sides[0]) * np.einsum("...ii->...i", sides[1])))
    scale = unit[:, :, None] * unit[:, None, :]
    one, other = sides[0] / scale, sides[1] / scale
    mean = geometric_mean(_beside(one, other), _beside(other, one))
    back = np.linalg.cholesky(mean) * unit[:, :, None]
    return np.linalg.inv(back), back


def _beside(A: Floats, B: Floats) -> Floats:
    """A, held between B / _APART and _APART B: who yields at will, or not at all, leaves it to the other."""
    made = np.linalg.inv(np.linalg.inv(A + B / _APART) + np.linalg.inv(B) / _APART)
    return np.asarray(0.5 * (made + np.swapaxes(made, -1, -2)))


def _turned(stack: Stack, T: sp.csr_array) -> Stack:
    """The stack that reports T C_i x_i."""
    if not stack.slots or not stack.C.nnz:
        return stack
    C = stack.C
    support, col = np.unique(C.col, return_inverse=True)
    dense = np.zeros((stack.size, stack.slots, len(support)))
    dense[:, C.row, col] = C.full
    own = np.stack([T[rows][:, rows].toarray() for rows in stack.rows])
    values = own @ dense
    row, col = np.nonzero((values != 0).any(axis=0))
    return replace(stack, C=Batch.build(C.shape, row, support[col], values[:, row, col], stack.size))
