"""Adds to one block what the joint problem gave it: auxiliary columns, cost terms, rows, cones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.passes.blocks import Blocks
from gridmodel.passes.cut import Cut, LocalPart

__all__ = ["empty_block", "gain"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def empty_block(number: int) -> Blocks:
    """A block without columns, such as the operator before it gains any."""
    none = np.zeros((1, 0))
    empty = Batch.empty(0, 0, 1)
    return Blocks(
        np.array([number]), 0, empty, none, np.zeros(1), empty, none, 0, Cones(), none, none,
        np.empty(0, dtype=np.intp), {}, empty, np.empty((1, 0), dtype=np.intp),
    )  # fmt: skip


def gain(block: Blocks, part: LocalPart, joint: Cut, local: Ints, terms: tuple[Ints, Ints, Floats]) -> Blocks:
    """One block (N = 1) with its part of the joint problem.

    Args:
        block: as its template made it.
        part: what it gains.
        joint: the joint problem.
        local: local column of each joint column of this block; filled in for the new columns.
        terms: entries (row, column, value) of the joint P that belong to this block, in joint columns.
    """
    old = block.q.shape[1]
    width = old + len(part.columns)
    local[part.columns] = old + np.arange(len(part.columns))
    cones, order = _cones(block, part)
    source = [*part.zero, *part.nonneg, *(row for _, _, rows in part.cones for row in rows)]
    rows, constant = _rows(block, joint, source, local, width, order)
    group = np.concatenate([block.group, _next(block.group) + np.arange(len(part.columns))])
    lower = np.concatenate([block.lower, joint.lower[part.columns][None, :]], axis=1)
    upper = np.concatenate([block.upper, joint.upper[part.columns][None, :]], axis=1)
    P = Batch.build(
        (width, width),
        np.concatenate([block.P.row, local[terms[0]]]),
        np.concatenate([block.P.col, local[terms[1]]]),
        np.concatenate([block.P.data[0], terms[2]])[None, :],
        1,
    )
    q = np.concatenate([block.q, np.zeros((1, len(part.columns)))], axis=1)
    place = np.argsort(order, kind="stable")
    named = {name: place[at] for name, at in block.named.items()}
    C = Batch.empty(0, width, 1)
    return Blocks(
        block.block, block.user, P, q, block.offset, rows, constant, block.zero + len(part.zero), cones,
        lower, upper, group, named, C, block.slots,
    )  # fmt: skip


def _next(group: Ints) -> int:
    return int(group.max()) + 1 if len(group) else 0


def _rows(
    block: Blocks, joint: Cut, source: list[int], local: Ints, width: int, order: Ints
) -> tuple[Batch, Floats]:
    """Old rows, then the joint rows, sorted into the order zero, nonneg, cones."""
    count = block.rows.shape[0]
    coo = joint.matrix[source].tocoo() if source else None
    row, col, data = [block.rows.row], [block.rows.col], [block.rows.data[0]]
    constant = [block.constant[0]]
    if coo is not None:
        row.append(count + coo.row.astype(np.intp))
        col.append(local[coo.col])
        data.append(coo.data)
        constant.append(joint.constant[source])
    place = np.argsort(order, kind="stable")
    total = len(order)
    rows = Batch.build((total, width), place[np.concatenate(row)], np.concatenate(col), np.concatenate(data)[None, :], 1)
    return rows, np.concatenate(constant)[order][None, :]


def _cones(block: Blocks, part: LocalPart) -> tuple[Cones, Ints]:
    """The joint cones, and for each row of the result its index among (old rows, new rows)."""
    old = block.cones
    first = block.zero + old.nonneg
    base = block.rows.shape[0]
    keyed: list[tuple[int, int, Ints]] = [(0, 0, np.arange(block.zero)), (1, 0, np.arange(block.zero, first))]
    listed = [("soc", float(k), k) for k in old.soc] + [("psd", float(k), k * (k + 1) // 2) for k in old.psd]
    listed += [("exp", 0.0, 3)] * old.exp + [("pow3d", a, 3) for a in old.pow3d]
    kinds = {"soc": 2, "psd": 3, "exp": 4, "pow3d": 5}
    sizes: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind, size, count in listed:
        keyed.append((kinds[kind], len(sizes[kind]), np.arange(first, first + count)))
        sizes[kind].append(size)
        first += count
    new = base + len(part.zero)
    keyed.append((0, 1, np.arange(base, new)))
    keyed.append((1, 1, np.arange(new, new + len(part.nonneg))))
    new += len(part.nonneg)
    for kind, size, rows in part.cones:
        keyed.append((kinds[kind], len(sizes[kind]), np.arange(new, new + len(rows))))
        sizes[kind].append(size)
        new += len(rows)
    keyed.sort(key=lambda item: item[:2])
    cones = Cones(
        old.nonneg + len(part.nonneg), tuple(int(k) for k in sizes["soc"]), tuple(int(k) for k in sizes["psd"]),
        len(sizes["exp"]), tuple(sizes["pow3d"]),
    )  # fmt: skip
    return cones, np.concatenate([rows for _, _, rows in keyed]).astype(np.intp)
