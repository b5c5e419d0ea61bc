"""Agreement on the coupling rows' multipliers by decentralised ADMM with one running sum a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.streams import Mixer
from gridmodel.runtime.verdicts import no_dispatch, no_network
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.dispatch.dual_penalty import check_rho, residue, row_rho
from gridmodel_solvers.dispatch.offers import Offers

__all__ = ["DualConsensus"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """mu: multipliers held by each agent; p: what an agent offers in excess of its share, sum p = 0. Both (N, m)."""

    network: Network
    offers: Offers
    mixer: Mixer
    rho: Floats
    weight: Floats
    mu: Floats
    p: Floats


@final
@dataclass(frozen=True)
class DualConsensus(AbstractNetworked):
    """ADMM by which neighbours agree on the multipliers of the coupling rows; no coordinator, any convex agents.

    D_i = sum_j (mu_i - mu_j) over neighbours j,   p_i <- p_i + rho D_i,
    mu_i <- argmin phi_i(mu) + rho d_i |mu - mu_i + D_i / (2 d_i) + p_i / (2 rho d_i)|^2,
    phi_i(mu) = max over x, y of  -f_i(x) - mu' (C_i x - y),   y within agent i's share of the sides

    An edge counts in D only where both directions arrived, so that sum p stays zero; a lost neighbour is taken to
    agree, and the weight 2 rho d_i never changes. Who leaves gives p_i and its share of the sides to a neighbour;
    without a word, those who stay serve what is left without that share.

    rho: penalty of disagreement, in units of each row's own: (range of its numbers)^2 / cost, times the share of
        agents that take part; None finds one from the graph.
    accuracy: relative, of the local problems.
    channel: what goes wrong between agents.

    Source: Chang, Hong, Wang (2015), Multi-agent distributed optimization via inexact consensus ADMM, algorithm 2
    (dual consensus ADMM); the rule for losses is derived here.
    """

    name: ClassVar[str] = "dual-consensus"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 21
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("diverges"),
        noise=Claim("drift", (0.001, 0.018)),
        bits=Claim("biased", (0.01, 0.05)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its multipliers of all coupling rows", "neighbours"),)

    rho: float | None = None
    accuracy: float = 1e-10
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_rho(self.rho)

    def verdict(self, properties: Properties) -> Verdict:
        """Convex agents that share resources over a connected topology with edges in both directions."""
        refusal = no_network(properties) or no_dispatch(properties, curved=False)
        return Verdict(refusal is None, refusal or "every agent is convex; neighbours agree on the rows' multipliers")

    def numbers(self, problem: Separable) -> int:
        """One multiplier a coupling row."""
        return problem.couplings.size

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: all multipliers zero, or those of an earlier run."""
        offers = Offers(problem, self.accuracy)
        links, present = network.links, network.fates.present
        offers.deal(present)
        rho = row_rho(offers, links, self.rho)
        weight = 2.0 * rho * np.maximum(links.into, 1)[:, None]
        mixer = Mixer(network, np.ones(links.edges), "paired")
        mu, p = np.zeros((offers.size, offers.m)), np.zeros((offers.size, offers.m))
        if warm is not None:
            offers.recall(warm)
            mu, p = mu + offers.allowed(warm.mu), residue(offers, warm.mu, present)
        return _State(network, offers, mixer, rho, weight, mu, p)

    def round(self, state: Any) -> _State:
        """One round, after the network's tick."""
        s: _State = state
        apart = s.mu - s.mixer(s.mu)
        p = s.network.keep(s.p + s.rho * apart, s.p)
        target = s.mu - (s.rho * apart + p) / s.weight
        return replace(s, p=p, mu=s.network.keep(s.offers.prox(target, s.weight), s.mu))

    def observe(self, state: Any) -> Iterate:
        """The agents' answers at their multipliers, and the mean of these."""
        s: _State = state
        return s.offers.observe(s.mu, s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """The multipliers that each agent holds, shape (N, m)."""
        return np.asarray(state.mu)

    def conserved(self, state: Any) -> Conserved:
        """sum p = 0 over those present."""
        p = state.p[state.network.fates.present]
        return Conserved("sum of offers in excess = 0", p.sum(axis=0), float(np.abs(p).sum(axis=0).max(initial=0)))

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """The heir takes over what the leaver offered in excess, and its share of the sides."""
        s: _State = state
        p = s.p.copy()
        if heir is not None:
            p[heir] += p[node]
            s.offers.hand_over(node, heir)
        p[node] = 0.0
        return replace(s, p=p)
