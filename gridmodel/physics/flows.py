"""The flows of one piece of a network, linear in squared voltages and in products of voltages at the two ends."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.language.agent import Agent
from gridmodel.physics.pieces import Piece, pick

__all__ = ["Flows", "balances", "thermal_limits"]

Complex = NDArray[np.complex128]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Flows:
    """Powers in pu as linear expressions in w, c and s.

    w = |v|^2 of every bus, ghosts included; c + js = v_start conj(v_end) of every line, in pu (None without lines).

    S_start = conj(Y_ss) w_start + conj(Y_se) (c + js),  S_end = conj(Y_ee) w_end + conj(Y_es) (c - js)
    """

    piece: Piece
    w: cp.Expression
    c: cp.Expression | None
    s: cp.Expression | None

    def at_start(self, line: Indices) -> tuple[cp.Expression, cp.Expression]:
        """Active and reactive power in pu that enters the chosen lines at their start; shape of ``line``."""
        return self._linear(*self._entering(line, "start"))

    def at_end(self, line: Indices) -> tuple[cp.Expression, cp.Expression]:
        """Active and reactive power in pu that enters the chosen lines at their end; shape of ``line``."""
        return self._linear(*self._entering(line, "end"))

    def in_pairs(self, line: Indices, end: str) -> cp.Expression:
        """Active power of the chosen lines at their "start" or "end" over the reactive, in pu, shape (2, lines).

        One expression, which canonicalises in half the time of two.
        """
        parts = [
            cp.Constant(_clean(_interleaved(matrix))) @ of
            for matrix, of in zip(self._entering(line, end), (self.w, self.c, self.s), strict=True)
            if of is not None
        ]
        return cp.reshape(sum(parts[1:], start=parts[0]), (2, line.size), order="F")

    def _entering(self, line: Indices, end: str) -> tuple[csr_array, csr_array, csr_array]:
        """Factors of w, c and s in P + jQ at one end of the chosen lines."""
        lines = self.piece.lines
        at_start, along, back, at_end = lines.admittances
        ends = {"start": (lines.start, at_start, along, 1.0), "end": (lines.end, at_end, back, -1.0)}
        bus, own, cross, sign = ends[end]
        on_w = _rows(bus[line], self.piece.size, own[line].conj())
        factor, count = cross[line].conj(), lines.start.size
        return on_w, _rows(line, count, factor), _rows(line, count, sign * 1j * factor)

    def out_of_buses(self) -> tuple[cp.Expression, cp.Expression]:
        """Active and reactive power in pu that the piece's own buses send into lines and shunts, shape (own buses,)."""
        piece, lines = self.piece, self.piece.lines
        start_own, start_cross, end_cross, end_own = (y.conj() for y in lines.admittances)
        own = piece.buses.size
        start, end = pick(lines.start, piece.size)[:, :own].T, pick(lines.end, piece.size)[:, :own].T
        shunts = np.zeros((piece.size,), dtype=np.complex128)
        shunts[:own] = (piece.g_shunt - 1j * piece.b_shunt) / piece.base_mva
        on_w = _rows(np.arange(own), piece.size, shunts[:own])
        on_w = on_w + start @ _rows(lines.start, piece.size, start_own) + end @ _rows(lines.end, piece.size, end_own)
        along, back = start.multiply(start_cross), end.multiply(end_cross)
        return self._linear(csr_array(on_w), csr_array(along + back), csr_array(1j * (along - back)))

    def _linear(self, on_w: csr_array, on_c: csr_array, on_s: csr_array) -> tuple[cp.Expression, cp.Expression]:
        """Real and imaginary part of on_w @ w + on_c @ c + on_s @ s."""
        parts = [(on_w, self.w)]
        if self.c is not None and self.s is not None:
            parts += [(on_c, self.c), (on_s, self.s)]
        real = [cp.Constant(_clean(matrix.real)) @ of for matrix, of in parts]
        imaginary = [cp.Constant(_clean(matrix.imag)) @ of for matrix, of in parts]
        return sum(real[1:], start=real[0]), sum(imaginary[1:], start=imaginary[0])


def balances(agent: Agent, flows: Flows, p: cp.Variable | None, q: cp.Variable | None) -> None:
    """Declares ``balance`` in MW and ``reactive balance`` in MVAr at the own buses.

    sum of p_g - base * flow out of the bus = load, the shunts' powers among the flows

    Args:
        p, q: outputs in MW and MVAr, one a generator of the piece; None where it has none.
    """
    piece = flows.piece
    out = flows.out_of_buses()
    loads = (piece.p_load, piece.q_load)
    for name, output, sent, load in zip(("balance", "reactive balance"), (p, q), out, loads, strict=True):
        gone = -piece.base_mva * sent
        brought = gone if output is None else cp.Constant(pick(piece.at, piece.buses.size).T) @ output + gone
        agent.subject_to(brought == load, name=name, rows=piece.bus_names)


def thermal_limits(agent: Agent, flows: Flows) -> None:
    """Declares P^2 + Q^2 <= rate^2 in pu^2 at both ends of every line with a rating, as far as the piece keeps it."""
    lines = flows.piece.lines
    for name, rate, end in (("start", lines.rate_start, flows.at_start), ("end", lines.rate_end, flows.at_end)):
        line = np.flatnonzero(np.isfinite(rate))
        if line.size:
            p, q = end(line)
            names = [flows.piece.line_names[k] for k in line]
            agent.subject_to(
                cp.square(p) + cp.square(q) <= rate[line] ** 2, name=f"thermal limit at {name}", rows=names
            )


def _rows(columns: Indices, size: int, factors: Complex) -> csr_array:
    """As ``pick``, with complex factors."""
    return csr_array((factors, (np.arange(columns.size), columns)), shape=(columns.size, size))


def _interleaved(matrix: csr_array) -> csr_array:
    """Real and imaginary parts as rows in turn."""
    coo = matrix.tocoo()
    rows, columns = np.concatenate([2 * coo.row, 2 * coo.row + 1]), np.tile(coo.col, 2)
    shape = (2 * matrix.shape[0], matrix.shape[1])
    return csr_array((np.concatenate([coo.data.real, coo.data.imag]), (rows, columns)), shape=shape)


def _clean(matrix: csr_array) -> csr_array:
    kept = csr_array(matrix)
    kept.sum_duplicates()
    kept.eliminate_zeros()
    return kept
