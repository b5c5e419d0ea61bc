"""Step lengths for prices that agents move by themselves, from their reactions, their graph and its faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.links import Links
from gridmodel.ir.mixing import edge_weights
from gridmodel.ir.separable import Separable
from gridmodel.ir.spectrum import laplacian_spectrum, modulus
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.curvature import largest_eigenvalue, response
from gridmodel_solvers.dispatch.sides import Sides

__all__ = ["Mixing", "Reaction", "mixing", "reaction"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mixing:
    """Weights of a round and what follows from them.

    weights: what the receiver of an edge gives its sender, rows sum to one, shape (E,). shares: what the sender of an
    edge deals its receiver, columns sum to one, shape (E,). gap: how much of a disagreement a round takes away.
    ratio: largest product of step and reaction for which prices surely settle (proven where ``proven``).
    lag: how much slower the mean moves because shares are under way.
    """

    weights: Floats
    shares: Floats
    gap: float
    ratio: float
    proven: bool
    lag: float


def mixing(links: Links, kind: Any, channel: Channel) -> Mixing:
    """Weights damped so that no eigenvalue is negative, and under delay so that every node keeps half of its own.

    With symmetric W on both sides, and reactions whose slopes stay between 0 and T, mu <- W mu + e z,
    z <- W z + change of the report settles for  e T < (1 + lambda_min(W))^2 / 2 : by the circle criterion
    Re h(z) > -1 / (e T) on the unit circle for h(z) = (z - 1) / (z - lambda)^2, which is least at z = -1.

    Args:
        links: who may send to whom.
        kind: as in ``edge_weights``; None takes "metropolis", and "row" with "column" where some edge has no way back.
        channel: its faults.

    Source: the criterion is derived here; Zames (1966) for the circle criterion.
    """
    late = channel.delay + channel.jitter
    if not links.symmetric:
        weights, shares = edge_weights(links, kind or "row", sums="rows") / 2, edge_weights(links, "column") / 2
        gap = 1.0 - max(modulus(links, weights), modulus(links, shares, by_columns=True))
        ratio, proven = 0.5, False
    else:
        weights = edge_weights(links, kind or "metropolis", symmetric=True)
        second, largest = laplacian_spectrum(links, weights) if links.size > 1 else (1.0, 1.0)
        damping = min(1.0, 1.0 / largest)
        if late:
            damping = min(damping, 0.5 / float(np.bincount(links.receiver, weights).max(initial=0.5)))
        weights = shares = damping * weights
        gap, ratio, proven = damping * second, (2.0 - damping * largest) ** 2 / 2, late == 0
    passed = float(np.bincount(links.sender, shares, links.size).mean())
    up = float(links.present.mean()) if links.present is not None else 1.0
    return Mixing(weights, shares, gap * (1 - channel.drop) * channel.awake * up, ratio, proven, 1.0 + late * passed)


@dataclass(frozen=True)
class Reaction:
    """How strongly agents react to prices.

    unit: step that brings the sum of all reactions of a condition to one, halved where a row has two, shape (k,).
    all: largest eigenvalue of all agents' reaction in these units. one: the largest of a single agent's.
    most: the largest of a single agent's, in units of the rows over prices.
    """

    unit: Floats
    all: float
    one: float
    most: float

    def step(self, agents: int, made: Mixing, share: float = 2.0) -> Floats:
        """Step of every condition: as fast as the graph mixes, and at most half of what surely settles.

        Args:
            agents: N. made: the weights. share: over the speed at which the graph mixes; 2 was fastest in trials.
        """
        fast = share * made.gap * made.lag * agents / self.all if self.all else np.inf
        return self.unit * min(fast, 0.5 * made.ratio / self.one if self.one else agents)


def reaction(problem: Separable, sides: Sides, name: str) -> Reaction:
    """The agents' reactions, from their matrices alone.

    Raises:
        NotApplicableError: an agent's answer to prices jumps.
    """
    m, found, total = problem.couplings.size, [], sp.csr_array((problem.couplings.size, problem.couplings.size))
    for stack in problem.stacks:
        T = response(stack)
        if T is None:
            raise NotApplicableError(
                f"{name}: the response of {stack.labels[0]} to prices jumps (no strong convexity along the "
                "couplings), so prices would never settle. Use 'relaxed-dual-consensus', or give the cost a "
                "quadratic term in what the agent reports."
            )
        found.append(T)
        at = np.repeat(stack.rows[:, :, None], stack.slots, axis=2)
        values = np.broadcast_to(T, at.shape).ravel()
        total = total + sp.csr_array((values, (at.ravel(), at.transpose(0, 2, 1).ravel())), shape=(m, m))
    own = total.diagonal()
    # Where nobody reacts, any price will do.
    unit = np.where(own > 0, 1.0 / np.where(own > 0, own, 1.0), sides.offers.penalty / problem.blocks)
    root = sp.diags_array(np.sqrt(unit))
    one = most = 0.0
    for stack, T in zip(problem.stacks, found, strict=True):
        scale = np.sqrt(unit[stack.rows if len(T) > 1 else np.unique(stack.rows, axis=0)])
        one = max(one, _largest(scale[:, :, None] * T * scale[:, None, :]))
        most = max(most, _largest(T))
    halved = np.where(sides.split, 0.5, 1.0)
    return Reaction(unit[sides.row] * halved, largest_eigenvalue(sp.csr_array(root @ total @ root)), one,
                    most * float(1 / halved.min(initial=1.0)))  # fmt: skip


def _largest(matrices: Floats) -> float:
    return float(np.linalg.eigvalsh(matrices).max(initial=0.0)) if matrices.size else 0.0
