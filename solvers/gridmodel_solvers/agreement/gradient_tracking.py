"""Gradient tracking: neighbours mix their numbers and an estimate of the mean gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.properties import Properties, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.networked import AbstractNetworked, Conserved
from gridmodel.runtime.streams import Mixer
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["GradientTracking"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    network: Network
    shared: Shared
    mixer: Mixer
    eta: float
    x: Floats
    y: Floats
    g: Floats


@final
@dataclass(frozen=True)
class GradientTracking(AbstractNetworked):
    name: ClassVar[str] = "gradient-tracking"
    claims: ClassVar[Mapping[str, Claim]] = {}
    reveals: ClassVar[tuple[Reveal, ...]] = ()

    eta: float | None = None
    weights: str = "metropolis"
    channel: Channel = Channel()

    def verdict(self, properties: Properties) -> Verdict:
        return Verdict(properties.all_agreement, "x")

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        shared = Shared(problem)
        x = shared.start(warm)
        g = shared.gradient(x)
        mixer = Mixer(network, edge_weights(network.links, self.weights), "paired")
        return _State(network, shared, mixer, self.eta or 0.5 / shared.curvature[1], x, g, g)

    def round(self, state: Any) -> _State:
        s: _State = state
        mixed, tracked = s.mixer.together(s.x, s.y)
        x = s.network.keep(mixed - s.eta * s.y, s.x)
        g = s.shared.gradient(x)
        return replace(s, x=x, y=s.network.keep(tracked + (g - s.g), s.y), g=s.network.keep(g, s.g))

    def observe(self, state: Any) -> Iterate:
        return state.shared.observe(state.x, state.g, state.network.fates.present)

    def shown(self, state: Any) -> Floats:
        return np.asarray(state.x)

    def conserved(self, state: Any) -> Conserved:
        there = state.network.fates.present
        y, g = state.y[there], state.g[there]
        size = float(max(np.abs(y).sum(axis=0).max(), np.abs(g).sum(axis=0).max()))
        return Conserved("sum of trackers = sum of gradients", y.sum(axis=0) - g.sum(axis=0), size)
