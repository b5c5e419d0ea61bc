"""One smooth block alone, with prices and a quadratic penalty on what it reports to its coupling rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.separable import Couplings
from gridmodel.ir.smooth import AbstractSmooth, SmoothBlock, SmoothProblem
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.interior.smooth import Smooth

__all__ = ["LocalAnswer", "solve_local"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LocalAnswer:
    """A stationary point of a block.

    x: (columns,). nu: multipliers of h(x) = 0, (equations,). zeta: of c(x) <= 0, not negative, (inequalities,).
    error: the largest of its scaled violations, gradient and complementarity. rounds: Newton steps taken.
    """

    x: Floats
    nu: Floats
    zeta: Floats
    error: float
    rounds: int


@final
class _Penalised(AbstractSmooth):
    """f(x) + price'C x + 1/2 (C x - target)' diag(weight) (C x - target), the limits unchanged."""

    def __init__(self, block: SmoothBlock, price: Floats, weight: Floats, target: Floats) -> None:
        self._inner, self._C = block.functions, block.C
        self._price, self._weight, self._target = price, weight, target
        self._bend = sp.csr_array(block.C.T @ sp.diags_array(weight) @ block.C)
        self.columns = block.functions.columns
        self.equations, self.inequalities = block.functions.equations, block.functions.inequalities

    def cost(self, x: Floats) -> float:
        """The cost with prices and penalty."""
        reported = self._C @ x
        away = reported - self._target
        return self._inner.cost(x) + float(self._price @ reported) + 0.5 * float(away @ (self._weight * away))

    def gradient(self, x: Floats) -> Floats:
        """Its gradient."""
        pull = self._price + self._weight * (self._C @ x - self._target)
        return np.asarray(self._inner.gradient(x) + self._C.T @ pull)

    def residuals(self, x: Floats) -> tuple[Floats, Floats]:
        """The block's own."""
        return self._inner.residuals(x)

    def jacobians(self, x: Floats) -> tuple[sp.csr_array, sp.csr_array]:
        """The block's own."""
        return self._inner.jacobians(x)

    def hessian(self, x: Floats, nu: Floats, zeta: Floats) -> sp.csr_array:
        """The block's own and the penalty's."""
        return sp.csr_array(self._inner.hessian(x, nu, zeta) + self._bend)


def solve_local(
    block: SmoothBlock,
    price: Floats | None = None,
    weight: Floats | float = 0.0,
    target: Floats | None = None,
    warm: LocalAnswer | None = None,
    tolerance: float = 1e-8,
    max_rounds: int = 200,
) -> LocalAnswer:
    """minimise f(x) + price'C x + 1/2 (C x - target)' diag(weight) (C x - target)  s.t. the block's own limits.

    Args:
        block: its C, shape (k, columns), is what ``price``, ``weight`` and ``target`` belong to.
        price, target: shape (k,), zero where left out. weight: shape (k,), or one number for all, not negative.
        warm: an answer nearby, to start from.
        tolerance: on the answer's error.
        max_rounds: Newton steps at most; the best point is returned all the same.
    """
    k = block.C.shape[0]
    pull = np.zeros(k) if price is None else np.asarray(price, dtype=np.float64)
    aim = np.zeros(k) if target is None else np.asarray(target, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(weight, dtype=np.float64), (k,)).copy()
    functions = _Penalised(block, pull, weights, aim)
    free = replace(block, functions=functions, C=sp.csr_array((0, functions.columns)), rows=np.empty(0, dtype=np.intp))
    empty = np.empty(0)
    engine = Smooth(SmoothProblem((free,), Couplings(empty, empty, ())), None, _DELTA, 1.0)
    state = engine.start(None if warm is None else _iterate(warm))
    least, best, rounds = state.engine.error(state.at), state, 0
    while least > tolerance and rounds < max_rounds and state.engine.stuck(state) is None:
        state, rounds = state.engine.step(state), rounds + 1
        error = state.engine.error(state.at)
        if error < least:
            least, best = error, state
    found = best.engine.observe(best)
    return LocalAnswer(found.x[0][0], found.nu[0][0], found.zeta[0][0], least, rounds)


_DELTA = 1e-4


def _iterate(answer: LocalAnswer) -> Iterate:
    return Iterate([answer.x[None]], np.empty(0), [answer.nu[None]], [answer.zeta[None]], 0.0)
