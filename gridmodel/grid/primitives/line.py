"""A line, a switch or any other series element as a pi section."""

from __future__ import annotations

import numpy as np

from gridmodel.grid.elements import Line
from gridmodel.grid.primitives.primitive import Primitive, ends, inverse

__all__ = ["line"]


def line(element: Line) -> Primitive:
    """y = [[g, -h], [-h, g]], h = inv(z), g = h + y/2; conductors of start, then of end.

    Raises:
        DataError: the series impedance is singular or not finite.
    """
    series = inverse(element.z, f"line {element.name}")
    own = series + element.y / 2
    return Primitive(ends(element.start, element.end), np.block([[own, -series], [-series, own]]))
