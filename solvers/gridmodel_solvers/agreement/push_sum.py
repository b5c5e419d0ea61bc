"""The push-sum gradient method: numbers and masses are dealt to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import Conserved
from gridmodel.runtime.streams import Pusher
from gridmodel_solvers.agreement.pushing import AbstractPush, Gradients, check_eta, handed, masses, reset

__all__ = ["PushSum"]

Floats = NDArray[np.float64]

_TEMPER = 0.1


@dataclass(frozen=True)
class _State:
    """w, x = w / mass (w before the step), gradients g at x: shape (N, d); mass: (N, 1); total: of all masses."""

    network: Network
    costs: Gradients
    pusher: Pusher
    eta: Floats
    w: Floats
    mass: Floats
    total: float
    x: Floats
    g: Floats


@final
@dataclass(frozen=True)
class PushSum(AbstractPush):
    """Gradient descent on push-sum averages; rests O(eta) beside the optimum, unless the step vanishes.

    w <- C w,   v <- C v,   x = w / v,   w <- w - eta_k grad f(x),   eta_k = eta / (1 + k)^decay

    C: a node keeps and deals to each that hears it 1 / (1 + edges out of it), by running totals. v: masses, 1 at first;
    sum v + under way = N. Where packets are lost, late or nodes sleep, masses become tiny, and it diverges.

    eta: step, above 0; None takes a tenth of the best among steps tried on costs of the same curvature.
    decay: 0 for a constant step, or in (0.5, 1] for one that vanishes, with which the optimum is approached slowly.
    channel: the faults of the run.

    Raises:
        ModelError: eta or decay out of range, or eta beyond what can converge.

    Source: Nedic, Olshevsky: Distributed optimization over time-varying directed graphs (2015), subgradient-push.
    """

    name: ClassVar[str] = "push-sum"
    lost: ClassVar[str] = "sums"
    rank: ClassVar[int] = 43
    more: ClassVar[tuple[int, int]] = (1, 1)
    claims: ClassVar[Mapping[str, Claim]] = {
        "ideal": Claim("biased", (0.56, 1.7)),
        "drop": Claim("diverges"),
        "burst": Claim("diverges"),
        "delay": Claim("diverges"),
        "outage": Claim("biased", (0.56, 1.7)),
        "noise": Claim("biased", (0.57, 1.7)),
        "bits": Claim("diverges"),
        "async": Claim("diverges"),
    }
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("shares of its numbers and mass", "neighbours"),)
    rests: ClassVar[str] = "a constant step leaves it beside the optimum; use push-pull, or decay=1"

    eta: float | None = None
    decay: float = 0.0
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_eta(self.name, self.eta)
        if self.decay != 0 and not 0.5 < self.decay <= 1:
            raise ModelError(
                f"{self.name}: decay={self.decay!r} must be 0 (a constant step), or above 0.5 and at most 1, where "
                "steps have no finite sum and their squares have one."
            )

    def first(self, costs: Gradients, network: Network, eta: Floats, x: Floats) -> _State:
        """Masses 1."""
        mass = np.ones((len(x), 1))
        total = float(network.fates.present.sum())
        return _State(network, costs, Pusher(network, "sums"), eta, x, mass, total, x, costs.gradient(x))

    def limit(self, h: Floats, links: Links) -> float:
        """(N + tr C) / max_k sum_i C_ii h_ik / v_i, with the masses v in the limit; none for a step that vanishes."""
        if self.decay:
            return np.inf
        kept = 1.0 / (1.0 + links.out_of)
        return float((links.size + kept.sum()) / ((kept / masses(links)) @ h).max())

    def tempered(self, eta: Floats) -> Floats:
        """The bias grows with the step: a tenth of the fastest; all of it where the step vanishes."""
        return eta if self.decay else _TEMPER * eta

    def round(self, state: Any) -> _State:
        """One packet carries the totals of what was dealt of w and v."""
        s: _State = state
        keep = s.network.keep
        got = s.pusher(np.hstack([s.w, s.mass]))
        w, mass = got[:, :-1], got[:, -1:]
        x = keep(w / np.where(mass == 0, 1.0, mass), s.x)
        g = keep(s.costs.gradient(x), s.g)
        eta = s.eta / (1.0 + s.network.round) ** self.decay
        return replace(s, w=keep(w - eta * g, w), mass=mass, x=x, g=g)

    def conserved(self, state: Any) -> Conserved:
        """sum v + under way = N."""
        mass = state.mass[state.network.fates.present]
        way = np.broadcast_to(state.pusher.under_way(), state.x.shape[1] + 1)[-1:]
        return Conserved("sum of masses = number of agents", mass.sum(axis=0) + way - state.total, state.total)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Whoever leaves hands over its numbers with their mass."""
        s: _State = state
        return replace(s, w=handed(s.w, node, heir), mass=handed(s.mass, node, heir))

    def join(self, state: Any, node: int) -> _State:
        """Whoever comes brings a mass of its own."""
        s: _State = state
        return replace(s, w=reset(s.w, node, s.x[node]), mass=reset(s.mass, node, 1.0), total=s.total + 1.0)
