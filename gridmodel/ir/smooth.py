"""Models with smooth costs and limits that need not be convex: one block an agent, and the rows that tie them."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.links import Links
from gridmodel.ir.separable import Couplings

__all__ = ["AbstractSmooth", "SmoothBlock", "SmoothProblem"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class AbstractSmooth(abc.ABC):
    """One agent's cost f(x), equations h(x) = 0 and inequalities c(x) <= 0 with their derivatives.

    x has shape (columns,). Matrices are sparse, and their patterns do not depend on x.
    """

    columns: int
    equations: int
    inequalities: int

    @abc.abstractmethod
    def cost(self, x: Floats) -> float:
        """f(x)."""

    @abc.abstractmethod
    def gradient(self, x: Floats) -> Floats:
        """The gradient of f, shape (columns,)."""

    @abc.abstractmethod
    def residuals(self, x: Floats) -> tuple[Floats, Floats]:
        """h(x) of shape (equations,) and c(x) of shape (inequalities,)."""

    @abc.abstractmethod
    def jacobians(self, x: Floats) -> tuple[sp.csr_array, sp.csr_array]:
        """The Jacobians of h, shape (equations, columns), and of c, shape (inequalities, columns)."""

    @abc.abstractmethod
    def hessian(self, x: Floats, nu: Floats, zeta: Floats) -> sp.csr_array:
        """Both triangles of the Hessian of f + nu'h + zeta'c, shape (columns, columns)."""


@dataclass(frozen=True)
class SmoothBlock:
    """One agent.

    label: its name. functions: cost and limits. lower, upper: bounds of the columns, shape (columns,).
    start: where a search begins, shape (columns,). C: what it reports to the coupling rows, shape (k, columns).
    rows: global coupling row of each row of C, ascending, shape (k,).
    names: of the equations and of the inequalities, for messages; empty where they have none.
    """

    label: str
    functions: AbstractSmooth
    lower: Floats
    upper: Floats
    start: Floats
    C: sp.csr_array
    rows: Ints
    names: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@dataclass(frozen=True)
class SmoothProblem:
    """minimise sum_i f_i(x_i)  s.t.  h_i(x_i) = 0, c_i(x_i) <= 0, bounds,  lower <= sum_i C_i x_i <= upper.

    couplings: the rows, with multipliers mu: Lagrangian f + mu'(C x - y), y in [lower, upper].
    links: the topology over the blocks; None where none was given.
    """

    blocks: tuple[SmoothBlock, ...]
    couplings: Couplings
    links: Links | None = None

    def coupling_value(self, parts: list[Floats]) -> Floats:
        """sum_i C_i x_i, shape (rows,)."""
        total = np.zeros(self.couplings.size)
        for block, x in zip(self.blocks, parts, strict=True):
            np.add.at(total, block.rows, block.C @ x)
        return total
