"""Dispatch by consensus on the price plus each agent's own innovation (Kar and Hug)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.spectrum import laplacian_spectrum
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked
from gridmodel.runtime.streams import Mixer
from gridmodel.runtime.verdicts import no_dispatch, no_network
from gridmodel_solvers.dispatch.gains import Reaction, reaction
from gridmodel_solvers.dispatch.offers import Offers
from gridmodel_solvers.dispatch.sides import Sides, conditions, neighbours_mean

__all__ = ["Innovations"]

Floats = NDArray[np.float64]
Gains = Literal["decaying", "constant"]

_TIME = "it is given time: the error falls like t^-(p - q) only"
_GAINS = "beta is .05 and alpha .005; the error is proportional to alpha / beta"
_CLAIMS: Mapping[str, Mapping[str, Claim]] = {
    "decaying": {
        **{fault: Claim("exact", condition=_TIME) for fault in ("ideal", "drop", "burst", "delay", "outage", "async")},
        "noise": Claim("open"),
        "bits": Claim("biased", (1.6, 1.9)),
    },
    "constant": {
        **{
            fault: Claim("biased", (0.024, 0.037), _GAINS)
            for fault in ("ideal", "drop", "burst", "delay", "outage", "noise", "async")
        },
        "bits": Claim("biased", (1.7, 2.0)),
    },
}
_RESTS = (
    "with constant gains the prices come to rest where beta L lambda = alpha (y - x): every agent's own imbalance is "
    "held against its neighbours' prices, so that supply meets demand at prices that differ by O(alpha / beta); take "
    "a smaller alpha, gains='decaying', or 'tan-yang-xu'"
)


@dataclass(frozen=True)
class _State:
    """nu: each agent's multipliers by conditions, (N, k); alpha: first gain of each condition; rounds: done so far."""

    network: Network
    sides: Sides
    mixer: Mixer
    alpha: Floats
    beta: float
    rounds: int
    nu: Floats


@final
@dataclass(frozen=True)
class Innovations(AbstractNetworked):
    """Every agent moves its prices towards its neighbours' and by its own imbalance.

    mu_i <- mu_i - beta_t sum_l (mu_i - mu_l) + alpha_t (C_i x_i(mu_i) - y_i),   over neighbours l,
    x_i(mu) = argmin f_i(x) + mu' C_i x,   y_i agent i's share of the sides; for a balance, with the price
    lambda = -mu and x_i = C_i x_i, this is lambda_i <- lambda_i - beta_t sum_l (...) - alpha_t (x_i - y_i).

    gains: "decaying": alpha_t = alpha / (t + 1)^p, beta_t = beta / (t + 1)^q, which ends at the optimum, slowly, the
        error falling like t^-(p - q). "constant": alpha and beta, which comes to rest beside it by O(alpha / beta).
    alpha: innovation gain, price per unit of a row; beta: consensus gain; both together must satisfy
        beta lambda_N + alpha T < 2, lambda_N of the Laplacian, T the strongest reaction. None finds them from the
        graph and the reactions: beta = 1 / lambda_N; alpha, where constant, a tenth of the speed of agreement.
    p, q: decay of the two, .5 < p <= 1 and 0 <= q < p.
    accuracy: relative, of the local problems.
    channel: what goes wrong between agents; the last price heard of a neighbour stands in for a lost one.

    Source: Kar and Hug (2012), Distributed robust economic dispatch, equation (7).
    """

    name: ClassVar[str] = "innovations"
    lost: ClassVar[str] = "hold"
    rank: ClassVar[int] = 40
    needs_curvature: ClassVar[bool] = True
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its prices of all coupling rows", "neighbours"),)

    gains: Gains = "decaying"
    alpha: float | None = None
    beta: float | None = None
    p: float = 0.8
    q: float = 0.05
    accuracy: float = 1e-10
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        if self.gains not in ("decaying", "constant"):
            raise ModelError(f"gains={self.gains!r} is unknown; use 'decaying' or 'constant'.")
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ModelError(f"{name}={value!r} is no gain; use a number above 0, or None to find one.")
        if not 0.5 < self.p <= 1:
            raise ModelError(
                f"p={self.p!r}: alpha_t = alpha / (t + 1)^p must have a finite sum of squares and an infinite sum, "
                "so p must lie above 0.5 and be at most 1."
            )
        if not 0 <= self.q < self.p:
            raise ModelError(
                f"q={self.q!r}: beta_t must decay slower than alpha_t, so q must lie in [0, p={self.p:g})."
            )
        # What is claimed depends on the gains, so it belongs to the object.
        object.__setattr__(self, "claims", _CLAIMS[self.gains])
        object.__setattr__(self, "rests", _RESTS if self.gains == "constant" else "")

    def variants(self) -> Mapping[str, AbstractNetworked]:
        """Both kinds of gains, with the other options as they are."""
        return {kind: replace(self, gains=kind) for kind in ("decaying", "constant")}

    def verdict(self, properties: Properties) -> Verdict:
        """Agents whose answer to prices does not jump, over a connected topology with edges in both directions."""
        refusal = no_network(properties) or no_dispatch(properties)
        end = "ends at the optimum, slowly" if self.gains == "decaying" else "comes to rest beside the optimum"
        return Verdict(refusal is None, refusal or f"every agent's answer to prices is unique and smooth; {end}")

    def numbers(self, problem: Separable) -> int:
        """A price for every condition."""
        return conditions(problem)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state.

        Raises:
            NotApplicableError: an agent's answer to prices jumps.
            ModelError: gains with which the prices do not settle.
        """
        offers = Offers(problem, self.accuracy)
        offers.deal(network.fates.present)
        sides = Sides(offers)
        second, largest = laplacian_spectrum(network.links) if offers.size > 1 else (1.0, 1.0)
        found = reaction(problem, sides, self.name)
        beta = 1.0 / largest if self.beta is None else self.beta
        alpha = self._alpha(found, sides, beta * second)
        self._check(found, alpha, beta, largest)
        nu = np.zeros((offers.size, sides.count))
        if warm is not None:
            nu = nu + sides.parted(warm.mu)
        mixer = Mixer(network, np.ones(network.links.edges), "hold")
        return _State(network, sides, mixer, alpha, beta, 0, nu)

    def round(self, state: Any) -> _State:
        """One round, after the network's tick."""
        s: _State = state
        decaying = self.gains == "decaying"
        alpha = s.alpha / (s.rounds + 1) ** self.p if decaying else s.alpha
        beta = s.beta / (s.rounds + 1) ** self.q if decaying else s.beta
        apart = s.mixer(s.nu) - s.nu
        own = s.sides.respond(s.nu) - s.sides.share
        nu = s.network.keep(s.sides.allowed(s.nu + beta * apart + alpha * own), s.nu)
        return replace(s, nu=nu, rounds=s.rounds + 1)

    def observe(self, state: Any) -> Iterate:
        """The agents' answers at their prices before the last step, and the mean of their prices after it."""
        s: _State = state
        return s.sides.offers.observe(s.sides.joined(s.nu), s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """The multipliers that each agent holds, shape (N, m)."""
        return np.asarray(state.sides.joined(state.nu))

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """The heir takes over the share of the sides; nothing else is kept of who leaves."""
        s: _State = state
        if heir is not None:
            s.sides.offers.hand_over(node, heir)
        return s

    def join(self, state: Any, node: int) -> _State:
        """The newcomer starts at the mean of its neighbours' prices."""
        s: _State = state
        nu = s.nu.copy()
        nu[node] = s.sides.allowed(neighbours_mean(s.network, nu, node))
        return replace(s, nu=nu)

    def _alpha(self, found: Reaction, sides: Sides, gap: float) -> Floats:
        if self.alpha is not None:
            return np.full(sides.count, self.alpha)
        agents, most = sides.offers.size, 0.5 / found.one if found.one else float(sides.offers.size)
        mean = agents / found.all if found.all else np.inf
        return found.unit * min(mean if self.gains == "decaying" else 0.1 * gap * mean, most)

    def _check(self, found: Reaction, alpha: Floats, beta: float, largest: float) -> None:
        """Decaying gains settle once they have fallen far enough; constant ones must do from the first round."""
        if self.gains == "decaying" and self.q > 0:
            return
        if beta * largest >= 2:
            raise ModelError(
                f"beta={beta:g} does not settle on this topology: it must lie below 2 / lambda_N = {2 / largest:g}. "
                "Leave it out to have half of that taken."
            )
        if self.gains == "constant" and self.alpha is not None and beta * largest + self.alpha * found.most >= 2:
            raise ModelError(
                f"alpha={self.alpha:g} is not certain to settle with beta={beta:g}: it must lie below "
                f"(2 - beta lambda_N) / T = {(2 - beta * largest) / found.most:g}, T the strongest reaction. "
                "Leave it out to have one found."
            )
