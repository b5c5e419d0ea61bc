"""Agreement on the coupling rows' multipliers by relaxed ADMM with a number of its own on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel.runtime.streams import Wire
from gridmodel.runtime.verdicts import no_dispatch, no_network
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.dispatch.dual_penalty import check_rho, residue, row_rho
from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.flows import flow_into

__all__ = ["RelaxedDualConsensus"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _State:
    """mu: multipliers held by each agent, (N, m). z: what the receiver of each edge keeps of it, (E, m).

    sums: adds up the edges into each node whose ends are both there, (N, E). weight: rho times their number, (N, m).
    """

    network: Network
    offers: Offers
    wire: Wire
    rho: Floats
    sums: sp.csr_array
    weight: Floats
    mu: Floats
    z: Floats


@final
@dataclass(frozen=True)
class RelaxedDualConsensus(AbstractNetworked):
    """Relaxed ADMM by which neighbours agree on the multipliers of the coupling rows; exact under losses and delays.

    mu_i = argmin phi_i(mu) - <sum_j z_ij, mu> + rho d_i / 2 |mu|^2,   q_ij = -z_ij + 2 rho mu_i goes to j,
    z_ji <- (1 - relax) z_ji + relax q_ij where it arrives, else z_ji stays;
    phi_i(mu) = max over x, y of  -f_i(x) - mu' (C_i x - y),   y within agent i's share of the sides

    No sum over agents has to be kept, hence no rule for what is lost. Who leaves takes its edges along and gives its
    share of the sides to a neighbour; without a word, those who stay serve what is left without that share.

    rho: penalty of disagreement, in units of each row's own: (range of its numbers)^2 / cost, times the share of
        agents that take part; None finds one from the graph.
    relax: share of what arrives that is taken over, in (0, 1]; with 1 the run may cycle where a cost is not strictly
        convex.
    accuracy: relative, of the local problems.
    channel: what goes wrong between agents.

    Source: Bastianello, Carli, Schenato, Todescato (2021), Asynchronous distributed optimization over lossy networks
    via relaxed ADMM, algorithm 1, on the dual of the coupling rows as in Chang, Hong, Wang (2015).
    """

    name: ClassVar[str] = "relaxed-dual-consensus"
    lost: ClassVar[str] = "z"
    rank: ClassVar[int] = 20
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        noise=Claim("ball", (0.002, 0.008)),
        bits=Claim("biased", (0.03, 0.2)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its multipliers of all coupling rows", "neighbours"),)

    rho: float | None = None
    relax: float = 0.7
    accuracy: float = 1e-10
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_rho(self.rho)
        if not 0 < self.relax <= 1:
            raise ModelError(f"relax={self.relax!r} does not converge; it must lie in (0, 1], e.g. 0.7.")

    def verdict(self, properties: Properties) -> Verdict:
        """Convex agents that share resources over a connected topology with edges in both directions."""
        refusal = no_network(properties) or no_dispatch(properties, curved=False)
        return Verdict(refusal is None, refusal or "every agent is convex; neighbours agree on the rows' multipliers")

    def numbers(self, problem: Separable) -> int:
        """One number a coupling row."""
        return problem.couplings.size

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state: all multipliers zero, or those of an earlier run."""
        offers = Offers(problem, self.accuracy)
        links, present = network.links, network.fates.present
        offers.deal(present)
        rho = 2.0 * row_rho(offers, links, self.rho)
        mu, z = np.zeros((offers.size, offers.m)), np.zeros((links.edges, offers.m))
        if warm is not None:
            offers.recall(warm)
            mu = mu + offers.allowed(warm.mu)
            z = rho * mu[links.receiver] + flow_into(links, -residue(offers, warm.mu, present))
        sums, weight = _around(links, present, rho)
        return _State(network, offers, Wire(network), rho, sums, weight, mu, z)

    def round(self, state: Any) -> _State:
        """One round, after the network's tick."""
        s: _State = state
        links = s.network.links
        read, arrived = s.wire(2.0 * s.rho * s.mu[links.sender] - s.z[links.opposite])
        z = s.z + self.relax * (read - s.z)
        if arrived is not None:
            z = np.where(arrived[:, None], z, s.z)
        mu = s.offers.prox(self._target(s, z), s.weight)
        return replace(s, z=z, mu=s.network.keep(mu, s.mu))

    def observe(self, state: Any) -> Iterate:
        """The agents' answers at their multipliers, and the mean of these."""
        s: _State = state
        return s.offers.observe(s.mu, s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """The multipliers that each agent holds, shape (N, m)."""
        return np.asarray(state.mu)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Its edges go with it; the heir takes over its share of the sides."""
        if heir is not None:
            state.offers.hand_over(node, heir)
        return _relinked(state)

    def join(self, state: Any, node: int) -> _State:
        """Neighbours meet the newcomer as if it agreed with them."""
        s = _relinked(state)
        links = s.network.links
        new = (links.sender == node) | (links.receiver == node)
        return replace(s, z=np.where(new[:, None], s.rho * s.mu[links.receiver], s.z))

    def _target(self, s: _State, z: Floats) -> Floats:
        """sum_j z_ij / (rho d_i); a node without edges stays near where it is."""
        alone = np.diff(s.sums.indptr) == 0
        return np.where(alone[:, None], s.mu, (s.sums @ z) / s.weight)


def _relinked(state: _State) -> _State:
    """The state with the edges between those who are there now."""
    sums, weight = _around(state.network.links, state.network.fates.present, state.rho)
    return replace(state, sums=sums, weight=weight)


def _around(links: Links, present: Flags, rho: Floats) -> tuple[sp.csr_array, Floats]:
    """The sums over the edges into each node whose ends are there, and the weights rho d_i."""
    alive = np.flatnonzero(present[links.sender] & present[links.receiver])
    shape = (links.size, links.edges)
    sums = sp.csr_array((np.ones(len(alive)), (links.receiver[alive], alive)), shape=shape)
    return sums, rho * np.maximum(np.diff(sums.indptr), 1)[:, None]
