"""Push-DIGing: gradient tracking by push-sum, on numbers divided by their mass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import Conserved
from gridmodel.runtime.streams import Pusher
from gridmodel_solvers.agreement.pushing import AbstractPush, Gradients, check_eta, handed, masses, reset

__all__ = ["PushDIGing"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """u, x = u / mass, gradients g, trackers y: shape (N, d); mass: (N, 1); total: of all masses; eta: (d,)."""

    network: Network
    costs: Gradients
    pusher: Pusher
    eta: Floats
    u: Floats
    mass: Floats
    total: float
    x: Floats
    g: Floats
    y: Floats


@final
@dataclass(frozen=True)
class PushDIGing(AbstractPush):
    """Gradient tracking over directed graphs by column-stochastic weights alone.

    u <- C (u - eta y),   v <- C v,   x = u / v,   y <- C y + grad f(x) - grad f(x before)

    C: a node keeps and deals to each that hears it 1 / (1 + edges out of it). v: masses, 1 at first, which undo the
    unevenness of C; sum v = N and sum y = sum grad f(x), each with what is under way. A sender learns of a loss and
    keeps the share. Masses of nodes that are heard rarely become tiny: bursts of losses make it diverge; push-pull does
    not divide.

    eta: step, above 0; None tries steps on costs of the same curvature over a channel of the same faults.
    channel: the faults of the run.

    Raises:
        ModelError: eta is not above 0, or beyond what can converge.

    Source: Nedic, Olshevsky, Shi: Achieving geometric convergence for distributed optimization over time-varying
    graphs (2017), algorithm 2.
    """

    name: ClassVar[str] = "push-diging"
    masks: ClassVar[bool] = True
    lost: ClassVar[str] = "ack"
    rank: ClassVar[int] = 30
    more: ClassVar[tuple[int, int]] = (2, 1)
    claims: ClassVar[Mapping[str, Claim]] = {
        "ideal": Claim("exact"),
        "drop": Claim("exact", condition="the step is half of the best without losses, or less"),
        "burst": Claim("diverges"),
        "delay": Claim("exact", condition="the step is a quarter of the best without delay, or less"),
        "outage": Claim("exact"),
        "noise": Claim("drift", (9.6e-3, 1.1e-2)),
        "bits": Claim("diverges"),
        "async": Claim("exact", condition="the step is half of the best without sleep, or less"),
    }
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("shares of its numbers, mass and tracker", "neighbours"),)

    eta: float | None = None
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_eta(self.name, self.eta)

    def first(self, costs: Gradients, network: Network, eta: Floats, x: Floats) -> _State:
        """Masses 1, trackers the gradients."""
        g, mass = costs.gradient(x), np.ones((len(x), 1))
        total = float(network.fates.present.sum())
        return _State(network, costs, Pusher(network, "ack"), eta, x, mass, total, x, g, network.masked(g))

    def limit(self, h: Floats, links: Links) -> float:
        """(2 N + 2 tr C) / max_k sum_i C_ii h_ik / v_i, with the masses v in the limit."""
        kept = 1.0 / (1.0 + links.out_of)
        return float(2 * (links.size + kept.sum()) / ((kept / masses(links)) @ h).max())

    def round(self, state: Any) -> _State:
        """One packet carries shares of u - eta y, v and y."""
        s: _State = state
        keep, d = s.network.keep, s.x.shape[1]
        got = s.pusher(np.hstack([keep(s.u - s.eta * s.y, s.u), s.y, s.mass]))
        u, y, mass = got[:, :d], got[:, d : 2 * d], got[:, 2 * d :]
        x = keep(u / np.where(mass == 0, 1.0, mass), s.x)
        g = keep(s.costs.gradient(x), s.g)
        return replace(s, u=u, mass=mass, x=x, g=g, y=y + (g - s.g))

    def conserved(self, state: Any) -> Conserved:
        """sum y + under way = sum grad f(x), sum v + under way = N."""
        there, d = state.network.fates.present, state.x.shape[1]
        y, g, mass = state.y[there], state.g[there], state.mass[there]
        way = np.broadcast_to(state.pusher.under_way(), 2 * d + 1)
        off = np.append(y.sum(axis=0) + way[d : 2 * d] - g.sum(axis=0), mass.sum() + way[2 * d] - state.total)
        size = float(max(np.abs(y).sum(axis=0).max(), np.abs(g).sum(axis=0).max(), state.total))
        return Conserved("sum of trackers = sum of gradients, sum of masses = number of agents", off, size)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Whoever leaves hands over its mass with u, and what its tracker has beyond its gradient."""
        s: _State = state
        y = handed(reset(s.y, node, s.y[node] - s.g[node]), node, heir)
        return replace(s, u=handed(s.u, node, heir), mass=handed(s.mass, node, heir), y=y)

    def join(self, state: Any, node: int) -> _State:
        """Whoever comes brings a mass of its own, and tracks its own gradient."""
        s: _State = state
        u, mass, y = reset(s.u, node, s.x[node]), reset(s.mass, node, 1.0), reset(s.y, node, s.g[node])
        return replace(s, u=u, mass=mass, y=y, total=s.total + 1.0)
