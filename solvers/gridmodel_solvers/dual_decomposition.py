"""Gradient ascent on the prices of the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.claim import Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.choose import accuracy_for, choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer
from gridmodel_solvers.prices import nearest_price, relative_change, step_lengths
from gridmodel_solvers.traffic import star_traffic

__all__ = ["DualDecomposition"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """mu: prices after the round; asked: prices that the answers belong to; pace: t of the acceleration.

    energy: size of costs, below a small share of which prices count as zero.
    """

    problem: Separable
    oracles: tuple[Oracle, ...]
    step: Floats
    energy: float
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
    edge: the two ends of each row set its price themselves, where the topology forbids a coordinator.

    Source: Boyd et al. (2011), section 2.1; O'Donoghue and Candes (2015) for the restart.
    """

    name: ClassVar[str] = "dual"
    rank: ClassVar[int] = 1
    needs_curvature: ClassVar[bool] = True
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("what it offers to its coupling rows", "coordinator"),)

    step_size: float | None = None
    accelerated: bool = True
    accuracy: float | None = None
    oracle: str = "auto"
    edge: bool = False

    def settled(self, properties: Properties) -> DualDecomposition:
        """The same options, without a coordinator where the topology forbids one."""
        return self if properties.coordinator else replace(self, edge=True)

    def over(self, channel: Channel) -> AbstractAlgorithm:
        """Plain ascent by a coordinator whose packets may be lost or late.

        Raises:
            NotApplicableError: the topology forbids a coordinator.
        """
        from gridmodel_solvers.coordinated_dual import CoordinatedDual

        if channel.is_ideal and channel.mask is None:
            return self
        if self.edge:
            raise NotApplicableError(
                "'dual' stands faults with a coordinator only, and the topology forbids one; use "
                "'relaxed-dual-consensus', by which neighbours agree on prices."
            )
        return CoordinatedDual(self.step_size, self.accuracy, self.oracle).over(channel)

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
        return star_traffic(problem)

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> _State:
        """The first state.

        Raises:
            NotApplicableError: an agent's answer to prices jumps.
            ModelError: a step that does not converge.
        """
        step = step_lengths(problem, self.step_size)
        accuracy = accuracy_for(tolerance, self.accuracy)
        oracles = tuple(choose(stack, accuracy, self.oracle) for stack in problem.stacks)
        mu = np.zeros(problem.couplings.size) if warm is None else np.array(warm.mu)
        mu = nearest_price(mu, problem)
        if warm is not None:
            answers = tuple(OracleAnswer(*part) for part in zip(warm.x, warm.nu, warm.zeta, strict=True))
        else:
            answers = tuple(_nowhere(stack) for stack in problem.stacks)
        return _State(problem, oracles, step, row_sizes(problem)[2], mu, mu, 1.0, answers, np.inf)

    def step(self, state: Any) -> _State:
        """One round: answers to the prices, then new prices."""
        current: _State = state
        problem, y = current.problem, current.problem.couplings
        parts = zip(problem.stacks, current.oracles, strict=True)
        asked = current.asked
        answers = tuple(oracle.solve(stack.q + stack.C.tdot(asked[stack.rows])) for stack, oracle in parts)
        moved = asked + current.step * problem.coupling_value([answer.x for answer in answers])
        mu = moved - current.step * np.clip(moved / current.step, y.lower, y.upper)
        residual = relative_change(mu - asked, mu, current.step, current.energy)
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
        return float(pace), nearest_price(ahead, state.problem)


def _nowhere(stack: Stack) -> OracleAnswer:
    x = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    return OracleAnswer(x, np.zeros(stack.b.shape), np.zeros(stack.h.shape))
