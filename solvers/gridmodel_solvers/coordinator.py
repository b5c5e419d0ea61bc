"""A coordinator and its agents, who talk over a channel that loses and delays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.links import Links
from gridmodel.ir.separable import Separable
from gridmodel.runtime.agreed import all_agreements
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.masking import RowMasks
from gridmodel.runtime.network import Network
from gridmodel.runtime.streams import Wire

__all__ = ["Heard", "Star", "limit", "pace", "star_links"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


def limit(channel: Channel) -> float:
    """The gain from which on a loop over this channel does not settle.

    v <- v - g v, answered after D rounds, shrinks for 0 < g < 2 sin(pi / (2 (2 D + 1))), D = 2 (delay + jitter): a
    packet down, a packet up. The gain of prices is step L.

    Source: Levin, May (1976), A note on difference-delay equations, for the bound.
    """
    return float(2 * np.sin(np.pi / (2 * (4 * channel.reach + 1))))


def pace(channel: Channel) -> float:
    """The gain that is safe over this channel, 1 over a perfect one: half of ``limit``, less where packets get lost.

    While nothing is heard for T rounds an error grows by 1 - g T: in the mean of squares it shrinks fastest for
    g = E T / E T^2. T is geometric where each round succeeds with its own chance, of both packets and both ends;
    in bursts of mean length B, which begin with the chance e in a round, E T = 1 + e B, E T^2 = 1 + e (B + 2 B^2).
    """
    both = channel.awake**2 * ((1 - channel.drop) ** 2 if channel.burst is None else 1.0)
    gain = both / (2 - both)
    if channel.burst is not None:
        length = channel.burst
        begin = min(1.0, 2 * channel.drop / (1 - channel.drop) / length)
        gain *= (1 + begin * length) / (1 + begin * (length + 2 * length**2))
    return gain * limit(channel) / 2


def star_links(problem: Separable) -> Links:
    """Edges both ways between a coordinator, the last node, and every agent that takes part in a coupling."""
    names = [label for stack in problem.stacks for label in stack.labels]
    hub = "coordinator"
    while hub in names:
        hub += "_"
    who = np.unique(_agents(problem))
    centre = np.full(len(who), len(names), dtype=np.intp)
    return Links.build([*names, hub], np.concatenate([centre, who]), np.concatenate([who, centre]))


@final
class Star:
    """The numbers that agents report, as flat vectors of all slots, and the way to the coordinator and back.

    at, row: agent and coupling row of each slot, shape (S,). hub: the coordinator's node.

    Raises:
        NotApplicableError: agreements that somebody leaves for good; masks on a channel that spoils them.
    """

    def __init__(self, problem: Separable, network: Network) -> None:
        gone = [who for who, at in network.channel.leaves.items() if network.channel.joins.get(who, -1) < at]
        if gone and problem.couplings.size and all_agreements(problem):
            raise NotApplicableError(
                f"a coordinator ties agents pair by pair in agreements, and {gone[0]} leaves its pairs for good, which "
                "would have the others agree on zero. Use 'relaxed-admm', which goes on with those who stay."
            )
        self.problem = problem
        self.network = network
        self.at = _agents(problem)
        self.row = np.concatenate([np.empty(0, dtype=np.intp), *(stack.rows.ravel() for stack in problem.stacks)])
        self.hub = network.links.size - 1
        slots = [np.tile(np.arange(stack.slots), stack.size) for stack in problem.stacks]
        self._slot = np.concatenate([np.empty(0, dtype=np.intp), *slots])
        who, self._edge, numbers = np.unique(self.at, return_inverse=True, return_counts=True)
        self._agents, self._width = len(who), int(numbers.max(initial=0))
        # Edges are sorted by receiver: those to the agents come first, in their order, then those to the coordinator.
        none = np.zeros_like(numbers)
        self._down = Wire(network, np.concatenate([numbers, none]))
        self._up = Wire(network, np.concatenate([none, numbers]))
        self._masks = None if network.channel.mask is None else self._masked(network.channel)

    def down(self, values: Floats) -> tuple[Floats, Flags]:
        """What agents read of the coordinator's packets, and which slots were delivered; both (S,)."""
        return self._along(self._down, self._edge, values)

    def up(self, values: Floats) -> tuple[Floats, Flags]:
        """What the coordinator reads of the agents' packets, and which slots were delivered; both (S,).

        Where the channel masks, single reports are hidden, and only the rows' sums tell something.
        """
        return self._along(self._up, self._edge + self._agents, values if self._masks is None else self._masks(values))

    def _masked(self, channel: Channel) -> RowMasks:
        assert channel.mask is not None
        spoils = [fault for fault in channel.faults if fault not in ("noise", "delay")]
        if spoils or channel.jitter or channel.leaves or channel.joins:
            why = spoils[0] if spoils else "jitter" if channel.jitter else "who leaves or joins"
            raise NotApplicableError(
                f"mask= hides reports to a coordinator where all of a round arrive together, and {why} keeps some from "
                "it; leave out one of the two, or use 'tan-yang-xu', whose masks stand it."
            )
        masks = RowMasks(self.row, channel.mask, np.random.default_rng([channel.seed, 8]))
        self.network.messages += masks.messages
        return masks

    def _along(self, wire: Wire, edge: Ints, values: Floats) -> tuple[Floats, Flags]:
        packets = np.zeros((2 * self._agents, self._width))
        packets[edge, self._slot] = values
        read, arrived = wire(packets)
        there = np.ones(len(edge), dtype=bool) if arrived is None else arrived[edge]
        return read[edge, self._slot], there

    def sums(self, values: Floats) -> Floats:
        """Sums of slots by coupling row, shape (m,)."""
        return np.bincount(self.row, values, self.problem.couplings.size).astype(float)

    def split(self, values: Floats) -> list[Floats]:
        """Values of all slots as arrays of shape (N, k), one a stack."""
        ends = np.cumsum([stack.rows.size for stack in self.problem.stacks])[:-1]
        parts = zip(self.problem.stacks, np.split(values, ends), strict=True)
        return [part.reshape(stack.rows.shape) for stack, part in parts]

    def reported(self, x: Sequence[Floats]) -> Floats:
        """C_i x_i of all agents, shape (S,)."""
        parts = zip(self.problem.stacks, x, strict=True)
        return np.concatenate([np.empty(0), *(stack.C.dot(part).ravel() for stack, part in parts)])

    def present(self, x: Sequence[Floats]) -> list[Floats]:
        """The columns, zero for agents that are not there."""
        there = self.network.fates.present[:-1]
        if there.all():
            return list(x)
        ends = np.cumsum([stack.size for stack in self.problem.stacks])[:-1]
        return [np.where(part[:, None], own, 0.0) for part, own in zip(np.split(there, ends), x, strict=True)]

    def shown(self, mu: Floats, held: Floats) -> Floats:
        """The multipliers of all rows, in every agent's own rows those that it holds, shape (N, m)."""
        out = np.tile(mu, (self.problem.blocks, 1))
        out[self.at, self.row] = held
        return out


@dataclass(frozen=True)
class Heard:
    """What the coordinator knows: the last report of every slot, who was ever heard, and who belongs to the model.

    report: shape (S,). known, member: shape (N,). begun: rows of which all first members were heard, shape (m,).
    """

    report: Floats
    known: Flags
    member: Flags
    begun: Flags

    @classmethod
    def at_start(cls, star: Star, report: Floats, known: bool) -> Heard:
        """Before the first round; ``known`` where an earlier run left the reports behind."""
        agents, rows = star.problem.blocks, star.problem.couplings.size
        member = star.network.fates.present[:-1].copy()
        return cls(report, np.full(agents, known), member, np.full(rows, known))

    def hear(self, star: Star, read: Floats, arrived: Flags) -> Heard:
        """With the packets of a round."""
        known = self.known.copy()
        known[star.at[arrived]] = True
        waiting = star.sums((~known & self.member)[star.at].astype(float))
        return replace(self, report=np.where(arrived, read, self.report), known=known,
                       begun=self.begun | (waiting == 0))  # fmt: skip

    def counts(self, star: Star) -> Flags:
        """Slots that count: of members that were heard, shape (S,)."""
        return (self.known & self.member)[star.at]

    def belongs(self, node: int, member: bool) -> Heard:
        """After an agent came, or took its leave."""
        changed, known = self.member.copy(), self.known.copy()
        changed[node] = member
        known[node] &= not member
        return replace(self, member=changed, known=known)


def _agents(problem: Separable) -> Ints:
    """The agent of each slot, shape (S,)."""
    first = np.cumsum([0, *(stack.size for stack in problem.stacks)])
    parts = [np.repeat(start + np.arange(s.size), s.slots) for start, s in zip(first, problem.stacks, strict=False)]
    return np.concatenate([np.empty(0, dtype=np.intp), *parts]).astype(np.intp)
