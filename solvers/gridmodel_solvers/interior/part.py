"""What the interior point method asks of an agent, or of a stack of them: Newton's step, condensed onto its rows."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEAR", "AbstractPart", "Linearised", "Point", "Residuals", "reach"]

Floats = NDArray[np.float64]

NEAR = 1e-4
"""Complementarity of limits that do not bind, where a search starts near an answer."""


@dataclass(frozen=True)
class Point:
    """Columns, multipliers of equations, slacks s and multipliers z of limits, all scaled; as a direction: changes.

    x: (..., n). nu: (..., m). s, z: (..., limits), lower bounds first, then upper ones, then the rest.
    """

    x: Floats
    nu: Floats
    s: Floats
    z: Floats

    def moved(self, primal: float, dual: float, by: Point) -> Point:
        """The point after a step."""
        return Point(
            self.x + primal * by.x, self.nu + dual * by.nu, self.s + primal * by.s, self.z + dual * by.z
        )  # fmt: skip


@dataclass(frozen=True)
class Residuals:
    """slope: gradients of the Lagrangian. side: what equations miss. gap: the room of limits, less their slacks."""

    slope: Floats
    side: Floats
    gap: Floats


class Linearised(Protocol):
    """A part's system at a point."""

    @property
    def rest(self) -> Residuals:
        """The residuals there."""


T = TypeVar("T", bound=Linearised)


class AbstractPart(abc.ABC, Generic[T]):
    """n: columns. degree: limits, as the barrier counts them. T: the part's system at a point."""

    n: int
    degree: int

    @abc.abstractmethod
    def start(self, barrier: float) -> Point:
        """Where a search begins, with multipliers on the central path of height ``barrier``."""

    @abc.abstractmethod
    def near(self, x: Floats, nu: Floats, zeta: Floats, mu: Floats) -> Point:
        """A start near an earlier answer; multipliers of bounds are found from the gradient."""

    @abc.abstractmethod
    def gradient(self, point: Point, mu: Floats) -> Floats:
        """Of the Lagrangian by the columns; mu: of all coupling rows."""

    @abc.abstractmethod
    def residuals(self, point: Point, mu: Floats) -> Residuals:
        """What is off at a point."""

    @abc.abstractmethod
    def report(self, x: Floats, total: Floats) -> None:
        """Adds C x to ``total``, one entry a coupling row."""

    @abc.abstractmethod
    def schur(self, terms: T, total: Floats) -> None:
        """Adds C K^-1 C' to ``total``."""

    @abc.abstractmethod
    def target(self, point: Point, terms: T, gamma: float, by: Point | None) -> Floats:
        """What changes of s and z must come to for s z = gamma, to second order where the step is about ``by``."""

    @abc.abstractmethod
    def towards(self, terms: T, share: float, target: Floats) -> Floats:
        """K^-1 of the right side of a step that mends a share of all residuals, its first n entries of columns."""

    @abc.abstractmethod
    def direction(self, terms: T, share: float, target: Floats, free: Floats, du: Floats) -> Point:
        """The step once the changes du of the coupling multipliers are known; free: as ``towards`` gave it."""

    @abc.abstractmethod
    def reach(self, point: Point, by: Point) -> tuple[float, float]:
        """The largest primal and dual steps that keep slacks and multipliers inside their cones."""

    @abc.abstractmethod
    def product(self, point: Point) -> float:
        """s'z."""


def reach(s: Floats, ds: Floats, there: NDArray[np.bool_] | bool = True) -> float:
    """The largest t with s + t ds >= 0 where ``there``; inf where there is no end."""
    most = float(np.divide(-ds, s, out=np.zeros_like(s), where=there).max(initial=0.0))
    return 1.0 / most if most > 0 else np.inf
