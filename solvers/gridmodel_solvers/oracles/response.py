"""The linear map at the heart of a sweep: the minimiser of a separable quadratic over the local equations.

x(t) = argmin 1/2 x'K x - t'x  subject to  A x = b,  K diagonal, for all blocks at once:

    x = D (t - A'nu),   nu = G^-1 (A D t - b),   D = K^-1,   G = A D A'

Stacks whose blocks share A and K take one dense product for all; blocks without equations an elementwise one; all
others one sparse factorisation of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack

__all__ = ["Response"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_DENSE = 800
"""Columns up to which a shared stack uses a dense map."""
_PIVOT = 1e-4
_DEPENDENT = 1e-12


@dataclass(frozen=True)
class _Shared:
    """Blocks of one matrix: x = t M + e, nu = t N - f, rows of t are blocks; CM = C M where C is shared, too."""

    M: Floats
    N: Floats
    e: Floats
    f: Floats
    CM: Floats | None


@dataclass(frozen=True)
class Response:
    """The map for all stacks of a problem.

    problem: its stacks' A and b. D: inverse of K, one vector over all columns.
    """

    problem: Separable
    D: Floats

    @cached_property
    def _kinds(self) -> list[str]:
        kinds = []
        for stack, d in zip(self.problem.stacks, self.problem.split(self.D), strict=True):
            if not stack.A.shape[0]:
                kinds.append("plain")
            elif _is_shared(stack, d) and stack.columns <= _DENSE and (stack.size >= 4 or stack.columns <= 200):
                kinds.append("shared")
            else:
                kinds.append("sparse")
        return kinds

    @cached_property
    def _maps(self) -> list[_Shared | None]:
        maps: list[_Shared | None] = []
        for kind, stack, d in zip(self._kinds, self.problem.stacks, self.problem.split(self.D), strict=True):
            if kind != "shared":
                maps.append(None)
                continue
            A, d0 = stack.A.dense(), d[0]
            AD = A * d0
            inverse = _inverse(AD @ A.T)
            N = inverse @ AD
            M = np.diag(d0) - AD.T @ N
            M = 0.5 * (M + M.T)
            CM = stack.C.dense() @ M if stack.C.is_shared else None
            maps.append(_Shared(M, N.T.copy(), stack.b @ N, stack.b @ inverse.T, CM))
        return maps

    @cached_property
    def _sparse(self) -> _Sparse | None:
        chosen = [k for k, kind in enumerate(self._kinds) if kind == "sparse"]
        return _Sparse.build(self.problem, self.D, chosen) if chosen else None

    def apply(self, t: Floats) -> Floats:
        """x(t), one vector over all columns."""
        x = np.empty_like(t)
        offsets = self.problem.offsets
        for k, found in enumerate(self._maps):
            span = slice(offsets[k], offsets[k + 1])
            if found is None:
                np.multiply(self.D[span], t[span], out=x[span])
                continue
            shape = self.problem.stacks[k].q.shape
            part = x[span].reshape(shape)
            np.matmul(t[span].reshape(shape), found.M, out=part)
            part += found.e
        if self._sparse is not None:
            self._sparse.correct(x, t, True)
        return x

    def shift(self, x: Floats, mu: Floats) -> None:
        """Takes the answer to the prices mu off x, in place: x -= M C'mu.

        Args:
            x: all columns.
            mu: multipliers of the coupling rows.
        """
        pull = self._transposed @ mu if self._needs_pull else x
        offsets = self.problem.offsets
        for k, stack in enumerate(self.problem.stacks):
            span = slice(offsets[k], offsets[k + 1])
            kind, found = self._kinds[k], self._maps[k]
            if kind == "plain":
                x[span] -= self.D[span] * pull[span]
            elif found is not None:
                part = x[span].reshape(stack.q.shape)
                if not stack.slots:
                    continue
                if found.CM is None:
                    part -= pull[span].reshape(stack.q.shape) @ found.M
                elif self._same_rows[k]:
                    part -= mu[stack.rows[0]] @ found.CM
                else:
                    part -= mu[stack.rows] @ found.CM
        if self._sparse is not None:
            self._sparse.shift(x, pull)

    @cached_property
    def _transposed(self) -> sp.csr_array:
        return sp.csr_array(self.problem.matrix.T)

    @cached_property
    def _needs_pull(self) -> bool:
        return any(found is None or found.CM is None for found in self._maps)

    @cached_property
    def _same_rows(self) -> list[bool]:
        return [bool((stack.rows == stack.rows[:1]).all()) for stack in self.problem.stacks]

    def multipliers(self, t: Floats) -> list[Floats]:
        """nu of each stack, shape (N, m): the multipliers of A x = b at x(t)."""
        out: list[Floats] = []
        nus = None if self._sparse is None else self._sparse.multipliers(t)
        for k, (stack, part) in enumerate(zip(self.problem.stacks, self.problem.split(t), strict=True)):
            found = self._maps[k]
            if found is not None:
                out.append(part @ found.N - found.f)
            elif nus is not None and k in nus:
                out.append(nus[k])
            else:
                out.append(np.zeros((stack.size, stack.A.shape[0])))
        return out

    def local_schur(self) -> list[Floats]:
        """C_i M_i C_i' of each stack, shape (N or 1, slots, slots), M_i the linear part of the map."""
        out: list[Floats] = []
        for k, (stack, found) in enumerate(zip(self.problem.stacks, self._maps, strict=True)):
            if not stack.slots or not stack.C.nnz:
                out.append(np.zeros((1, stack.slots, stack.slots)))
            elif found is not None:
                out.append(_local_schur(stack, found.M))
            elif self._kinds[k] == "plain":
                out.append(_diagonal_schur(stack, self.problem.split(self.D)[k]))
            else:
                out.append(self._sparse_schur(k, self.problem.offsets[k]))
        return out

    def schur(self) -> sp.csr_array:
        """sum_i C_i M_i C_i', shape (rows, rows)."""
        rows: list[Ints] = []
        cols: list[Ints] = []
        data: list[Floats] = []
        for stack, local in zip(self.problem.stacks, self.local_schur(), strict=True):
            if stack.slots and stack.C.nnz:
                _scatter(stack, local, rows, cols, data)
        total = self.problem.couplings.size
        if not rows:
            return sp.csr_array((total, total))
        entries = (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols)))
        return sp.csr_array(sp.coo_array(entries, shape=(total, total)))

    def _sparse_schur(self, k: int, start: int) -> Floats:
        """C_i M_i C_i' for the blocks of one stack, shape (N, slots, slots): one solve a slot serves all blocks."""
        assert self._sparse is not None
        stack = self.problem.stacks[k]
        out = np.zeros((stack.size, stack.slots, stack.slots))
        for slot in range(stack.slots):
            entry = stack.C.row == slot
            t = np.zeros(len(self.D))
            part = t[start : start + stack.q.size].reshape(stack.q.shape)
            part[:, stack.C.col[entry]] = stack.C.full[:, entry]
            x = self.D * t
            self._sparse.correct(x, t, False)
            out[:, :, slot] = stack.C.dot(x[start : start + stack.q.size].reshape(stack.q.shape))
        return out


@dataclass(frozen=True)
class _Sparse:
    """All blocks that share nothing: one block-diagonal A, one factorisation of G."""

    chosen: tuple[int, ...]
    spans: tuple[slice, ...]
    shapes: tuple[tuple[int, int], ...]
    A: sp.csr_array
    At: sp.csr_array
    b: Floats
    D: Floats
    factor: object

    @classmethod
    def build(cls, problem: Separable, D: Floats, chosen: list[int]) -> _Sparse:
        spans = tuple(slice(problem.offsets[k], problem.offsets[k + 1]) for k in chosen)
        stacks = [problem.stacks[k] for k in chosen]
        A = sp.csr_array(sp.block_diag([stack.A.diagonal_blocks for stack in stacks], format="csr"))
        d = np.concatenate([D[span] for span in spans])
        G = sp.csc_array((A.multiply(d[None, :])) @ A.T)
        G = G + sp.diags_array(1e-13 * np.maximum(G.diagonal(), 1e-300))
        factor = splu(sp.csc_matrix(G), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        shapes = tuple((stack.size, stack.A.shape[0]) for stack in stacks)
        b = np.concatenate([stack.b.ravel() for stack in stacks])
        return cls(tuple(chosen), spans, shapes, A, sp.csr_array(A.T), b, d, factor)

    def _nu(self, t: Floats, affine: bool) -> Floats:
        part = np.concatenate([t[span] for span in self.spans])
        right = self.A @ (self.D * part)
        if affine:
            right -= self.b
        return np.asarray(self.factor.solve(right))  # type: ignore[attr-defined]

    def shift(self, x: Floats, pull: Floats) -> None:
        """Takes the whole answer to a linear cost off x, in place."""
        answer = np.zeros_like(x)
        start = 0
        for span in self.spans:
            count = span.stop - span.start
            answer[span] = self.D[start : start + count] * pull[span]
            start += count
        self.correct(answer, pull, False)
        for span in self.spans:
            x[span] -= answer[span]

    def correct(self, x: Floats, t: Floats, affine: bool) -> None:
        """Takes D A'nu off x, in place."""
        shift = self.D * (self.At @ self._nu(t, affine))
        start = 0
        for span in self.spans:
            count = span.stop - span.start
            x[span] -= shift[start : start + count]
            start += count

    def multipliers(self, t: Floats) -> dict[int, Floats]:
        nu, out, start = self._nu(t, True), {}, 0
        for k, shape in zip(self.chosen, self.shapes, strict=True):
            count = shape[0] * shape[1]
            out[k] = nu[start : start + count].reshape(shape)
            start += count
        return out


def _is_shared(stack: Stack, d: Floats) -> bool:
    return stack.A.is_shared and bool((d == d[0]).all())


def _inverse(G: Floats) -> Floats:
    """The inverse of a positive semidefinite matrix on its range: equations may follow from others."""
    diagonal = np.diag(G)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    unit = G * scale[:, None] * scale
    try:
        regular = bool(np.diag(np.linalg.cholesky(unit)).min() > _PIVOT)
    except np.linalg.LinAlgError:
        regular = False
    if regular:
        inverse = np.linalg.inv(unit)
    else:
        values, vectors = np.linalg.eigh(unit)
        kept = values > _DEPENDENT * values[-1]
        inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return np.asarray(inverse * scale[:, None] * scale)


def _local_schur(stack: Stack, M: Floats) -> Floats:
    """C_i M C_i', shape (N or 1, slots, slots)."""
    if stack.C.is_shared:
        C = stack.C.dense()
        return (C @ M @ C.T)[None]
    C = np.zeros((stack.size, stack.slots, stack.columns))
    C[:, stack.C.row, stack.C.col] = stack.C.full
    return np.asarray(np.einsum("ikn,nm,ilm->ikl", C, M, C, optimize=True))


def _diagonal_schur(stack: Stack, d: Floats) -> Floats:
    """C_i diag(d_i) C_i', shape (N, slots, slots)."""
    out = np.zeros((stack.size, stack.slots, stack.slots))
    for j in np.unique(stack.C.col):
        entries = np.flatnonzero(stack.C.col == j)
        for a in entries:
            for b in entries:
                out[:, stack.C.row[a], stack.C.row[b]] += stack.C.full[:, a] * stack.C.full[:, b] * d[:, j]
    return out


def _scatter(stack: Stack, local: Floats, rows: list[Ints], cols: list[Ints], data: list[Floats]) -> None:
    """Adds the blocks' (slots x slots) parts at their global rows."""
    same = (stack.rows == stack.rows[0]).all()
    at = stack.rows[:1] if same else stack.rows
    if same:
        local = stack.size * local if len(local) == 1 else local.sum(axis=0, keepdims=True)
    local = np.broadcast_to(local, (len(at), stack.slots, stack.slots))
    rows.append(np.broadcast_to(at[:, :, None], local.shape).ravel())
    cols.append(np.broadcast_to(at[:, None, :], local.shape).ravel())
    data.append(local.ravel())
