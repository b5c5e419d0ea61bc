"""The runtime of algorithms in which agents talk: only neighbours are heard, everything sent is counted, faults happen.

An algorithm asks a ``Network`` for streams at its start, one for each quantity that it sends, and calls ``tick`` at
the start of every round; the streams (``gridmodel.runtime.streams``) then carry values under the fates of the round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import MIX_RULES, PUSH_RULES, Channel
from gridmodel.runtime.coding import Coder
from gridmodel.runtime.fates import Fates
from gridmodel.runtime.masking import cancelling

__all__ = ["Network", "Watcher"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


class Watcher(Protocol):
    """A stream that remembers something of edges."""

    def change(self) -> None:
        """Called in a round in which nodes left or joined, before the algorithm's part of it."""


class Network:
    """Links between agents, the fates of the round, and what was sent so far.

    links: who may send to whom. channel: its faults. messages: sent so far; lost packets count.
    noise: generator of what the channel adds to numbers, apart from the fates so that these do not depend on it.
    releases: how many quantities each agent has sent under ``channel.privacy``, shape (N,).

    Raises:
        ModelError: difference coding over links that come and go.
    """

    def __init__(self, links: Links, channel: Channel | None = None) -> None:
        self.links = links
        self.channel = channel or Channel()
        if links.present is not None and self.channel.coding == "difference":
            raise ModelError("channel: coding='difference' needs that every packet arrives, and the topology varies "
                             "with time. Use coding='fixed'.")  # fmt: skip
        self.fates = Fates(links, self.channel)
        seed = self.channel.seed
        self.noise, self._hiding, self._masking = (np.random.default_rng([seed, k]) for k in (1, 5, 6))
        self.messages = 0
        self.releases = np.zeros(links.size, dtype=np.intp)
        self._bytes = 0
        self._packets = 0
        self._bits: int | Ints = 0
        self._rules: set[str] = set()
        self._watchers: list[Watcher] = []

    @property
    def is_plain(self) -> bool:
        """Whether every packet of every round arrives at once, whole and exact."""
        return self.channel.is_ideal and self.links.present is None

    @property
    def round(self) -> int:
        """The round under way, counted from 0; -1 before the first tick."""
        return self.fates.round

    @property
    def active(self) -> Flags | None:
        """Which nodes take part in the round, shape (N,); None where all do."""
        return self.fates.active

    @property
    def bytes(self) -> int:
        """Bytes sent so far: a packet takes whole bytes, all its quantities together; lost packets count."""
        if isinstance(self._bits, int):
            return self._bytes + self._packets * -(-self._bits // 8)
        sizes = -(-self._bits // 8)
        return self._bytes + int((sizes if self.fates.sent is None else sizes[self.fates.sent]).sum())

    def tick(self) -> None:
        """Begins a round: every node that takes part sends one packet to each node that hears it.

        Raises:
            ModelError: the channel's rule is none of those that the algorithm's streams can follow.
        """
        if self.round < 0:
            self._check_rule()
        self._bytes, self._bits = self.bytes, 0
        self.fates.draw()
        sent = self.fates.sent
        self._packets = self.links.edges if sent is None else int(np.count_nonzero(sent))
        self.messages += self._packets
        if self.fates.left or self.fates.joined:
            for watcher in self._watchers:
                watcher.change()

    def keep(self, new: Floats, old: Floats) -> Floats:
        """``new`` for nodes that take part in the round, ``old`` for those that sleep; rows are nodes."""
        if self.active is None:
            return new
        kept = new.copy()
        asleep = np.flatnonzero(~self.active)
        kept[asleep] = old[asleep]
        return kept

    def heir(self, node: int) -> int | None:
        """A present neighbour that hears ``node``, first one that takes part in the round; None without."""
        links = self.links
        hears = links.receiver[links.sender == node]
        hears = hears[self.fates.present[hears]]
        awake = hears if self.active is None else hears[self.active[hears]]
        found = awake if len(awake) else hears
        return int(found[0]) if len(found) else None

    def masked(self, values: Floats) -> Floats:
        """Initial values of which only the sum over nodes counts, hidden by random numbers that cancel in it.

        For what an algorithm mixes ``paired`` or deals by ``sums`` or ``ack`` and tracks: its sum is kept from then
        on. Unchanged where the channel has no ``mask``; else every node sends a message along each of its edges.

        Args:
            values: shape (N, d).
        """
        if self.channel.mask is None:
            return values
        self.messages += self.links.edges
        self._bytes += self.links.edges * 8 * values.shape[1]
        return values + cancelling(self.links, values.shape[1], self.channel.mask, self._masking, self.fates.present)

    def veiled(self, values: Floats) -> Floats:
        """What is sent of a quantity under ``channel.privacy``, shape (N, d) or (E, d); each row is one release."""
        privacy = self.channel.privacy
        if privacy is None:
            return values
        return privacy(values, self._hiding)

    def released(self, edges: Flags | None = None) -> None:
        """Counts one quantity as released by every node that takes part.

        Args:
            edges: which edges carry one of their own, each a release, shape (E,); None where it is the same for all.
        """
        if self.channel.privacy is None:
            return
        if edges is None:
            self.releases += True if self.active is None else self.active
        else:
            on = edges if self.fates.sent is None else edges & self.fates.sent
            self.releases += np.bincount(self.links.sender[on], minlength=self.links.size)

    def count(self, numbers: int | Ints, coder: Coder) -> None:
        """Adds ``numbers`` to every packet of this round, or to each edge's its own, shape (E,)."""
        self._bits = self._bits + numbers * coder.bits_of_number + (numbers > 0) * coder.bits_of_scale

    def watch(self, stream: Watcher) -> None:
        """Tells the stream of nodes that leave or join."""
        self._watchers.append(stream)

    def rule(self, own: str, known: Sequence[str]) -> str:
        """The channel's rule where it is one of ``known``, else the stream's ``own``."""
        if own not in known:
            raise ModelError(f"rule {own!r} is unknown here; use one of {', '.join(known)}.")
        self._rules |= set(known)
        asked = self.channel.rule
        return asked if asked is not None and asked in known else own

    def _check_rule(self) -> None:
        asked = self.channel.rule
        if asked is None or asked in self._rules:
            return
        family = "what is mixed" if asked in MIX_RULES else "shares that are dealt"
        if not self._rules:
            mend = "this algorithm sends a number of its own along every edge and needs none; leave rule out"
        else:
            usable = [name for name in MIX_RULES + PUSH_RULES if name in self._rules]
            mend = f"this algorithm knows {', '.join(usable)}"
        raise ModelError(f"channel: rule={asked!r} is a rule for {family}, and {mend}.")
