"""Exchange ADMM by a coordinator whose packets may be lost, late, noisy or coarse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel_solvers.coordinator import Heard, Star, pace, star_links
from gridmodel_solvers.exchange import row_sizes
from gridmodel_solvers.oracles.augment import Augmented, augment
from gridmodel_solvers.oracles.choose import accuracy_for, choose
from gridmodel_solvers.oracles.interface import Oracle, OracleAnswer
from gridmodel_solvers.traffic import star_traffic

__all__ = ["CoordinatedADMM"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Setup:
    """What stays fixed. rho: penalty of each row, (m,); unit: how far its numbers move; energy: size of costs."""

    star: Star
    rho: Floats
    unit: Floats
    energy: float
    pace: float
    proximal: tuple[Augmented, ...]
    oracles: tuple[Oracle, ...]


@dataclass(frozen=True)
class _State:
    """u, r: the coordinator's, (m,). held: target that each agent heard last, (S,). heard: what agents reported."""

    network: Network
    setup: _Setup
    u: Floats
    r: Floats
    held: Floats
    heard: Heard
    answers: tuple[OracleAnswer, ...]


@final
@dataclass(frozen=True)
class CoordinatedADMM(AbstractNetworked):
    """Sharing ADMM on the coupling rows lower <= sum_i w_i <= upper, w_i = C_i x_i, told and answered by packets.

    x_i = argmin f_i(x) + rho/2 |C_i x - t_i|^2,   t_i = w_i - r - u as last heard of the coordinator,
    r = w - z,  z = proj[lower, upper](n (w + u)) / n,  w = mean_i w_i as last heard of the n agents,
    u <- u + g r,  mu = rho u

    A round is a packet from the coordinator to every agent and one back. The coordinator tells where to go, never
    how far to move, so that a packet lost or repeated does no harm: the last one stays in force. A row rests until all
    its agents were heard once; who comes later counts from then on, who leaves with a word no longer, and who
    leaves without one counts for ever with its last report.

    rho: penalty in units of the row's own (cost over squared range); None takes one.
    oracle: "auto", or the kind of local solver.
    channel: what goes wrong between agents and coordinator; delays and losses set g, 1 where there are none.

    Source: Boyd et al. (2011), section 7.3; the rules for what is lost or late and the step g are derived here.
    """

    name: ClassVar[str] = "admm"
    lost: ClassVar[str] = "hold"
    rank: ClassVar[int] = 0
    claims: ClassVar[Mapping[str, Claim]] = {
        "ideal": Claim("exact"),
        "drop": Claim("exact"),
        "burst": Claim("exact"),
        "delay": Claim("exact"),
        "outage": Claim("exact"),
        "noise": Claim("ball", (0.001, 0.005)),
        "bits": Claim("biased", (0.07, 0.2)),
        "async": Claim("exact"),
    }
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("what it offers to its coupling rows", "coordinator"),)

    rho: float | None = None
    oracle: str = "auto"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if self.rho is not None and not self.rho > 0:
            raise ModelError(f"rho={self.rho} cannot be a penalty; use a number above 0, or None to have one found.")

    def verdict(self, properties: Properties) -> Verdict:
        """Any convex model with a coordinator."""
        if properties.coordinator:
            return Verdict(True, "every agent is convex; a coordinator adds up what agents report")
        return Verdict(False, "a coordinator must add up what agents report, and the topology forbids one")

    def links(self, problem: Separable) -> Links:
        """A star around the coordinator."""
        return star_links(problem)

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent gets a target for each of its rows and sends its C_i x_i back."""
        return star_traffic(problem)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: everyone stays where it is nearest to zero, or where an earlier run ended."""
        star = Star(problem, network)
        unit, penalty, energy = row_sizes(problem)
        rho = (self.rho or 1.0) * penalty
        accuracy = accuracy_for(tolerance)
        pulled = zip(problem.stacks, star.split(rho[star.row]), strict=True)
        proximal = tuple(augment(stack, weight) for stack, weight in pulled)
        oracles = tuple(choose(made.stack, accuracy, self.oracle) for made in proximal)
        setup = _Setup(star, rho, unit, energy, pace(self.channel), proximal, oracles)
        if warm is None:
            x = [np.clip(np.zeros(stack.q.shape), stack.lower, stack.upper) for stack in problem.stacks]
            zeros = [(np.zeros(stack.b.shape), np.zeros(stack.h.shape)) for stack in problem.stacks]
            answers = tuple(OracleAnswer(part, *rest) for part, rest in zip(x, zeros, strict=True))
        else:
            answers = tuple(OracleAnswer(*part) for part in zip(warm.x, warm.nu, warm.zeta, strict=True))
        u = np.zeros(len(rho)) if warm is None else warm.mu / rho
        report = star.reported([answer.x for answer in answers])
        heard = Heard.at_start(star, report, warm is not None)
        return _State(network, setup, u, np.zeros(len(rho)), report - u[star.row], heard, answers)

    def round(self, state: Any) -> _State:
        """Targets down, reports up, new u and r."""
        s: _State = state
        made, star = s.setup, s.setup.star
        read, arrived = star.down(s.heard.report - (s.r + s.u)[star.row])
        held = np.where(arrived, read, s.held)
        parts = zip(made.oracles, made.proximal, star.split(held), strict=True)
        answers = tuple(part.cut(oracle.solve(part.linear(np.zeros_like(t), t))) for oracle, part, t in parts)
        heard = s.heard.hear(star, *star.up(star.reported([answer.x for answer in answers])))
        done = replace(s, held=held, heard=heard, answers=answers)
        if s.network.active is not None and not s.network.active[star.hub]:
            return done
        y, counts = star.problem.couplings, heard.counts(star)
        n = np.maximum(star.sums(counts.astype(float)), 1.0)
        mean = star.sums(np.where(counts, heard.report, 0.0)) / n
        r = np.where(heard.begun, mean - np.clip(n * (mean + s.u), y.lower, y.upper) / n, 0.0)
        return replace(done, r=r, u=s.u + made.pace * r)

    def observe(self, state: Any) -> Iterate:
        """The agents' answers to the targets that they hold, and the coordinator's multipliers."""
        answers = state.answers
        return Iterate(
            x=state.setup.star.present([answer.x for answer in answers]),
            mu=state.setup.rho * state.u,
            nu=[answer.nu for answer in answers],
            zeta=[answer.zeta for answer in answers],
            dual_residual=self._residual(state),
        )

    def shown(self, state: Any) -> Floats:
        """The marginal costs of each agent in its rows, elsewhere the coordinator's multipliers, shape (N, m)."""
        made: _Setup = state.setup
        return np.asarray(made.star.shown(made.rho * state.u, _marginal(state)))

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Who leaves with a word no longer counts."""
        s: _State = state
        return s if heir is None else replace(s, heard=s.heard.belongs(node, False))

    def join(self, state: Any, node: int) -> _State:
        """A newcomer counts as soon as it was heard."""
        s: _State = state
        return replace(s, heard=s.heard.belongs(node, True))

    def _residual(self, s: _State) -> float:
        """How far the agents' marginal costs are from the coordinator's multipliers, over their scale."""
        made, star = s.setup, s.setup.star
        if not s.heard.begun.all():
            return 1.0
        there = s.network.fates.present[star.at]
        marginal, unit = _marginal(s)[there], made.unit[star.row][there]
        off = (marginal - (made.rho * s.u)[star.row][there]) * unit
        scale = max(float(np.abs(marginal * unit).max(initial=0)), 1e-2 * made.energy, np.finfo(float).tiny)
        return float(np.abs(off).max(initial=0)) / scale


def _marginal(s: _State) -> Floats:
    """rho (w_i - t_i), the multipliers at which each agent's answer is the best, shape (S,)."""
    star = s.setup.star
    return np.asarray(s.setup.rho[star.row] * (star.reported([answer.x for answer in s.answers]) - s.held))
