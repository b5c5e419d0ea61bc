"""Decentralised gradient descent: mix with neighbours, and step along the own gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, final

from gridmodel.ir.claim import FAULTS, Claim, Reveal
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel_solvers.agreement.base import AbstractAgreement, AgreementState, first_state
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.agreement.steps import check_options, mixing, safe_steps
from gridmodel_solvers.agreement.vanishing import at_round, check_power

__all__ = ["DGD"]

_BIASED = Claim("biased", (0.62, 1.0), "eta = .05; the error is of the order of eta")


@final
@dataclass(frozen=True)
class DGD(AbstractAgreement):
    """Mixing and a gradient step in one; at rest beside the optimum, by the order of eta, unless eta vanishes.

    x+ = mix(x) - eta_k grad f(x),    eta_k = eta / (k + 1)^power

    At a constant step and for f_i = 1/2 (x - c_i)'H_i(x - c_i) it rests at (I - W + eta H)^-1 eta H c. Where costs are
    no quadratics an agent's whole problem is in the step: x+ = prox_{eta_k f}(mix(x)), eta_k falling by halves.

    eta: step, below (1 + lambda_min(W)) / L for quadratics and symmetric W; None takes the largest that stays stable
        whatever is lost or late: the least of self weight over curvature.
    power: 0 keeps the step; in (0, 1] it vanishes, and the error with it, slowly.
    weights: of neighbours, a name or a matrix W; rows that sum to one are enough, and then the numbers lean towards
        those who are heard most. damping: gamma of the weights I - gamma (I - W).
    rule: what is done for lost or late packets.

    Source: Nedic, Ozdaglar (2009), equation 3; Yuan, Ling, Yin (2016) for the bias.
    """

    name: ClassVar[str] = "dgd"
    lost: ClassVar[str] = "hold"
    rank: ClassVar[int] = 42
    claims: ClassVar[Mapping[str, Claim]] = MappingProxyType(dict.fromkeys(FAULTS, _BIASED))
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its copy of the shared numbers", "neighbours"),)
    rests: ClassVar[str] = (
        "a constant step balances each agent's own gradient against disagreement; take a smaller eta, power=1 for a "
        "step that vanishes, or 'extra', 'exact-diffusion' or 'gradient-tracking', which are exact"
    )

    eta: float | None = None
    power: float = 0.0
    weights: Any = "metropolis"
    damping: float | None = None
    rule: str = "hold"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_options(self.name, self.eta, self.damping, self.rule)
        check_power(self.name, self.power)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> AgreementState:
        """The first state.

        Raises:
            ModelError: a step or a damping with which it diverges.
        """
        shared = Shared(problem, min(1e-10, 1e-2 * tolerance))
        made = mixing(network, self.weights, self.damping, self.rule, paired=False)
        return first_state(network, shared, made.mixer, safe_steps(self.name, self.eta, shared, made), warm)

    def round(self, state: Any) -> AgreementState:
        """One round."""
        s: AgreementState = state
        eta = at_round(s.eta, s.network.round, self.power, halves=not s.shared.smooth)
        x, g = replace(s, eta=eta).moved(s.mixer(s.x))
        return replace(s, x=x, g=g)
