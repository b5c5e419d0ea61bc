"""Gradient ascent on the prices of the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.curvature import largest_eigenvalue, response, response_matrix
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.oracles.choose import choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer

__all__ = ["DualDecomposition"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """mu: prices after the round; asked: prices that the answers belong to; pace: t of the acceleration."""

    problem: Separable
    oracles: tuple[Oracle, ...]
    step: Floats
    mu: Floats
    asked: Floats
    pace: float
    answers: tuple[OracleAnswer, ...]
    dual_residual: float


@final
@dataclass(frozen=True)
class DualDecomposition(AbstractAlgorithm):
    """Projected gradient ascent on the prices mu of the coupling rows lower <= sum_i C_i x_i <= upper.

    mu <- v - s y,  v = mu + s sum_i C_i x_i(mu),  y = proj[lower, upper](v / s),
    x_i(mu) = argmin f_i(x) + mu' C_i x,  s = ``step_size``

    step_size: price change per unit of residual, the same for all rows, in (0, 2/L); None takes 1/L from the blocks'
        curvature, in rows scaled so that their units do not matter.
    accelerated: Nesterov's extrapolation, started anew whenever it points backwards.
    accuracy: of the local answers; None takes a hundredth of the run's tolerance.
    oracle: "auto", or the kind of local solver.

    Source: Boyd et al. (2011), section 2.1; O'Donoghue and Candes (2015) for the restart.
    """

    name: ClassVar[str] = "dual"
    needs_curvature: ClassVar[bool] = True

    step_size: float | None = None
    accelerated: bool = True
    accuracy: float | None = None
    oracle: str = "auto"

    def verdict(self, properties: Properties) -> Verdict:
        """Agents whose answer to prices does not jump; a coordinator, or rows of two neighbours."""
        if properties.step_norm is None:
            jumping = [fact.example for fact in properties.blocks if fact.response is None]
            who = jumping[0] if jumping else "an agent"
            return Verdict(
                False, f"the response of {who} to prices jumps (no strong convexity along the couplings): "
                "the dual is not smooth"
            )  # fmt: skip
        if properties.coordinator:
            return Verdict(True, "every agent's answer to prices is unique and smooth; a coordinator sets the prices")
        if properties.most_participants > 2:
            return Verdict(False, "a coordinator must set prices of rows of more than two agents, and the topology "
                           "forbids one")  # fmt: skip
        if properties.strangers:
            one, other = properties.strangers[0]
            return Verdict(False, f"{one} and {other} share a price but are not neighbours in the topology")
        return Verdict(True, "every agent's answer to prices is unique and smooth; neighbours set their rows' prices")

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent sends its C_i x_i to the coordinator and gets the prices of its rows back."""
        reach = sum(stack.size for stack in problem.stacks if stack.slots)
        return Traffic(2 * reach, 2 * sum(stack.rows.size for stack in problem.stacks))

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> _State:
        """The first state.

        Raises:
            NotApplicableError: an agent's answer to prices jumps.
            ModelError: a step that does not converge.
        """
        step = self._steps(problem)
        accuracy = self.accuracy if self.accuracy is not None else min(1e-6, 1e-2 * tolerance)
        oracles = tuple(choose(stack, accuracy, self.oracle) for stack in problem.stacks)
        mu = np.zeros(problem.couplings.size) if warm is None else np.array(warm.mu)
        mu = _nearest_price(mu, problem)
        if warm is not None:
            answers = tuple(OracleAnswer(*part) for part in zip(warm.x, warm.nu, warm.zeta, strict=True))
        else:
            answers = tuple(_nowhere(stack) for stack in problem.stacks)
        return _State(problem, oracles, step, mu, mu, 1.0, answers, np.inf)

    def step(self, state: Any) -> _State:
        """One round: answers to the prices, then new prices."""
        current: _State = state
        problem, y = current.problem, current.problem.couplings
        parts = zip(problem.stacks, current.oracles, strict=True)
        asked = current.asked
        answers = tuple(oracle.solve(stack.q + stack.C.tdot(asked[stack.rows])) for stack, oracle in parts)
        moved = asked + current.step * problem.coupling_value([answer.x for answer in answers])
        mu = moved - current.step * np.clip(moved / current.step, y.lower, y.upper)
        # Prices over the roots of their steps share one unit, the root of a cost.
        root = np.sqrt(current.step)
        change, size = (mu - asked) / root, max(float(np.abs(mu / root).max(initial=0)), np.finfo(float).tiny)
        residual = float(np.abs(change).max(initial=0)) / size
        pace, ahead = self._extrapolated(current, mu)
        return replace(current, mu=mu, asked=ahead, pace=pace, answers=answers, dual_residual=residual)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        answers = state.answers
        return Iterate(
            x=[answer.x for answer in answers],
            mu=state.mu,
            nu=[answer.nu for answer in answers],
            zeta=[answer.zeta for answer in answers],
            dual_residual=state.dual_residual,
        )

    def _extrapolated(self, state: _State, mu: Floats) -> tuple[float, Floats]:
        if not self.accelerated:
            return 1.0, mu
        move = mu - state.mu
        if float(((state.asked - mu) / state.step) @ move) > 0:
            return 1.0, mu
        pace = (1 + np.sqrt(1 + 4 * state.pace**2)) / 2
        ahead = mu + (state.pace - 1) / pace * move
        return float(pace), _nearest_price(ahead, state.problem)

    def _steps(self, problem: Separable) -> Floats:
        matrix = response_matrix(problem)
        if matrix is None:
            who = next(stack.labels[0] for stack in problem.stacks if response(stack) is None)
            raise NotApplicableError(
                f"dual: the response of {who} to prices jumps (no strong convexity along the couplings), so prices "
                "would never settle. Use 'admm', or give the cost a quadratic term in what the agent reports."
            )
        own = matrix.diagonal()
        own = np.where(own > 0, own, 1.0)
        if self.step_size is None:
            root = sp.diags_array(1 / np.sqrt(own))
            norm = largest_eigenvalue(sp.csr_array(root @ matrix @ root)) or 1.0
            return np.asarray(1 / (norm * own))
        norm = largest_eigenvalue(matrix)
        if not 0 < self.step_size * norm < 2:
            bound = 2 / norm if norm else np.inf
            raise ModelError(
                f"step_size={self.step_size:g} does not converge on this model: it must lie between 0 and "
                f"2/L = {bound:g}. Leave it out to have 1/L = {bound / 2:g} taken."
            )
        return np.full(len(own), self.step_size)


def _nearest_price(mu: Floats, problem: Separable) -> Floats:
    """Prices with the sign that their row's finite sides allow."""
    y = problem.couplings
    return np.clip(mu, np.where(np.isfinite(y.lower), -np.inf, 0.0), np.where(np.isfinite(y.upper), np.inf, 0.0))


def _nowhere(stack: Stack) -> OracleAnswer:
    x = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    return OracleAnswer(x, np.zeros(stack.b.shape), np.zeros(stack.h.shape))
