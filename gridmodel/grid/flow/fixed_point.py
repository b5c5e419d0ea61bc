"""The fixed point v <- b - K i(v) for many scenarios at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.flow.injections import Complexes
from gridmodel.grid.flow.port_form import PortForm

__all__ = ["Law", "Points", "Step", "fixed_point"]

Step: TypeAlias = Callable[[Complexes, Complexes], tuple[Complexes, Complexes]]
"""Another iteration with the same solutions: (v, i(v)) -> the next v, and the i with which it is b - K i, in pu."""

Law = Callable[[Complexes, NDArray[np.intp]], Complexes]
"""The port currents at voltages v of some scenarios: (v, shape (rows, P); which scenarios, shape (rows,)) -> pu."""


@dataclass(frozen=True)
class Points:
    """Where N iterations ended.

    v, i: port voltages and the currents that make them, v = b - K i, in pu, shape (N, P). change: largest
    |b - K i(v) - v| of the last step in pu, shape (N,).
    worst: the port of it. iterations, converged: shape (N,).
    """

    v: Complexes
    i: Complexes
    change: NDArray[np.float64]
    worst: NDArray[np.intp]
    iterations: NDArray[np.intp]
    converged: NDArray[np.bool_]

    @classmethod
    def empty(cls, start: Complexes) -> Points:
        """Nothing solved yet, from these voltages."""
        count = len(start)
        worst, iterations = np.zeros((2, count), dtype=np.intp)
        change, converged = np.full(count, np.inf), np.zeros(count, dtype=np.bool_)
        return cls(start.copy(), np.zeros_like(start), change, worst, iterations, converged)


def fixed_point(
    form: PortForm, law: Law, start: Complexes, tolerance: float, most: int, step: Step | None = None
) -> Points:
    """Iterates v <- b - K i(v) from ``start``, shape (N, P), pu, until every port is within the tolerance.

    With changes d that shrink by r a step, d max(1, r / (1 - r)) says how far the end is. A scenario leaves the batch
    when it has converged, or when it grows beyond all bounds; ``most`` iterations at most. step: another iteration
    instead of this one.
    Source: Bernstein et al. (2018), Load flow in multiphase distribution networks.
    """
    count = start.shape[0]
    out = Points.empty(start)
    # changes that are rounding; with droops beyond their corners they may shrink slowly, and stand for a larger error
    smallest = (8.0 if step is None else 2.0) * float(np.finfo(start.dtype).eps)
    b = form.b.astype(start.dtype)
    rows, v, before = np.arange(count), start, np.full(count, np.inf)
    for k in range(1, most + 1):
        if not rows.size:
            break
        with np.errstate(all="ignore"):  # a scenario that diverges overflows, and is dropped for it
            i = law(v, rows)
            if step is None:
                new = form.drop(i)
                np.subtract(b, new, out=new)
            else:
                new, i = step(v, i)
            change, worst = _largest(new, v)
        with np.errstate(all="ignore"):
            rate = change / before
            ahead = np.where(rate < 1.0, np.maximum(1.0, rate / (1.0 - rate)), np.inf)
            done = (change * ahead <= tolerance) | (change <= smallest)
        leaves = done | ~(change < 1e6)
        if k == most:
            leaves[:] = True
        if leaves.any():
            left = rows[leaves]
            out.v[left], out.i[left], out.change[left], out.worst[left] = (
                new[leaves],
                i[leaves],
                change[leaves],
                worst[leaves],
            )
            out.iterations[left], out.converged[left] = k, done[leaves]
            rows, new, change = rows[~leaves], new[~leaves], change[~leaves]
        v, before = new, change
    return out


def _largest(new: Complexes, old: Complexes) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The largest change in a row, inf where it is no number, and its position."""
    gap: Any = new - old
    square = gap.real**2 + gap.imag**2
    worst = np.argmax(square, axis=1) if square.shape[1] else np.zeros(len(new), dtype=np.intp)
    largest = square[np.arange(len(new)), worst] if square.shape[1] else np.zeros(len(new))
    return np.where(np.isfinite(largest), np.sqrt(largest), np.inf).astype(np.float64), worst
