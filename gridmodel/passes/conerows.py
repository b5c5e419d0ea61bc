"""The rows of cvxpy's cones in the order and scale of ``ir.cones``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from cvxpy.constraints import PSD, SOC, ExpCone, NonNeg, PowCone3D, Zero
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.cones import Cones

__all__ = ["ConeRows", "cone_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class ConeRows:
    """How cvxpy's rows become ours.

    order: (our rows, cvxpy's rows), None where they are equal.
    source: for each of our rows, the first of cvxpy's rows that it is made of.
    zero: number of equations, which stand first. cones: the rest in order.
    """

    order: sp.csr_array | None
    source: Ints
    zero: int
    cones: Cones


@dataclass(frozen=True)
class _Piece:
    """Rows made of cvxpy's rows: entry k adds ``value[k]`` times row ``source[k]`` to new row ``at[k]``."""

    at: Ints
    source: Ints
    value: Floats

    @property
    def count(self) -> int:
        return int(self.at.max()) + 1 if len(self.at) else 0


def cone_rows(constraints: list[Any]) -> ConeRows:
    """Sorts the rows of a list of cvxpy's cones, themselves in the order zero, nonneg, soc, psd, exp, pow3d.

    Raises:
        ModelError: another kind of cone.
    """
    zero = nonneg = exp = start = out = 0
    soc: list[int] = []
    psd: list[int] = []
    pow3d: list[float] = []
    at, source, value, plain = [], [], [], True
    for constraint in constraints:
        pieces = [_same(np.arange(constraint.size))]
        if isinstance(constraint, Zero):
            zero += constraint.size
        elif isinstance(constraint, NonNeg):
            nonneg += constraint.size
        else:
            plain = False
            if isinstance(constraint, SOC):
                pieces = list(_second_order(constraint))
                soc.extend(piece.count for piece in pieces)
            elif isinstance(constraint, PSD):
                order = constraint.args[0].shape[-1]
                pieces = list(_triangles(constraint.size // order**2, order))
                psd.extend([order] * len(pieces))
            elif isinstance(constraint, ExpCone):
                exp += constraint.size // 3
                pieces = [_triples(constraint.size)]
            elif isinstance(constraint, PowCone3D):
                alpha = np.asarray(constraint.alpha.value, dtype=float).ravel(order="F")
                pow3d.extend(float(a) for a in np.broadcast_to(alpha, (constraint.size // 3,)))
                pieces = [_triples(constraint.size)]
            else:
                raise _unknown(constraint)
        for piece in pieces:
            at.append(out + piece.at)
            source.append(start + piece.source)
            value.append(piece.value)
            out += piece.count
        start += constraint.size
    cones = Cones(nonneg, tuple(soc), tuple(psd), exp, tuple(pow3d))
    if plain:
        return ConeRows(None, np.arange(start), zero, cones)
    rows, columns, values = np.concatenate(at), np.concatenate(source), np.concatenate(value)
    first = np.full(out, -1, dtype=np.intp)
    first[rows[::-1]] = columns[::-1]
    return ConeRows(sp.csr_array((values, (rows, columns)), shape=(out, start)), first, zero, cones)


def _same(source: Ints) -> _Piece:
    return _Piece(np.arange(len(source)), source, np.ones(len(source)))


def _second_order(constraint: SOC) -> Iterator[_Piece]:
    """cvxpy lists all t first, then all vectors column by column."""
    count = constraint.args[0].size
    width = constraint.args[1].size // count
    for k in range(count):
        yield _same(np.concatenate([[k], count + k * width + np.arange(width)]))


def _triples(size: int) -> _Piece:
    """cvxpy lists all x, then all y, then all z."""
    return _same(np.arange(size).reshape(3, size // 3).T.ravel())


def _triangles(count: int, order: int) -> Iterator[_Piece]:
    """Upper triangle by columns of matrices that cvxpy does not promise to be symmetric; the batch comes first."""
    col, row = np.tril_indices(order)
    off = row != col
    at = np.arange(len(row))
    half = np.sqrt(0.5)
    for k in range(count):
        first, second = k + count * (row + order * col), k + count * (col + order * row)
        yield _Piece(
            np.concatenate([at, at[off]]),
            np.concatenate([first, second[off]]),
            np.concatenate([np.where(off, half, 1.0), np.full(off.sum(), half)]),
        )


def _unknown(constraint: Any) -> ModelError:
    return ModelError(
        f"a constraint of kind {type(constraint).__name__} is not supported by the compiler; "
        "solve the model with method='central', or rewrite it with second-order, semidefinite, exponential "
        "or 3-d power cones."
    )
