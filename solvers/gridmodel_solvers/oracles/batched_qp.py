"""Many quadratic blocks of one structure at once: operator splitting over the whole stack."""

from __future__ import annotations

from typing import final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.batch import Batch
from gridmodel.ir.stack import Stack
from gridmodel_solvers.oracles.clarabel_blocks import ClarabelBlocks
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.oracles.ranges import column_ranges

__all__ = ["BatchedQP"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RELAXATION = 1.6
_LIMIT = 3000
_CHECK = 5
_ADAPT = 25


@final
class BatchedQP(Oracle):
    """Over-relaxed Douglas-Rachford splitting between bounds and equations, vectorised over the stack.

    z = clip(v, lower, upper);  x = argmin 1/2 x'P x + q'x + 1/2 |x - 2z + v|^2_r  s.t.  A x = b;  v += 1.6 (x - z)

    The equation part has one cached factorisation. Blocks that have not met the accuracy after 3000 sweeps, and
    blocks that have no optimum, go to Clarabel.

    accuracy: largest |x - z| over the columns' ranges, and of the marginal cost over its own scale.
    """

    def __init__(self, stack: Stack, accuracy: float = 1e-8) -> None:
        crossed = (stack.lower > stack.upper).any(axis=1)
        if crossed.any():
            raise LocalProblem("infeasible", stack.labels[int(np.argmax(crossed))])
        self._stack = stack
        self._accuracy = accuracy
        self._curvature = stack.P.diagonal()
        self._range = column_ranges(stack)
        self._v = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
        self._weight = np.empty(0)
        self._step: _EquationStep | None = None
        self._rescue: dict[int, ClarabelBlocks] = {}

    @staticmethod
    def fits(stack: Stack) -> bool:
        """Whether the blocks have no cones and a diagonal P."""
        return not stack.cones and stack.P.diagonal_only

    @property
    def stack(self) -> Stack:
        """The stack whose blocks are solved."""
        return self._stack

    def solve(self, q: Floats) -> OracleAnswer:
        """The optimum of every block for linear costs q of shape (N, n).

        Raises:
            LocalProblem: a block is infeasible or unbounded.
        """
        if self._step is None:
            energy = np.abs(q + self._curvature * self._v) * self._range
            self._set_weight(float(energy.mean()) or float((self._curvature * self._range**2).mean()) or 1.0)
        x, nu, late = self._sweeps(q)
        for i in np.flatnonzero(late):
            if int(i) not in self._rescue:
                self._rescue[int(i)] = ClarabelBlocks(self._stack.take(np.array([i])), self._accuracy)
            answer = self._rescue[int(i)].solve(q[i][None, :])
            x[i], nu[i] = answer.x[0], answer.nu[0]
        return OracleAnswer(x, nu, np.zeros((self._stack.size, 0)))

    def _sweeps(self, q: Floats) -> tuple[Floats, Floats, Flags]:
        stack, last = self._stack, np.full(self._stack.q.shape, np.nan)
        # Blocks in Clarabel's hands no longer hold up the others.
        given = np.zeros(stack.size, dtype=np.bool_)
        given[list(self._rescue)] = True
        for sweep in range(1, _LIMIT + 1):
            z = np.clip(self._v, stack.lower, stack.upper)
            x, nu = self._equation_step(self._weight * (2 * z - self._v) - q)
            change = x - z
            if sweep % _CHECK == 0 or sweep == 1:
                late = self._late(q, z, change) & ~given
                if not late.any():
                    return z, nu, given
            if sweep % _ADAPT == 0:
                self._adapt(z, last, change)
            last = z
            self._v = self._v + _RELAXATION * change
        self._v = z
        return z, nu, late | given

    def _equation_step(self, t: Floats) -> tuple[Floats, Floats]:
        assert self._step is not None
        return self._step.solve(t)

    def _set_weight(self, energy: float) -> None:
        self._weight = energy / self._range**2
        self._step = _EquationStep(self._stack.A, self._stack.b, 1.0 / (self._curvature + self._weight))

    def _late(self, q: Floats, z: Floats, change: Floats) -> Flags:
        move = np.abs(change)
        marginal = (self._curvature + self._weight) * move * self._range
        scale = np.abs(q + self._curvature * z) * self._range
        level = np.maximum(scale.max(axis=1, initial=0), 1e-9 * self._energy(z))
        far = (move > self._accuracy * self._range).any(axis=1)
        return np.asarray(far | (marginal.max(axis=1, initial=0) > self._accuracy * level))

    def _energy(self, z: Floats) -> float:
        return float(np.max(self._weight * np.maximum(self._range, np.abs(z)) * self._range, initial=0))

    def _adapt(self, z: Floats, last: Floats, change: Floats) -> None:
        """Balances how far x is from z against how much z still moves, each over its own size."""
        root = np.sqrt(self._weight)

        def size(values: Floats) -> float:
            return float(np.linalg.norm(root * values))

        tiny = 1e-300
        primal = size(change) / max(size(z), size(self._range * np.ones_like(z)) * 1e-3, tiny)
        dual = size(z - last) / max(size(z - self._v), tiny)
        if not (np.isfinite(dual) and primal > 0 and dual > 0):
            return
        factor = float(np.clip(np.sqrt(primal / dual), 0.2, 5.0))
        if 0.5 < factor < 2.0:
            return
        self._v = z + (self._v - z) / factor
        self._set_weight(float((self._weight * self._range**2).flat[0]) * factor)


@final
class _EquationStep:
    """x = argmin of 1/2 x' D^-1 x - t'x with A x = b, for a fixed diagonal D of shape (N or 1, n).

    x = D (t - A' nu),  (A D A') nu = A D t - b
    """

    def __init__(self, A: Batch, b: Floats, D: Floats) -> None:
        self._A, self._b, self._D = A, b, D
        self._shared = A.is_shared and len(D) == 1
        if A.shape[0] == 0:
            return
        matrix = A.sparse() if self._shared else A.diagonal_blocks
        gram = sp.csc_array(
            matrix
            @ sp.diags_array(np.broadcast_to(D, (len(D) if self._shared else A.size, D.shape[1])).ravel())
            @ matrix.T
        )
        # Equations that follow from others leave the matrix singular; the shift is far below its entries.
        ridge = np.maximum(gram.diagonal(), 1e-300) * 1e-13
        shifted = sp.csc_matrix(gram + sp.diags_array(ridge))
        self._factor = splu(shifted, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})

    def solve(self, t: Floats) -> tuple[Floats, Floats]:
        if self._A.shape[0] == 0:
            return self._D * t, np.zeros(self._b.shape)
        nu = self._inverse(self._A.dot(self._D * t) - self._b)
        x = self._D * (t - self._A.tdot(nu))
        correction = self._inverse(self._A.dot(x) - self._b)
        return x - self._D * self._A.tdot(correction), nu + correction

    def _inverse(self, right: Floats) -> Floats:
        if self._shared:
            return np.asarray(self._factor.solve(np.ascontiguousarray(right.T)).T)
        return np.asarray(self._factor.solve(right.ravel())).reshape(right.shape)
