"""Algorithms in which agents talk to their neighbours, over whatever channel."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.links import Links
from gridmodel.ir.properties import Traffic
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.leaving import check_membership
from gridmodel.runtime.network import Network

__all__ = ["AbstractNetworked", "Conserved", "NetworkState"]

Floats = NDArray[np.float64]


class NetworkState(Protocol):
    """What every state has: the network of its run, which goes on from round to round."""

    @property
    def network(self) -> Network:
        """Links, fates, counts."""


@dataclass(frozen=True)
class Conserved:
    """A sum over all present agents that no fault may change.

    what: in words. off: by how much it is off, shape (d,). size: the largest total that it is a difference of.
    """

    what: str
    off: Floats
    size: float


class AbstractNetworked(AbstractAlgorithm):
    """An algorithm over the topology; a subclass is a frozen dataclass with the field ``channel``.

    masks: whether it starts from values of which only the sum counts, which ``channel.mask`` can hide.
    rests: why the iterates may come to rest beside the optimum; empty where they do not.
    """

    rests: ClassVar[str] = ""
    masks: ClassVar[bool] = False

    channel: Channel

    @final
    def over(self, channel: Channel) -> AbstractNetworked:
        """The same algorithm over another channel.

        Raises:
            NotApplicableError: the channel masks, and there is nothing that could be masked.
        """
        self._check_mask(channel)
        return replace(self, channel=channel)  # type: ignore[type-var]  # subclasses are dataclasses

    @final
    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> Any:
        """The first state.

        Raises:
            NotApplicableError: the model has no topology.
            TopologyError: who leaves or joins cuts it.
        """
        self._check_mask(self.channel)
        links = self.links(problem)
        if links is None:
            raise NotApplicableError(
                f"{self.name} runs over a topology, and the model has none; call model.connect(graph)."
            )
        check_membership(links, self.channel)
        return self.begin(problem, Network(links, self.channel), warm, tolerance)

    @final
    def step(self, state: Any) -> Any:
        """One round: packets are sent, those who leave hand over, those who come are welcomed, all others compute."""
        network: Network = state.network
        network.tick()
        for node in network.fates.left:
            state = self.leave(state, node, network.heir(node) if self.channel.handover else None)
        for node in network.fates.joined:
            state = self.join(state, node)
        return self.round(state)

    def links(self, problem: Separable) -> Links | None:
        """Who talks to whom: the topology; algorithms with a coordinator put a star in its place."""
        return problem.links

    @abc.abstractmethod
    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> Any:
        """The first state over this network; streams are made here."""

    @abc.abstractmethod
    def round(self, state: Any) -> Any:
        """One round, after the network's tick."""

    @abc.abstractmethod
    def shown(self, state: Any) -> Floats:
        """What each agent holds of what all are to agree on (shared variables, or prices), shape (N, d)."""

    def conserved(self, state: Any) -> Conserved | None:
        """The sum that faults must not change; None where the algorithm has none."""
        del state
        return None

    def leave(self, state: Any, node: int, heir: int | None) -> Any:
        """The state after ``node`` has gone for good, having handed what keeps the result exact to ``heir``."""
        del node, heir
        return state

    def join(self, state: Any, node: int) -> Any:
        """The state after ``node`` has come."""
        del node
        return state

    @final
    def sent(self, state: Any, rounds: int) -> tuple[int, int]:
        """Messages and bytes sent so far."""
        del rounds
        return state.network.messages, int(np.ceil(state.network.bytes))

    def numbers(self, problem: Separable) -> int:
        """Numbers in a packet."""
        del problem
        return 1

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent sends one packet to each neighbour."""
        edges = problem.links.edges if problem.links is not None else 0
        return Traffic(edges, edges * self.numbers(problem))

    def _check_mask(self, channel: Channel) -> None:
        if channel.mask is not None and not self.masks:
            raise NotApplicableError(
                f"{self.name} has no sum in which random shares could hide anything; mask= is for averaging, "
                "gradient-tracking, push-pull, push-diging, edge-admm, tan-yang-xu and dual. Leave it out, or use "
                "privacy=gridmodel.Gaussian(...)."
            )
