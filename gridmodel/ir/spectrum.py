"""How fast a graph agrees: eigenvalues of its Laplacian and of its mixing matrices."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, eigsh

from gridmodel.errors import TopologyError
from gridmodel.ir.links import Links

__all__ = ["best_gamma", "laplacian", "laplacian_spectrum", "modulus", "need_connected", "need_symmetric"]

Floats = NDArray[np.float64]

# Up to this many nodes all eigenvalues are taken; ARPACK is no faster below.
_DENSE = 400
# The same where W is not symmetric; there all eigenvalues can take seconds.
_DENSE_UNEVEN = 100
# Restarts before a slow Lanczos run gives way to one with a factorisation.
_RESTARTS = 30


def need_connected(links: Links, purpose: str) -> None:
    """Refuses a graph that falls apart, and names its parts.

    Raises:
        TopologyError: the graph is not (strongly) connected.
    """
    if links.connected:
        return
    parts = links.parts
    shown = ["{" + ", ".join(map(str, part[:3])) + (", ..." if len(part) > 3 else "") + "}" for part in parts[:3]]
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    kind = "strongly connected" if links.directed else "connected"
    raise TopologyError(
        f"{purpose} needs a {kind} topology, and this one has {len(parts)} separate parts: {', '.join(shown)}{more} "
        "(they can never agree, rho = 1); join them by edges."
    )


def need_symmetric(links: Links, purpose: str) -> None:
    """Refuses a graph in which some edge has no way back, and names it.

    Raises:
        TopologyError: an edge has no way back.
    """
    if links.symmetric:
        return
    lone = int(np.argmax(links.opposite < 0))
    one, other = links.nodes[links.sender[lone]], links.nodes[links.receiver[lone]]
    raise TopologyError(
        f"{purpose} holds for edges in both directions only, and {one} -> {other} has no way back (the Laplacian "
        "of a directed graph is not symmetric); use weights 'row' or 'column', or give graph.to_undirected()."
    )


def laplacian(links: Links, weights: Floats | None = None) -> sp.csr_array:
    """L = diag(sum_j w_ij) - [w_ij], shape (N, N), in the order of ``links.nodes``; w is 1 where it is left out."""
    values = np.ones(links.edges) if weights is None else weights
    own = np.bincount(links.receiver, values, links.size)
    return sp.csr_array(sp.diags_array(own) - links.matrix(values))


def laplacian_spectrum(links: Links, weights: Floats | None = None) -> tuple[float, float]:
    """lambda_2 and lambda_N, the least and the largest eigenvalue of L apart from that of the constant vector.

    Raises:
        TopologyError: fewer than two nodes, separate parts, or an edge without a way back.
    """
    need_symmetric(links, "the spectrum of the Laplacian")
    if links.size < 2:
        raise TopologyError(f"the spectrum of a topology needs at least two nodes, got {links.size}; add agents.")
    need_connected(links, "the spectrum of the Laplacian")
    matrix = laplacian(links, weights)
    if links.size <= _DENSE:
        values = np.linalg.eigvalsh(matrix.toarray() + 0.0)
        return float(values[1]), float(values[-1])
    return _ends(matrix)


def best_gamma(links: Links) -> float:
    """2 / (lambda_2 + lambda_N): with this gamma I - gamma L shrinks every disagreement fastest.

    Raises:
        TopologyError: as ``laplacian_spectrum``.

    Source: Xiao, Boyd: Fast linear iterations for distributed averaging (2004), section 4.1.
    """
    second, largest = laplacian_spectrum(links)
    return 2.0 / (second + largest)


def modulus(links: Links, weights: Floats, by_columns: bool = False) -> float:
    """The spectral radius of W - 11'/N: the factor by which a round of mixing shrinks disagreement in the long run.

    On a graph that varies with time, of p rounds in turn, that of W_p ... W_1 - 11'/N to the power 1/p.

    Args:
        weights: w of each edge, shape (E,). by_columns: whether the columns of W sum to one, else the rows do.

    Raises:
        TopologyError: separate parts, or no convergence on a large graph that is directed or varies with time.
    """
    if links.size < 2:
        return 0.0
    need_connected(links, "a rate of agreement")
    even = links.symmetric and np.allclose(weights, weights[links.opposite], rtol=1e-12, atol=0.0)
    if even and links.present is None:
        second, largest = laplacian_spectrum(links, weights)
        return max(abs(1.0 - second), abs(1.0 - largest))
    present = np.ones((1, links.edges), dtype=bool) if links.present is None else links.present
    rounds = [_full(links, np.where(row, weights, 0.0), by_columns) for row in present]
    radius = _dense_radius(rounds) if links.size <= _DENSE_UNEVEN else _radius(rounds)
    return float(radius ** (1.0 / len(rounds)))


def _full(links: Links, values: Floats, by_columns: bool) -> sp.csr_array:
    own = 1.0 - np.bincount(links.sender if by_columns else links.receiver, values, links.size)
    return sp.csr_array(links.matrix(values) + sp.diags_array(own))


def _start(size: int) -> Floats:
    """A fixed start, so that answers repeat; any vector with a part along the sought one does."""
    return np.random.default_rng(0).standard_normal(size)


def _ends(matrix: sp.csr_array) -> tuple[float, float]:
    """lambda_2 and lambda_N of a large L: by Lanczos, and on long graphs, where it stalls, with sparse factors."""
    size = matrix.shape[0]
    try:
        largest = _greatest(matrix)
    except ArpackNoConvergence:
        bound = 2.0 * float(matrix.diagonal().max())
        largest = _next_to(matrix, bound * (1.0 + 1e-9), 1)
    top = largest * (1 + 1e-6)
    # The constant vector, of eigenvalue 0 in L, is moved to the lower end of top I - L.
    flipped = LinearOperator(
        matrix.shape, matvec=lambda v: top * (v - v.mean()) - matrix @ v, dtype=np.dtype(np.float64)
    )
    try:
        return top - _greatest(flipped), largest
    except ArpackNoConvergence:
        return _next_to(matrix, -1e-4 * largest / size**2, 2), largest


def _greatest(matrix: sp.csr_array | LinearOperator) -> float:
    found = eigsh(matrix, k=1, which="LA", v0=_start(matrix.shape[0]), ncv=40, maxiter=_RESTARTS, tol=1e-11,
                  return_eigenvectors=False)  # fmt: skip
    return float(found[0])


def _next_to(matrix: sp.csr_array, shift: float, count: int) -> float:
    """The largest of the ``count`` eigenvalues nearest to the shift."""
    found = eigsh(sp.csc_array(matrix), k=count, sigma=shift, v0=_start(matrix.shape[0]), tol=1e-12,
                  return_eigenvectors=False)  # fmt: skip
    return float(np.max(found))


def _dense_radius(rounds: list[sp.csr_array]) -> float:
    product: Floats = np.eye(rounds[0].shape[0])
    for matrix in rounds:
        product = np.asarray(matrix @ product)
    return float(np.abs(np.linalg.eigvals(product - 1.0 / len(product))).max())


def _radius(rounds: list[sp.csr_array]) -> float:
    size = rounds[0].shape[0]

    def apply(vector: Floats) -> Floats:
        out: Floats = np.ravel(vector)
        for matrix in rounds:
            out = np.asarray(matrix @ out)
        return np.asarray(out - vector.mean())

    rest = LinearOperator((size, size), matvec=apply, dtype=np.dtype(np.float64))
    try:
        found = eigs(rest, k=1, which="LM", v0=_start(size), ncv=60, maxiter=100, tol=1e-8, return_eigenvectors=False)
    except ArpackNoConvergence:
        if size <= _DENSE:
            return _dense_radius(rounds)
        raise TopologyError(
            f"the rate of agreement of this topology of {size} nodes could not be found (its leading eigenvalues lie "
            "too close together); judge a smaller graph of the same kind, or add edges."
        ) from None
    return float(np.abs(found).max())
