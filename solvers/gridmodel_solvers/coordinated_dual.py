"""Dual decomposition by a coordinator whose packets may be lost, late, noisy or coarse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel_solvers.coordinator import Heard, Star, limit, pace, star_links
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.choose import accuracy_for, choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer
from gridmodel_solvers.prices import nearest_price, relative_change, step_lengths
from gridmodel_solvers.traffic import star_traffic

__all__ = ["CoordinatedDual"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """mu: the coordinator's prices, (m,). held: those that agents heard last, (S,). heard: what they answered."""

    network: Network
    star: Star
    oracles: tuple[Oracle, ...]
    step: Floats
    pace: float
    energy: float
    mu: Floats
    held: Floats
    heard: Heard
    answers: tuple[OracleAnswer, ...]
    dual_residual: float


@final
@dataclass(frozen=True)
class CoordinatedDual(AbstractNetworked):
    """Projected gradient ascent on the prices mu of lower <= sum_i C_i x_i <= upper, told and answered by packets.

    mu <- v - s y,  v = mu + s sum_i w_i,  y = proj[lower, upper](v / s),
    w_i = C_i x_i(m_i) as last heard of agent i,  m_i the prices that it heard last,  s = ``step_size``

    A round is a packet from the coordinator to every agent and one back. What is lost leaves the last one in force.
    A row's price rests until all its agents were heard once; who comes later counts from then on, who leaves with
    a word no longer, and who leaves without one counts for ever with its last answer.

    step_size: price change per unit of residual, in (0, g/L), g the gain that the delays leave stable; None takes a
        share of 1/L that suits the delays and losses, in rows scaled so that their units do not matter.
    accuracy: of the local answers; None takes a hundredth of the run's tolerance.
    oracle: "auto", or the kind of local solver.
    channel: what goes wrong between agents and coordinator.

    Source: Boyd et al. (2011), section 2.1; the rules for what is lost or late are derived here.
    """

    name: ClassVar[str] = "dual"
    lost: ClassVar[str] = "hold"
    masks: ClassVar[bool] = True
    rank: ClassVar[int] = 1
    needs_curvature: ClassVar[bool] = True
    claims: ClassVar[Mapping[str, Claim]] = {
        "ideal": Claim("exact"),
        "drop": Claim("exact"),
        "burst": Claim("exact"),
        "delay": Claim("exact", condition="the step is reduced with the delay, as it is where it is left out"),
        "outage": Claim("exact"),
        "noise": Claim("ball", (0.002, 0.004)),
        "bits": Claim("biased", (0.03, 0.08)),
        "async": Claim("exact"),
    }
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("what it offers to its coupling rows", "coordinator"),)

    step_size: float | None = None
    accuracy: float | None = None
    oracle: str = "auto"
    channel: Channel = field(default_factory=Channel)

    def verdict(self, properties: Properties) -> Verdict:
        """A coordinator, and agents whose answer to prices does not jump."""
        if not properties.coordinator:
            return Verdict(False, "a coordinator must set the prices, and the topology forbids one")
        if properties.step_norm is None:
            who = next((fact.example for fact in properties.blocks if fact.response is None), "an agent")
            return Verdict(False, f"the response of {who} to prices jumps (no strong convexity along the couplings)")
        return Verdict(True, "every agent's answer to prices is unique and smooth; a coordinator sets the prices")

    def links(self, problem: Separable) -> Links:
        """A star around the coordinator."""
        return star_links(problem)

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent gets the prices of its rows and sends its C_i x_i back."""
        return star_traffic(problem)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: prices of zero, which all know, or those of an earlier run.

        Raises:
            NotApplicableError: an agent's answer to prices jumps.
            ModelError: a step that does not converge over this channel.
        """
        star = Star(problem, network)
        gain = pace(self.channel)
        step = step_lengths(problem, self.step_size, gain, limit(self.channel))
        accuracy = accuracy_for(tolerance, self.accuracy)
        oracles = tuple(choose(stack, accuracy, self.oracle) for stack in problem.stacks)
        mu = nearest_price(np.zeros(problem.couplings.size) if warm is None else np.array(warm.mu), problem)
        if warm is None:
            x = [np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper) for stack in problem.stacks]
            zeros = [(np.zeros(stack.b.shape), np.zeros(stack.h.shape)) for stack in problem.stacks]
            answers = tuple(OracleAnswer(part, *rest) for part, rest in zip(x, zeros, strict=True))
        else:
            answers = tuple(OracleAnswer(*part) for part in zip(warm.x, warm.nu, warm.zeta, strict=True))
        heard = Heard.at_start(star, star.reported([answer.x for answer in answers]), warm is not None)
        energy = row_sizes(problem)[2]
        return _State(network, star, oracles, step, gain, energy, mu, mu[star.row], heard, answers, 1.0)

    def round(self, state: Any) -> _State:
        """Prices down, answers up, new prices."""
        s: _State = state
        star, y = s.star, s.star.problem.couplings
        read, arrived = star.down(s.mu[star.row])
        held = np.where(arrived, read, s.held)
        parts = zip(star.problem.stacks, s.oracles, star.split(held), strict=True)
        answers = tuple(oracle.solve(stack.q + stack.C.tdot(price)) for stack, oracle, price in parts)
        heard = s.heard.hear(star, *star.up(star.reported([answer.x for answer in answers])))
        done = replace(s, held=held, heard=heard, answers=answers)
        if s.network.active is not None and not s.network.active[star.hub]:
            return done
        moved = s.mu + s.step * star.sums(np.where(heard.counts(star), heard.report, 0.0))
        mu = np.where(heard.begun, moved - s.step * np.clip(moved / s.step, y.lower, y.upper), s.mu)
        return replace(done, mu=mu, dual_residual=self._residual(done, mu))

    def observe(self, state: Any) -> Iterate:
        """The agents' answers to the prices that they hold, and the coordinator's prices."""
        answers = state.answers
        return Iterate(
            x=state.star.present([answer.x for answer in answers]),
            mu=state.mu,
            nu=[answer.nu for answer in answers],
            zeta=[answer.zeta for answer in answers],
            dual_residual=state.dual_residual,
        )

    def shown(self, state: Any) -> Floats:
        """The prices that each agent holds, in rows that it takes no part in the coordinator's, shape (N, m)."""
        return np.asarray(state.star.shown(state.mu, state.held))

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Who leaves with a word no longer counts."""
        s: _State = state
        return s if heir is None else replace(s, heard=s.heard.belongs(node, False))

    def join(self, state: Any, node: int) -> _State:
        """A newcomer counts as soon as it was heard."""
        s: _State = state
        return replace(s, heard=s.heard.belongs(node, True))

    def _residual(self, s: _State, mu: Floats) -> float:
        """How far prices still move, over a whole step, and how far agents' prices are from the coordinator's."""
        if not s.heard.begun.all():
            return 1.0
        there = s.network.fates.present[s.star.at]
        moved = relative_change((mu - s.mu) / s.pace, mu, s.step / s.pace, s.energy)
        apart = np.zeros_like(mu)
        np.maximum.at(apart, s.star.row[there], np.abs(s.held - mu[s.star.row])[there])
        return max(moved, relative_change(apart, mu, s.step / s.pace, s.energy))
