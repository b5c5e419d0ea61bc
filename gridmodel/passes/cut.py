"""Cuts one canonical problem by ownership: what is one block's stays local, what spans blocks couples them.

A quadratic term or a cone that spans blocks is given copies of what it needs, held by the operator, and rows that
make the copies agree with the originals.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.ir.cones import Cones
from gridmodel.passes.canonical import Canonical, RawData

__all__ = ["OPERATOR", "Cut", "LocalPart", "cut", "owners_of_columns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

OPERATOR = -1
_UNKNOWN = -2


@dataclass
class LocalPart:
    """What one block gains: auxiliary columns, cost terms and rows, in columns of the joint problem.

    columns: joint columns that become columns of this block, in order. rows: joint rows that become local rows.
    """

    columns: list[int] = field(default_factory=list)
    zero: list[int] = field(default_factory=list)
    nonneg: list[int] = field(default_factory=list)
    cones: list[tuple[str, float, list[int]]] = field(default_factory=list)
    """(kind, size or exponent, joint rows)."""


@dataclass(frozen=True)
class Cut:
    """The outcome.

    matrix, constant: the joint rows x + constant, extended by copies. P, q, offset: the joint cost.
    owner: owner of each joint column; lower, upper: bounds of the columns that are auxiliary.
    parts: {owner: what it gains}.
    coupling: joint rows that became coupling rows, in order; equality: which of them are equations.
    cone_rows: {joint row of a spanning cone: coupling row that copies it}.
    """

    matrix: sp.csr_array
    constant: Floats
    P: sp.csr_array
    q: Floats
    offset: float
    owner: Ints
    lower: Floats
    upper: Floats
    parts: dict[int, LocalPart]
    coupling: Ints
    equality: NDArray[np.bool_]
    cone_rows: dict[int, int]


def owners_of_columns(canonical: Canonical, matrix: sp.csr_array, owner: Ints) -> Ints:
    """Owners of all columns: an auxiliary belongs to the one owner in the rows that define it, else to the operator.

    Args:
        canonical: tells which rows define which auxiliaries.
        matrix: the rows, shape (rows, columns).
        owner: owners of the user's columns; auxiliaries hold anything below the operator's number.
    """
    owner = owner.copy()
    cone_of = _cone_of_rows(canonical, matrix.shape[0])
    for maker, born in enumerate(canonical.births):
        if not len(born):
            continue
        rows = np.flatnonzero(canonical.row_maker == maker)
        part = matrix[rows].tocoo()
        is_born = np.zeros(matrix.shape[1], dtype=bool)
        is_born[born] = True
        links = is_born[part.col]
        count = len(rows)
        # An auxiliary may meet the user's columns in other rows of its cone only, as t does in t >= |x|.
        inside = np.flatnonzero(cone_of[rows] >= 0)
        ends = np.concatenate([count + part.col[links], count + len(owner) + cone_of[rows[inside]]])
        graph = sp.coo_array(
            (np.ones(len(ends)), (np.concatenate([part.row[links], inside]), ends)),
            shape=(count + len(owner) + len(cone_of),) * 2,
        )
        _, label = connected_components(graph, directed=False)
        known = ~links & (owner[part.col] != _UNKNOWN)
        low = np.full(label.max() + 1, np.iinfo(np.intp).max, dtype=np.intp)
        high = np.full(label.max() + 1, np.iinfo(np.intp).min, dtype=np.intp)
        np.minimum.at(low, label[part.row[known]], owner[part.col[known]])
        np.maximum.at(high, label[part.row[known]], owner[part.col[known]])
        mine = label[count + born]
        owner[born] = np.where(low[mine] == high[mine], low[mine], OPERATOR)
    owner[owner == _UNKNOWN] = OPERATOR
    return owner


def _cone_of_rows(canonical: Canonical, rows: int) -> Ints:
    """The number of each row's cone, -1 for equations and inequalities."""
    cones = canonical.cones
    sizes = [*cones.soc, *(k * (k + 1) // 2 for k in cones.psd), *[3] * (cones.exp + len(cones.pow3d))]
    plain = np.full(rows - sum(sizes), -1, dtype=np.intp)
    return np.concatenate([plain, np.repeat(np.arange(len(sizes), dtype=np.intp), sizes)])


def cut(canonical: Canonical, raw: RawData, owner: Ints, coupling_rows: Ints, skip: Ints) -> Cut:
    """Sorts rows, cones and cost terms of one problem by owner.

    Args:
        canonical, raw: the problem and its values (one set).
        owner: owners of its columns; ``_UNKNOWN`` (-2) for auxiliaries.
        coupling_rows: rows that stay coupling rows even where one owner has all their columns.
        skip: rows to leave out.
    """
    matrix = raw.rows.sparse()
    owner = owners_of_columns(canonical, matrix, owner)
    build = _Builder(matrix, raw.constant[0].copy(), raw.P.sparse(), raw.q[0].copy(), owner)
    build.lower, build.upper = canonical.lower.copy(), canonical.upper.copy()
    build.own_auxiliaries(canonical)
    low, high = build.row_owners()
    skipped = np.zeros(matrix.shape[0], dtype=bool)
    skipped[skip] = True
    forced = np.zeros(matrix.shape[0], dtype=bool)
    forced[coupling_rows] = True
    plain = canonical.zero + canonical.cones.nonneg
    for row in np.flatnonzero(~skipped[:plain]):
        if forced[row] or low[row] < high[row]:
            build.couple(int(row), row < canonical.zero)
        elif low[row] == high[row]:
            part = build.part(int(low[row]))
            (part.zero if row < canonical.zero else part.nonneg).append(int(row))
        else:
            build.part(OPERATOR).zero.append(int(row)) if row < canonical.zero else build.part(OPERATOR).nonneg.append(int(row))
    build.cones(canonical.cones, plain, low, high, skipped)
    build.quadratic()
    return build.finish(float(raw.offset[0]))


class _Builder:
    """Collects the parts; holds the joint matrix while copies are added."""

    def __init__(self, matrix: sp.csr_array, constant: Floats, P: sp.csr_array, q: Floats, owner: Ints) -> None:
        self.matrix, self.constant, self.P, self.q, self.owner = matrix, constant, P, q, owner
        self.lower = self.upper = np.empty(0)
        self.parts: dict[int, LocalPart] = {}
        self.coupling: list[int] = []
        self.equality: list[bool] = []
        self.copies: list[tuple[int, int]] = []
        """(joint row whose value is copied or -1, joint column copied or -1), one a new operator column."""
        self.moved: dict[int, int] = {}
        self.cone_rows: dict[int, int] = {}

    def part(self, owner: int) -> LocalPart:
        return self.parts.setdefault(owner, LocalPart())

    def own_auxiliaries(self, canonical: Canonical) -> None:
        user = np.zeros(len(self.owner), dtype=bool)
        for start, size in canonical.columns.values():
            user[start : start + size] = True
        for column in np.flatnonzero(~user):
            self.part(int(self.owner[column])).columns.append(int(column))

    def row_owners(self) -> tuple[Ints, Ints]:
        rows = self.matrix.shape[0]
        low = np.full(rows, np.iinfo(np.intp).max, dtype=np.intp)
        high = np.full(rows, np.iinfo(np.intp).min, dtype=np.intp)
        coo = self.matrix.tocoo()
        np.minimum.at(low, coo.row, self.owner[coo.col])
        np.maximum.at(high, coo.row, self.owner[coo.col])
        return low, high

    def couple(self, row: int, equality: bool) -> int:
        self.coupling.append(row)
        self.equality.append(equality)
        return len(self.coupling) - 1

    def cones(self, cones: Cones, start: int, low: Ints, high: Ints, skipped: NDArray[np.bool_]) -> None:
        kinds: list[tuple[str, float, int]] = [("soc", float(k), k) for k in cones.soc]
        kinds += [("psd", float(k), k * (k + 1) // 2) for k in cones.psd]
        kinds += [("exp", 0.0, 3)] * cones.exp + [("pow3d", a, 3) for a in cones.pow3d]
        for kind, size, count in kinds:
            rows = np.arange(start, start + count)
            start += count
            if skipped[rows].any():
                continue
            filled = rows[high[rows] >= low[rows]]
            owners = set(low[filled]) | set(high[filled])
            if len(owners) == 1:
                self.part(int(owners.pop())).cones.append((kind, size, [int(r) for r in rows]))
                continue
            spanning = [int(r) for r in rows if low[r] <= high[r] and not (low[r] == high[r] == OPERATOR)]
            at = {row: self._copy(row, -1) for row in spanning}
            self.part(OPERATOR).cones.append((kind, size, [at.get(int(r), int(r)) for r in rows]))

    def _copy(self, row: int, column: int) -> int:
        """A new operator column equal to a row's value (or a column); returns the joint row that reads it."""
        self.copies.append((row, column))
        return self.matrix.shape[0] + 2 * (len(self.copies) - 1)

    def quadratic(self) -> None:
        coo = self.P.tocoo()
        crossing = self.owner[coo.row] != self.owner[coo.col]
        if not crossing.any():
            return
        _, label = connected_components(self.P, directed=False)
        touched = np.isin(label, label[coo.row[crossing]])
        for column in np.flatnonzero(touched & (self.P.getnnz(axis=0) > 0)):
            self.moved[int(column)] = len(self.copies)
            self._copy(-1, int(column))

    def finish(self, offset: float) -> Cut:
        matrix, width = self.matrix, self.matrix.shape[1]
        first_row, count = matrix.shape[0], len(self.copies)
        if count:
            self._extend(width, count)
        for k, (row, _) in enumerate(self.copies):
            coupling = self.couple(first_row + 2 * k + 1, True)
            if row >= 0:
                self.cone_rows[first_row + 2 * k] = coupling
            self.part(OPERATOR).columns.append(width + k)
        return Cut(
            self.matrix, self.constant, self.P, self.q, offset, self.owner, self.lower, self.upper, self.parts,
            np.array(self.coupling, dtype=np.intp), np.array(self.equality, dtype=bool), self.cone_rows,
        )  # fmt: skip

    def _extend(self, width: int, count: int) -> None:
        """Adds copy columns s, rows reading them, and rows s - original = 0."""
        original = self.matrix
        read = sp.coo_array((np.ones(count), (2 * np.arange(count), width + np.arange(count))), shape=(2 * count, width + count))
        tie = sp.coo_array(
            (np.ones(count), (2 * np.arange(count) + 1, width + np.arange(count))), shape=(2 * count, width + count)
        )
        rows = np.array([row for row, _ in self.copies])
        columns = np.array([column for _, column in self.copies])
        of_row = np.flatnonzero(rows >= 0)
        lift = sp.csr_array((np.ones(len(of_row)), (2 * of_row + 1, rows[of_row])), shape=(2 * count, original.shape[0]))
        of_column = np.flatnonzero(columns >= 0)
        pick = sp.csr_array(
            (np.ones(len(of_column)), (2 * of_column + 1, columns[of_column])), shape=(2 * count, width)
        )
        wide = sp.hstack([lift @ original + pick, sp.csr_array((2 * count, count))])
        added = sp.csr_array(read + tie - wide)
        self.matrix = sp.csr_array(sp.vstack([sp.hstack([original, sp.csr_array((original.shape[0], count))]), added]))
        self.constant = np.concatenate([self.constant, -(lift @ self.constant)])
        place = np.arange(width)
        for column, k in self.moved.items():
            place[column] = width + k
        P = self.P.tocoo()
        self.P = sp.csr_array((P.data, (place[P.row], place[P.col])), shape=(width + count,) * 2)
        self.q = np.concatenate([self.q, np.zeros(count)])
        self.owner = np.concatenate([self.owner, np.full(count, OPERATOR)])
        self.lower = np.concatenate([self.lower, np.full(count, -np.inf)])
        self.upper = np.concatenate([self.upper, np.full(count, np.inf)])
