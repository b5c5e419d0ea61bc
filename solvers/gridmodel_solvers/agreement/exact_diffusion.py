"""Exact diffusion: agents step first, mix then, and correct what mixing took from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel_solvers.agreement.base import AbstractCorrected, AgreementState, first_state
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.agreement.steps import check_options, integral_gain, lateness, mixing, step_sizes

__all__ = ["ExactDiffusion"]


@final
@dataclass(frozen=True)
class ExactDiffusion(AbstractCorrected):
    """Diffusion without its bias; its step does not depend on the network.

    phi = x - eta g - p,   F = phi - mix(phi),   x+ = phi - F/2,   p+ = p + beta F,    sum_i p_i = 0,  beta = 1/2

    g = grad f(x); which is psi = x - eta grad f(x), phi = psi + x - psi_before, x+ = 1/2 (I + W) phi. Where costs are
    no quadratics an agent's whole problem is in the step: x+ = prox_{eta f}(x - p - F/2) with the subgradient
    g+ = (x - p - F/2 - x+) / eta (NIDS without a smooth part), for any eta.

    eta: step, below 2 / L for quadratics; None takes half of that, and for other costs squared range over cost.
    weights: of neighbours, a name or a symmetric matrix W. damping: gamma of the weights I - gamma (I - W); None
        chooses it by the channel's delay, as it does beta.
    rule: what is done for lost or late packets.

    Source: Yuan, Ying, Zhao, Sayed (2019), algorithm 1; Li, Shi, Yan (2019), NIDS, algorithm 1.
    """

    name: ClassVar[str] = "exact-diffusion"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 23
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="the weights and the correction are damped"),
        noise=Claim("drift", (0.0046, 0.0053)),
        bits=Claim("biased", (0.039, 0.041)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its copy of the shared numbers after its own step", "neighbours"),)

    eta: float | None = None
    weights: Any = "metropolis"
    damping: float | None = None
    rule: str = "paired"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_options(self.name, self.eta, self.damping, self.rule)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> AgreementState:
        """The first state.

        Raises:
            ModelError: a step or a damping with which it diverges.
        """
        shared = Shared(problem, min(1e-10, 1e-2 * tolerance))
        made = mixing(network, self.weights, self.damping, self.rule, ceiling=1.5)
        beta = integral_gain(network)
        goal, ceiling = 1.5 * float(np.sqrt(beta * made.slow)), 0.5 if lateness(network) else 1.0
        eta = step_sizes(self.name, self.eta, shared, goal, ceiling, 2.0, "2 / L")
        return replace(first_state(network, shared, made.mixer, eta, warm), gain=beta)

    def round(self, state: Any) -> AgreementState:
        """One round."""
        s: AgreementState = state
        phi = s.x - s.eta * s.g - s.p
        flow = phi - s.mixer(phi)
        p = s.network.keep(s.p + s.gain * flow, s.p)
        x, g = s.moved(s.x - s.p - 0.5 * flow)
        return replace(s, x=x, g=g, p=p)
