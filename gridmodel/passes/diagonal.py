"""Rewrites a quadratic cost so that its matrix is diagonal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack

__all__ = ["diagonalise"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_RELATIVE = 1e-12


def diagonalise(stack: Stack) -> Stack:
    """1/2 x'P x = 1/2 sum_k w_k t_k^2 with added columns t = F'x, P = F diag(w) F' over columns that hang together.

    Columns that P leaves alone, and those on its diagonal only, stay as they are.
    """
    P, n = stack.P, stack.columns
    pattern = sp.csr_array((np.ones(P.nnz), (P.row, P.col)), shape=(n, n))
    _, label = connected_components(pattern, directed=False)
    tied = np.zeros(n, dtype=bool)
    tied[P.row[P.row != P.col]] = True
    parts = [_part(stack, np.flatnonzero(tied & (label == k))) for k in np.unique(label[tied])]
    columns = np.concatenate([np.tile(at, len(weight.T)) for at, weight, _ in parts])
    rank = np.array([weight.shape[1] for _, weight, _ in parts])
    added = int(rank.sum())
    rows = np.repeat(np.arange(added), np.repeat([len(at) for at, _, _ in parts], rank))
    weight = np.concatenate([part for _, part, _ in parts], axis=1)
    factor = np.concatenate([part for _, _, part in parts], axis=1)
    kept = ~tied[P.row]
    new = n + np.arange(added)
    shape = (n + added, n + added)
    count = stack.A.shape[0]
    A = _batch(
        (count + added, n + added), stack.size,
        (stack.A.row, stack.A.col, stack.A.data), (count + rows, columns, factor),
        (count + np.arange(added), new, np.full((1, added), -1.0)),
    )  # fmt: skip
    pad, free = np.zeros((stack.size, added)), np.full((stack.size, added), np.inf)
    start = int(stack.group.max()) + 1
    return replace(
        stack, P=_batch(shape, stack.size, (P.row[kept], P.col[kept], P.data[:, kept]), (new, new, weight)),
        q=np.concatenate([stack.q, pad], axis=1), A=A, b=np.concatenate([stack.b, pad], axis=1),
        lower=np.concatenate([stack.lower, -free], axis=1), upper=np.concatenate([stack.upper, free], axis=1),
        G=replace(stack.G, shape=(stack.G.shape[0], n + added)),
        C=replace(stack.C, shape=(stack.C.shape[0], n + added)),
        group=np.concatenate([stack.group, start + np.arange(added)]),
    )  # fmt: skip


def _part(stack: Stack, at: Ints) -> tuple[Ints, Floats, Floats]:
    """Columns that hang together, weights (N or 1, rank), and F' row after row (N or 1, rank times columns)."""
    P = stack.P
    place = np.full(stack.columns, -1, dtype=np.intp)
    place[at] = np.arange(len(at))
    mine = place[P.row] >= 0
    dense = np.zeros((len(P.data), len(at), len(at)))
    dense[:, place[P.row[mine]], place[P.col[mine]]] = P.data[:, mine]
    values, vectors = np.linalg.eigh(0.5 * (dense + dense.transpose(0, 2, 1)))
    needed = (values > _RELATIVE * values.max(axis=1, keepdims=True)).any(axis=0)
    weight = np.maximum(values[:, needed], 0.0)
    factor = vectors[:, :, needed].transpose(0, 2, 1)
    return at, weight, factor.reshape(len(values), -1)


def _batch(shape: tuple[int, int], size: int, *parts: tuple[Ints, Ints, Floats]) -> Batch:
    """One matrix of the entries (row, column, values (N or 1, entries)) of several."""
    depth = max(len(data) for _, _, data in parts)
    row, col = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    data = np.concatenate([np.broadcast_to(part[2], (depth, part[2].shape[1])) for part in parts], axis=1)
    return Batch.build(shape, row, col, data, size)
