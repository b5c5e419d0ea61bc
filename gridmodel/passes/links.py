"""The topology in the order of the blocks."""

from __future__ import annotations

from collections.abc import Sequence

from gridmodel.ir.links import Links
from gridmodel.ir.stack import Stack
from gridmodel.language.topology import Topology

__all__ = ["links_of"]


def links_of(topology: Topology | None, stacks: Sequence[Stack]) -> Links | None:
    """Who may send to whom among the stacks' blocks; None without a topology.

    An operator that the compiler made for a cost over several agents has no place in the topology: None as well.
    """
    names = [label for stack in stacks for label in stack.labels]
    if topology is None or len(names) != len(topology.links.nodes):
        return None
    return topology.links.reordered(names)
