"""Hands the parts of a joint problem to the blocks they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.passes.blocks import Blocks, attach, empty_block, group_equal, same_spans, take
from gridmodel.passes.cut import NOBODY, OPERATOR, Cut
from gridmodel.passes.gain import Gain, RowKinds, gain, row_kinds
from gridmodel.passes.sums import Summed, add_costs, entries_of, shared_entries

__all__ = ["Distributed", "attach_all", "distribute"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Distributed:
    """Blocks with their parts of a joint problem; owner and local column of each joint column."""

    pieces: list[Blocks]
    joint: Cut
    owner: Ints
    local: Ints


@dataclass(frozen=True)
class _Sorted:
    """Things sorted by the block that owns them: block b has those from start[b] to start[b + 1]."""

    order: Ints
    start: Ints

    def of(self, blocks: Ints) -> tuple[Ints, Ints]:
        """The things of some blocks, block after block, and where each block's begin."""
        count = self.start[blocks + 1] - self.start[blocks]
        start = np.concatenate([[0], np.cumsum(count)])
        within = np.arange(start[-1]) - np.repeat(start[:-1], count)
        return self.order[np.repeat(self.start[blocks], count) + within], start


def distribute(
    pieces: list[Blocks], joint: Cut, local: Ints, operator: int, named: Mapping[str, Ints] | None = None
) -> Distributed:
    """Adds auxiliary columns, rows, cones and cost terms to their blocks; blocks that gain are grouped anew.

    Args:
        pieces: all blocks so far.
        joint: the joint problem, cut.
        local: local columns of the user's joint columns.
        operator: number of the operator's block, which is made where it gains anything.
        named: {label of a user's limit: its joint rows}, reported by the blocks that get them.
    """
    owner = np.where(joint.column_owner == OPERATOR, operator, joint.column_owner)
    row_owner = np.where(joint.row_owner == OPERATOR, operator, joint.row_owner)
    terms = joint.P.tocoo()
    gainers = np.zeros(operator + 1, dtype=bool)
    gainers[owner[joint.user :]] = True
    gainers[row_owner[row_owner != NOBODY]] = True
    gainers[owner[terms.row]] = True
    if gainers[operator] and not any((piece.block == operator).any() for piece in pieces):
        pieces = [*pieces, empty_block(operator)]
    columns = _by_owner(owner, np.arange(joint.user, len(owner)), operator)
    place = _places(pieces, owner, local, columns, operator)
    done = pieces
    if gainers.any():
        label = np.full(len(row_owner), -1, dtype=np.intp)
        for k, rows in enumerate((named or {}).values()):
            label[rows] = k
        rows_of = _by_owner(row_owner, np.flatnonzero(row_owner != NOBODY), operator)
        terms_of = _by_owner(owner[terms.row], np.arange(terms.nnz), operator)
        kinds = row_kinds(joint.zero, joint.cones)
        kept, changed = [], []
        for piece in pieces:
            mine = gainers[piece.block]
            if not mine.all():
                kept.append(take(piece, np.flatnonzero(~mine)))
            if mine.any():
                source = _Source(joint, place, columns, rows_of, terms_of, kinds, label, list(named or {}))
                changed += _gains(take(piece, np.flatnonzero(mine)), source)
        done = [*kept, *group_equal(changed)]
    return Distributed(_add_linear(done, joint, owner, place, operator), joint, owner, place)


def attach_all(given: Distributed, operator: int, summed: Sequence[Summed]) -> list[Blocks]:
    """Gives every block its entries of the coupling rows, and its part of a linear cost of sums over agents.

    Args:
        given: blocks with their parts of the joint problem.
        operator: number of the operator's block. summed: the sums over agents that the joint problem uses.
    """
    rows = given.joint.matrix[given.joint.coupling]
    matrix = rows.tocoo()
    owner = given.owner[matrix.col]
    entries = _by_owner(owner, np.arange(len(owner)), operator)
    position = np.zeros(operator + 1, dtype=np.intp)
    out: list[Blocks] = []
    for piece in add_costs(given.pieces, summed, given.joint.q):
        mine, _ = entries.of(piece.block)
        parts = [part for part in summed if part.within(piece.block).any()]
        if not len(mine) and len(parts) == 1 and parts[0].within(piece.block).all():
            out.append(shared_entries(piece, parts[0], rows))
            continue
        position[piece.block] = np.arange(piece.size)
        own = (position[owner[mine]], matrix.row[mine], given.local[matrix.col[mine]], matrix.data[mine])
        every = [own, *(entries_of(piece.block, part, rows) for part in parts)]
        at, row, col, value = (np.concatenate([part[k] for part in every]) for k in range(4))
        out.extend(attach(piece, at.astype(np.intp), row.astype(np.intp), col.astype(np.intp), value))
    return out


@dataclass(frozen=True)
class _Source:
    """The joint problem with its parts sorted by owner; label: the user's limit of each joint row."""

    joint: Cut
    place: Ints
    columns: _Sorted
    rows: _Sorted
    terms: _Sorted
    kinds: RowKinds
    label: Ints
    labels: list[str]


def _gains(piece: Blocks, source: _Source) -> list[Blocks]:
    """Blocks of one structure that all gain, grouped by the structure of what they gain."""
    joint, place = source.joint, source.place
    columns, column_start = source.columns.of(piece.block)
    rows, row_start = source.rows.of(piece.block)
    terms, term_start = source.terms.of(piece.block)
    P = joint.P.tocoo()
    part = joint.matrix[rows].tocoo()
    rank = np.arange(len(rows)) - np.repeat(row_start[:-1], np.diff(row_start))
    order = np.lexsort((place[part.col], part.row))
    entry_row, entry_col, value = rank[part.row[order]], place[part.col[order]], part.data[order]
    at = np.repeat(np.arange(piece.size), np.diff(row_start))[part.row[order]]
    entry_start = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=piece.size))])
    structures: list[tuple[Ints, list[NDArray[Any]]]] = [
        (column_start, [np.zeros(len(columns), dtype=np.intp)]),
        (row_start, [source.kinds.kind[rows], source.kinds.size[rows], source.label[rows]]),
        (entry_start, [entry_row, entry_col]),
        (term_start, [place[P.row[terms]], place[P.col[terms]]]),
    ]
    number = np.zeros(piece.size, dtype=np.intp)
    for start, arrays in structures:
        for k, members in enumerate(same_spans(start, arrays)):
            number[members] += k
        number = np.unique(number, return_inverse=True)[1] * piece.size
    out = []
    for which in np.unique(number):
        members = np.flatnonzero(number == which)

        def spans(start: Ints, members: Ints = members) -> Ints:
            return start[members][:, None] + np.arange(start[members[0] + 1] - start[members[0]])

        own_rows, own_entries, own_terms = rows[spans(row_start)], spans(entry_start), terms[spans(term_start)]
        own_columns = columns[spans(column_start)]
        part_of = Gain(
            lower=joint.lower[own_columns], upper=joint.upper[own_columns],
            kinds=RowKinds(source.kinds.kind[own_rows[0]], source.kinds.size[own_rows[0]]),
            labels=[source.labels[k] if k >= 0 else None for k in source.label[own_rows[0]]],
            constant=joint.constant[own_rows],
            row=entry_row[own_entries[0]], col=entry_col[own_entries[0]], value=value[own_entries],
            P_row=place[P.row[own_terms[0]]], P_col=place[P.col[own_terms[0]]], P_value=P.data[own_terms],
        )  # fmt: skip
        out.append(gain(take(piece, members), part_of))
    return out


def _by_owner(owner: Ints, things: Ints, operator: int) -> _Sorted:
    """Sorts things by their owners, keeping their order within one owner."""
    order = things[np.argsort(owner[things], kind="stable")]
    return _Sorted(order, np.searchsorted(owner[order], np.arange(operator + 2)))


def _places(pieces: list[Blocks], owner: Ints, local: Ints, columns: _Sorted, operator: int) -> Ints:
    """Local column of each joint column: new ones follow the columns that their block has."""
    width = np.zeros(operator + 1, dtype=np.intp)
    for piece in pieces:
        width[piece.block] = piece.q.shape[1]
    place = np.concatenate([local, np.empty(len(owner) - len(local), dtype=np.intp)])
    of = owner[columns.order]
    place[columns.order] = width[of] + np.arange(len(of)) - columns.start[of]
    return place


def _add_linear(pieces: list[Blocks], joint: Cut, owner: Ints, local: Ints, operator: int) -> list[Blocks]:
    """The joint linear cost, to the columns' owners, and its constant, to the first block."""
    used = np.flatnonzero(joint.q)
    if not len(used) and not joint.offset:
        return pieces
    entries = _by_owner(owner, used, operator)
    position = np.zeros(operator + 1, dtype=np.intp)
    out = []
    for piece in pieces:
        position[piece.block] = np.arange(piece.size)
        at, _ = entries.of(piece.block)
        q, offset = piece.q.copy(), piece.offset.copy()
        np.add.at(q, (position[owner[at]], local[at]), joint.q[at])
        offset[piece.block == 0] += joint.offset
        out.append(replace(piece, q=q, offset=offset))
    return out
