"""The symmetric weights with which a graph agrees fastest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from gridmodel.errors import TopologyError
from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import laplacian_spectrum, need_connected

__all__ = ["MOST_EDGES", "fastest_weights"]

Floats = NDArray[np.float64]

MOST_EDGES = 1500
"""Undirected edges up to which the program is solved: some ten seconds; the time grows with the cube."""

_GAP = 1e-9
_GROWTH = 15.0


def fastest_weights(links: Links) -> Floats:
    """w of min s such that -s I <= I - L(w) - 11'/N <= s I, L(w) the weighted Laplacian; shape (E,), w_ij = w_ji.

    Weights may be negative. A barrier method on this semidefinite program, whose Hessian is that of E/2 rank-one
    matrices and so costs no more than a linear system of E/2 unknowns; s is within 1e-9 of the least.

    Raises:
        TopologyError: separate parts, or more than ``MOST_EDGES`` undirected edges.

    Source: Xiao, Boyd: Fast linear iterations for distributed averaging (2004), equation (17).
    """
    need_connected(links, "weights 'fastest'")
    once = np.flatnonzero(links.sender < links.receiver)
    if len(once) > MOST_EDGES:
        raise TopologyError(
            f"weights 'fastest' solve a semidefinite program over {len(once)} edges, and it is too slow above "
            f"{MOST_EDGES}; use 'laplacian' or 'metropolis'."
        )
    values = np.empty(links.edges)
    if links.edges:
        values[once] = _solve(links, once)
        values[links.opposite[once]] = values[once]
    return values


def _solve(links: Links, once: NDArray[np.intp]) -> Floats:
    """Follows the central path of min s; shape (number of undirected edges,)."""
    second, largest = laplacian_spectrum(links)
    weights = np.full(len(once), 2.0 / (second + largest))
    rate = (largest - second) / (largest + second)
    point = _Point.at(_directions(links, once), weights, rate + max(0.1 * (1.0 - rate), 1e-3))
    assert point is not None
    pull = 1.0
    while 2.0 * links.size / pull > _GAP:
        pull *= _GROWTH
        for _ in range(50):
            step, decrement = point.newton(pull)
            moved = point.move(step, decrement, pull)
            if moved is None or decrement < 1e-6:
                break
            point = moved
    return point.weights


def _directions(links: Links, once: NDArray[np.intp]) -> Floats:
    """B with L(w) = B diag(w) B' in coordinates without the constant vector, shape (N - 1, edges)."""
    across = np.zeros((links.size, len(once)))
    across[links.sender[once], np.arange(len(once))] = 1.0
    across[links.receiver[once], np.arange(len(once))] = -1.0
    basis = np.linalg.qr(np.column_stack([np.ones(links.size), np.eye(links.size)[:, 1:]]))[0][:, 1:]
    return np.asarray(basis.T @ across)


@dataclass(frozen=True)
class _Point:
    """Weights and a rate with U = (s-1) I + B diag(w) B' and V = (s+1) I - B diag(w) B' positive definite.

    upper, lower: the inverses of U and V. barrier: -log det U - log det V.
    """

    across: Floats
    weights: Floats
    rate: float
    upper: Floats
    lower: Floats
    barrier: float

    @classmethod
    def at(cls, across: Floats, weights: Floats, rate: float) -> _Point | None:
        """None where a matrix is not positive definite."""
        unit = np.eye(len(across))
        spread = (across * weights) @ across.T
        inverses, barrier = [], 0.0
        for matrix in ((rate - 1.0) * unit + spread, (rate + 1.0) * unit - spread):
            try:
                factor = cho_factor(matrix, lower=True)
            except LinAlgError:
                return None
            barrier -= 2.0 * float(np.log(np.diag(factor[0])).sum())
            inverses.append(np.asarray(cho_solve(factor, unit)))
        return cls(across, weights, rate, inverses[0], inverses[1], barrier)

    def newton(self, pull: float) -> tuple[Floats, float]:
        """The Newton step of pull * s + barrier in (w, s), and the square of its length in the Hessian's norm."""
        count = len(self.weights)
        gradient, hessian = np.empty(count + 1), np.zeros((count + 1, count + 1))
        gradient[:count], gradient[count] = 0.0, pull
        for inverse, sign in ((self.upper, 1.0), (self.lower, -1.0)):
            image = inverse @ self.across
            inner = self.across.T @ image
            gradient[:count] -= sign * np.diag(inner)
            gradient[count] -= np.trace(inverse)
            hessian[:count, :count] += inner**2
            hessian[:count, count] += sign * (image**2).sum(axis=0)
            hessian[count, count] += float((inverse**2).sum())
        hessian[count, :count] = hessian[:count, count]
        step = -_solved(hessian, gradient)
        return step, float(-gradient @ step)

    def move(self, step: Floats, decrement: float, pull: float) -> _Point | None:
        """The first point along the step that is lower by enough; None where rounding permits no more."""
        length = 1.0
        while length > 1e-10:
            found = _Point.at(self.across, self.weights + length * step[:-1], self.rate + length * float(step[-1]))
            if found is not None:
                fall = pull * (self.rate - found.rate) + self.barrier - found.barrier
                if fall >= 0.1 * length * decrement:
                    return found
            length /= 2.0
        return None


def _solved(matrix: Floats, right: Floats) -> Floats:
    """Where edges are many the optimum is a face and the Hessian singular but for rounding."""
    diagonal, ridge = np.diag(matrix).copy(), 1e-15
    while True:
        try:
            np.fill_diagonal(matrix, diagonal * (1.0 + ridge))
            return np.asarray(cho_solve(cho_factor(matrix, lower=True), right))
        except LinAlgError:
            ridge *= 30.0
