"""The agents' costs as functions of the numbers that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.agreed import agreed_columns, roughness
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.consensus import Groups
from gridmodel_solvers.oracles.augment import Augmented, augment
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer
from gridmodel_solvers.penalty import energies

__all__ = ["Shared"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Shared:
    """f_i(v_i), v_i the d shared numbers in agent i's hands: the least cost over all else that is its own.

    Rows of arrays are agents in the order of the stacks' blocks; V has shape (N, d).

    smooth: whether every f_i is a quadratic of v_i alone, without limits, so that gradients exist everywhere; else
    only ``prox`` does. curvature: (least, largest) eigenvalue over all agents, of smooth costs.
    """

    def __init__(self, problem: Separable, accuracy: float = 1e-10) -> None:
        self.problem = problem
        self._accuracy = accuracy
        self._columns = agreed_columns(problem)
        self.d = self._columns[0].shape[1]
        self.size = problem.blocks
        self.smooth = all(roughness(stack, self.d) is None for stack in problem.stacks)
        self._ends = np.cumsum([stack.size for stack in problem.stacks])[:-1]
        self._picked = [_picked(stack, columns) for stack, columns in zip(problem.stacks, self._columns, strict=True)]
        self._oracles: tuple[Floats, list[Augmented], list[Oracle]] | None = None
        self._answers: list[OracleAnswer] = []
        self._groups = Groups.of(problem.matrix, self._flat())
        self._unit, self._energy = self._sizes()
        if self.smooth:
            self._hessians = [_hessian(stack, cols) for stack, cols in zip(problem.stacks, self._columns, strict=True)]
            self._linear = self._gathered([stack.q for stack in problem.stacks])
            self._inverses: tuple[Floats, list[Floats]] | None = None

    @property
    def curvature(self) -> tuple[float, float]:
        """(least, largest) eigenvalue of the agents' second derivatives."""
        values = [h if h.ndim == 2 else np.linalg.eigvalsh(h) for h in self._hessians]
        return float(min(v.min() for v in values)), float(max(v.max() for v in values))

    def start(self, warm: Iterate | None) -> Floats:
        """Where agents begin: the nearest to zero within their own bounds, or where an earlier run ended."""
        if warm is not None:
            return self._gathered(list(warm.x))
        bounded = [np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper) for stack in self.problem.stacks]
        return self._gathered(bounded)

    def gradient(self, V: Floats) -> Floats:
        """The derivative of f_i at v_i, shape (N, d); smooth costs only."""
        parts = []
        for hessian, v in zip(self._hessians, np.split(V, self._ends), strict=True):
            parts.append(hessian * v if hessian.ndim == 2 else np.einsum("ijk,ik->ij", hessian, v))
        return np.asarray((parts[0] if len(parts) == 1 else np.concatenate(parts)) + self._linear)

    def prox(self, V: Floats, weight: Floats) -> tuple[Floats, Floats]:
        """x_i = argmin f_i(x) + weight_i/2 |x - v_i|^2, and the subgradient weight_i (v_i - x_i) of f_i there.

        Args:
            V: shape (N, d). weight: shape (N,), positive.
        """
        X = self._quadratic_prox(V, weight) if self.smooth else self._oracle_prox(V, weight)
        return X, weight[:, None] * (V - X)

    def observe(self, V: Floats, G: Floats, present: Flags | None = None) -> Iterate:
        """The answer at v_i with (sub)gradients g_i; private columns are those of the last prox.

        The agreement rows' multipliers balance the gradients less their mean; what is left, the mean, is the dual
        residual over the size of the gradients. Agents that are not present follow the mean of the others.
        """
        if present is not None and not present.all():
            V = np.where(present[:, None], V, V[present].mean(axis=0))
            G = np.where(present[:, None], G, 0.0)
            mean = np.where(present[:, None], G.sum(axis=0) / max(int(present.sum()), 1), 0.0)
        else:
            mean = np.broadcast_to(G.mean(axis=0), G.shape)
        scale = max(float(np.abs(G * self._unit).max(initial=0)), 1e-2 * self._energy, np.finfo(float).tiny)
        residual = float(np.abs(mean * self._unit).max(initial=0)) / scale
        x, nu, zeta = [], [], []
        for k, (stack, part) in enumerate(zip(self.problem.stacks, np.split(V, self._ends), strict=True)):
            answer = self._answers[k] if self._answers else OracleAnswer(
                np.zeros(stack.q.shape), np.zeros(stack.b.shape), np.zeros(stack.h.shape))  # fmt: skip
            columns = answer.x.copy()
            np.put_along_axis(columns, self._columns[k], part, axis=1)
            x.append(columns)
            nu.append(answer.nu)
            zeta.append(answer.zeta)
        return Iterate(x, self._groups.multipliers(self._slots(mean - G)), nu, zeta, residual)

    def _quadratic_prox(self, V: Floats, weight: Floats) -> Floats:
        if self._inverses is None or not np.array_equal(self._inverses[0], weight):
            made = []
            for hessian, w in zip(self._hessians, np.split(weight, self._ends), strict=True):
                if hessian.ndim == 2:
                    made.append(1.0 / (hessian + w[:, None]))
                else:
                    made.append(np.linalg.inv(hessian + w[:, None, None] * np.eye(self.d)))
            self._inverses = (weight.copy(), made)
        pull = np.split(weight[:, None] * V - self._linear, self._ends)
        pairs = zip(self._inverses[1], pull, strict=True)
        return np.concatenate([m * p if m.ndim == 2 else np.einsum("ijk,ik->ij", m, p) for m, p in pairs])

    def _oracle_prox(self, V: Floats, weight: Floats) -> Floats:
        if self._oracles is None or not np.array_equal(self._oracles[0], weight):
            pulled = [
                augment(stack, np.broadcast_to(w[:, None], (stack.size, self.d)))
                for stack, w in zip(self._picked, np.split(weight, self._ends), strict=True)
            ]
            self._oracles = weight.copy(), pulled, [choose(made.stack, self._accuracy) for made in pulled]
        _, pulled, oracles = self._oracles
        out, answers = [], []
        for k, (made, oracle, v) in enumerate(zip(pulled, oracles, np.split(V, self._ends), strict=True)):
            target = np.take_along_axis(v, np.argsort(self._columns[k], axis=1), axis=1)
            answer = made.cut(oracle.solve(made.linear(np.zeros_like(target), target)))
            answers.append(answer)
            out.append(np.take_along_axis(answer.x, self._columns[k], axis=1))
        self._answers = answers
        return np.concatenate(out)

    def _gathered(self, parts: Sequence[Floats]) -> Floats:
        """The shared columns of arrays over all columns, shape (N, d)."""
        taken = [np.take_along_axis(part, cols, axis=1) for part, cols in zip(parts, self._columns, strict=True)]
        return np.concatenate(taken)

    def _flat(self) -> Ints:
        """Number of every shared column among all columns, agent by agent in the order of each stack's columns."""
        flat = []
        for stack, cols, start in zip(self.problem.stacks, self._columns, self.problem.offsets, strict=False):
            flat.append((start + np.arange(stack.size)[:, None] * stack.columns + np.sort(cols, axis=1)).ravel())
        return np.concatenate(flat)

    def _slots(self, values: Floats) -> Floats:
        """Values of shape (N, d) as one vector in the order of ``_flat``."""
        parts = zip(np.split(values, self._ends), self._columns, strict=True)
        return np.concatenate([np.take_along_axis(v, np.argsort(c, axis=1), axis=1).ravel() for v, c in parts])

    def _sizes(self) -> tuple[Floats, float]:
        """How far each shared number moves, shape (d,), and the size of costs."""
        spans = Scale(self.problem).columns
        wide = [np.broadcast_to(span, stack.q.shape) for span, stack in zip(spans, self.problem.stacks, strict=True)]
        costs = [float(energies(stack, span).mean()) for stack, span in zip(self.problem.stacks, spans, strict=True)]
        return np.sqrt((self._gathered(wide) ** 2).mean(axis=0)), max(costs, default=0.0) or 1.0


def _picked(stack: Stack, columns: Ints) -> Stack:
    """The stack that reports its shared columns, in ascending order."""
    own = np.unique(columns)
    k = len(own)
    C = Batch((k, stack.columns), np.arange(k), own, np.ones((1, k)), stack.size)
    return replace(stack, C=C, rows=np.broadcast_to(np.arange(k), (stack.size, k)))


def _hessian(stack: Stack, columns: Ints) -> Floats:
    """Second derivatives over the shared numbers: shape (N, d) where diagonal, else (N, d, d)."""
    if stack.P.diagonal_only:
        diagonal = np.broadcast_to(stack.P.diagonal(), stack.q.shape)
        return np.take_along_axis(np.ascontiguousarray(diagonal), columns, axis=1)
    dense = np.zeros((stack.size, stack.columns, stack.columns))
    dense[:, stack.P.row, stack.P.col] = stack.P.full
    at = np.arange(stack.size)[:, None, None]
    return np.asarray(dense[at, columns[:, :, None], columns[:, None, :]])

