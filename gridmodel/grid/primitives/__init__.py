"""Primitive admittance matrices: what one element alone does between the nodes of its terminals."""

from gridmodel.grid.primitives.line import line
from gridmodel.grid.primitives.primitive import Primitive
from gridmodel.grid.primitives.shunt import shunt
from gridmodel.grid.primitives.source import norton, source
from gridmodel.grid.primitives.transformer import transformer, winding_ends, winding_voltage

__all__ = ["Primitive", "line", "norton", "shunt", "source", "transformer", "winding_ends", "winding_voltage"]
