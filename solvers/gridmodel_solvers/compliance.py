"""How far a block yields at its coupling rows: what neighbours tell each other before the first round.

Near a point a block answers prices mu of its coupling rows by -S mu, where, H the curvature of its cost and limits,

    S = C M C',   M = H^-1 - H^-1 A' (A H^-1 A')^-1 A H^-1

Limits have a curvature by a barrier of the height of what the block pays. Quadratic blocks take it in the middle of
their bounds, where it is diagonal; conic and smooth ones at their own point of least cost and barrier, which each finds
by itself with Newton's method.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.ir.smooth import SmoothBlock, SmoothProblem
from gridmodel.ir.stack import Stack
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.interior.area import Area
from gridmodel_solvers.interior.convex import Convex
from gridmodel_solvers.interior.sizes import column_sizes
from gridmodel_solvers.interior.smooth import Smooth
from gridmodel_solvers.oracles.response import Response
from gridmodel_solvers.penalty import energies, slot_units

__all__ = ["compliances", "smooth_compliances"]

Floats = NDArray[np.float64]

_RIGID = 1e-3
"""Share of what a row would yield without the block's equations that it is taken to yield at least."""
_PAYS = 1e-6
_FIXED = 1e-6
_BARRIER = 0.008
_BARRIER_SMOOTH = 0.015
_HELD = 0.2
_WIDE = 10.0
_STEPS = 25
_MOST = 40
_HIGH = 100.0
"""Times the barrier, from which it falls in a step to the part ``_FALL`` at most: the equations are met by then."""
_FALL = 0.3
_SETTLED = 1e-2
_DELTA = 1e-8
_DELTA_SMOOTH = 1e-4
_SHIFT = 1e-2


# Newton's method far from its point may divide by what has vanished; what it then says is not taken.
@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def compliances(problem: Separable) -> list[Floats]:
    """S of every block in the order of the stacks, positive definite, shape (k, k) each."""
    parts = list(zip(problem.stacks, Scale(problem).columns, strict=True))
    widths = [_widths(stack, spans) for stack, spans in parts]
    costs = [energies(stack, width) for (stack, _), width in zip(parts, widths, strict=True)]
    every = np.concatenate([np.empty(0), *costs])
    # Whoever has no cost of his own is moved by what the others pay.
    typical = float(every[every > 0].mean()) if (every > 0).any() else 1.0
    soft = [
        1.0 / _curvature(stack, width, np.where(cost > 0, cost, typical))
        for (stack, _), width, cost in zip(parts, widths, costs, strict=True)
    ]
    flat = Response(problem, problem.join(soft)).local_schur()
    found = []
    for (stack, spans), D, own in zip(parts, soft, flat, strict=True):
        free = np.zeros((stack.slots, stack.size))
        np.add.at(free, stack.C.row, (stack.C.full**2 * D[:, stack.C.col]).T)
        # Nobody yields at will: a row moves by its range for what a few blocks pay.
        unit = slot_units(stack, spans)
        hold = np.divide(_HELD * typical, unit**2, out=np.zeros(unit.shape), where=unit > 0)
        for i in range(stack.size):
            S = _central(stack, spans, i, typical) if stack.cones else None
            S = _definite(own[min(i, len(own) - 1)], free[:, i]) if S is None else _definite(S, np.diag(S))
            found.append(np.linalg.inv(np.linalg.inv(S) + np.diag(hold[i])))
    return found


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def smooth_compliances(problem: SmoothProblem) -> list[Floats]:
    """S of every smooth block, made positive definite, shape (k, k) each."""
    costs = np.array([_cost_of(block) for block in problem.blocks])
    typical = float(costs[costs > 0].mean()) if (costs > 0).any() else 1.0
    return [_definite(S, np.diag(S)) for S in (_smooth_central(block, typical) for block in problem.blocks)]


def _definite(S: Floats, free: Floats) -> Floats:
    """The symmetric part without negative eigenvalues, and a least share of what rows yield alone."""
    size = np.abs(free)
    size = np.where(size > 0, size, size.max(initial=0.0) or 1.0)
    root = np.sqrt(size)
    values, vectors = np.linalg.eigh(0.5 * (S + S.T) / root[:, None] / root)
    values = np.maximum(values, 0.0) + _RIGID
    return np.asarray((vectors * values) @ vectors.T * root[:, None] * root)


def _widths(stack: Stack, spans: Floats) -> Floats:
    """How far each column may move: between its bounds, else its range; shape (N, n)."""
    both = np.isfinite(stack.lower) & np.isfinite(stack.upper)
    spans = np.broadcast_to(spans, stack.q.shape)
    width = np.subtract(stack.upper, stack.lower, out=spans.copy(), where=both)
    return np.maximum(width, _FIXED * spans)


def _curvature(stack: Stack, width: Floats, cost: Floats) -> Floats:
    """Of the cost, and what a column pays over its width, or else its block, over the width squared; shape (N, n)."""
    both = np.isfinite(stack.lower) & np.isfinite(stack.upper)
    middle = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    np.add(stack.lower / 2, stack.upper / 2, out=middle, where=both)
    own = np.broadcast_to(stack.P.diagonal(), stack.q.shape) if stack.P.nnz else np.zeros(stack.q.shape)
    pay = np.abs(stack.q + own * middle) * width
    return np.asarray(own + np.where(pay > _PAYS * cost[:, None], pay, cost[:, None]) / width**2)


def _central(stack: Stack, spans: Floats, i: int, typical: float) -> Floats | None:
    """S of a conic block at its point of least cost and barrier; None where Newton's method does not get there."""
    if stack.cones.exp or stack.cones.pow3d:
        return None
    one = stack.take(np.array([i]))
    wide = _WIDE * np.broadcast_to(spans, stack.q.shape)[i][None]
    # Columns without bounds would run away where no cone holds them.
    at = np.clip(np.zeros_like(wide), one.lower, one.upper)
    lower = np.where(np.isfinite(one.lower), one.lower, at - wide)
    upper = np.where(np.isfinite(one.upper), one.upper, at + wide)
    none = np.empty((1, 0), dtype=np.intp)
    alone = replace(one, lower=lower, upper=upper, C=Batch.empty(0, one.columns, 1), rows=none)
    problem = Separable((alone,), Couplings(np.empty(0), np.empty(0), ()))
    # A semidefinite cone counts in the barrier as often as its matrices have numbers.
    order = max((k * (k + 1) // 2 for k in stack.cones.psd), default=1)
    barrier = _BARRIER * typical / order / Convex(problem, 1.0, _DELTA, 1.0).scaled.cost
    # From a high barrier down: a low one would hold every step at the walls long before equations are met.
    engine = Convex(problem, 1.0, _DELTA, max(_HIGH * barrier, 1.0))
    state = engine.start(None)
    for _ in range(_MOST):
        height = engine.parts[0].product(state.at.points[0]) / engine.degree
        engine.sigma = min(max(barrier / height, _FALL), 1.0)
        last, state = state.at.points[0].x, engine.step(state)
        central = abs(height - barrier) < 0.1 * barrier and state.steps[0] == 1.0
        if state.lost or (central and float(np.abs(state.at.points[0].x - last).max(initial=0.0)) < _SETTLED):
            break
    part = engine.parts[0]
    C = one.C.dense() * engine.scaled.ranges[0][0] * ~engine.scaled.pinned[0][0]
    right = np.zeros((1, part.size, len(C)))
    right[0, : part.n] = C.T
    try:
        answer = part.linearised(state.at.points[0], state.at.mu).factor.solve(right)[0, : part.n]
    except (RuntimeError, ValueError, np.linalg.LinAlgError):
        return None
    S = C @ answer / engine.scaled.cost
    return np.asarray(S) if not state.lost and np.isfinite(S).all() and (np.diag(S) > 0).all() else None


def _cost_of(block: SmoothBlock) -> float:
    """What the most costly column moves over its size at the start."""
    return float((np.abs(block.functions.gradient(block.start)) * column_sizes(block)).max(initial=0.0))


def _smooth_central(block: SmoothBlock, typical: float) -> Floats:
    free = replace(block, C=sp.csr_array((0, block.functions.columns)), rows=np.empty(0, dtype=np.intp))
    empty = np.empty(0)
    alone = SmoothProblem((free,), Couplings(empty, empty, ()))
    cost = Smooth(alone, 1.0, _DELTA_SMOOTH, 1.0).cost
    engine = Smooth(alone, 1.0, _DELTA_SMOOTH, _BARRIER_SMOOTH * typical / cost)
    state = engine.start(None)
    for _ in range(_STEPS):
        state = state.engine.step(state)
    own, k = state.engine.parts[0], len(block.rows)
    area = Area(replace(block, rows=np.arange(k)), own.sizes, own.cost, np.ones(k), own.room)
    # A common shift of all angles costs nobody anything: it is given a price, or neighbours would not agree on it.
    terms = area.linearised(state.at.points[0], np.zeros(k), _SHIFT * typical / own.cost)
    S = np.zeros((k, k))
    area.schur(terms, S)
    return np.asarray(S / own.cost)
