"""The linear part of a multiphase network over its nodes: Y v = i."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["NodeSystem"]


@dataclass(frozen=True)
class NodeSystem:
    """Y v = source + i: all linear elements, the sources as their Norton equivalents.

    nodes: names "bus.number", n of them. base: V, shape (n,). Y: sparse, shape (n, n), S. source: Norton currents of
    the sources in A, shape (n,). i: what loads and generators inject, A. connected: whether a path of elements leads
    from a source to the node, shape (n,); other nodes are left out of Y's factorisation and have voltage 0.
    """

    nodes: tuple[str, ...]
    base: NDArray[np.float64]
    Y: sp.csc_array
    source: NDArray[np.complex128]
    connected: NDArray[np.bool_]
