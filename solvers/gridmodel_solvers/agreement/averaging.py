"""Average consensus: the optimum of quadratics without limits, as a ratio of two averages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.agreed import agreed_columns
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.reduced import reduce
from gridmodel.runtime.streams import Mixer
from gridmodel.runtime.verdicts import no_agreement, no_network
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.agreement.steps import check_options, mixing

__all__ = ["Averaging"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    network: Network
    shared: Shared
    mixer: Mixer
    own: Floats
    held: Floats
    h: Floats | None

    @property
    def x(self) -> Floats:
        if self.h is not None:
            return np.asarray(self.held / self.h)
        pull, h = np.split(self.held, 2, axis=1)
        return np.divide(pull, h, out=np.zeros_like(pull), where=h > 0)


@final
@dataclass(frozen=True)
class Averaging(AbstractNetworked):
    """Mixes, for f_i = 1/2 sum_k h_ik x_k^2 - b_ik x_k, the pulls b and the curvatures h, and nothing else.

    b+ = mix(b),    h+ = mix(h),    x = b / h,    sum_i b_i and sum_i h_i stay as they are

    and so x tends to sum_i b_i / sum_i h_i, the optimum. Where all agents have the same h only b is mixed.

    weights: of neighbours, a name or a symmetric matrix W. damping: gamma of the weights I - gamma (I - W); None
        chooses it by the channel's delay. rule: what is done for lost or late packets.

    Source: Xiao, Boyd (2004); as a ratio of averages Xiao, Boyd, Lall (2005), section 2.
    """

    name: ClassVar[str] = "averaging"
    lost: ClassVar[str] = "paired"
    rank: ClassVar[int] = 26
    masks: ClassVar[bool] = True
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        delay=Claim("exact", condition="the weights are damped"),
        noise=Claim("drift", (0.0018, 0.0038)),
        bits=Claim("biased", (0.030, 0.036)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("its curvature and its pull, at first unmixed", "neighbours"),)

    weights: Any = "metropolis"
    damping: float | None = None
    rule: str = "paired"
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_options(self.name, None, self.damping, self.rule)

    def verdict(self, properties: Properties) -> Verdict:
        """Connected agents whose costs are quadratics of the shared numbers alone, each number for itself."""
        refusal = no_network(properties) or no_agreement(properties, smooth=True)
        if refusal is not None:
            return Verdict(False, refusal.replace("it needs a gradient at every point", "it averages quadratics"))
        assert properties.shared is not None
        if properties.shared.tied is not None:
            return Verdict(False, f"the cost of {properties.shared.tied} has products of two shared numbers, and it "
                           "averages each for itself")  # fmt: skip
        return Verdict(True, "every cost is a quadratic of the shared numbers: the optimum is a ratio of two averages")

    def numbers(self, problem: Separable) -> int:
        """Numbers in a packet: d where all curvatures are equal, else 2 d."""
        columns = agreed_columns(problem)
        found = [reduce(stack, part) for stack, part in zip(problem.stacks, columns, strict=True)]
        h = [part.hessian for part in found if part is not None and part.hessian.ndim == 2]
        equal = len(h) == len(found) and all((part == h[0][0]).all() for part in h)
        return int(columns[0].shape[1]) * (1 if equal else 2)

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """The first state; there is nothing that an earlier run could give.

        Raises:
            NotApplicableError: costs that are no such quadratics, or a number without curvature in any agent.
        """
        del warm, tolerance
        shared = Shared(problem)
        quadratics = shared.quadratics
        if quadratics is None:
            raise NotApplicableError("averaging needs quadratics without limits; use 'extra' or 'exact-diffusion'.")
        h = quadratics.hessian
        if h.ndim != 2:
            raise NotApplicableError(
                "averaging needs costs in which each shared number stands for itself, and one has products of two; "
                "use 'gradient-tracking' or 'extra'."
            )
        if not (h.sum(axis=0) > 0).all():
            raise NotApplicableError("averaging: no agent's cost bends along one of the shared numbers; no optimum.")
        equal = bool((h == h[0]).all())
        own = -quadratics.linear if equal else np.concatenate([-quadratics.linear, h], axis=1)
        made = mixing(network, self.weights, self.damping, self.rule, ceiling=1.5)
        held = network.masked(own)
        return _State(network, shared, made.mixer, own, held, h if equal else None)

    def round(self, state: Any) -> _State:
        """One round."""
        s: _State = state
        return replace(s, held=s.network.keep(s.mixer(s.held), s.held))

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        s: _State = state
        return s.shared.observe(s.x, s.shared.gradient(s.x), s.network.fates.present)

    def shown(self, state: Any) -> Floats:
        """What each agent takes for the optimum."""
        return np.asarray(state.x)

    def conserved(self, state: Any) -> Conserved:
        """sum b and sum h."""
        there = state.network.fates.present
        held, own = state.held[there], state.own[there]
        size = float(max(np.abs(part).sum(axis=0).max(initial=0.0) for part in (own, held)))
        return Conserved("sums of pulls and curvatures", held.sum(axis=0) - own.sum(axis=0), size)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Whoever leaves hands what it holds less what it brought to one neighbour."""
        s: _State = state
        held = s.held.copy()
        if heir is not None:
            held[heir] += held[node] - s.own[node]
        held[node] = s.own[node]
        return replace(s, held=held)

    def join(self, state: Any, node: int) -> _State:
        """Whoever comes brings its own pull and curvature."""
        s: _State = state
        held = s.held.copy()
        held[node] = s.own[node]
        return replace(s, held=held)
