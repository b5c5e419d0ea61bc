"""Consensus ADMM over edges with one multiplier a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import Conserved
from gridmodel.runtime.streams import Mixer
from gridmodel_solvers.agreement.base import AbstractAgreement
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.edges import check_rho, edge_penalty, need_ways_back
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["EdgeADMM"]

Floats = NDArray[np.float64]

_SHARE = 0.5
_MARGIN = 0.6


@dataclass(frozen=True)
class _State:
    """x, subgradients g, centres of the proximal steps, alpha: shape (N, d); rho: (d,); weight: (N, d)."""

    network: Network
    shared: Shared
    mixer: Mixer
    rho: Floats
    gain: float
    weight: Floats
    x: Floats
    g: Floats
    centre: Floats
    alpha: Floats


@final
@dataclass(frozen=True)
class EdgeADMM(AbstractAgreement):
    """Decentralised consensus ADMM: agents send their numbers, and each keeps one multiplier.

    alpha_i <- alpha_i + theta rho sum_j (x_i - x_j)
    x_i <- argmin f_i(x) + alpha_i'x + w_i/2 |x - x_i + rho/w_i sum_j (x_i - x_j)|^2,  w_i = 2 b rho d_i

    f_i: the agent's least cost for given shared numbers x, whatever convex model is behind it. j: neighbours, d_i of
    them. With theta = b = 1 the proximal term is rho sum_j |x - (x_i + x_j)/2|^2, the published form. A pair of numbers
    that does not arrive both ways leaves alpha on both sides, and the proximal term pulls to x_i there: sum alpha = 0
    always holds, and the weights stay.

    rho: cost over squared unit of an edge's disagreement, above 0; None takes it from costs and topology.
    damped: whether packets that take tau > 0 rounds are met by theta = 1 / (2 tau + 2) and b = 1 / (1.2 sin(pi /
        (4 tau + 2))), with which any rho stands the delay; else rho lambda_N(L) must stay below the least curvature
        times 2 sin(pi / (4 tau + 2)), or it diverges.
    channel: the faults of the run.

    Raises:
        ModelError: rho is not above 0. NotApplicableError: edges without a way back.

    Source: Shi, Ling, Yuan, Wu, Yin: On the linear convergence of the ADMM in decentralized consensus optimization
    (2014). Damping: Levin and May (1976) for x <- x - a x(t - tau), and a slow integral on top.
    """

    name: ClassVar[str] = "edge-admm"
    takes: ClassVar[str] = "a closed form"
    masks: ClassVar[bool] = True
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 21
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="steps are damped for the delay, as they are unless damped=False"),
        noise=Claim("drift", (2.2e-3, 2.4e-3)),
        bits=Claim("biased", (0.041, 0.050)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its shared numbers", "neighbours"),)

    rho: float | None = None
    damped: bool = True
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_rho(self.name, self.rho)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """All multipliers 0, or those of an earlier run."""
        links = network.links
        need_ways_back(self.name, links)
        del tolerance
        shared = Shared(problem)
        x = shared.start(warm)
        alpha = np.zeros_like(x) if warm is None else shared.pull(warm.mu)
        rho = edge_penalty(shared, links, self.rho, _SHARE)
        late = self.channel.delay + self.channel.jitter if self.damped else 0
        gain = 0.5 / (late + 1) if late else 1.0
        inertia = 1.0 / (2 * _MARGIN * np.sin(np.pi / (4 * late + 2))) if late else 1.0
        weight = 2.0 * inertia * np.maximum(links.into, 1)[:, None] * rho
        mixer = Mixer(network, np.ones(links.edges), "paired")
        return _State(network, shared, mixer, rho, gain, weight, x, -alpha, x, network.masked(alpha))

    def round(self, state: Any) -> _State:
        """Neighbours exchange numbers, multipliers move, then everybody takes a proximal step."""
        s: _State = state
        keep = s.network.keep
        flow = s.rho * (s.x - s.mixer(s.x))
        alpha = s.alpha + s.gain * flow
        centre = keep(s.x - (flow + alpha) / s.weight, s.centre)
        x, g = s.shared.prox(centre, s.weight, s.network.active)
        return replace(s, x=keep(x, s.x), g=keep(g, s.g), centre=centre, alpha=alpha)

    def conserved(self, state: Any) -> Conserved:
        """sum_i alpha_i = 0."""
        there = state.network.fates.present
        alpha, moved = state.alpha[there], (state.weight * state.x)[there]
        size = float(max(np.abs(alpha).sum(axis=0).max(), np.abs(moved).sum(axis=0).max()))
        return Conserved("sum of multipliers = 0", alpha.sum(axis=0), size)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """The heir takes over the multiplier: alpha_j += alpha_i."""
        s: _State = state
        alpha = s.alpha.copy()
        if heir is not None:
            alpha[heir] += alpha[node]
        alpha[node] = 0.0
        return replace(s, alpha=alpha)
