"""The user's own mixing matrix, checked against the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.errors import TopologyError
from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import modulus, need_symmetric

__all__ = ["own_weights"]

Floats = NDArray[np.float64]

# Sums and pairs of a matrix that was computed in double precision agree to this; typed-in thirds (.333) do not.
_CLOSE = 1e-9


def own_weights(links: Links, weights: Any, sums: str, symmetric: bool) -> Floats:
    """The entries of a matrix on the edges, shape (E,); arguments and errors as in ``edge_weights``.

    Raises:
        TopologyError: not square, of another size, not finite, a weight without an edge, sums other than one, weights
            that do not mix, unequal pairs where they must be equal.
    """
    names = [name for _, name in sorted(zip(links.origin.tolist(), links.nodes, strict=True), key=lambda p: p[0])]
    matrix = _read(names, weights)
    _within_edges(links, names, matrix)
    for side, axis in (("rows", 1), ("columns", 0)):
        if sums in (side, "both"):
            _sums_to_one(names, np.asarray(matrix.sum(axis=axis), dtype=np.float64).ravel(), side)
    if symmetric:
        need_symmetric(links, "symmetric weights")
        _pairs(names, matrix)
        matrix = sp.csr_array((matrix + matrix.T) / 2)
    at = links.origin
    values = _entries(matrix, at[links.receiver], at[links.sender])
    _mixes(links, names, matrix, values)
    return values


def _read(names: Sequence[str], weights: Any) -> sp.csr_array:
    """The matrix without stored zeros; names in its order."""
    size = len(names)
    try:
        dense = None if sp.issparse(weights) else np.atleast_1d(np.asarray(weights, dtype=np.float64))
        got = sp.coo_array(weights if dense is None else dense, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TopologyError(f"weights are no matrix of numbers ({error}); give shape ({size}, {size}).") from None
    if got.shape != (size, size):
        first = ", ".join(map(str, names[:3])) + (", ..." if size > 3 else "")
        raise TopologyError(
            f"weights have shape {got.shape}, expected ({size}, {size}): a row and a column for each node in the "
            f"order of the graph ({first})."
        )
    bad = ~np.isfinite(got.data)
    if bad.any():
        k = int(np.argmax(bad))
        raise TopologyError(
            f"the weight that {names[got.row[k]]} gives to {names[got.col[k]]} is {got.data[k]}; "
            "every entry must be a finite number (0 where there is no edge)."
        )
    got.sum_duplicates()
    kept = got.data != 0.0
    ends = (np.asarray(got.row)[kept], np.asarray(got.col)[kept])
    return sp.csr_array((np.asarray(got.data)[kept], ends), shape=(size, size))


def _within_edges(links: Links, names: Sequence[str], matrix: sp.csr_array) -> None:
    found = matrix.tocoo()
    at, size = links.origin, links.size
    keys = np.sort(at[links.receiver].astype(np.int64) * size + at[links.sender])
    asked = found.row.astype(np.int64) * size + found.col
    stray = ~np.isin(asked, keys) & (found.row != found.col)
    if stray.any():
        k = int(np.argmax(stray))
        one, other = names[found.col[k]], names[found.row[k]]
        raise TopologyError(
            f"the weights let {other} hear {one} (row {found.row[k]}, column {found.col[k]}: {found.data[k]:.6g}), and "
            f"the topology has no edge {one} -> {other}; add the edge, or set the entry to 0."
        )


def _sums_to_one(names: Sequence[str], total: Floats, side: str) -> None:
    off = np.abs(total - 1.0)
    k = int(np.argmax(off))
    if off[k] > _CLOSE:
        raise TopologyError(
            f"the {side[:-1]} of {names[k]} in the weights sums to {total[k]:.10g}, expected 1; "
            f"put what is left on the diagonal, or divide each {side[:-1]} by its sum."
        )


def _pairs(names: Sequence[str], matrix: sp.csr_array) -> None:
    apart = sp.coo_array(matrix - matrix.T)
    if apart.nnz and np.abs(apart.data).max() > _CLOSE:
        k = int(np.argmax(np.abs(apart.data)))
        i, j = int(apart.row[k]), int(apart.col[k])
        raise TopologyError(
            f"the weights must be symmetric, and {names[i]} gives {names[j]} {matrix[i, j]:.6g} but gets "
            f"{matrix[j, i]:.6g}; use (W + W.T) / 2 if W also has columns that sum to one, or 'metropolis'."
        )


def _entries(matrix: sp.csr_array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    return np.asarray(matrix[rows, columns], dtype=np.float64).ravel() if len(rows) else np.empty(0)


def _mixes(links: Links, names: Sequence[str], matrix: sp.csr_array, values: Floats) -> None:
    """Refuses weights of 0 that cut a connected graph apart, and negative ones unless W is symmetric and contracts."""
    if links.connected and connected_components(matrix, connection="strong")[0] > 1:
        raise TopologyError(
            "the weights are 0 on so many edges that nodes never agree; give every edge a positive one."
        )
    low = matrix.tocoo()
    if low.nnz == 0 or low.data.min() >= 0.0:
        return
    even = bool((abs(matrix - matrix.T).data <= _CLOSE).all())
    if even and (not links.connected or modulus(links, values) < 1.0):
        return
    k = int(np.argmin(low.data))
    raise TopologyError(
        f"the weight that {names[low.row[k]]} gives to {names[low.col[k]]} is {low.data[k]:.6g}; weights must not be "
        "negative unless the matrix is symmetric and shrinks every disagreement; try 'metropolis'."
    )
