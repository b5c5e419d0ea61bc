"""Sums over the agents of a fleet, taken from one row, so that couplings stay small however many agents there are.

sum_i R_i x_i + r_i stands in the joint problem as a variable y. Once that is cut, an entry c of y in a coupling row
becomes the entries c R_i of every block i.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.atoms.affine.binary_operators import MulExpression, multiply
from cvxpy.atoms.affine.sum import Sum
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.batch import Batch
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.affine import ParameterSource
from gridmodel.passes.blocks import Blocks
from gridmodel.passes.canonical import Canonical, canonicalize
from gridmodel.passes.fleets import row_maker
from gridmodel.passes.rows import NotRowwise, RowMaker

__all__ = ["FleetSums", "SumFinder", "Summed", "add_costs", "entries_of", "shared_entries"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class FleetSums:
    """All sums over one fleet that the couplings use.

    variables: that stand for the sums, in the order of the rows of ``canonical``.
    """

    fleet: AbstractParty
    variables: tuple[cp.Variable, ...]
    canonical: Canonical
    sources: tuple[ParameterSource, ...]

    def values(self, first: int, columns: Mapping[int, int]) -> Summed:
        """The sums at the parameters' present values.

        Args:
            first: number of the fleet's first block. columns: {variable id: its first column in the joint problem}.

        Raises:
            DataError: a parameter without a value, or numbers that are not finite.
        """
        raw = self.canonical.values(self.sources, self.fleet.size or 1)
        if not raw.finite:
            raise DataError(f"sums over {self.fleet.name} in the couplings: numbers that are NaN or infinite.")
        column = [columns[v.id] + np.arange(v.size) for v in self.variables]
        return Summed(first, np.concatenate(column), raw.rows, raw.constant.sum(axis=0))


@dataclass(frozen=True)
class Summed:
    """y = sum_i R_i x_i + constant for blocks first, first + 1, ...; columns: of y in the joint problem."""

    first: int
    columns: Ints
    R: Batch
    constant: Floats

    def within(self, blocks: Ints) -> NDArray[np.bool_]:
        """Which blocks belong to the fleet."""
        return (blocks >= self.first) & (blocks < self.first + self.R.size)


@dataclass
class SumFinder:
    """Replaces sums over a fleet's agents by variables.

    sums: {fleet's name: [(variable, contribution of one row)]}.
    """

    model: Model
    sums: dict[str, list[tuple[cp.Variable, cp.Expression]]] = field(default_factory=dict)
    _makers: dict[str, RowMaker] = field(default_factory=dict)
    _done: dict[int, Any] = field(default_factory=dict)

    def replaced(self, item: Any) -> Any:
        """A cost or constraint with variables for its sums; constraints keep their ids."""
        if not any(party.size is not None and party.size > 1 for party in self.model.agents):
            return item
        return self._replace(item)

    def found(self) -> tuple[FleetSums, ...]:
        """The sums met so far, canonicalised fleet by fleet."""
        out = []
        for name, sums in self.sums.items():
            maker = self._makers[name]
            rows = [expression == np.zeros(expression.shape) for _, expression in sums]
            canonical = canonicalize(cp.Constant(0.0), rows, list(maker.variables.values()))
            out.append(FleetSums(self.model[name], tuple(v for v, _ in sums), canonical, tuple(maker.sources)))
        return tuple(out)

    def _replace(self, node: Any) -> Any:
        if not node.args:
            return node
        if id(node) not in self._done:
            made = self._sum(node) if isinstance(node, (Sum, MulExpression)) else None
            if made is None:
                args = [self._replace(arg) for arg in node.args]
                same = all(new is old for new, old in zip(args, node.args, strict=True))
                made = node if same else node.copy(args)
            self._done[id(node)] = made
        return self._done[id(node)]

    def _sum(self, node: Any) -> cp.Variable | None:
        parties = {self.model.owner(variable).party.name for variable in node.variables()}
        fleet = self.model[parties.pop()] if len(parties) == 1 else None
        if fleet is None or fleet.size is None or fleet.size < 2 or not node.is_affine():
            return None
        maker = self._makers.setdefault(fleet.name, row_maker(fleet))
        try:
            row = _contribution(maker, node)
        except NotRowwise:
            return None
        if row.shape != node.shape or not row.is_dcp(dpp=True):
            return None
        variable = cp.Variable(node.shape)
        self.sums.setdefault(fleet.name, []).append((variable, row))
        return variable


def _contribution(maker: RowMaker, node: Any) -> Any:
    """What one row adds to a sum over agents."""
    if isinstance(node, Sum):
        rep, axis = maker.row(node.args[0])
        away = range(node.args[0].ndim) if node.axis is None else np.atleast_1d(node.axis) % node.args[0].ndim
        if axis not in away:
            raise NotRowwise
        return node.copy([rep])
    left, right = node.args
    if isinstance(node, multiply) or left.ndim > 2 or right.ndim > 2:
        raise NotRowwise
    over = max(right.ndim - 2, 0)  # the axis of the right factor that is summed over
    if left.variables():
        rep, axis = maker.row(left)
        if axis != left.ndim - 1:
            raise NotRowwise
        return rep @ maker.beside(maker.shared(right), over, right.ndim)
    rep, axis = maker.row(right)
    if axis != over:
        raise NotRowwise
    return maker.beside(left, left.ndim - 1, left.ndim) @ rep


def add_costs(pieces: Sequence[Blocks], summed: Sequence[Summed], q: Floats) -> list[Blocks]:
    """Gives every block its part of a linear cost q of the sums."""
    out = list(pieces)
    for part in summed:
        price = q[part.columns]
        for k, piece in enumerate(out):
            mine = np.flatnonzero(part.within(piece.block))
            if price.any() and len(mine):
                R = part.R.take(piece.block[mine] - part.first)
                linear = piece.q.copy()
                linear[mine, : R.shape[1]] += R.tdot(np.broadcast_to(price, (R.size, len(price))))
                out[k] = replace(piece, q=linear)
    return out


def shared_entries(piece: Blocks, summed: Summed, matrix: sp.csr_array) -> Blocks:
    """Gives the blocks of one fleet their entries of the coupling rows, where they have no others.

    Args:
        matrix: the coupling rows of the joint problem.
    """
    row, entry, value = _terms(summed, matrix)
    slots, local = np.unique(row, return_inverse=True)
    R = summed.R.take(piece.block - summed.first)
    shape = (len(slots), piece.q.shape[1])
    C = Batch.build(shape, local.astype(np.intp), R.col[entry], R.data[:, entry] * value, piece.size)
    return replace(piece, C=C, slots=np.broadcast_to(slots.astype(np.intp), (piece.size, len(slots))))


def entries_of(blocks: Ints, summed: Summed, matrix: sp.csr_array) -> tuple[Ints, Ints, Ints, Floats]:
    """Entries of the coupling rows one by one: index into ``blocks``, coupling row, local column, value."""
    row, entry, value = _terms(summed, matrix)
    mine = np.flatnonzero(summed.within(blocks))
    R = summed.R.take(blocks[mine] - summed.first)
    data = np.broadcast_to(R.data[:, entry] * value, (len(mine), len(entry)))
    return np.repeat(mine, len(entry)), np.tile(row, len(mine)), np.tile(R.col[entry], len(mine)), data.ravel()


def _terms(summed: Summed, matrix: sp.csr_array) -> tuple[Ints, Ints, Floats]:
    """Pairs of an entry of y in a coupling row and an entry of R in the row of y: coupling row, entry of R, factor."""
    y = matrix[:, summed.columns].tocoo()
    count = np.bincount(summed.R.row, minlength=summed.R.shape[0])
    start = np.cumsum(count) - count
    repeat = count[y.col]
    pair = np.repeat(np.arange(len(repeat)), repeat)
    entry = start[y.col[pair]] + np.arange(len(pair)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return y.row[pair].astype(np.intp), entry.astype(np.intp), y.data[pair]
