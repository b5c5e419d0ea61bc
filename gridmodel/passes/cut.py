"""Cuts one canonical problem by ownership: what is one block's stays local, what spans blocks couples them.

A quadratic term or a cone that spans blocks is given copies of what it needs, held by the operator, and rows that
make the copies agree with the originals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.ir.cones import Cones
from gridmodel.passes.canonical import Canonical, RawData

__all__ = ["NOBODY", "OPERATOR", "SUMS", "Cut", "cut"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

OPERATOR = -1
_UNKNOWN = -2
NOBODY = -3
SUMS = -4
"""The owner of variables that stand for sums over agents: what uses them couples agents, and nothing is theirs."""
_LEAST, _MOST = np.iinfo(np.intp).min, np.iinfo(np.intp).max


@dataclass(frozen=True)
class Cut:
    """The outcome, in the columns of the joint problem followed by the operator's copies.

    P, q, offset: the joint cost. matrix, constant: rows x + constant; the first are the canonical rows (of a cone that
    spans blocks they read the operator's copies), then rows copy - original = 0.
    column_owner: of each column. row_owner: of each row, NOBODY for coupling rows and rows left out.
    lower, upper: bounds of columns; user: how many columns the user declared.
    coupling: joint rows that became coupling rows, in order; equality: which of them are equations.
    """

    P: sp.csr_array
    q: Floats
    offset: float
    matrix: sp.csr_array
    constant: Floats
    column_owner: Ints
    row_owner: Ints
    lower: Floats
    upper: Floats
    user: int
    zero: int
    cones: Cones
    coupling: Ints
    equality: Bools


def cut(canonical: Canonical, raw: RawData, owner: Ints, coupling_rows: Ints) -> Cut:
    """Sorts rows, cones and cost terms of one problem by owner.

    Args:
        canonical, raw: the problem and its values (one set).
        owner: owners of the given columns.
        coupling_rows: rows that stay coupling rows even where one owner has all their columns.
    """
    matrix, constant, P = raw.rows.sparse(), raw.constant[0].copy(), raw.P.sparse()
    rows, width = matrix.shape
    columns = _owners_of_columns(canonical, matrix, owner)
    low, high = _row_owners(matrix, columns)
    plain = canonical.zero + canonical.cones.nonneg
    row_owner = np.where((low == high) & (low != SUMS), low, NOBODY)
    row_owner[low > high] = max(int(columns.min(initial=0)), 0)  # rows without columns are true or false by themselves
    row_owner[coupling_rows] = NOBODY
    row_owner[canonical.attribute_rows] = NOBODY
    coupling = row_owner[:plain] == NOBODY
    coupling[canonical.attribute_rows[canonical.attribute_rows < plain]] = False
    copied_rows = _cones(canonical, low, high, row_owner)
    copied_columns = _crossing_columns(P, columns)
    count, tied = len(copied_rows) + len(copied_columns), rows + np.arange(len(copied_rows) + len(copied_columns))
    if count:
        matrix, constant = _with_copies(matrix, constant, copied_rows, copied_columns)
        place = np.arange(width)
        place[copied_columns] = width + len(copied_rows) + np.arange(len(copied_columns))
        coo = P.tocoo()
        P = sp.csr_array((coo.data, (place[coo.row], place[coo.col])), shape=(width + count,) * 2)
    free = np.full(count, np.inf)
    chosen = np.concatenate([np.flatnonzero(coupling), tied])
    return Cut(
        P, np.concatenate([raw.q[0], np.zeros(count)]), float(raw.offset[0]), matrix, constant,
        np.concatenate([columns, np.full(count, OPERATOR)]), np.concatenate([row_owner, np.full(count, NOBODY)]),
        np.concatenate([canonical.lower, -free]), np.concatenate([canonical.upper, free]), canonical.user,
        canonical.zero, canonical.cones, chosen, (chosen < canonical.zero) | (chosen >= rows),
    )  # fmt: skip


def _owners_of_columns(canonical: Canonical, matrix: sp.csr_array, owner: Ints) -> Ints:
    """Owners of all columns: an auxiliary belongs to the one owner in the rows that define it, else to the operator."""
    columns = np.concatenate([owner, np.full(canonical.width - canonical.user, _UNKNOWN, dtype=np.intp)])
    cone_of = _cone_of_rows(canonical.zero, canonical.cones)
    by_maker = np.argsort(canonical.row_maker, kind="stable")
    ends = np.searchsorted(canonical.row_maker[by_maker], np.arange(len(canonical.births) + 1))
    for maker, born in enumerate(canonical.births):
        if len(born):
            rows = by_maker[ends[maker] : ends[maker + 1]]
            columns[born] = _owners_of_births(matrix[rows].tocoo(), cone_of[rows], born, columns)
    columns[columns == _UNKNOWN] = OPERATOR
    return columns


def _owners_of_births(part: sp.coo_array, cone_of: Ints, born: Ints, owner: Ints) -> Ints:
    """Owners of the columns that one call made, from its rows ``part``.

    Rows and new columns that hang together share one owner. A new column may meet the user's columns in other rows of
    its cone only, as t does in t >= |x|, so the rows of one cone hang together too.
    """
    count = part.shape[0]
    order = np.argsort(born)
    found = np.searchsorted(born[order], part.col)
    links = born[order][np.minimum(found, len(born) - 1)] == part.col
    inside = np.flatnonzero(cone_of >= 0)
    _, cone = np.unique(cone_of[inside], return_inverse=True)
    ends = np.concatenate([count + order[found[links]], count + len(born) + cone])
    nodes = count + len(born) + len(inside)
    graph = sp.coo_array((np.ones(len(ends)), (np.concatenate([part.row[links], inside]), ends)), shape=(nodes, nodes))
    _, label = connected_components(graph, directed=False)
    known = ~links & (owner[part.col] != _UNKNOWN)
    low, high = np.full(label.max() + 1, _MOST), np.full(label.max() + 1, _LEAST)
    np.minimum.at(low, label[part.row[known]], owner[part.col[known]])
    np.maximum.at(high, label[part.row[known]], owner[part.col[known]])
    mine = label[count + np.arange(len(born))]
    return np.where((low[mine] == high[mine]) & (low[mine] != SUMS), low[mine], OPERATOR)


def _cone_of_rows(zero: int, cones: Cones) -> Ints:
    """The number of each row's cone, -1 for equations and inequalities."""
    sizes = [*cones.soc, *(k * (k + 1) // 2 for k in cones.psd), *[3] * (cones.exp + len(cones.pow3d))]
    plain = np.full(zero + cones.nonneg, -1, dtype=np.intp)
    return np.concatenate([plain, np.repeat(np.arange(len(sizes), dtype=np.intp), sizes)])


def _row_owners(matrix: sp.csr_array, owner: Ints) -> tuple[Ints, Ints]:
    """Least and greatest owner of each row's columns; least > greatest for a row without columns."""
    low, high = np.full(matrix.shape[0], _MOST), np.full(matrix.shape[0], _LEAST)
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if len(filled):
        owners = owner[matrix.indices]
        low[filled] = np.minimum.reduceat(owners, matrix.indptr[filled])
        high[filled] = np.maximum.reduceat(owners, matrix.indptr[filled])
    return low, high


def _cones(canonical: Canonical, low: Ints, high: Ints, row_owner: Ints) -> Ints:
    """Gives every cone's rows one owner; returns the rows whose values the operator must copy."""
    plain = canonical.zero + canonical.cones.nonneg
    cone_of = _cone_of_rows(canonical.zero, canonical.cones)[plain:]
    if not len(cone_of):
        return np.empty(0, dtype=np.intp)
    first = np.flatnonzero(np.concatenate([[True], np.diff(cone_of) > 0]))
    least, greatest = np.minimum.reduceat(low[plain:], first), np.maximum.reduceat(high[plain:], first)
    alone = ((least >= greatest) & (least != SUMS))[cone_of]
    row_owner[plain:] = np.where((least == greatest) & (least != SUMS), least, OPERATOR)[cone_of]
    row_owner[canonical.attribute_rows] = NOBODY
    has_columns = low[plain:] <= high[plain:]
    operators = (low[plain:] == OPERATOR) & (high[plain:] == OPERATOR)
    kept = row_owner[plain:] != NOBODY
    return np.asarray(plain + np.flatnonzero(~alone & kept & has_columns & ~operators), dtype=np.intp)


def _crossing_columns(P: sp.csr_array, owner: Ints) -> Ints:
    """Columns of quadratic terms that span owners, with all columns that hang together with them."""
    coo = P.tocoo()
    crossing = (owner[coo.row] != owner[coo.col]) | (owner[coo.row] == SUMS)
    if not crossing.any():
        return np.empty(0, dtype=np.intp)
    _, label = connected_components(P, directed=False)
    return np.flatnonzero(np.isin(label, label[coo.row[crossing]]))


def _with_copies(matrix: sp.csr_array, constant: Floats, rows: Ints, columns: Ints) -> tuple[sp.csr_array, Floats]:
    """Adds a column s for each row or column to copy, and rows s - original = 0; the copied rows then read s alone."""
    total, width = matrix.shape
    count = len(rows) + len(columns)
    copied = np.zeros(total, dtype=bool)
    copied[rows] = True
    coo = matrix.tocoo()
    kept = ~copied[coo.row]  # zeros that a parameter may change stay entries
    rest = sp.csr_array((coo.data[kept], (coo.row[kept], coo.col[kept])), shape=matrix.shape)
    read = sp.csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(total, count))
    of_columns = sp.csr_array((np.ones(len(columns)), (np.arange(len(columns)), columns)), shape=(len(columns), width))
    original = sp.vstack([matrix[rows], of_columns])
    joined = sp.block_array([[rest, read], [-original, sp.eye_array(count)]], format="csr")
    side = np.concatenate([np.where(copied, 0.0, constant), -constant[rows], np.zeros(len(columns))])
    return sp.csr_array(joined), side
