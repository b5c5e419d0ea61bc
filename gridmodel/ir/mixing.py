"""Weights with which nodes mix what they hear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.links import Links

__all__ = ["edge_weights"]

Floats = NDArray[np.float64]


def edge_weights(links: Links, kind: str = "metropolis") -> Floats:
    """The weight w_e that the receiver of each edge gives to its sender, shape (E,)."""
    degree = links.into
    if kind == "metropolis":
        return np.asarray(1.0 / (1.0 + np.maximum(degree[links.sender], degree[links.receiver])))
    raise ValueError(kind)
