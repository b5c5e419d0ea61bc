"""The model as plain matrices, cut by ownership: stacks of blocks, and the rows that tie them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.ir.stack import Stack

__all__ = ["CouplingInfo", "Couplings", "Separable"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class CouplingInfo:
    """One user coupling and the rows it became.

    name, unit: the user's. shape: of the constraint as written.
    rows: global coupling rows, one an entry of the flattened constraint (column by column).
    dual_sign: cvxpy's dual of an entry is dual_sign times the multiplier mu of its row.
    price_sign: the price is price_sign times cvxpy's dual; None where a cone has no price.
    """

    name: str
    unit: str | None
    shape: tuple[int, ...]
    rows: Ints
    dual_sign: float
    price_sign: float | None
    place: str


@dataclass(frozen=True)
class Couplings:
    """The coupling rows  lower <= sum_i C_i x_i <= upper  with multipliers mu.

    The Lagrangian is f(x) + mu' (C x - y), y in [lower, upper]: mu >= 0 where only upper is finite.

    lower, upper: shape (m,), equal for equations.
    infos: the user's couplings; rows of copies that the compiler made belong to none.
    """

    lower: Floats
    upper: Floats
    infos: tuple[CouplingInfo, ...]

    @property
    def size(self) -> int:
        """m, the number of rows."""
        return len(self.lower)

    @property
    def equality(self) -> NDArray[np.bool_]:
        """Which rows are equations."""
        return np.asarray(self.lower == self.upper)

    def name_of_rows(self) -> list[str]:
        """The user's coupling of each row, or a word for the compiler's copies."""
        names = ["copies of the operator"] * self.size
        for info in self.infos:
            for row in info.rows:
                names[row] = info.name
        return names


@dataclass(frozen=True)
class Separable:
    """Stacks of blocks, the coupling rows between them, and who may talk to whom.

    links: the topology over all blocks in the order of the stacks; None where none was given.
    """

    stacks: tuple[Stack, ...]
    couplings: Couplings
    links: Links | None = None

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First column of each stack in the concatenated vector of all columns; one more at the end."""
        sizes = [stack.q.size for stack in self.stacks]
        return tuple(int(k) for k in np.concatenate([[0], np.cumsum(sizes)]))

    @cached_property
    def matrix(self) -> sp.csr_array:
        """C of all stacks side by side, shape (m, columns of all blocks)."""
        rows, cols, data = [], [], []
        for stack, start in zip(self.stacks, self.offsets, strict=False):
            at = np.arange(stack.size)[:, None]
            rows.append(stack.rows[:, stack.C.row].ravel())
            cols.append((start + at * stack.columns + stack.C.col).ravel())
            data.append(np.ascontiguousarray(stack.C.full).ravel())
        shape = (self.couplings.size, self.offsets[-1])
        if not rows:
            return sp.csr_array(shape)
        return sp.csr_array((np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=shape)

    @cached_property
    def participants(self) -> Ints:
        """Number of blocks that touch each coupling row, shape (m,)."""
        count = np.zeros(self.couplings.size, dtype=np.intp)
        for stack in self.stacks:
            np.add.at(count, stack.rows.ravel(), 1)
        return count

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return sum(stack.size for stack in self.stacks)

    @property
    def is_qp(self) -> bool:
        """Whether no block has cones."""
        return all(stack.is_qp for stack in self.stacks)

    def join(self, parts: list[Floats]) -> Floats:
        """Arrays of shape (N, n), one a stack, as one vector."""
        return np.concatenate([part.ravel() for part in parts]) if parts else np.empty(0)

    def split(self, vector: Floats) -> list[Floats]:
        """One vector of all columns as arrays of shape (N, n), one a stack."""
        return [
            vector[start : start + stack.q.size].reshape(stack.q.shape)
            for stack, start in zip(self.stacks, self.offsets, strict=False)
        ]

    def cost(self, parts: list[Floats]) -> float:
        """Total cost at the blocks' columns."""
        return float(sum(stack.cost(x).sum() for stack, x in zip(self.stacks, parts, strict=True)))

    def coupling_value(self, parts: list[Floats]) -> Floats:
        """sum_i C_i x_i, shape (m,)."""
        return np.asarray(self.matrix @ self.join(parts))
