"""What algorithms of agreement have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.agreed import agreed_columns
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.streams import Mixer
from gridmodel.runtime.verdicts import no_agreement, no_network
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["AbstractAgreement", "AbstractCorrected", "AgreementState", "first_state"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AgreementState:
    """Rows are agents.

    eta: step of each shared number, shape (d,). gain: beta of the correction. x: what the agents hold, shape (N, d).
    g: a (sub)gradient of their costs at x. p: the correction, or the tracker of the mean gradient.
    """

    network: Network
    shared: Shared
    mixer: Mixer
    eta: Floats
    gain: float
    x: Floats
    g: Floats
    p: Floats

    def moved(self, target: Floats) -> tuple[Floats, Floats]:
        """Each agent's own step from its row of ``target``, and the gradient where it ends.

        Quadratics: target - eta grad f(x). Others: argmin f(v) + 1/(2 eta) |v - target|^2, with the subgradient
        (target - v) / eta.
        """
        network, shared = self.network, self.shared
        if shared.smooth:
            x = network.keep(target - self.eta * self.g, self.x)
            return x, network.keep(shared.gradient(x), self.g)
        x, g = shared.prox(target, np.broadcast_to(1.0 / self.eta, target.shape), network.active)
        return network.keep(x, self.x), network.keep(g, self.g)


class AbstractAgreement(AbstractNetworked):
    """Agents that bring numbers which all of them share to one value; a subclass says how."""

    sends: ClassVar[int] = 1
    """Numbers in a packet for each shared number."""
    takes: ClassVar[str] = "one gradient"
    """What a round takes where costs are quadratics."""
    unproven: ClassVar[str] = ""
    """What is not proven where costs are no quadratics."""

    def verdict(self, properties: Properties) -> Verdict:
        """Connected agents that agree on all their shared numbers."""
        refusal = no_network(properties) or no_agreement(properties)
        if refusal is not None:
            return Verdict(False, refusal)
        assert properties.shared is not None
        count, rough = properties.shared.numbers, properties.shared.rough
        text = f"neighbours mix the {count} shared number{'s' * (count != 1)}"
        if rough is None:
            return Verdict(True, f"{text}; every cost is a quadratic of them, so a round takes {self.takes}")
        text = f"{text}; {rough}, so every agent solves its own problem in a round"
        return Verdict(True, f"{text} ({self.unproven})" if self.unproven else text)

    def numbers(self, problem: Separable) -> int:
        """Numbers in a packet."""
        return self.sends * int(agreed_columns(problem)[0].shape[1])

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        s: AgreementState = state
        return s.shared.observe(s.x, s.g, s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """What each agent holds of the shared numbers."""
        return np.asarray(state.x)


class AbstractCorrected(AbstractAgreement):
    """Algorithms with a correction p that sums to zero over all agents, and is -eta times the gradient in the end."""

    def conserved(self, state: Any) -> Conserved:
        """sum p = 0."""
        there = state.network.fates.present
        # Corrections are sums of differences of x.
        size = max(float(np.abs(part[there]).sum(axis=0).max(initial=0.0)) for part in (state.p, state.x))
        return Conserved("sum of corrections = 0", state.p[there].sum(axis=0), size)

    def leave(self, state: Any, node: int, heir: int | None) -> AgreementState:
        """Whoever leaves hands its correction to one neighbour."""
        s: AgreementState = state
        p = s.p.copy()
        if heir is not None:
            p[heir] += p[node]
        p[node] = 0.0
        return replace(s, p=p)

    def join(self, state: Any, node: int) -> AgreementState:
        """Whoever comes starts without a correction."""
        s: AgreementState = state
        p = s.p.copy()
        p[node] = 0.0
        return replace(s, p=p)


def first_state(network: Network, shared: Shared, mixer: Mixer, eta: Floats, warm: Iterate | None) -> AgreementState:
    """x, its gradient, and the correction -eta times the gradient that an earlier run's multipliers balance."""
    x = shared.start(warm)
    trusted = warm is not None and bool(network.fates.present.all())
    pull = shared.pull(warm.mu) if warm is not None and trusted else np.zeros_like(x)
    g = shared.gradient(x) if shared.smooth else -pull
    return AgreementState(network, shared, mixer, eta, 0.5, x, g, eta * pull)
