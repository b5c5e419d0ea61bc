"""Flows over edges that carry given numbers into nodes."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import laplacian

__all__ = ["flow_into"]

Floats = NDArray[np.float64]


def flow_into(links: Links, p: Floats) -> Floats:
    """y_e = h_receiver - h_sender, the least in sum of squares, whose sum into each node i is p_i; shape (E, d).

    Args:
        links: connected, with edges in both directions; else nothing flows.
        p: shape (N, d), zero in sum.
    """
    h = np.zeros_like(p)
    if links.connected and links.size > 1:
        h[1:] = splu(sp.csc_matrix(laplacian(links)[1:, 1:])).solve(np.ascontiguousarray(p[1:]))
    return np.asarray(h[links.receiver] - h[links.sender])
