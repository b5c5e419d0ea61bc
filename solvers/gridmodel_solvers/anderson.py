"""Anderson acceleration of a fixed-point iteration, with a way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Anderson", "accelerate"]

Floats = NDArray[np.float64]

_SHORT = 1e-8
_PATIENCE = 4


@dataclass(frozen=True)
class Anderson:
    """What acceleration remembers: the last steps of v -> g(v), and the best point.

    size: how many differences are kept. last: (v, g(v)) of the last round.
    changes: pairs (difference of g - v, difference of g) of successive rounds, oldest first.
    best: smallest |g - v| so far, and g there. jumped: whether the last point was an accelerated one.
    pause: rounds still to go without acceleration. patience: how long the next pause is; bad jumps double it.
    eager: pauses only where nothing better was found since the last bad jump. returned: the best |g - v| at that jump.
    """

    size: int
    last: tuple[Floats, Floats] | None = None
    changes: tuple[tuple[Floats, Floats], ...] = ()
    best: tuple[float, Floats] | None = None
    jumped: bool = False
    pause: int = 0
    patience: int = _PATIENCE
    eager: bool = False
    returned: float = np.inf

    def forget(self) -> Anderson:
        """The same size with nothing in it, for a map that has changed."""
        return Anderson(self.size, eager=self.eager)


def accelerate(memory: Anderson, v: Floats, g: Floats) -> tuple[Floats, Anderson]:
    """The next point of a type-II Anderson iteration and the memory for the one after.

    v+ = g - sum_j gamma_j dg_j,  gamma = argmin |f - sum_j gamma_j df_j|^2 + 1e-8 |sum_j gamma_j dg_j|^2,  f = g - v

    The second term keeps jumps short where the map is a mere shift, as it is for linear costs between two corners.
    After an accelerated step to a residual |f| of more than twice the best, the memory is dropped, the iteration goes
    back to the best point and pauses to accelerate (eager: only where it was sent back there before). gamma needs inner
    products of these vectors only: sums over
    agents of numbers that each of them knows, 2 ``size`` + 1 new ones a round.

    Args:
        memory: what is remembered.
        v: the point, any shape (n,), in coordinates in which the map is nearly a contraction.
        g: the map's value at v.

    Source: Walker and Ni (2011), Anderson acceleration for fixed-point iterations.
    """
    f = g - v
    norm = float(np.linalg.norm(f))
    if memory.jumped and memory.best is not None and norm > 2 * memory.best[0]:
        fresh = Anderson(memory.size, best=memory.best, eager=memory.eager, returned=memory.best[0])
        if not memory.eager or memory.best[0] >= memory.returned:
            fresh = replace(fresh, pause=memory.patience, patience=2 * memory.patience)
        return memory.best[1], fresh
    # A round that is as good as the best lies further on.
    best = (norm, g) if memory.best is None or norm <= memory.best[0] * (1 + 1e-9) else memory.best
    changes = memory.changes
    if memory.last is not None:
        v_last, g_last = memory.last
        changes = (*changes, (f - (g_last - v_last), g - g_last))[-memory.size :]
    kept = replace(memory, last=(v, g), changes=changes, best=best, jumped=False)
    if not changes or norm == 0 or memory.pause:
        return g, replace(kept, pause=max(memory.pause - 1, 0))
    df = np.stack([change[0] for change in changes])
    dg = np.stack([change[1] for change in changes])
    gamma = _least_squares(df @ df.T + _SHORT * (dg @ dg.T), df @ f)
    return g - gamma @ dg, replace(kept, jumped=True)


def _least_squares(gram: Floats, right: Floats) -> Floats:
    """Solves gram gamma = right without the directions that rounding has made up."""
    size = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(gram / np.outer(size, size))
    keep = values > 1e-13 * values[-1]
    inverse = np.where(keep, 1 / np.where(keep, values, 1.0), 0.0)
    return np.asarray(vectors @ (inverse * (vectors.T @ (right / size))) / size)
