"""Whether those who are there can still reach each other when agents leave and come."""

from __future__ import annotations

import numpy as np

from gridmodel.errors import TopologyError
from gridmodel.ir.links import Links
from gridmodel.runtime.channel import Channel

__all__ = ["check_membership"]


def check_membership(links: Links, channel: Channel) -> None:
    """Raises where leaving and joining cuts the topology.

    Raises:
        TopologyError: from some round on nobody is there, or those who are there are in separate parts.
    """
    if not (channel.leaves or channel.joins):
        return
    place = {name: k for k, name in enumerate(links.nodes)}
    # Who takes part in no coupling has no edge to a coordinator, and is not missed.
    reached = np.bincount(np.concatenate([links.sender, links.receiver]), minlength=links.size) > 0
    for at in sorted({0, *channel.leaves.values(), *channel.joins.values()}):
        present = np.array([_is_there(name, at, channel) for name in place])
        if not present.any():
            raise TopologyError(f"channel: from round {at} on no agent is there; let at least one stay.")
        present &= reached | ~reached.any()
        alive = present[links.sender] & present[links.receiver]
        number = np.cumsum(present) - 1
        kept = [name for name in links.nodes if present[place[name]]]
        rest = Links.build(kept, number[links.sender[alive]], number[links.receiver[alive]], links.directed)
        if not rest.connected:
            count, part = rest.components
            groups = [[kept[k] for k in np.flatnonzero(part == label)] for label in range(min(count, 3))]
            shown = ", ".join(
                "{" + ", ".join(group[:3]) + (", ..." if len(group) > 3 else "") + "}" for group in groups
            )
            raise TopologyError(
                f"channel: from round {at} on the topology falls apart into {count} parts, {shown}, because of who is "
                "not there; add edges that go round those who leave, or let them stay."
            )


def _is_there(name: str, at: int, channel: Channel) -> bool:
    """Whether an agent belongs to the model in round ``at``; who joins after leaving was there before, too."""
    leave, join = channel.leaves.get(name), channel.joins.get(name)
    if leave is None:
        return join is None or at >= join
    if join is None:
        return at < leave
    return join <= at < leave if join < leave else at < leave or at >= join
