"""A voltage source behind an impedance, as its Norton equivalent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.elements import Source
from gridmodel.grid.primitives.primitive import Primitive, ends, inverse

__all__ = ["norton", "source"]


def source(element: Source) -> Primitive:
    """The admittance inv(z) from the terminal's nodes to the ground.

    Raises:
        DataError: the impedance is singular or not finite.
    """
    return Primitive(ends(element.terminal), inverse(element.z, f"source {element.name}"))


def norton(element: Source) -> NDArray[np.complex128]:
    """The current inv(z) v in A that the source feeds into its nodes, shape (n,)."""
    return source(element).y @ element.v
