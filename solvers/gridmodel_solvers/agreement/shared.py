"""The agents' costs as functions of the numbers that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.agreed import agreed_columns
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.reduced import Reduced, reduce
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.agreement.proximal import Proximal, half_way
from gridmodel_solvers.agreement.quadratics import Quadratics
from gridmodel_solvers.consensus import Groups
from gridmodel_solvers.oracles.interface import LocalProblem, OracleAnswer
from gridmodel_solvers.penalty import energies

__all__ = ["Shared"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@final
class Shared:
    """f_i(v_i), v_i the d shared numbers in agent i's hands: the least cost over all else that is its own.

    Rows of arrays are agents in the order of the stacks' blocks; V has shape (N, d).

    d, size: how many numbers, how many agents. smooth: whether every f_i is a quadratic, so that gradients exist
    everywhere; else only ``prox`` is there.
    """

    def __init__(self, problem: Separable, accuracy: float = 1e-10) -> None:
        self.problem = problem
        self._columns = agreed_columns(problem)
        self.d = self._columns[0].shape[1]
        self.size = problem.blocks
        self._ends = np.cumsum([stack.size for stack in problem.stacks])[:-1]
        self._groups = Groups.of(problem.matrix, self._flat())
        self._unit, self._energy = self._sizes()
        self._reduced = _quadratic(problem.stacks, self._columns)
        self.smooth = self._reduced is not None
        self._answers = [_nothing(stack) for stack in problem.stacks]
        if self._reduced is not None:
            linear = np.concatenate([part.linear for part in self._reduced])
            self._quadratics = Quadratics([part.hessian for part in self._reduced], linear)
        else:
            self._proximal = Proximal(problem.stacks, self._columns, accuracy)

    @property
    def quadratics(self) -> Quadratics | None:
        """The costs as quadratics; None where they are none."""
        return self._quadratics if self.smooth else None

    @property
    def curvature(self) -> tuple[float, float]:
        """(least, largest) eigenvalue of the agents' second derivatives; smooth costs only."""
        values = self._quadratics.eigenvalues(np.ones(self.d))
        return float(values.min()), float(values.max())

    @cached_property
    def stiffness(self) -> Floats:
        """How costs bend along each shared number, shape (d,): the mean curvature where smooth.

        Else cost over squared range, times the factor at which agents' answers follow half of a shift by the range.
        """
        rough = self._energy / self._unit**2
        if not self.smooth:
            return np.asarray(rough * half_way(lambda factor: self._follows(factor * rough)))
        mean = self._quadratics.diagonal.mean(axis=0)
        return np.asarray(np.where(mean > 0, mean, rough))

    @property
    def pace(self) -> Floats:
        """Step of each shared number per unit of gradient, shape (d,), the same whatever the units.

        Smooth costs: no agent's curvature exceeds one at this step. Others: squared range over cost.
        """
        if not self.smooth:
            return np.asarray(1.0 / self.stiffness)
        largest = self._quadratics.diagonal.max(axis=0)
        pace = 1.0 / np.where(largest > 0, largest, self.stiffness)
        return np.asarray(pace / max(float(self._quadratics.eigenvalues(pace).max()), np.finfo(float).tiny))

    def pull(self, mu: Floats) -> Floats:
        """C_i' mu on the shared numbers, shape (N, d): minus the gradients that these multipliers balance."""
        return self._gathered(self.problem.split(np.asarray(self.problem.matrix.T @ mu)))

    def start(self, warm: Iterate | None) -> Floats:
        """Where agents begin: the nearest to zero within their own bounds, or where an earlier run ended."""
        if warm is not None:
            parts = zip(warm.x, warm.nu, warm.zeta, strict=True)
            self._answers = [OracleAnswer(x, nu, zeta) for x, nu, zeta in parts]
            return self._gathered(list(warm.x))
        bounded = [np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper) for stack in self.problem.stacks]
        return self._gathered(bounded)

    def gradient(self, V: Floats) -> Floats:
        """The derivative of f_i at v_i, shape (N, d); smooth costs only."""
        return self._quadratics.gradient(V)

    def prox(self, V: Floats, weight: Floats, active: Flags | None = None) -> tuple[Floats, Floats]:
        """x_i = argmin f_i(x) + 1/2 |x - v_i|^2_weight_i, and the subgradient weight_i (v_i - x_i) of f_i there.

        Args:
            V: shape (N, d). weight: shape (N,) or (N, d), positive.
            active: whose answer is asked for, shape (N,); the others' private columns stay as they were.
        """
        wide = np.broadcast_to(weight if weight.ndim == 2 else weight[:, None], V.shape)
        if self.smooth:
            X = self._quadratics.prox(V, wide)
        else:
            X, answers = self._proximal(V, wide)
            self._answers = answers if active is None else self._merged(answers, active)
        return X, wide * (V - X)

    def observe(self, V: Floats, G: Floats, present: Flags | None = None) -> Iterate:
        """The answer at v_i with (sub)gradients g_i; private columns follow from v_i, or are those of the last prox.

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
        for k, part in enumerate(np.split(V, self._ends)):
            answer = self._private(k, part)
            columns = answer.x.copy()
            np.put_along_axis(columns, self._columns[k], part, axis=1)
            x.append(columns)
            nu.append(answer.nu)
            zeta.append(answer.zeta)
        return Iterate(x, self._groups.multipliers(self._slots(mean - G)), nu, zeta, residual)

    def _follows(self, weight: Floats) -> float:
        """The share of a shift by the range around the start that agents' proximal answers follow, in [0, 1]."""
        V, wide = self.start(None), np.broadcast_to(weight, (self.size, self.d))
        try:
            low, high = (self._proximal(V + side * self._unit / 2, wide)[0] for side in (-1.0, 1.0))
        except LocalProblem:  # with so weak a pull a cost without curvature runs away
            return 0.0
        return float(((high - low) / self._unit).mean())

    def _private(self, k: int, v: Floats) -> OracleAnswer:
        """What agents of stack k choose for themselves when they hold v; the shared columns are still to be put in."""
        if self._reduced is None:
            return self._answers[k]
        stack, part = self.problem.stacks[k], self._reduced[k]
        inner = np.einsum("ijk,ik->ij", part.slope, v) + part.level
        columns = np.zeros(stack.q.shape)
        others = np.ones(stack.q.shape, dtype=bool)
        np.put_along_axis(others, self._columns[k], False, axis=1)
        own = stack.columns - self.d
        columns[others] = inner[:, :own].ravel()
        return OracleAnswer(columns, inner[:, own:], np.zeros(stack.h.shape))

    def _merged(self, answers: Sequence[OracleAnswer], active: Flags) -> list[OracleAnswer]:
        """The new answers of those who take part, the old ones of the others."""
        out = []
        for new, old, on in zip(answers, self._answers, np.split(active[:, None], self._ends), strict=True):
            pairs = ((new.x, old.x), (new.nu, old.nu), (new.zeta, old.zeta))
            out.append(OracleAnswer(*(np.where(on, ours, theirs) for ours, theirs in pairs)))
        return out

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


def _quadratic(stacks: Sequence[Stack], columns: list[Ints]) -> list[Reduced] | None:
    """Every stack as quadratics of the shared numbers; None where one is none."""
    found = []
    for stack, part in zip(stacks, columns, strict=True):
        reduced = reduce(stack, part)
        if reduced is None:
            return None
        found.append(reduced)
    return found


def _nothing(stack: Stack) -> OracleAnswer:
    return OracleAnswer(np.zeros(stack.q.shape), np.zeros(stack.b.shape), np.zeros(stack.h.shape))
