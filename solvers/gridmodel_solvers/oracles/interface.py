"""What an oracle is: the answer of every block of a stack to a linear cost."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.stack import Stack
from gridmodel.runtime.local import LocalProblem

__all__ = ["LocalProblem", "Oracle", "OracleAnswer"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OracleAnswer:
    """Optimal columns and multipliers of a stack's blocks.

    x: shape (N, n). nu: multipliers of A x = b, shape (N, m). zeta: of the cone rows, shape (N, g).
    The Lagrangian is f + nu'(A x - b) - zeta'(G x + h) with zeta in the dual cone.
    """

    x: Floats
    nu: Floats
    zeta: Floats


class Oracle(abc.ABC):
    """Solves the local problems of one stack for changing linear costs.

    x_i = argmin 1/2 x' P_i x + q_i' x  s.t.  A_i x = b_i, lower_i <= x <= upper_i, G_i x + h_i in K

    All data but q are the stack's and stay fixed; what an oracle keeps between calls only makes the next one faster.
    """

    @property
    @abc.abstractmethod
    def stack(self) -> Stack:
        """The stack whose blocks are solved."""

    @abc.abstractmethod
    def solve(self, q: Floats) -> OracleAnswer:
        """The optimum of every block for linear costs q of shape (N, n).

        Raises:
            LocalProblem: a block is infeasible or unbounded.
        """
