"""What the forms of ADMM over edges share: the automatic penalty and what they ask of a topology."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import laplacian_spectrum
from gridmodel_solvers.agreement.shared import Shared

__all__ = ["check_rho", "edge_penalty", "need_ways_back"]

Floats = NDArray[np.float64]


def check_rho(name: str, rho: float | None) -> None:
    """Refuses a penalty that is not positive.

    Raises:
        ModelError: rho <= 0, or no number.
    """
    if rho is not None and not 0 < rho < np.inf:
        raise ModelError(f"{name}: rho={rho!r} is the weight of disagreement on an edge and must be above 0; "
                         "leave it out to have it chosen.")  # fmt: skip


def edge_penalty(shared: Shared, links: Links, rho: float | None, share: float) -> Floats:
    """The penalty of each shared number on every edge, shape (d,).

    rho, or share * s / sqrt(mean degree * lambda_2), s the cost over squared range (mean curvature) and lambda_2 of the
    Laplacian: agreement is as fast as costs give way, and the number of rounds does not depend on units.

    Source: the shape of the best penalty in Shi, Ling, Yuan, Wu, Yin (2014), section IV; the factor by trial.
    """
    if rho is not None:
        return np.full(shared.d, float(rho))
    if links.size < 2 or not links.connected:
        return shared.stiffness
    second, _ = laplacian_spectrum(links)
    return np.asarray(share * shared.stiffness / np.sqrt(float(links.into.mean()) * second))


def need_ways_back(name: str, links: Links) -> None:
    """Refuses a graph with an edge that has no way back, and names the edge.

    Raises:
        NotApplicableError: an edge has no way back.
    """
    lone = np.flatnonzero(links.opposite < 0)
    if len(lone):
        one, other = links.nodes[links.sender[lone[0]]], links.nodes[links.receiver[lone[0]]]
        raise NotApplicableError(
            f"{name} needs edges in both directions, and {one} -> {other} has no way back; "
            "use push-pull, or connect graph.to_undirected()."
        )
