"""Devices whose power can be moved within limits: storage, solar panels, charging, heating."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridmodel.errors import ModelError
from gridmodel.language.agent import Agent

__all__ = ["FlexibleDevice"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FlexibleDevice:
    """A device that draws p_t kW, p_min_t <= p_t <= p_max_t, and, where it stores, has a level

    x_{t+1} = retention x_t + step min(charge p_t, p_t / discharge) + inflow_t,   level_min_t <= x_{t+1} <= level_max_t

    The level rises with the power: of two paths of which one draws no less at any step, it has no lower level.

    bus, nodes: where it is connected; no nodes for all phases of the bus. delta: between the nodes, not to ground.
    p_min, p_max: kW, numbers or shape (T,); solar panels draw -available .. 0. level: at the start in kWh (or degrees),
    None for a device without storage. charge, discharge: efficiencies in (0, 1], for heating charge is degrees a kWh.
    retention: share of the level that is left after a step. inflow: what else changes it a step. level_min, level_max:
    numbers or shape (T,), after each step; a car that has to be full when it leaves has a high level_min from then on.
    power_factor: lagging, of what it draws.
    """

    name: str
    bus: str
    p_min: ArrayLike
    p_max: ArrayLike
    nodes: tuple[int, ...] = ()
    delta: bool = False
    level: float | None = None
    level_min: ArrayLike = 0.0
    level_max: ArrayLike = np.inf
    charge: float = 1.0
    discharge: float = 1.0
    retention: float = 1.0
    inflow: ArrayLike = 0.0
    power_factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("discharge", "retention", "power_factor"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ModelError(
                    f"device {self.name!r}: {name}={getattr(self, name)!r}, expected above 0 and at most 1."
                )
        if not self.charge > 0.0 or (self.discharge < 1.0 and self.charge * self.discharge > 1.0):
            raise ModelError(f"device {self.name!r}: charge={self.charge!r} stores more than was drawn.")

    @property
    def phasor(self) -> complex:
        """p + j q a kW of p."""
        return complex(1.0, np.sqrt(1.0 - self.power_factor**2) / self.power_factor)

    def bounds(self, steps: int) -> tuple[Floats, Floats]:
        """Least and largest power at every step.

        Raises:
            ModelError: arrays of another length, not finite, or crossed.
        """
        low, high = self._series("p_min", steps), self._series("p_max", steps)
        if not (np.isfinite(low).all() and np.isfinite(high).all()) or (low > high).any():
            raise ModelError(f"device {self.name!r}: p_min and p_max must be finite, and p_min at most p_max.")
        return low, high

    def declare(self, agent: Agent, steps: int, step: float) -> None:
        """The two paths ``low`` and ``high`` of the device, the first below the second."""
        low, high = self.bounds(steps)
        above, below = (agent.variable(name, steps, bounds=(low, high), unit="kW") for name in ("high", "low"))
        agent.subject_to(below <= above, name="ordered")
        if self.level is None:
            return
        decay = np.tril(self.retention ** np.subtract.outer(np.arange(steps), np.arange(steps)))
        rest = self.level * self.retention ** np.arange(1, steps + 1) + decay @ self._series("inflow", steps)
        least, most = self._series("level_min", steps), self._series("level_max", steps)
        # The upper path is charged at its efficiency throughout: exact where it charges, on the safe side elsewhere.
        finite = np.isfinite(most)
        if finite.any():
            agent.subject_to(
                (step * self.charge * decay @ above)[finite] <= (most - rest)[finite], name="highest level"
            )
        stored = cp.minimum(self.charge * below, below / self.discharge) if self._loses else self.charge * below
        finite = np.isfinite(least)
        if finite.any():
            agent.subject_to((step * decay @ stored)[finite] >= (least - rest)[finite], name="lowest level")

    def levels(self, p: Floats, step: float) -> Floats:
        """The levels after every step under the powers p in kW, shape (T,); NaN for a device without storage."""
        if self.level is None:
            return np.full(p.shape, np.nan)
        x, found, inflow = self.level, [], self._series("inflow", p.size)
        for t, power in enumerate(p):
            stored = min(self.charge * power, power / self.discharge) if self._loses else self.charge * power
            x = self.retention * x + step * stored + inflow[t]
            found.append(x)
        return np.array(found)

    def violation(self, p: Floats, step: float) -> float:
        """By how much the powers p break the device's limits: kW, or units of its level."""
        low, high = self.bounds(p.size)
        worst = float(np.maximum(low - p, p - high).max(initial=0.0))
        if self.level is not None:
            x = self.levels(p, step)
            sides = self._series("level_min", p.size) - x, x - self._series("level_max", p.size)
            worst = max(worst, float(np.maximum(*sides).max(initial=0.0)))
        return worst

    @property
    def _loses(self) -> bool:
        """Whether drawing and giving back store differently; a device that never gives back has discharge 1."""
        return self.discharge < 1.0

    def _series(self, name: str, steps: int) -> Floats:
        values = np.asarray(getattr(self, name), dtype=np.float64)
        if values.shape not in ((), (steps,)) or np.isnan(values).any():
            raise ModelError(f"device {self.name!r}: {name} has shape {values.shape}, expected a number or ({steps},).")
        return np.array(np.broadcast_to(values, (steps,)))
