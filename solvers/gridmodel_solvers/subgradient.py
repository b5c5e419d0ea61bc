"""The projected subgradient method on prices, with averaged answers: the baseline where answers to prices jump."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.claim import Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.choose import accuracy_for, choose
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.prices import nearest_price, relative_change

__all__ = ["Subgradient"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """mu: prices after the round. mean: averages of the columns, one a stack. size: price per squared unit of rows."""

    problem: Separable
    oracles: tuple[Oracle, ...]
    size: Floats
    energy: float
    mu: Floats
    mean: tuple[Floats, ...]
    answers: tuple[OracleAnswer, ...]
    rounds: int = 0
    dual_residual: float = np.inf


@final
@dataclass(frozen=True)
class Subgradient(AbstractAlgorithm):
    """Prices follow what is missing, ever more slowly, and the answers are averaged.

    mu <- v - s y,  v = mu + s sum_i C_i x_i(mu),  y = proj[lower, upper](v / s),  s = pace size / sqrt(k)
    mean_i <- mean_i + 2 / (k + 2) (x_i(mu) - mean_i),  x_i(mu) = argmin f_i(x) + mu' C_i x

    No strong convexity is asked for, and the error falls like 1 / sqrt(k): a baseline, not a choice. Every agent's own
    problem must have an optimum at all prices, as it has between bounds.

    pace: the first step, in rows' units of cost over squared range. oracle: "auto", or the kind of local solver.
    edge: the two ends of each row set its price themselves, where the topology forbids a coordinator.

    Source: Anstreicher and Wolsey (2009), Two "well-known" properties of subgradient optimization; averages weighted
    as by Lacoste-Julien, Schmidt, Bach (2012).
    """

    name: ClassVar[str] = "subgradient"
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("what it offers to its coupling rows", "coordinator"),)

    pace: float = 1.0
    oracle: str = "auto"
    edge: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.pace < np.inf:
            raise ModelError(f"pace={self.pace} is no step; use a number above 0, or leave it out for 1.")

    def settled(self, properties: Properties) -> Subgradient:
        """The same options, without a coordinator where the topology forbids one."""
        return self if properties.coordinator else replace(self, edge=True)

    def verdict(self, properties: Properties) -> Verdict:
        """Convex agents; a coordinator, or rows of two neighbours."""
        if properties.coordinator:
            return Verdict(True, "every agent is convex; a coordinator sets the prices")
        if properties.most_participants > 2:
            most = properties.most_participants
            return Verdict(
                False, f"a coordinator must set prices of rows of {most} agents, and the topology forbids one"
            )
        if properties.strangers:
            one, other = properties.strangers[0]
            return Verdict(False, f"{one} and {other} share a price but are not neighbours in the topology")
        return Verdict(True, "every agent is convex; neighbours set the prices of their rows")

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent sends its C_i x_i and gets the prices of its rows, or ends of a row send each other theirs."""
        reach = sum(stack.size for stack in problem.stacks if stack.slots)
        return Traffic(2 * reach, 2 * sum(stack.rows.size for stack in problem.stacks))

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: prices of zero, or of an earlier answer."""
        oracles = tuple(choose(stack, accuracy_for(tolerance), self.oracle) for stack in problem.stacks)
        mu = np.zeros(problem.couplings.size) if warm is None else np.array(warm.mu)
        mean = tuple(np.clip(np.zeros(s.q.shape), s.lower, s.upper) for s in problem.stacks)
        answers = tuple(
            OracleAnswer(x, np.zeros(s.b.shape), np.zeros(s.h.shape)) for s, x in zip(problem.stacks, mean, strict=True)
        )
        _, size, energy = row_sizes(problem)
        return _State(problem, oracles, self.pace * size, energy, nearest_price(mu, problem), mean, answers)

    def step(self, state: Any) -> _State:
        """One round: answers to the prices, then new prices and averages.

        Raises:
            NotApplicableError: an agent has no answer to the prices.
        """
        s: _State = state
        problem, y = s.problem, s.problem.couplings
        try:
            answers = tuple(
                oracle.solve(stack.q + stack.C.tdot(s.mu[stack.rows]))
                for oracle, stack in zip(s.oracles, problem.stacks, strict=True)
            )
        except LocalProblem as found:
            if found.kind != "unbounded":
                raise
            raise NotApplicableError(
                "dual:subgradient needs agents whose own problem has an optimum at all prices, and "
                f"{found.label} has none at some: give its variables bounds, or use 'admm'."
            ) from found
        step = s.size / np.sqrt(s.rounds + 1.0)
        moved = s.mu + step * problem.coupling_value([answer.x for answer in answers])
        mu = moved - step * np.clip(moved / step, y.lower, y.upper)
        share = 2.0 / (s.rounds + 2.0)
        mean = tuple(old + share * (answer.x - old) for old, answer in zip(s.mean, answers, strict=True))
        residual = relative_change(mu - s.mu, mu, step, s.energy)
        return replace(s, mu=mu, mean=mean, answers=answers, rounds=s.rounds + 1, dual_residual=residual)

    def observe(self, state: Any) -> Iterate:
        """The averages, with the last prices and the multipliers that belong to them."""
        s: _State = state
        nu, zeta = [answer.nu for answer in s.answers], [answer.zeta for answer in s.answers]
        return Iterate(list(s.mean), s.mu, nu, zeta, s.dual_residual)
