"""What ties agents together, as the user wrote it."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from gridmodel.language.price import price_sign
from gridmodel.language.source import Place

__all__ = ["Coupling"]


@dataclass(frozen=True)
class Coupling:
    """A named constraint over several agents."""

    name: str
    constraint: cp.Constraint
    unit: str | None
    place: Place

    @property
    def price_sign(self) -> float | None:
        """The factor between cvxpy's dual and the price; None where a cone has no price."""
        return price_sign(self.constraint)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the constraint, hence of its price."""
        return tuple(int(k) for k in self.constraint.shape)

    def __str__(self) -> str:
        return f"coupling {self.name!r} at {self.place}"

    def size(self) -> int:
        """The number of scalar rows."""
        return int(np.prod(self.shape))
