"""Dispatch by consensus on the price with a tracked mismatch (Tan, Yang and Xu)."""

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
from gridmodel.runtime.streams import Mixer, Pusher
from gridmodel_solvers.dispatch.offers import Offers

__all__ = ["TanYangXu"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _State:
    network: Network
    offers: Offers
    mixer: Mixer
    pusher: Pusher
    epsilon: float
    mu: Floats
    z: Floats
    report: Floats


@final
@dataclass(frozen=True)
class TanYangXu(AbstractNetworked):
    name: ClassVar[str] = "tan-yang-xu"
    needs_curvature: ClassVar[bool] = True
    claims: ClassVar[Mapping[str, Claim]] = {}
    reveals: ClassVar[tuple[Reveal, ...]] = ()

    epsilon: float = 0.05
    channel: Channel = Channel()

    def verdict(self, properties: Properties) -> Verdict:
        return Verdict(properties.step_norm is not None, "x")

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        offers = Offers(problem)
        mu = np.zeros((offers.size, offers.m))
        report = offers.respond(mu)
        mixer = Mixer(network, edge_weights(network.links, "metropolis"), "skip")
        return _State(network, offers, mixer, Pusher(network, "sums"), self.epsilon, mu, report - offers.side(mu), report)

    def round(self, state: Any) -> _State:
        s: _State = state
        mu = s.network.keep(s.offers.allowed(s.mixer(s.mu) + s.epsilon * s.z), s.mu)
        report = s.offers.respond(mu)
        return replace(s, mu=mu, z=s.pusher(s.z) + (report - s.report), report=report)

    def observe(self, state: Any) -> Iterate:
        return state.offers.observe(state.mu, state.network.fates.present)

    def shown(self, state: Any) -> Floats:
        return np.asarray(state.mu)
