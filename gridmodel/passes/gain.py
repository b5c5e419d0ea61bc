"""Adds to blocks what a joint problem gave them: auxiliary columns, cost terms, rows, cones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.passes.blocks import Blocks

__all__ = ["Gain", "RowKinds", "gain", "row_kinds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_ZERO, _NONNEG, _SOC, _PSD, _EXP, _POW = range(6)


@dataclass(frozen=True)
class RowKinds:
    """What cone each row belongs to.

    kind: 0 equation, 1 inequality, 2 second-order, 3 semidefinite, 4 exponential, 5 power.
    size: dimension (second-order), order (semidefinite) or exponent (power) of the row's cone.
    """

    kind: Ints
    size: Floats

    def cones(self) -> Cones:
        """The cones of these rows, which come cone after cone."""
        soc: list[int] = []
        psd: list[int] = []
        pow3d: list[float] = []
        at = int((self.kind <= _NONNEG).sum())
        while at < len(self.kind):
            kind, size = int(self.kind[at]), float(self.size[at])
            if kind == _SOC:
                soc.append(int(size))
                at += int(size)
            elif kind == _PSD:
                psd.append(int(size))
                at += int(size) * (int(size) + 1) // 2
            else:
                pow3d += [size] if kind == _POW else []
                at += 3
        exp = int((self.kind == _EXP).sum()) // 3
        return Cones(int((self.kind == _NONNEG).sum()), tuple(soc), tuple(psd), exp, tuple(pow3d))


def row_kinds(zero: int, cones: Cones) -> RowKinds:
    """The kinds of rows ordered as ``ir.cones`` says, after ``zero`` equations."""
    parts: list[tuple[int, float, int]] = [(_ZERO, 0.0, zero), (_NONNEG, 0.0, cones.nonneg)]
    parts += [(_SOC, float(k), k) for k in cones.soc]
    parts += [(_PSD, float(k), k * (k + 1) // 2) for k in cones.psd]
    parts += [(_EXP, 0.0, 3 * cones.exp)] + [(_POW, a, 3) for a in cones.pow3d]
    kind, size, count = (np.array(column) for column in zip(*parts, strict=True))
    return RowKinds(np.repeat(kind, count), np.repeat(size, count))


@dataclass(frozen=True)
class Gain:
    """What N blocks of one structure gain, equal in structure, in local columns and in rows 0, 1, ... of their own.

    lower, upper: bounds of the new columns, shape (N, new columns).
    kinds, labels: of the new rows: their cones and the user's limits that they stand for.
    constant: (N, new rows). row, col: positions of their entries; value: (N, entries).
    P_row, P_col, P_value: the same of entries added to P.
    """

    lower: Floats
    upper: Floats
    kinds: RowKinds
    labels: Sequence[str | None]
    constant: Floats
    row: Ints
    col: Ints
    value: Floats
    P_row: Ints
    P_col: Ints
    P_value: Floats


def gain(blocks: Blocks, part: Gain) -> Blocks:
    """Blocks with their part of the joint problem; rows are sorted anew into the order zero, nonneg, cones."""
    size, old = blocks.q.shape
    added = part.lower.shape[1]
    width = old + added
    before = row_kinds(blocks.zero, blocks.cones)
    count = len(before.kind)
    kind = np.concatenate([before.kind, part.kinds.kind])
    order = np.argsort(kind, kind="stable")
    place = np.argsort(order, kind="stable")
    total = RowKinds(kind[order], np.concatenate([before.size, part.kinds.size])[order])
    rows = _joined(
        (len(order), width), size,
        (place[blocks.rows.row], blocks.rows.col, blocks.rows.data), (place[count + part.row], part.col, part.value),
    )  # fmt: skip
    P = _joined(
        (width, width), size,
        (blocks.P.row, blocks.P.col, blocks.P.data), (part.P_row, part.P_col, part.P_value),
    )  # fmt: skip
    named = {name: place[at] for name, at in blocks.named.items()}
    for name in {label for label in part.labels if label is not None}:
        named[name] = place[count + np.flatnonzero([label == name for label in part.labels])]
    start = int(blocks.group.max()) + 1 if len(blocks.group) else 0
    return replace(
        blocks, P=P, q=np.concatenate([blocks.q, np.zeros((size, added))], axis=1), rows=rows,
        constant=np.concatenate([blocks.constant, part.constant], axis=1)[:, order],
        zero=int((kind == _ZERO).sum()), cones=total.cones(), named=named,
        lower=np.concatenate([blocks.lower, part.lower], axis=1),
        upper=np.concatenate([blocks.upper, part.upper], axis=1),
        group=np.concatenate([blocks.group, start + np.arange(added)]), C=Batch.empty(0, width, size),
    )  # fmt: skip


def _joined(
    shape: tuple[int, int], size: int, first: tuple[Ints, Ints, Floats], second: tuple[Ints, Ints, Floats]
) -> Batch:
    """One matrix of the entries (row, column, values (N or 1, entries)) of two."""
    depth = max(len(first[2]), len(second[2]))
    data = [np.broadcast_to(part[2], (depth, part[2].shape[1])) for part in (first, second)]
    row, col = (np.concatenate([first[k], second[k]]) for k in (0, 1))
    return Batch.build(shape, row, col, np.concatenate(data, axis=1), size)
