"""Self-supervised learning by gradients: penalties, no multipliers, no reuse. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.calls import Called
from gridmodel_solvers.gradmap.descent import AbstractDescent
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.updates import descend

__all__ = ["SSL"]


@final
@dataclass(frozen=True)
class SSL(AbstractDescent):
    """Back-propagation through the roll-out and one step of Adam a round, the baseline that GradMAP is compared with.

    Margin, penalty and rate are not GradMAP's: both were tuned on ``grid_edge``, where exact gradients cost more and
    gained nothing.
    """

    name: ClassVar[str] = "ssl"
    margin: float = 3e-3
    penalty: float = 2.0
    rate: float = 1.7e-2

    def improve(
        self, moments: Moments, sizes: tuple[int, ...], called: Called, k: int, rate: float, progress: float
    ) -> int:
        """One step of Adam."""
        return descend(moments, sizes, called.seen[k], called.gradients[k], rate)

    def duals(self) -> Duals | None:
        """None: penalties only."""
        return None
