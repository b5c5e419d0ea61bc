"""Dispatch by consensus on the price with a tracked mismatch (Tan, Yang and Xu)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.streams import Mixer, Pusher
from gridmodel.runtime.verdicts import no_dispatch, no_network
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.dispatch.gains import mixing, reaction
from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.dispatch.sides import Sides, conditions, neighbours_mean

__all__ = ["TanYangXu"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """nu: each agent's multipliers, z: its part of the mismatch, report: C_i x_i at nu; all by conditions, (N, k)."""

    network: Network
    sides: Sides
    mixer: Mixer
    pusher: Pusher
    step: Floats
    nu: Floats
    z: Floats
    report: Floats


@final
@dataclass(frozen=True)
class TanYangXu(AbstractNetworked):
    """Neighbours agree on the prices, moved by the mismatch of supply and demand, of which everyone tracks a part.

    mu_i <- sum_j a_ij mu_j + epsilon z_i                        (rows of a sum to one)
    z_i  <- sum_j b_ij z_j + C_i (x_i(mu_i) - x_i(mu_i before))  (columns of b sum to one)
    x_i(mu) = argmin f_i(x) + mu' C_i x,   z_i = C_i x_i - y_i at the start, y_i agent i's share of the sides,
    so that sum_i z_i (and what is under way) stays sum_i C_i x_i less the rows' sides in every round.

    Inequality rows keep mu at the sign of their side; a row with two different sides has a multiplier for each.
    Who leaves gives z_i less its report, and its share of the sides, to a neighbour; who comes starts at the mean of
    its neighbours' prices, with z_i its own report.

    epsilon: price step per unit of mismatch. None finds one from the agents' reactions (at most a fourth over the
        strongest), the graph's spectrum and the channel. With symmetric weights and no delay a step is certain to
        settle below (1 + lambda_min)^2 / 2 over the strongest reaction; larger ones are refused.
    weights: of the mixing, as in ``Topology.mixing``; None takes "metropolis", damped so that no eigenvalue is
        negative, or "row" with "column" on a graph in which some edge has no way back.
    accuracy: relative, of the local problems.
    channel: what goes wrong between agents; rule "ack" has senders keep what is lost, in place of running totals.

    Source: Tan, Yang and Xu (2013), whose second matrix must be column-stochastic; the bound is derived in ``mixing``.
    """

    name: ClassVar[str] = "tan-yang-xu"
    masks: ClassVar[bool] = True
    lost: ClassVar[str] = "skip, sums"
    rank: ClassVar[int] = 22
    needs_curvature: ClassVar[bool] = True
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="enough rounds are given: it gets slow"),
        noise=Claim("ball", (0.0008, 0.002)),
        bits=Claim("biased", (1.7, 2.0)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (
        Reveal("its prices of all coupling rows", "neighbours"),
        Reveal("its part of the mismatch of supply and demand", "neighbours"),
    )

    epsilon: float | None = None
    weights: Any = None
    accuracy: float = 1e-10
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if self.epsilon is not None and not 0 < self.epsilon < np.inf:
            raise ModelError(f"epsilon={self.epsilon!r} is no price step; use a number above 0, or None to find one.")

    def verdict(self, properties: Properties) -> Verdict:
        """Agents whose answer to prices does not jump, over any strongly connected topology."""
        refusal = no_network(properties, directed=True) or no_dispatch(properties)
        return Verdict(
            refusal is None, refusal or "every agent's answer to prices is unique and smooth; neighbours agree on them"
        )

    def numbers(self, problem: Separable) -> int:
        """A price and a part of the mismatch for every condition."""
        return 2 * conditions(problem)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state.

        Raises:
            NotApplicableError: an agent's answer to prices jumps.
            ModelError: a step that is not certain to settle.
        """
        offers = Offers(problem, self.accuracy)
        offers.deal(network.fates.present)
        sides = Sides(offers)
        made = mixing(network.links, self.weights, network.channel)
        found = reaction(problem, sides, self.name)
        step = found.step(offers.size, made)
        if self.epsilon is not None:
            if made.proven and self.epsilon * found.most >= made.ratio:
                raise ModelError(
                    f"epsilon={self.epsilon:g} is not certain to settle on this model: it must lie below "
                    f"(1 + lambda_min)^2 / 2 over the strongest reaction = {made.ratio / found.most:g}. "
                    "Leave it out to have one found."
                )
            step = np.full(sides.count, self.epsilon)
        nu = np.zeros((offers.size, sides.count))
        if warm is not None:
            nu = nu + sides.parted(warm.mu)
        report = sides.respond(nu)
        z = np.where(network.fates.present[:, None], report - sides.share, 0.0)
        pusher = Pusher(network, "sums", made.shares)
        return _State(network, sides, Mixer(network, made.weights, "skip"), pusher, step, nu, network.masked(z), report)

    def round(self, state: Any) -> _State:
        """Prices are mixed and moved by the mismatch, which is mixed and moved by the answers."""
        s: _State = state
        nu = s.network.keep(s.sides.allowed(s.mixer(s.nu) + s.step * s.z), s.nu)
        report = s.sides.respond(nu)
        return replace(s, nu=nu, z=s.pusher(s.z) + (report - s.report), report=report)

    def observe(self, state: Any) -> Iterate:
        """The agents' answers at their prices, and the mean of these."""
        s: _State = state
        return s.sides.offers.observe(s.sides.joined(s.nu), s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """The multipliers that each agent holds, shape (N, m)."""
        return np.asarray(state.sides.joined(state.nu))

    def conserved(self, state: Any) -> Conserved:
        """sum z, and what is under way, is the sum of the reports less the sides."""
        s: _State = state
        there = s.network.fates.present
        off = s.z[there].sum(axis=0) + s.pusher.under_way() - _mismatch(s)
        size = sum(np.abs(part[there]).sum(axis=0).max(initial=0) for part in (s.z, s.report, s.sides.share))
        return Conserved("sum of the parts of the mismatch = supply - demand", off, float(size))

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """The heir takes over the share of the sides, and z less the report; the pusher sees to what is under way."""
        s: _State = state
        z = s.z.copy()
        if heir is not None:
            s.sides.offers.hand_over(node, heir)
            z[heir] += z[node] - s.report[node]
        z[node] = 0.0
        return replace(s, z=z)

    def join(self, state: Any, node: int) -> _State:
        """The newcomer answers to the mean of its neighbours' prices; its report is its part of the mismatch."""
        s: _State = state
        nu = s.nu.copy()
        nu[node] = s.sides.allowed(neighbours_mean(s.network, nu, node))
        report = s.report.copy()
        report[node] = s.sides.respond(nu)[node]
        z = s.z.copy()
        z[node] = report[node] - s.sides.share[node]
        return replace(s, nu=nu, z=z, report=report)


def _mismatch(s: _State) -> Floats:
    """What those present supply beyond their shares of the sides, shape (k,)."""
    there = s.network.fates.present
    return np.asarray((s.report - s.sides.share)[there].sum(axis=0))
