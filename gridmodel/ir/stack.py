"""A stack: blocks of equal structure, their data side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones

__all__ = ["Stack"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Stack:
    """N blocks of one structure; block i owns n columns x_i and touches k coupling rows.

    minimise    1/2 x_i' P_i x_i + q_i' x_i + offset_i
    subject to  A_i x_i = b_i,   lower_i <= x_i <= upper_i,   G_i x_i + h_i in K

    and reports to the coupling rows rows_i the k numbers C_i x_i.

    labels: names of the agents, length N.
    P: (n, n), both triangles. q: (N, n). offset: (N,).
    A: (m, n). b: (N, m). lower, upper: (N, n).
    G: (g, n). h: (N, g). cones: K. Without cones g = 0, and the block is a QP.
    C: (k, n). rows: (N, k), global coupling row of each local row, ascending.
    group: (n,), an integer that columns of one user variable (or one auxiliary) share, for scaling.
    """

    labels: Sequence[str]
    P: Batch
    q: Floats
    offset: Floats
    A: Batch
    b: Floats
    lower: Floats
    upper: Floats
    G: Batch
    h: Floats
    cones: Cones
    C: Batch
    rows: Ints
    group: Ints

    @property
    def size(self) -> int:
        """N, the number of blocks."""
        return len(self.q)

    @property
    def columns(self) -> int:
        """n, columns of a block."""
        return int(self.q.shape[1])

    @property
    def slots(self) -> int:
        """k, coupling rows that a block touches: the numbers it sends in a round."""
        return int(self.rows.shape[1])

    @property
    def is_qp(self) -> bool:
        """Whether the block has no cones."""
        return not self.cones

    def cost(self, x: Floats) -> Floats:
        """Cost of each block at x of shape (N, n); shape (N,)."""
        quadratic = 0.5 * np.einsum("ij,ij->i", x, self.P.dot(x))
        return np.asarray(quadratic + np.einsum("ij,ij->i", self.q, x) + self.offset)

    def take(self, blocks: Ints) -> Stack:
        """The stack of the chosen blocks."""
        return replace(
            self,
            labels=[self.labels[i] for i in blocks],
            P=self.P.take(blocks),
            q=self.q[blocks],
            offset=self.offset[blocks],
            A=self.A.take(blocks),
            b=self.b[blocks],
            lower=self.lower[blocks],
            upper=self.upper[blocks],
            G=self.G.take(blocks),
            h=self.h[blocks],
            C=self.C.take(blocks),
            rows=self.rows[blocks],
        )
