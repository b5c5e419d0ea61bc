"""A capacitor, a reactor or another linear element that stands at one bus."""

from __future__ import annotations

from gridmodel.grid.elements import Shunt
from gridmodel.grid.primitives.primitive import Primitive, ends

__all__ = ["shunt"]


def shunt(element: Shunt) -> Primitive:
    """The element's own admittance matrix between the nodes of its terminal."""
    return Primitive(ends(element.terminal), element.y)
