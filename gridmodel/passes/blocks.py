"""Blocks before the rewriting of their rows: a template's data, or one block put together with what it gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones

__all__ = ["Blocks", "attach", "group_equal", "single_blocks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Blocks:
    """N blocks of one structure with rows x + constant in {0}^zero x cones.

    block: (N,) number of each block in the model. user: columns of user variables, which stand first.
    named: {name of a user's limit: its rows}. C: (k, n), slots: (N, k) global coupling rows.
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


def single_blocks(blocks: Blocks) -> list[Blocks]:
    """Each block apart."""
    return [_take(blocks, np.array([i])) for i in range(blocks.size)]


def group_equal(blocks: Sequence[Blocks]) -> list[Blocks]:
    """Joins blocks (N = 1 each) of one sparsity structure."""
    groups: dict[object, list[Blocks]] = {}
    for block in blocks:
        groups.setdefault(_pattern(block), []).append(block)
    return [_join(group) for group in groups.values()]


def attach(blocks: Blocks, slot_of: Ints, row: Ints, col: Ints, value: Floats) -> list[Blocks]:
    """Gives blocks their coupling entries; splits them where the pattern of entries differs.

    Args:
        blocks: without couplings.
        slot_of: position in ``blocks`` of each entry. row: global coupling row. col: local column. value: its value.
    """
    order = np.lexsort((col, row, slot_of))
    at, row, col, value = slot_of[order], row[order], col[order], value[order]
    count = np.bincount(at, minlength=blocks.size)
    start = np.concatenate([[0], np.cumsum(count)])
    # Number the distinct rows of each block 0, 1, ...
    fresh = np.ones(len(row), dtype=np.intp)
    fresh[1:] = (row[1:] != row[:-1]) | (at[1:] != at[:-1])
    running = np.cumsum(fresh) - 1
    slot = running - running[start[at]]
    if (count == count[0]).all():
        shape = (blocks.size, int(count[0]))
        same = (slot.reshape(shape) == slot[: shape[1]]).all() and (col.reshape(shape) == col[: shape[1]]).all()
        if same:
            return [_with_couplings(blocks, slot[: shape[1]], col[: shape[1]], row.reshape(shape), value.reshape(shape))]
    classes: dict[bytes, list[int]] = {}
    for i in range(blocks.size):
        span = slice(start[i], start[i + 1])
        classes.setdefault(slot[span].tobytes() + b"|" + col[span].tobytes(), []).append(i)
    out = []
    for members in classes.values():
        chosen = np.array(members)
        first = slice(start[members[0]], start[members[0] + 1])
        entries = start[chosen][:, None] + np.arange(first.stop - first.start)
        out.append(_with_couplings(_take(blocks, chosen), slot[first], col[first], row[entries], value[entries]))
    return out


def _with_couplings(blocks: Blocks, slot: Ints, col: Ints, row: Ints, value: Floats) -> Blocks:
    k = int(slot.max()) + 1 if len(slot) else 0
    slots = np.zeros((blocks.size, k), dtype=np.intp)
    slots[:, slot] = row
    C = Batch.build((k, blocks.q.shape[1]), slot, col, value, blocks.size)
    return Blocks(**{**vars_of(blocks), "C": C, "slots": slots})


def vars_of(blocks: Blocks) -> dict[str, object]:
    """The fields by name."""
    return {name: getattr(blocks, name) for name in Blocks.__dataclass_fields__}


def _take(blocks: Blocks, chosen: Ints) -> Blocks:
    fields = vars_of(blocks)
    for name in ("block", "q", "offset", "constant", "lower", "upper", "slots"):
        fields[name] = getattr(blocks, name)[chosen]
    for name in ("P", "rows", "C"):
        fields[name] = getattr(blocks, name).take(chosen)
    return Blocks(**fields)  # type: ignore[arg-type]


def _pattern(block: Blocks) -> object:
    parts = [block.P.row, block.P.col, block.rows.row, block.rows.col, block.C.row, block.C.col]
    named = tuple((name, rows.tobytes()) for name, rows in block.named.items())
    return (
        tuple(part.astype(np.int64).tobytes() for part in parts),
        (block.q.shape[1], block.user, block.zero, block.cones, block.slots.shape[1], block.rows.shape),
        block.group.tobytes(),
        named,
    )


def _join(group: list[Blocks]) -> Blocks:
    first, size = group[0], len(group)
    fields = vars_of(first)
    for name in ("block", "q", "offset", "constant", "lower", "upper", "slots"):
        fields[name] = np.concatenate([getattr(b, name) for b in group])
    for name in ("P", "rows", "C"):
        one: Batch = getattr(first, name)
        data = np.concatenate([getattr(b, name).data for b in group])
        fields[name] = Batch.build(one.shape, one.row, one.col, data, size)
    return Blocks(**fields)  # type: ignore[arg-type]
