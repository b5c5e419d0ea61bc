"""What agents offer to the coupling rows at prices of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.interface import Iterate
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.augment import Augmented, augment
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer

__all__ = ["Offers"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

_ASTRAY = 1e12
"""So many times what costs and ranges suggest, multipliers are those of a run that diverges."""
_DOUBTFUL = 1e4
"""The same, where a local solver gives up on them."""


class Offers:
    """The coupling rows  lower <= sum_i C_i x_i <= upper  with multipliers held by every agent, none by a coordinator.

    Rows of arrays are agents in the order of the stacks' blocks; mu has shape (N, m): agent i's multipliers of all m
    rows, Lagrangian f_i(x_i) + mu_i' (C_i x_i - y_i). y_i is the agent's share of the sides: before the run the sides
    are dealt in equal parts to the agents that take part in a row (``share_lower``, ``share_upper``, shape (N, m)).
    """

    def __init__(self, problem: Separable, accuracy: float = 1e-10) -> None:
        self.problem = problem
        self.accuracy = accuracy
        self.size, self.m = problem.blocks, problem.couplings.size
        self._ends = np.cumsum([stack.size for stack in problem.stacks])[:-1]
        self._alike = [_same_rows(stack) for stack in problem.stacks]
        self.touches = self._spread([np.ones(stack.rows.shape) for stack in problem.stacks]) > 0
        self.unit, self.penalty, self.energy = row_sizes(problem)
        self._oracles: list[Oracle] = []
        self._proximal: tuple[Floats, list[Augmented], list[Oracle]] | None = None
        self.deal(np.ones(self.size, dtype=bool))
        self._answers = [_nowhere(stack) for stack in problem.stacks]

    def allowed(self, mu: Floats) -> Floats:
        """The nearest multipliers with the signs that the rows' finite sides permit, shape (N, m)."""
        y = self.problem.couplings
        least = np.where(np.isfinite(y.lower), -np.inf, 0.0)
        return np.clip(mu, least, np.where(np.isfinite(y.upper), np.inf, 0.0))

    def side(self, mu: Floats) -> Floats:
        """The agents' shares y_i: of the side that a multiplier presses on, of the finite one at zero; shape (N, m)."""
        upper = np.where(np.isfinite(self.share_upper), self.share_upper, self.share_lower)
        lower = np.where(np.isfinite(self.share_lower), self.share_lower, upper)
        return np.where(mu > 0, upper, np.where(mu < 0, lower, upper))

    def respond(self, mu: Floats) -> Floats:
        """C_i x_i at x_i(mu_i) = argmin f_i(x) + mu_i' C_i x, shape (N, m); NaN where multipliers have run away."""
        if self._astray(mu):
            return np.full(mu.shape, np.nan)
        if not self._oracles:
            self._oracles = [choose(stack, self.accuracy) for stack in self.problem.stacks]
        answers, start = [], 0
        for stack, oracle, alike in zip(self.problem.stacks, self._oracles, self._alike, strict=True):
            part = mu[start : start + stack.size]
            if alike is None:
                part = np.take_along_axis(part, stack.rows, axis=1)
            elif len(alike) < self.m:
                part = part[:, alike]
            answer = self._solved(oracle, stack.q + stack.C.tdot(part), mu)
            if answer is None:
                return np.full(mu.shape, np.nan)
            answers.append(answer)
            start += stack.size
        self._answers = answers
        return self.reported()

    def prox(self, target: Floats, weight: Floats) -> Floats:
        """The multipliers nu that minimise phi_i(nu) + weight_i/2 |nu - target_i|^2, shape (N, m).

        phi_i(nu) = max over x, y of  -f_i(x) - nu' (C_i x - y),  y between the agent's shares of the sides, so that
        nu = target + (C_i x - y) / weight  at  x, y = argmin f_i(x) + 1/2 |C_i x - y + weight target|^2_(1/weight).

        Args:
            target: shape (N, m). weight: positive, shape (N, m).

        Returns:
            nu, shape (N, m); NaN where multipliers have run away.
        """
        if self._astray(target):
            return np.full(target.shape, np.nan)
        if self._proximal is None or not np.array_equal(self._proximal[0], weight):
            self._proximal = (weight.copy(), *self._pulled(weight))
        _, pulled, oracles = self._proximal
        # Rows that an agent has no part in, but maybe a share of the sides.
        out = target - np.clip(weight * target, self.share_lower, self.share_upper) / weight
        start = 0
        answers = []
        for stack, made, oracle in zip(self.problem.stacks, pulled, oracles, strict=True):
            at = np.arange(start, start + stack.size)[:, None]
            w, fixed = weight[at, stack.rows], ~self._open(at, stack)
            aim = np.where(fixed, self.share_lower[at, stack.rows], 0.0) - w * target[at, stack.rows]
            solved = self._solved(oracle, made.linear(np.zeros_like(aim), aim), target)
            if solved is None:
                return np.full(target.shape, np.nan)
            answer = made.cut(solved)
            reach = made.base.C.dot(answer.x)
            out[at, stack.rows] = (reach - aim) / w
            answers.append(OracleAnswer(answer.x[:, : stack.columns], answer.nu, answer.zeta))
            start += stack.size
        self._answers = answers
        return self.allowed(out)

    @property
    def shape(self) -> tuple[int, int]:
        """(N, m)."""
        return self.size, self.m

    def recall(self, warm: Iterate) -> None:
        """Takes the columns and multipliers of an earlier run for the last answers."""
        self._answers = [OracleAnswer(*part) for part in zip(warm.x, warm.nu, warm.zeta, strict=True)]

    def deal(self, present: Flags) -> None:
        """Deals the sides in equal parts to those present who take part in a row; to all present where none does.

        Who may come later takes nothing of a finite side, and keeps an infinite one: else its share would be an
        equation, and its multiplier no longer of the row's sign.
        """
        y = self.problem.couplings
        takes = self.touches & present[:, None]
        takes |= present[:, None] & ~takes.any(axis=0)
        count = np.maximum(takes.sum(axis=0), 1)
        self.share_lower, self.share_upper = (
            np.where(takes | self.touches & np.isinf(side), side / count, 0.0) for side in (y.lower, y.upper)
        )
        self._proximal = None

    def hand_over(self, node: int, heir: int) -> None:
        """Gives ``node``'s shares of the sides to ``heir``, so that those who stay meet them in full."""
        for share in (self.share_lower, self.share_upper):
            share[heir] += share[node]
            share[node, np.isfinite(share[node])] = 0.0
        self._proximal = None

    def reported(self) -> Floats:
        """C_i x_i of the last answers, shape (N, m)."""
        parts = zip(self.problem.stacks, self._answers, strict=True)
        return self._spread([stack.C.dot(answer.x) for stack, answer in parts])

    def observe(self, mu: Floats, present: Flags | None = None) -> Iterate:
        """The last answers with the mean of the agents' multipliers; their spread is the dual residual.

        The spread is taken over the largest multiplier of each row, or over what costs and ranges suggest where all
        are next to zero. Agents that are not present offer nothing.
        """
        answers = self._answers
        if present is not None and not present.all():
            parts = np.split(present[:, None], self._ends)
            answers = [OracleAnswer(np.where(p, a.x, 0.0), a.nu, a.zeta) for p, a in zip(parts, answers, strict=True)]
            mu = mu[present]
        size = np.maximum(np.abs(mu).max(axis=0, initial=0), 1e-2 * self.penalty * self.unit)
        residual = float((np.ptp(mu, axis=0) / np.maximum(size, np.finfo(float).tiny)).max(initial=0))
        return Iterate(
            [a.x for a in answers],
            self.allowed(mu.mean(axis=0)),
            [a.nu for a in answers],
            [a.zeta for a in answers],
            residual,
        )

    def _solved(self, oracle: Oracle, q: Floats, mu: Floats) -> OracleAnswer | None:
        """An oracle's answer; None where it gives up on multipliers of a run that diverges.

        Raises:
            LocalProblem: a block without an answer, for which these multipliers are not to blame.
        """
        try:
            return oracle.solve(q)
        except LocalProblem as found:
            if found.kind == "infeasible" or not self._astray(mu, _DOUBTFUL):
                raise
            return None

    def _astray(self, mu: Floats, share: float = _ASTRAY) -> bool:
        """Whether a run diverges: its agents could no longer answer, which is not the fault of their own problems."""
        return not bool((np.abs(mu) <= share * self.penalty * self.unit).all())

    def _pulled(self, weight: Floats) -> tuple[list[Augmented], list[Oracle]]:
        pulled, start = [], 0
        for stack in self.problem.stacks:
            at = np.arange(start, start + stack.size)[:, None]
            open_ = self._open(at, stack)
            lower, upper = self.share_lower[at, stack.rows], self.share_upper[at, stack.rows]
            made = _with_slack(stack, open_, lower, upper) if open_.any() else stack
            pulled.append(augment(made, 1.0 / weight[at, stack.rows]))
            start += stack.size
        return pulled, [choose(made.stack, self.accuracy) for made in pulled]

    def _open(self, at: Ints, stack: Stack) -> Flags:
        """Which slots have a column y of their own, in all blocks of the stack alike: where some share is a range."""
        return np.asarray((self.share_lower[at, stack.rows] != self.share_upper[at, stack.rows]).any(axis=0))

    def _spread(self, parts: list[Floats]) -> Floats:
        """Values of the blocks' slots, shape (N, k) a stack, as one array over all rows, shape (N, m)."""
        if len(parts) == 1 and self._alike[0] is not None and len(self._alike[0]) == self.m:
            return parts[0]
        out = np.zeros((self.size, self.m))
        start = 0
        for stack, part, alike in zip(self.problem.stacks, parts, self._alike, strict=True):
            if alike is not None:
                out[start : start + stack.size, alike] = part
            else:
                np.put_along_axis(out[start : start + stack.size], stack.rows, part, axis=1)
            start += stack.size
        return out


def _same_rows(stack: Stack) -> Ints | None:
    """The coupling rows of all blocks where they have the same, the common case and a cheaper one."""
    return stack.rows[0] if stack.size and bool((stack.rows == stack.rows[:1]).all()) else None


def _with_slack(stack: Stack, open_: Flags, lower: Floats, upper: Floats) -> Stack:
    """The stack with a column y between the shares for every open slot, reporting C x - y."""
    slots = np.flatnonzero(open_)
    n, extra = stack.columns, len(slots)
    wide, zeros = (stack.columns + extra), np.zeros((stack.size, extra))
    data = np.concatenate([stack.C.data, np.full((len(stack.C.data), extra), -1.0)], axis=1)
    C = Batch.build(
        (stack.slots, wide), np.concatenate([stack.C.row, slots]), np.concatenate([stack.C.col, n + np.arange(extra)]),
        data, stack.size,
    )  # fmt: skip
    return replace(
        stack,
        P=replace(stack.P, shape=(wide, wide)),
        q=np.concatenate([stack.q, zeros], axis=1),
        A=replace(stack.A, shape=(stack.A.shape[0], wide)),
        lower=np.concatenate([stack.lower, lower[:, slots]], axis=1),
        upper=np.concatenate([stack.upper, upper[:, slots]], axis=1),
        G=replace(stack.G, shape=(stack.G.shape[0], wide)),
        C=C,
        group=np.concatenate([stack.group, stack.group.max(initial=-1) + 1 + np.arange(extra)]),
    )


def _nowhere(stack: Stack) -> OracleAnswer:
    x = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    return OracleAnswer(x, np.zeros(stack.b.shape), np.zeros(stack.h.shape))
