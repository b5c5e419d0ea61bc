"""Weights with which nodes mix what they hear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import TopologyError
from gridmodel.ir.fastest import fastest_weights
from gridmodel.ir.links import Links
from gridmodel.ir.own_weights import own_weights
from gridmodel.ir.spectrum import best_gamma, laplacian_spectrum, need_symmetric

__all__ = ["WEIGHTS", "edge_weights"]

Floats = NDArray[np.float64]

WEIGHTS = ("metropolis", "laplacian", "max-degree", "lazy", "row", "column", "fastest")


def edge_weights(
    links: Links,
    weights: Any = "metropolis",
    *,
    sums: str | None = None,
    symmetric: bool = False,
    gamma: float | None = None,
) -> Floats:
    """The weight w_e that the receiver of each edge gives to its sender, shape (E,); the rest to 1 is its own.

    metropolis: 1 / (1 + max(d_i, d_j)), d the degrees. lazy: half of it. max-degree: 1 / (1 + max d).
    laplacian: gamma, so that W = I - gamma L. fastest: the symmetric W that agrees fastest (a semidefinite program;
    weights may be negative). row: 1 / (1 + edges into the receiver). column: 1 / (1 + edges out of the sender).

    Args:
        links: who may send to whom; for a graph that varies with time the weights of all edges together.
        weights: a name from the list, or the user's own matrix of shape (N, N), entry (i, j) what node i gives to
            node j, in the order of the user's graph.
        sums: "rows", "columns" or "both" must sum to one; left out, what the name says, and rows of a matrix.
        symmetric: whether w_ij = w_ji must hold, so that sums are kept edge by edge.
        gamma: for "laplacian", in (0, 2 / lambda_N); left out, 2 / (lambda_2 + lambda_N).

    Raises:
        TopologyError: an unknown name, a graph or a matrix that does not fit.

    Source: Xiao, Boyd: Fast linear iterations for distributed averaging (2004); Xiao, Boyd, Lall (2005) for Metropolis.
    """
    if sums not in (None, "rows", "columns", "both"):
        raise TopologyError(f"sums={sums!r}: expected 'rows', 'columns' or 'both'.")
    if gamma is not None and not (isinstance(weights, str) and weights == "laplacian"):
        raise TopologyError(f"gamma={gamma} goes with weights='laplacian' only; leave it out.")
    if not isinstance(weights, str):
        return own_weights(links, weights, sums or "rows", symmetric)
    values = _named(links, weights, gamma)
    if weights in ("row", "column"):
        _hold(links, weights, values, sums, symmetric)
    return values


def _named(links: Links, kind: str, gamma: float | None) -> Floats:
    if kind not in WEIGHTS:
        raise TopologyError(f"weights {kind!r} are unknown; choose {', '.join(WEIGHTS)}, or give a matrix.")
    if kind == "row":
        return np.asarray(1.0 / (1.0 + links.into[links.receiver]))
    if kind == "column":
        return np.asarray(1.0 / (1.0 + links.out_of[links.sender]))
    need_symmetric(links, f"weights {kind!r}")
    degree = links.into
    if kind == "laplacian":
        return np.full(links.edges, _gamma(links, gamma)) if links.edges else np.empty(0)
    if kind == "fastest":
        return fastest_weights(links)
    if kind == "max-degree":
        return np.full(links.edges, 1.0 / (1.0 + degree.max(initial=0)))
    share = 0.5 if kind == "lazy" else 1.0
    return np.asarray(share / (1.0 + np.maximum(degree[links.sender], degree[links.receiver])))


def _gamma(links: Links, gamma: float | None) -> float:
    if gamma is None:
        return best_gamma(links)
    second, largest = laplacian_spectrum(links)
    if not isinstance(gamma, int | float | np.integer | np.floating) or not 0.0 < gamma < 2.0 / largest:
        raise TopologyError(
            f"gamma={gamma!r} does not bring agreement; I - gamma L needs it in (0, {2.0 / largest:.6g}), "
            f"best {2.0 / (second + largest):.6g}, which is taken where gamma is left out."
        )
    return float(gamma)


def _hold(links: Links, kind: str, values: Floats, sums: str | None, symmetric: bool) -> None:
    """Refuses one-sided weights where the other side must sum to one or pairs must be equal."""
    into = np.bincount(links.receiver, values, links.size)
    out = np.bincount(links.sender, values, links.size)
    other = {"row": "columns", "column": "rows"}[kind]
    uneven = np.abs(into - out) > 1e-12
    if sums in (other, "both") and uneven.any():
        name = links.nodes[int(np.argmax(uneven))]
        raise TopologyError(
            f"weights {kind!r} make {kind}s sum to one, and here {other} must (those of {name} do not); "
            "use 'metropolis' on a graph with edges in both directions, or "
            f"{'column' if kind == 'row' else 'row'!r}."
        )
    if symmetric:
        need_symmetric(links, "symmetric weights")
        if (values != values[links.opposite]).any():
            raise TopologyError(f"weights {kind!r} are not symmetric on this topology; use 'metropolis'.")
