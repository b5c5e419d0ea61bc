"""Diffusion: adapt to the own data and combine with the neighbours, in either order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, final

from gridmodel.errors import ModelError
from gridmodel.ir.claim import FAULTS, Claim, Reveal
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel_solvers.agreement.base import AbstractAgreement, AgreementState, first_state
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.agreement.steps import check_options, mixing, step_sizes
from gridmodel_solvers.agreement.vanishing import at_round, check_power

__all__ = ["Diffusion"]

_BIASED = Claim("biased", (0.41, 0.79), "eta = .05; the error is of the order of eta")


@final
@dataclass(frozen=True)
class Diffusion(AbstractAgreement):
    """Adapt, then combine, or the other way round; at rest beside the optimum, by the order of eta.

    atc: psi = x - eta_k grad f(x),  x+ = mix(psi)        cta: psi = mix(x),  x+ = psi - eta_k grad f(psi)

    with eta_k = eta / (k + 1)^power. At a constant step and for f_i = 1/2 (x - c_i)'H_i(x - c_i) atc rests at
    (I - A (I - eta H))^-1 eta A H c, A the weights. Where costs are no quadratics an agent's whole problem is the
    step, x+ = prox_{eta_k f}(mix(x)), the same for both orders, eta_k falling by halves.

    eta: step, below 2 / L for quadratics, whatever is lost or late; None takes .1 / L.
    power: 0 keeps the step; in (0, 1] it vanishes, and the error with it, slowly.
    order: "atc" or "cta". weights: of neighbours, a name or a matrix A; rows that sum to one are enough, and then
        the numbers lean towards those who are heard most. damping: gamma of the weights I - gamma (I - A).
    rule: what is done for lost or late packets.

    Source: Chen, Sayed (2012), equations 10 and 11; Sayed (2014), chapter 7.
    """

    name: ClassVar[str] = "diffusion"
    lost: ClassVar[str] = "hold"
    rank: ClassVar[int] = 41
    claims: ClassVar[Mapping[str, Claim]] = MappingProxyType(dict.fromkeys(FAULTS, _BIASED))
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its copy of the shared numbers after its own step", "neighbours"),)
    rests: ClassVar[str] = (
        "a constant step balances each agent's own gradient against disagreement; take a smaller eta, power=1 for a "
        "step that vanishes, or 'exact-diffusion', which corrects it"
    )

    eta: float | None = None
    power: float = 0.0
    order: Literal["atc", "cta"] = "atc"
    weights: Any = "metropolis"
    damping: float | None = None
    rule: str = "hold"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_options(self.name, self.eta, self.damping, self.rule)
        check_power(self.name, self.power)
        if self.order not in ("atc", "cta"):
            raise ModelError(f"diffusion: order={self.order!r} is unknown; use 'atc' or 'cta'.")

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> AgreementState:
        """The first state.

        Raises:
            ModelError: a step or a damping with which it diverges.
        """
        shared = Shared(problem, min(1e-10, 1e-2 * tolerance))
        made = mixing(network, self.weights, self.damping, self.rule, paired=False)
        eta = step_sizes(self.name, self.eta, shared, 0.1, 0.1, 2.0, "2 / L")
        return first_state(network, shared, made.mixer, eta, warm)

    def round(self, state: Any) -> AgreementState:
        """One round."""
        s: AgreementState = state
        eta = at_round(s.eta, s.network.round, self.power, halves=not s.shared.smooth)
        if not s.shared.smooth:
            x, g = replace(s, eta=eta).moved(s.mixer(s.x))
            return replace(s, x=x, g=g)
        if self.order == "atc":
            x = s.mixer(s.x - eta * s.g)
        else:
            psi = s.mixer(s.x)
            x = psi - eta * s.shared.gradient(psi)
        x = s.network.keep(x, s.x)
        return replace(s, x=x, g=s.shared.gradient(x))
