"""Push-pull: numbers are pulled by rows, the tracked gradient is pushed by columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import Conserved
from gridmodel.runtime.streams import Mixer, Pusher
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.pushing import AbstractPush, Gradients, check_eta, handed, reset
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["PushPull"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    """x, gradients g, trackers y: shape (N, d); eta: (d,)."""

    network: Network
    costs: Gradients
    mixer: Mixer
    pusher: Pusher
    eta: Floats
    x: Floats
    g: Floats
    y: Floats


@final
@dataclass(frozen=True)
class PushPull(AbstractPush):
    """Push-pull, also known as AB: the choice for directed graphs, since it never divides by a mass.

    x <- R (x - eta y),   y <- C y + grad f(x) - grad f(x before),   y = grad f(x) at first

    R: rows sum to one; a node gives itself and each it hears 1 / (1 + edges into it). C: columns sum to one; a node
    keeps and deals to each that hears it 1 / (1 + edges out of it), by running totals, so that what is lost arrives
    with the next packet: sum y + under way = sum grad f(x) always. A lost x is left out of the average.

    Where an agent has limits, private variables or a cost without gradients, all solve their own problem, with their
    own cost as its surrogate and the subgradient g where they end:

    x <- argmin f(x) + 1/(2 eta) |x - v|^2,   v = R (x - eta y) + eta g,   g <- (v - x) / eta,   y <- C y + change of g

    which rests at the optimum of all only; that it gets there is not proven, and the certificate decides.

    eta: step, above 0; None tries steps on costs of the same curvature over a channel of the same faults.
    channel: the faults of the run.

    Raises:
        ModelError: eta is not above 0, or beyond what can converge.

    Source: Scutari, Sun: Distributed nonconvex constrained optimization over time-varying digraphs (2019), for the
    surrogate; Pu, Shi, Xu, Nedic: Push-pull gradient methods for distributed optimization in networks (2021),
    algorithm 1; Xin, Khan: A linear algorithm for optimization over directed graphs (2018).
    """

    name: ClassVar[str] = "push-pull"
    masks: ClassVar[bool] = True
    lost: ClassVar[str] = "skip, sums"
    takes_limits: ClassVar[bool] = True
    rank: ClassVar[int] = 25
    more: ClassVar[tuple[int, int]] = (2, 0)
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="the step is short enough, as it is when left out"),
        noise=Claim("ball", (2.3e-3, 2.6e-3)),
        bits=Claim("biased", (0.76, 0.91)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (
        Reveal("its numbers after a step, and a share of its tracker", "neighbours"),
    )

    eta: float | None = None
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_eta(self.name, self.eta)

    def first(self, costs: Gradients, network: Network, eta: Floats, x: Floats) -> _State:
        """Trackers start as the gradients, or at zero where there are none."""
        g = np.zeros_like(x) if _is_rough(costs) else costs.gradient(x)
        mixer = Mixer(network, edge_weights(network.links, "row"), "skip")
        return _State(network, costs, mixer, Pusher(network, "sums"), eta, x, g, network.masked(g))

    def limit(self, h: Floats, links: Links) -> float:
        """(2 N + tr R + tr C) / max_k sum_i R_ii h_ik."""
        pulled, kept = 1.0 / (1.0 + links.into), 1.0 / (1.0 + links.out_of)
        return float((2 * links.size + pulled.sum() + kept.sum()) / (pulled @ h).max())

    def round(self, state: Any) -> _State:
        """One packet carries x - eta y and the total of what was dealt of y."""
        s: _State = state
        x, costs = s.mixer(s.x - s.eta * s.y), s.costs
        if isinstance(costs, Shared) and _is_rough(costs):
            x, g = costs.prox(x + s.eta * s.g, np.broadcast_to(1.0 / s.eta, x.shape), s.network.active)
            x, g = s.network.keep(x, s.x), s.network.keep(g, s.g)
        else:
            x = s.network.keep(x, s.x)
            g = s.network.keep(costs.gradient(x), s.g)
        return replace(s, x=x, g=g, y=s.pusher(s.y) + (g - s.g))

    def conserved(self, state: Any) -> Conserved:
        """sum_i y_i + under way = sum_i grad f_i(x_i)."""
        there = state.network.fates.present
        y, g = state.y[there], state.g[there]
        size = float(max(np.abs(y).sum(axis=0).max(), np.abs(g).sum(axis=0).max()))
        off = y.sum(axis=0) + state.pusher.under_way() - g.sum(axis=0)
        return Conserved("sum of trackers and what is under way = sum of gradients", off, size)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Whoever leaves hands over what its tracker has beyond its gradient: y_j += y_i - grad f_i(x_i)."""
        s: _State = state
        return replace(s, y=handed(reset(s.y, node, s.y[node] - s.g[node]), node, heir))

    def join(self, state: Any, node: int) -> _State:
        """Whoever comes tracks its own gradient."""
        s: _State = state
        return replace(s, y=reset(s.y, node, s.g[node]))


def _is_rough(costs: Gradients) -> bool:
    return isinstance(costs, Shared) and not costs.smooth
