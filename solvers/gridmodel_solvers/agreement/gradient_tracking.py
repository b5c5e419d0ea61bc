"""Gradient tracking: neighbours mix their numbers and an estimate of the mean gradient."""

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
from gridmodel.runtime.networked import Conserved
from gridmodel_solvers.agreement.base import AbstractAgreement, AgreementState, first_state
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.agreement.steps import check_options, lateness, mixing, step_sizes

__all__ = ["GradientTracking"]


@final
@dataclass(frozen=True)
class GradientTracking(AbstractAgreement):
    """Every agent follows its estimate y of the mean gradient.

    x+ = mix(x) - eta y,    y+ = mix(y) + g+ - g,    g = grad f(x),    sum_i y_i = sum_i g_i

    Where costs are no quadratics an agent's whole problem stands for its cost, and y - g for the others' pull:
    x+ = prox_{eta f}(mix(x) - eta (y - g)), with the subgradient g+ = (mix(x) - eta (y - g) - x+) / eta.

    eta: step, for quadratics below (1 + lambda_min(W))^2 / (2 L), which equal curvatures need and all others stand;
        None takes half of it, less under delay, and for other costs squared range over cost.
    weights: of neighbours, a name or a symmetric matrix W. damping: gamma of the weights I - gamma (I - W); None
        chooses it by the channel's delay.
    rule: what is done for lost or late packets.

    Source: Nedic, Olshevsky, Shi (2017), DIGing, equation 2; for costs that are no quadratics Scutari, Sun (2019),
    SONATA, with the own cost as its surrogate. The bound: with s = z - 1 and v a unit eigenvector of the iteration,
    s^2 + s (2 a + eta h) + b = 0, a = v'(I-W)v, b = v'(I-W)^2 v >= a^2, h = v'Hv; Jury's test at the least b.
    """

    name: ClassVar[str] = "gradient-tracking"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 24
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="the weights are damped and eta is small"),
        noise=Claim("drift", (0.0018, 0.0029)),
        bits=Claim("biased", (0.031, 0.042)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (
        Reveal("its copy of the shared numbers", "neighbours"),
        Reveal("its estimate of the mean gradient", "neighbours"),
    )
    masks: ClassVar[bool] = True
    sends: ClassVar[int] = 2
    unproven: ClassVar[str] = "convergence is proven for quadratics only; the certificate decides"

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
        # Above one the prox of a steep cost would turn disagreement round and let it grow.
        made = mixing(network, self.weights, self.damping, self.rule, ceiling=1.0 if shared.smooth else 0.9)
        bound, tau = (2.0 - made.fast) ** 2 / 2, lateness(network)
        ceiling = np.inf if not shared.smooth else 0.25 / (1 + tau) if tau else bound / 2
        eta = step_sizes(self.name, self.eta, shared, 0.7 * made.slow, ceiling, bound, "(1 + lambda_min(W))^2 / (2 L)")
        state = first_state(network, shared, made.mixer, eta, warm)
        return replace(state, p=network.masked(state.g + state.p / eta))

    def round(self, state: Any) -> AgreementState:
        """One round."""
        s: AgreementState = state
        x, y = s.mixer.together(s.x, s.p)
        if s.shared.smooth:
            x -= s.eta * s.p
            x = s.network.keep(x, s.x)
            g = s.network.keep(s.shared.gradient(x), s.g)
        else:
            x, g = s.moved(x - s.eta * (s.p - s.g))
        y += g
        y -= s.g
        return replace(s, x=x, g=g, p=s.network.keep(y, s.p))

    def conserved(self, state: Any) -> Conserved:
        """sum y = sum g."""
        there = state.network.fates.present
        y, g = state.p[there], state.g[there]
        size = float(max(np.abs(y).sum(axis=0).max(initial=0.0), np.abs(g).sum(axis=0).max(initial=0.0)))
        return Conserved("sum of trackers = sum of gradients", y.sum(axis=0) - g.sum(axis=0), size)

    def leave(self, state: Any, node: int, heir: int | None) -> AgreementState:
        """Whoever leaves hands y - g to one neighbour."""
        s: AgreementState = state
        y = s.p.copy()
        if heir is not None:
            y[heir] += y[node] - s.g[node]
        return replace(s, p=y)

    def join(self, state: Any, node: int) -> AgreementState:
        """Whoever comes tracks its own gradient."""
        s: AgreementState = state
        y = s.p.copy()
        y[node] = s.g[node]
        return replace(s, p=y)
