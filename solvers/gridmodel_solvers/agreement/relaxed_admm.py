"""Relaxed ADMM with one auxiliary number an edge: exact whatever is lost or late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Claim, Reveal
from gridmodel.ir.separable import Separable
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Wire
from gridmodel_solvers.agreement.base import AbstractAgreement
from gridmodel_solvers.agreement.claims import exact_but
from gridmodel_solvers.agreement.edges import check_rho, edge_penalty, need_ways_back
from gridmodel_solvers.agreement.shared import Shared
from gridmodel_solvers.flows import flow_into

__all__ = ["RelaxedADMM"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _State:
    """z: what the receiver of each edge keeps for its sender, shape (E, d); x, g, centre: (N, d); rho: (d,).

    sums: the matrix that adds up the rows of a node's edges. alive: edges whose two ends are there; degree: their
    number into each node, shape (N, 1).
    """

    network: Network
    shared: Shared
    wire: Wire
    sums: sp.csr_array
    rho: Floats
    alive: Flags
    degree: Floats
    z: Floats
    x: Floats
    g: Floats
    centre: Floats


@final
@dataclass(frozen=True)
class RelaxedADMM(AbstractAgreement):
    """Relaxed Peaceman-Rachford splitting over edges, one auxiliary z_ij at agent i for each neighbour j.

    x_i = argmin f_i(x) - (sum_j z_ij)'x + rho d_i/2 |x|^2
    q_ij = -z_ij + 2 rho x_i is sent to j;   where it arrives  z_ji <- (1 - a) z_ji + a q_ij,  else z_ji stays

    f_i: the agent's least cost for given shared numbers x, whatever convex model is behind it. d_i: its neighbours.
    No sum has to be kept, so losses, delays and agents that go without a word leave the limit exact.

    rho: cost over squared unit of an edge's disagreement, above 0; None takes it from costs and topology.
    relax: a in (0, 1]; 1 only where every cost is strongly convex and smooth.
    channel: the faults of the run.

    Raises:
        ModelError: rho or relax out of range. NotApplicableError: edges without a way back.

    Source: Bastianello, Carli, Schenato, Todescato: Asynchronous distributed optimization over lossy networks via
    relaxed ADMM (2021).
    """

    name: ClassVar[str] = "relaxed-admm"
    takes: ClassVar[str] = "a closed form"
    lost: ClassVar[str] = "z"
    forgiving: ClassVar[bool] = True
    rank: ClassVar[int] = 20
    claims: ClassVar[Mapping[str, Claim]] = exact_but(
        noise=Claim("ball", (6.4e-3, 7.3e-3)),
        bits=Claim("biased", (0.17, 0.23)),
    )
    reveals: ClassVar[tuple[Reveal, ...]] = (Reveal("2 rho x less what it keeps for the edge", "neighbours"),)

    rho: float | None = None
    relax: float = 0.7
    channel: Channel = field(default_factory=Channel)

    def __post_init__(self) -> None:
        check_rho(self.name, self.rho)
        if not 0 < self.relax <= 1:
            raise ModelError(f"{self.name}: relax={self.relax!r} must be in (0, 1]; 0.7 is a good choice.")

    def begin(self, problem: Separable, network: Network, warm: Iterate | None, tolerance: float) -> _State:
        """z as if all agreed on the start; the multipliers of an earlier run as a flow over the edges."""
        links = network.links
        need_ways_back(self.name, links)
        del tolerance
        shared = Shared(problem)
        if self.relax == 1 and not (shared.smooth and shared.curvature[0] > 0):
            raise ModelError(f"{self.name}: relax=1 may go round in circles where an agent's cost is not strongly "
                             "convex; use relax below 1, e.g. 0.9.")  # fmt: skip
        x = shared.start(warm)
        rho = edge_penalty(shared, links, self.rho, 1.0)
        z = rho * x[links.receiver]
        g = np.zeros_like(x)
        if warm is not None:
            g = -shared.pull(warm.mu)
            z = z + flow_into(links, g)
        ones = np.ones(links.edges)
        sums = sp.csr_array((ones, np.arange(links.edges), links.start), shape=(links.size, links.edges))
        alive, degree = _alive(network)
        return _State(network, shared, Wire(network), sums, rho, alive, degree, z * alive[:, None], x, g, x)

    def round(self, state: Any) -> _State:
        """Everybody takes a proximal step and answers on each edge what came over it, reflected."""
        s: _State = state
        links, keep = s.network.links, s.network.keep
        weight = s.rho * np.maximum(s.degree, 1.0)
        # Who has lost all neighbours goes on alone.
        centre = keep(np.where(s.degree > 0, (s.sums @ s.z) / weight, s.x), s.centre)
        x, g = s.shared.prox(centre, weight, s.network.active)
        x, g = keep(x, s.x), keep(g, s.g)
        read, arrived = s.wire(2.0 * s.rho * x[links.sender] - s.z[links.opposite])
        z = (1.0 - self.relax) * s.z + self.relax * read
        if arrived is not None:
            z = np.where((arrived & s.alive)[:, None], z, s.z)
        return replace(s, z=z, x=x, g=g, centre=centre)

    def leave(self, state: Any, node: int, heir: int | None) -> _State:
        """Neighbours drop what they keep for the edge; nothing has to be handed over."""
        del heir
        s: _State = state
        alive, degree = _alive(s.network)
        return replace(s, alive=alive, degree=degree, z=s.z * alive[:, None])

    def join(self, state: Any, node: int) -> _State:
        """The new edges start as if both ends agreed with themselves: z_ij = rho x_i."""
        s: _State = state
        links = s.network.links
        alive, degree = _alive(s.network)
        new = alive & ((links.sender == node) | (links.receiver == node))
        z = np.where(new[:, None], s.rho * s.x[links.receiver], s.z)
        return replace(s, alive=alive, degree=degree, z=z)


def _alive(network: Network) -> tuple[Flags, Floats]:
    """Edges between agents who are there, shape (E,), and their number into each node, shape (N, 1)."""
    links, present = network.links, network.fates.present
    alive = present[links.sender] & present[links.receiver]
    return alive, np.bincount(links.receiver, alive, links.size)[:, None].astype(np.float64)
