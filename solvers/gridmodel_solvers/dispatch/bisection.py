"""Dispatch by halving the price bracket, the sign of the surplus found by averaging over the graph (Xing)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.verdicts import no_dispatch, no_network
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.dispatch.bounds import Extremes, saturation
from gridmodel_solvers.dispatch.bracket import Bracket
from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.dispatch.separate import entangled, takers_of
from gridmodel_solvers.dispatch.sides import Sides, conditions
from gridmodel_solvers.dispatch.surplus import Surplus, inner_mixing
from gridmodel_solvers.dispatch.virtual_demand import VirtualDemand, phase_rounds

__all__ = ["Bisection"]

Floats = NDArray[np.float64]
Demand = Literal["own", "virtual"]


@dataclass(frozen=True)
class _State:
    """The phase under way is the first of these that is not None: dealing, extremes, surplus.

    share: what each agent has to serve, by conditions, (N, k). bracket: between which prices, by rows, (N, m).
    report: C_i x_i at the price tried, by conditions.
    """

    network: Network
    sides: Sides
    share: Floats
    report: Floats
    surplus: Surplus
    dealing: VirtualDemand | None
    extremes: Extremes | None
    left: int
    bracket: Bracket


@final
@dataclass(frozen=True)
class Bisection(AbstractNetworked):
    """All agents halve the same price bracket by the sign of the surplus, which they find by averaging.

    1. with demand="virtual": the demand is dealt to those who can serve it (``VirtualDemand``);
    2. the least and the largest saturation price of all agents, by telling neighbours (``Extremes``), are the bracket;
       where some agent never saturates, the bracket starts at the size of prices that costs suggest and is doubled
       until the surplus changes sign;
    3. at the middle of the bracket: z_i = C_i x_i - y_i, inner rounds z <- W z, until z_i has the sign of the sum;
       with surplus (z_i > 0) the price falls: the middle is its new upper end; with z_i = 0 it is accepted.

    The multiplier is mu = -lambda for a balance. An inequality tries mu = 0 first and accepts it where supply fits.
    Several rows are halved in parallel, where every agent reacts to each row by itself. The surplus is known to rho^K
    of the first imbalances, rho the spectral radius of W - 11'/N and K the inner rounds, and the price no better than
    that, over the agents' reaction: a wrong sign near the optimum is never taken back.

    inner: K; None takes what brings rho^K below ``accuracy`` under the channel's faults; "signs" mixes until all
        signs agree, which is found by telling neighbours the extremes of signs for a diameter's rounds.
    demand: "own" leaves agents their shares of the sides; "virtual" deals what cannot react to who can.
    accuracy: relative, of the local problems, and of the surplus where ``inner`` is None; None takes a
        ten-thousandth of the run's tolerance.
    weights: of the mixing, symmetric, as in ``Topology.mixing``.
    channel: what goes wrong between agents. All agents count rounds alike; nobody may leave or come, since the bracket
        is found once. Under delay the mixing is damped, and slower.

    Source: Xing et al. (2015), Distributed bisection method for economic dispatch.
    """

    name: ClassVar[str] = "bisection"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 30
    needs_curvature: ClassVar[bool] = True
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="enough rounds are given: damped mixing takes about nine times as many"),
        outage=Claim("exact", condition="it is shorter than the inner rounds, and after the bracket is found"),
        noise=Claim("biased", (0.004, 0.031)),
        bits=Claim("biased", (0.11, 0.3)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (
        Reveal("its least and largest price, as long as they are the extremes", "neighbours", "once"),
        Reveal("its part of the surplus", "neighbours"),
    )

    inner: int | Literal["signs"] | None = None
    demand: Demand = "own"
    accuracy: float | None = None
    weights: Any = "metropolis"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if self.demand not in ("own", "virtual"):
            raise ModelError(f"demand={self.demand!r} is unknown; use 'own' or 'virtual'.")
        whole = isinstance(self.inner, int | np.integer) and not isinstance(self.inner, bool) and self.inner >= 1
        if not (self.inner in (None, "signs") or whole):
            raise ModelError(
                f"inner={self.inner!r} is no number of rounds; use 1 or more, 'signs', or None to find it."
            )
        if self.accuracy is not None and not 0 < self.accuracy < 1:
            raise ModelError(f"accuracy={self.accuracy!r} must lie between 0 and 1, such as 1e-12.")
        faults = [name for name in self.channel.faults if name != "bits"]
        if self.inner == "signs" and faults:
            raise ModelError(
                f"inner='signs' needs a channel on which everything arrives, and this one has {', '.join(faults)}: "
                "agents would go on to the next price in different rounds. Leave inner out."
            )
        moving = [*self.channel.leaves, *self.channel.joins]
        if moving:
            raise NotApplicableError(
                f"bisection: {moving[0]} leaves or comes during the run, but the bracket of prices is found once and "
                "only ever shrinks. Use 'tan-yang-xu' or 'relaxed-dual-consensus'."
            )

    def verdict(self, properties: Properties) -> Verdict:
        """Agents whose answer to prices does not jump and reacts to every row by itself; edges in both directions."""
        refusal = no_network(properties) or no_dispatch(properties)
        if refusal is None and properties.network is not None and properties.network.varies:
            refusal = "the topology varies with time, and its inner rounds are counted for one that stays"
        if refusal is None and properties.coupling_rows > 1:
            tied = [fact for fact in properties.blocks if fact.kind != "box"]
            if tied:
                refusal = (
                    f"the report of {tied[0].example} to one row depends on the prices of others (it is no separable "
                    "cost with bounds), and several rows are halved each by itself; use tan-yang-xu"
                )
        return Verdict(
            refusal is None, refusal or "the surplus falls with the price; neighbours average it to halve a bracket"
        )

    def numbers(self, problem: Separable) -> int:
        """A part of the surplus for every condition."""
        return conditions(problem)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state.

        Raises:
            NotApplicableError: a report depends on the prices of two rows, or demand="virtual" does not fit.
        """
        tied = entangled(problem)
        if tied is not None:
            raise NotApplicableError(
                f"bisection: the report of {tied.agent} to {tied.one!r} depends on the price of {tied.other!r}, and "
                "several rows are halved each by itself. Use 'tan-yang-xu'."
            )
        accuracy = 1e-4 * tolerance if self.accuracy is None else self.accuracy
        offers = Offers(problem, min(accuracy, 1e-8))
        sides = Sides(offers)
        made = inner_mixing(network.links, self.weights, network.channel, self.inner, accuracy)
        zero = np.zeros((offers.size, sides.count))
        report = sides.respond(zero)
        share, dealing = sides.share, None
        if self.demand == "virtual":
            share, dealing = self._dealt(sides, network, report, accuracy)
        low, high, known = saturation(offers)
        # Whether some agent's ends are guesses spreads with them.
        guess = (~known).astype(np.float64)
        extremes = Extremes(network, np.concatenate([low, 0.0 * guess], axis=1), np.concatenate([high, guess], axis=1))
        bracket = Bracket.empty(offers)
        surplus = Surplus(network, made, zero)
        return _State(network, sides, share, report, surplus, dealing, extremes, made.spread, bracket)

    def round(self, state: Any) -> _State:
        """One round of the phase under way."""
        s: _State = state
        if s.dealing is not None:
            s.dealing.round()
            if not s.dealing.done:
                return s
            return replace(s, share=np.where(s.dealing.takers[:, None], s.dealing.y, s.share), dealing=None)
        if s.extremes is not None:
            s.extremes.round()
            if s.left > 1:
                return replace(s, left=s.left - 1)
            (low, _), (high, guess) = (np.split(end, 2, axis=1) for end in (s.extremes.low, s.extremes.high))
            return self._tried(replace(s, extremes=None), Bracket.of(s.sides.offers, low, high, guess > 0.5))
        s.surplus.round()
        if not s.surplus.done:
            return s
        return self._tried(s, s.bracket.narrowed(s.sides, s.surplus.sign))

    def observe(self, state: Any) -> Iterate:
        """The agents' answers at the price they try, and that price."""
        s: _State = state
        return s.sides.offers.observe(s.bracket.tried)

    def shown(self, state: Any) -> Floats:
        """The multipliers that each agent tries, shape (N, m)."""
        return np.asarray(state.bracket.tried)

    def conserved(self, state: Any) -> Conserved | None:
        """The sum of the parts of the surplus, while it is averaged; before, what is left of a demand that is dealt."""
        s: _State = state
        if s.dealing is not None or s.extremes is not None:
            return None
        off = s.surplus.z.sum(axis=0) - (s.report - s.share).sum(axis=0)
        size = np.abs(s.report).sum(axis=0).max(initial=0) + np.abs(s.share).sum(axis=0).max(initial=0)
        return Conserved("sum of the parts of the surplus = supply - demand", off, float(size))

    def _tried(self, s: _State, bracket: Bracket) -> _State:
        """The answers at the bracket's next price, and their surplus to be averaged."""
        report = s.sides.respond(s.sides.parted(bracket.tried))
        return replace(s, bracket=bracket, report=report, surplus=s.surplus.anew(report - s.share))

    def _dealt(self, sides: Sides, network: Network, report: Floats, accuracy: float) -> tuple[Floats, VirtualDemand]:
        """Shares that are what those report who do not react; and the dealing of all others among the takers."""
        offers = sides.offers
        if not offers.problem.couplings.equality.all():
            raise NotApplicableError(
                "bisection: demand='virtual' deals balances, and a row is an inequality; use 'own'."
            )
        takers = takers_of(offers.problem)
        if not (offers.touches[takers]).all():
            who = network.links.nodes[int(np.flatnonzero(takers)[np.argmin(offers.touches[takers].all(axis=1))])]
            raise NotApplicableError(
                f"bisection: demand='virtual' needs takers that serve all rows, and {who} does not."
            )
        demand = sides.share - np.where(takers[:, None], 0.0, report)
        rounds = phase_rounds(network.links, takers, accuracy, network.channel)
        return report, VirtualDemand(network, demand, takers, rounds)
