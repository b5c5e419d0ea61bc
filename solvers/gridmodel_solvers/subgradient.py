"""The projected subgradient method on prices, with averaged answers: the baseline where answers to prices jump."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.choose import accuracy_for, choose
from gridmodel_solvers.oracles.interface import LocalProblem, Oracle, OracleAnswer
from gridmodel_solvers.prices import nearest_price, relative_change
from gridmodel_solvers.traffic import star_traffic

__all__ = ["Subgradient"]

Floats = NDArray[np.float64]

_FAR = 100.0


@dataclass(frozen=True)
class _State:
    """mu: prices after the round. mean: averages of the columns, one a stack. size: price per squared unit of rows.

    ranges: of columns, for those without bounds. accuracy: of local answers.
    """

    problem: Separable
    oracles: tuple[Oracle, ...]
    ranges: tuple[Floats, ...]
    accuracy: float
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

    No strong convexity is asked for, and the error falls like 1 / sqrt(k): a baseline to measure others by, which has
    no name in the list of algorithms and is asked for as an object. Where an agent's
    own problem falls without end at some prices, its columns without bounds are kept within 100 times their range.

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
        return star_traffic(problem)

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: prices of zero, or of an earlier answer."""
        accuracy = accuracy_for(tolerance)
        oracles = tuple(choose(stack, accuracy, self.oracle) for stack in problem.stacks)
        mu = np.zeros(problem.couplings.size) if warm is None else np.array(warm.mu)
        mean = tuple(np.clip(np.zeros(s.q.shape), s.lower, s.upper) for s in problem.stacks)
        answers = tuple(
            OracleAnswer(x, np.zeros(s.b.shape), np.zeros(s.h.shape)) for s, x in zip(problem.stacks, mean, strict=True)
        )
        _, size, energy = row_sizes(problem)
        ranges = tuple(Scale(problem).columns)
        start = nearest_price(mu, problem)
        return _State(problem, oracles, ranges, accuracy, self.pace * size, energy, start, mean, answers)

    def step(self, state: Any) -> _State:
        """One round: answers to the prices, then new prices and averages."""
        s: _State = state
        problem, y = s.problem, s.problem.couplings
        oracles, answers = list(s.oracles), []
        for k, stack in enumerate(problem.stacks):
            asked = stack.q + stack.C.tdot(s.mu[stack.rows])
            try:
                answers.append(oracles[k].solve(asked))
            except LocalProblem as found:
                if found.kind != "unbounded" or oracles[k].stack is not stack:
                    raise
                oracles[k] = choose(_within(stack, s.ranges[k]), s.accuracy, self.oracle)
                answers.append(oracles[k].solve(asked))
        step = s.size / np.sqrt(s.rounds + 1.0)
        moved = s.mu + step * problem.coupling_value([answer.x for answer in answers])
        mu = moved - step * np.clip(moved / step, y.lower, y.upper)
        share = 2.0 / (s.rounds + 2.0)
        mean = tuple(old + share * (answer.x - old) for old, answer in zip(s.mean, answers, strict=True))
        residual = relative_change(mu - s.mu, mu, step, s.energy)
        return replace(
            s,
            oracles=tuple(oracles),
            mu=mu,
            mean=mean,
            answers=tuple(answers),
            rounds=s.rounds + 1,
            dual_residual=residual,
        )

    def observe(self, state: Any) -> Iterate:
        """The averages, with the last prices and the multipliers that belong to them."""
        s: _State = state
        nu, zeta = [answer.nu for answer in s.answers], [answer.zeta for answer in s.answers]
        return Iterate(list(s.mean), s.mu, nu, zeta, s.dual_residual)


def _within(stack: Stack, spans: Floats) -> Stack:
    """The stack with bounds for all columns, far out where it has none."""
    far = _FAR * np.broadcast_to(spans, stack.q.shape)
    at = np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper)
    lower = np.where(np.isfinite(stack.lower), stack.lower, at - far)
    return replace(stack, lower=lower, upper=np.where(np.isfinite(stack.upper), stack.upper, at + far))
