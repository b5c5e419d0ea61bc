"""One area of a feeder while it is declared: what is asked of it, and where its numbers lie."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.language.agent import Agent
from gridmodel.physics.multiphase.areas import Area
from gridmodel.physics.multiphase.hanging import Hanging
from gridmodel.physics.multiphase.maps import BranchMaps
from gridmodel.physics.multiphase.plan import Plan, UnitPort

__all__ = ["Limits", "Work", "pair_range", "port_range"]

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Limits:
    """What is asked of the feeder.

    v_min, v_max: of all buses but the source, pu. substation_p, substation_q: MW and Mvar that the source may give,
    in all. price: of its energy in $/MWh. objective: "cost" or "loss". exact: the semidefinite relaxation; else the
    linear equations. delta: "exact" or "balanced", how powers between ports are split over them.
    """

    v_min: float
    v_max: float
    substation_p: tuple[float, float]
    substation_q: tuple[float, float]
    price: float
    objective: str
    exact: bool
    delta: str


@dataclass(frozen=True)
class Work:
    """One area being declared. at: start of each own bus's numbers in ``voltage``; port: of its rows in balances.

    voltage: the variable, or zero where all voltages are given.
    """

    plan: Plan
    area: Area
    agent: Agent
    limits: Limits
    voltage: cp.Expression
    at: Indices
    port: Indices
    place: dict[int, int]
    maps: tuple[BranchMaps, ...]
    hanging: tuple[Hanging, ...]
    units: tuple[UnitPort, ...]

    @property
    def ports(self) -> int:
        return int(self.port[-1])

    def rows(self, bus: int, second: bool = True) -> Indices:
        """The rows of a bus in balances, active and reactive."""
        k = self.place[bus]
        own = np.arange(self.port[k], self.port[k + 1], dtype=np.intp)
        return np.concatenate([own, self.ports + own]) if second else own


def port_range(plan: Plan, bus: int, limits: Limits) -> tuple[float, float]:
    """Of |v|^2 at a port; what is given counts as 1."""
    return (1.0, 1.0) if bus in plan.stiff else (limits.v_min**2, limits.v_max**2)


def pair_range(plan: Plan, bus: int, limits: Limits) -> tuple[float, float]:
    """Of |v|^2 between two ports: their own limits, or a twentieth beyond where only those to ground are limited."""
    beyond = 0.05 if plan.frames[bus].grounded else 0.0
    return 3.0 * (limits.v_min - beyond) ** 2, 3.0 * (limits.v_max + beyond) ** 2
