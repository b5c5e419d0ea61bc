"""The load flow at the ports: the fast fixed point, then the whole law, then Newton, each for what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.flow.droop import splitting_of
from gridmodel.grid.flow.fixed_point import Points, fixed_point
from gridmodel.grid.flow.injections import Coefficients, Complexes, Injections
from gridmodel.grid.flow.newton import newton
from gridmodel.grid.flow.port_form import PortForm

__all__ = ["MOST", "Solved", "solve"]

MOST = 100  # iterations of the fixed point before Newton takes over
BLOCK, SPARSE_BLOCK = 256, 8  # scenarios at a time, so that what an iteration touches stays in the processor's cache
_SINGLE = 1e-6  # the smallest change in pu that complex64 resolves


@dataclass(frozen=True)
class Solved:
    """Where every scenario ended. newton: those that needed it, shape (N,). The rest: as in ``Points``."""

    points: Points
    newton: NDArray[np.bool_]


def solve(form: PortForm, s: Complexes, tolerance: float, dtype: Any = np.complex128, most: int = MOST) -> Solved:
    """Solves v = b - K i(v, s) for each row of s: powers at the ports in VA, shape (N, P)."""
    size = BLOCK if form.K is not None else SPARSE_BLOCK
    blocks = [_block(form, s[k : k + size], tolerance, dtype, most) for k in range(0, max(len(s), 1), size)]
    if len(blocks) == 1:
        return blocks[0]
    points = [vars(block.points) for block in blocks]
    joined = Points(**{name: np.concatenate([one[name] for one in points]) for name in points[0]})
    return Solved(joined, np.concatenate([block.newton for block in blocks]))


def _block(form: PortForm, s: Complexes, tolerance: float, dtype: Any, most: int) -> Solved:
    if np.dtype(dtype) == np.complex64:
        tolerance = max(tolerance, _SINGLE)
    split = splitting_of(form) if form.K is not None and form.injections.has_droop else None
    step, begin = (None, form.b) if split is None else (split.step, split.v)
    start = np.repeat(begin.astype(dtype)[None], len(s), axis=0)
    fast = _Fast(form.injections, form.injections.coefficients(s, dtype))
    points = fixed_point(form, fast, start, tolerance, most, step)
    beyond = np.flatnonzero((~points.converged & form.injections.has_zones) | ~form.injections.inside(points.v))
    if beyond.size:
        again = np.where(points.converged[beyond, None], points.v[beyond], begin.astype(dtype))
        whole = _Whole(form.injections, s[beyond])
        _put(points, beyond, fixed_point(form, whole, again, tolerance, most, step))
    failed = np.flatnonzero(~points.converged)
    if failed.size:
        _put(points, failed, newton(form, s[failed], tolerance))
    retried = np.zeros(len(s), dtype=np.bool_)
    retried[failed] = True
    return Solved(points, retried)


class _Fast:
    """The law between the limits; keeps the rows that are still at work."""

    def __init__(self, injections: Injections, coefficients: Coefficients) -> None:
        self.injections, self.all, self.left = injections, coefficients, coefficients

    def __call__(self, v: Complexes, rows: NDArray[np.intp]) -> Complexes:
        if len(rows) != len(self.left.power):
            self.left = self.all.rows(rows)
        return self.injections.fast(self.left, v)


class _Whole:
    """The law with all its zones."""

    def __init__(self, injections: Injections, s: Complexes) -> None:
        self.injections, self.s = injections, s

    def __call__(self, v: Complexes, rows: NDArray[np.intp]) -> Complexes:
        return self.injections.exact(self.s[rows], v).astype(v.dtype, copy=False)


def _put(points: Points, rows: NDArray[np.intp], new: Points) -> None:
    """Replaces the rows by what a later stage found; its iterations add up."""
    points.v[rows], points.i[rows], points.change[rows], points.worst[rows] = new.v, new.i, new.change, new.worst
    points.iterations[rows] += new.iterations
    points.converged[rows] = new.converged
