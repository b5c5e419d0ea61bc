"""Blocks before the rewriting of their rows: a template's data, or what blocks and a joint problem make together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones

__all__ = ["Blocks", "attach", "empty_block", "group_equal", "same_spans", "take"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Blocks:
    """N blocks of one structure with rows x + constant in {0}^zero x cones.

    block: (N,) number of each block in the model. user: columns of user variables, which stand first.
    P: (n, n). q: (N, n). offset: (N,). rows: (r, n). constant: (N, r). lower, upper: (N, n).
    group: (n,), shared by columns of one user variable. named: {label of a user's limit: its rows}.
    C: (k, n), slots: (N, k) global coupling rows.
    """

    block: Ints
    user: int
    P: Batch
    q: Floats
    offset: Floats
    rows: Batch
    constant: Floats
    zero: int
    cones: Cones
    lower: Floats
    upper: Floats
    group: Ints
    named: dict[str, Ints]
    C: Batch
    slots: Ints

    @property
    def size(self) -> int:
        """N."""
        return len(self.block)


def empty_block(number: int) -> Blocks:
    """A block without columns, such as the operator before it gains any."""
    none = np.zeros((1, 0))
    empty = Batch.empty(0, 0, 1)
    return Blocks(
        np.array([number]), 0, empty, none, np.zeros(1), empty, none, 0, Cones(), none, none,
        np.empty(0, dtype=np.intp), {}, empty, np.empty((1, 0), dtype=np.intp),
    )  # fmt: skip


def take(blocks: Blocks, chosen: Ints) -> Blocks:
    """The chosen blocks."""
    if len(chosen) == blocks.size:
        return blocks
    return replace(
        blocks, block=blocks.block[chosen], q=blocks.q[chosen], offset=blocks.offset[chosen],
        constant=blocks.constant[chosen], lower=blocks.lower[chosen], upper=blocks.upper[chosen],
        slots=blocks.slots[chosen], P=blocks.P.take(chosen), rows=blocks.rows.take(chosen), C=blocks.C.take(chosen),
    )  # fmt: skip


def group_equal(pieces: Sequence[Blocks]) -> list[Blocks]:
    """Joins blocks of one sparsity structure."""
    groups: dict[object, list[Blocks]] = {}
    for piece in pieces:
        groups.setdefault(_pattern(piece), []).append(piece)
    return [_join(group) for group in groups.values()]


def same_spans(start: Ints, arrays: Sequence[NDArray[Any]]) -> list[Ints]:
    """Groups spans of equal contents.

    Args:
        start: span i is start[i] to start[i + 1]. arrays: contents, each as long as start[-1].

    Returns:
        The numbers of the spans of each group, ascending.
    """
    length = np.diff(start)
    if len(length) and (length == length[0]).all():
        shape = (len(length), int(length[0]))
        if all((array.reshape(shape) == array[: shape[1]]).all() for array in arrays):
            return [np.arange(shape[0])]
    groups: dict[object, list[int]] = {}
    for i, (first, last) in enumerate(pairwise(start)):
        groups.setdefault(tuple(array[first:last].tobytes() for array in arrays), []).append(i)
    return [np.array(group) for group in groups.values()]


def attach(blocks: Blocks, slot_of: Ints, row: Ints, col: Ints, value: Floats) -> list[Blocks]:
    """Gives blocks their coupling entries; splits them where the pattern of entries differs.

    Args:
        blocks: without couplings.
        slot_of: position in ``blocks`` of each entry. row: global coupling row. col: local column. value: its value.
    """
    at = slot_of
    if not _is_sorted(at, row, col):
        order = np.lexsort((col, row, at))
        at, row, col, value = at[order], row[order], col[order], value[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=blocks.size))])
    # Number the distinct rows of each block 0, 1, ...
    fresh = np.ones(len(row), dtype=np.intp)
    fresh[1:] = (row[1:] != row[:-1]) | (at[1:] != at[:-1])
    running = np.cumsum(fresh) - 1
    slot = running - running[start[at]]
    out = []
    for members in same_spans(start, [slot, col]):
        span = slice(start[members[0]], start[members[0] + 1])
        entries = start[members][:, None] + np.arange(span.stop - span.start)
        k = int(slot[span].max()) + 1 if span.stop > span.start else 0
        slots = np.zeros((len(members), k), dtype=np.intp)
        slots[:, slot[span]] = row[entries]
        C = Batch.build((k, blocks.q.shape[1]), slot[span], col[span], value[entries], len(members))
        out.append(replace(take(blocks, members), C=C, slots=slots))
    return out


def _is_sorted(at: Ints, row: Ints, col: Ints) -> bool:
    """Whether entries are sorted by block, then row, then column."""
    blocks, rows = np.diff(at), np.diff(row)
    same_row = (blocks == 0) & (rows == 0)
    return not ((blocks < 0) | ((blocks == 0) & (rows < 0)) | (same_row & (np.diff(col) <= 0))).any()


def _pattern(block: Blocks) -> object:
    parts = [block.P.row, block.P.col, block.rows.row, block.rows.col, block.C.row, block.C.col, block.group]
    return (
        tuple(part.tobytes() for part in parts),
        (block.q.shape[1], block.user, block.zero, block.cones, block.slots.shape[1], block.rows.shape),
        tuple((name, rows.tobytes()) for name, rows in block.named.items()),
    )


def _join(group: list[Blocks]) -> Blocks:
    first = group[0]
    if len(group) == 1:
        return first
    size = sum(piece.size for piece in group)

    def batch(parts: list[Batch]) -> Batch:
        data = np.concatenate([part.full for part in parts])
        return Batch.build(parts[0].shape, parts[0].row, parts[0].col, data, size)

    return replace(
        first, block=np.concatenate([piece.block for piece in group]), q=np.concatenate([piece.q for piece in group]),
        offset=np.concatenate([piece.offset for piece in group]), constant=np.concatenate([p.constant for p in group]),
        lower=np.concatenate([piece.lower for piece in group]), upper=np.concatenate([piece.upper for piece in group]),
        slots=np.concatenate([piece.slots for piece in group]), P=batch([piece.P for piece in group]),
        rows=batch([piece.rows for piece in group]), C=batch([piece.C for piece in group]),
    )  # fmt: skip
