"""EXTRA: a correction adds up what neighbours disagree on, until it balances each agent's own gradient."""

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

__all__ = ["EXTRA"]


@final
@dataclass(frozen=True)
class EXTRA(AbstractCorrected):
    """Exact first-order algorithm with one product a round.

    x+ = mix(x) - eta grad f(x) - p,    p+ = p + beta (x - mix(x)),    sum_i p_i = 0,  beta = 1/2

    which is x'' = (I + W) x' - 1/2 (I + W) x - eta (grad f(x') - grad f(x)) with p taken out. Where costs are no
    quadratics an agent's whole problem is in the step: x+ = prox_{eta f}(mix(x) - p) (P-EXTRA), for any eta.

    eta: step, below (5 + 3 lambda_min(W)) / (4 L) for quadratics; None takes half of that or less, and for other
        costs squared range over cost. weights: of neighbours, a name or a symmetric matrix W.
    damping: gamma of the weights I - gamma (I - W); None chooses it by the channel's delay, as it does beta.
    rule: what is done for lost or late packets.

    Source: Shi, Ling, Wu, Yin (2015), EXTRA, equation 2.13; (2015), PG-EXTRA, section 2; the bound: Li, Yan (2021).
    """

    name: ClassVar[str] = "extra"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 22
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="the weights and the correction are damped"),
        noise=Claim("drift", (0.0047, 0.0056)),
        bits=Claim("biased", (0.054, 0.069)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its copy of the shared numbers", "neighbours"),)

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
        bound = 2.0 - 0.75 * made.fast
        beta = integral_gain(network)
        ceiling = 0.5 * (min(1.0, bound) if lateness(network) else bound)
        goal = 1.5 * float(np.sqrt(beta * made.slow))
        eta = step_sizes(self.name, self.eta, shared, goal, ceiling, bound, "(5 + 3 lambda_min(W)) / (4 L)")
        return replace(first_state(network, shared, made.mixer, eta, warm), gain=beta)

    def round(self, state: Any) -> AgreementState:
        """One round."""
        s: AgreementState = state
        mixed = s.mixer(s.x)
        p = s.network.keep(s.p + s.gain * (s.x - mixed), s.p)
        x, g = s.moved(mixed - s.p)
        return replace(s, x=x, g=g, p=p)
