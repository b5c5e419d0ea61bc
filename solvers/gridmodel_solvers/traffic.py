"""What a round of an algorithm sends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.ir.properties import Traffic
from gridmodel.ir.separable import Separable
from gridmodel.ir.smooth import SmoothProblem

__all__ = ["edge_traffic", "slots", "star_traffic"]

Ints = NDArray[np.intp]


def slots(problem: Separable | SmoothProblem) -> list[tuple[int, int]]:
    """(blocks, coupling rows that each of them touches) of every stack in which they touch any."""
    if isinstance(problem, SmoothProblem):
        return [(1, len(block.rows)) for block in problem.blocks if len(block.rows)]
    return [(stack.size, stack.slots) for stack in problem.stacks if stack.slots]


def star_traffic(problem: Separable | SmoothProblem, memory: int = 0) -> Traffic:
    """A coordinator and each agent send each other one number a coupling row that the agent touches.

    memory: of the acceleration; an agent's part of its 2 ``memory`` + 1 sums goes along, none where it is 0.
    """
    found = slots(problem)
    reach = sum(count for count, _ in found)
    return Traffic(2 * reach, 2 * sum(count * k for count, k in found) + (reach * (2 * memory + 1) if memory else 0))


def edge_traffic(rows: Sequence[Ints], memory: int) -> Traffic:
    """What ends of rows of two send each other in a round, and what sums over all blocks take along a spanning tree.

    Args:
        rows: coupling rows of each block.
        memory: of the acceleration; 2 ``memory`` + 5 sums go up and down the tree, none where it is 0.
    """
    ends: dict[int, list[int]] = {}
    for block, own in enumerate(rows):
        for row in own.tolist():
            ends.setdefault(row, []).append(block)
    shared = [(two[0], two[1]) for two in ends.values() if len(two) == 2]
    pairs = set(shared)
    tree = 0
    if memory and pairs:
        one, other = np.array(sorted(pairs)).T
        graph = sp.coo_array((np.ones(len(pairs)), (one, other)), shape=(len(rows), len(rows)))
        tree = len(rows) - connected_components(graph, directed=False)[0]
    return Traffic(2 * (len(pairs) + tree), 2 * len(shared) + 2 * tree * (2 * memory + 5))
