"""GradMAP and GradMA: decentralised policies down network gradients, with and without their reuse. Needs torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from gridmodel_solvers.gradmap.adam import Moments
from gridmodel_solvers.gradmap.calls import Called
from gridmodel_solvers.gradmap.descent import AbstractDescent
from gridmodel_solvers.gradmap.duals import Duals
from gridmodel_solvers.gradmap.schedule import falling
from gridmodel_solvers.gradmap.updates import Proximal, descend

__all__ = ["GradMA", "GradMAP"]


@dataclass(frozen=True)
class _AbstractPriced(AbstractDescent):
    """ascent: of the multipliers, which every node with limits has."""

    ascent: Duals = field(default_factory=Duals, kw_only=True)

    def duals(self) -> Duals | None:
        """Of every node."""
        return self.ascent


@final
@dataclass(frozen=True)
class GradMAP(_AbstractPriced):
    """Every call of the environment serves many updates of all policies, inside a trust region of actions.

    delta: the trust region, falls to 30 %. reach: of single actions, in deltas. epochs, parts: of the regression.
    ascent: of the multipliers.

    Source: reconstructed from the abstract of Zhou, Zeng and Morstyn, GradMAP (arXiv 2604.24549); see ``Proximal``.
    """

    name: ClassVar[str] = "gradmap"
    delta: float = 0.3
    reach: float = 2.0
    epochs: int = 3
    parts: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("delta", "reach", "epochs", "parts")

    def improve(
        self, moments: Moments, sizes: tuple[int, ...], called: Called, k: int, rate: float, progress: float
    ) -> int:
        """The proximal regression."""
        nearer = Proximal(falling(self.delta, 0.3, progress), self.reach, self.epochs, self.parts)
        return nearer(moments, sizes, called.raw[k], called.seen[k], called.gradients[k], rate)


@final
@dataclass(frozen=True)
class GradMA(_AbstractPriced):
    """GradMAP without reuse: one update of all policies per call of the environment."""

    name: ClassVar[str] = "gradma"

    def improve(
        self, moments: Moments, sizes: tuple[int, ...], called: Called, k: int, rate: float, progress: float
    ) -> int:
        """One step of Adam."""
        return descend(moments, sizes, called.seen[k], called.gradients[k], rate)
