"""What loads and generators have in common."""

from __future__ import annotations

import numpy as np

from gridmodel.grid.dss.draft import Draft
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import Terminal

__all__ = ["Injection", "factor_of", "reactive"]


def reactive(p: float, factor: float) -> float:
    """The reactive power beside p at this power factor; a negative factor gives the other sign."""
    return float(np.copysign(1.0, factor) * p * np.sqrt(1 / factor**2 - 1)) if factor else 0.0


def factor_of(p: float, q: float) -> float:
    """The power factor of p and q, negative where their signs differ; 0 without active power."""
    return p / abs(complex(p, q)) * (-1.0 if p * q < 0 else 1.0) if p else 0.0


class Injection(Draft):
    """What everything that draws or gives power shares: bus, phases, voltage, connection, limits, profile."""

    def begin(self) -> None:
        self.bus: BusSpec | None = None
        self.phases = 3
        self.kv = 12.47
        self.delta = False
        self.low, self.high = 0.9, 1.1
        self.model = 1
        self.profiles = {"yearly": "", "daily": "", "duty": ""}

    def take_shared(self, key: str, value: Value) -> bool:
        """Takes a property that all have; False for another property."""
        match key:
            case "bus1":
                self.bus = value.bus()
            case "phases":
                self.phases = value.count()
            case "kv":
                self.kv = value.positive()
            case "conn":
                self.delta = value.delta()
            case "vminpu":
                self.low = value.number()
            case "vmaxpu":
                self.high = value.number()
            case "model":
                self.model = value.integer()
            case "yearly" | "daily" | "duty":
                self.profiles[key] = self.drafts.find("LoadShape", value).name if value.word != "none" else ""
            case _:
                return False
        return True

    @property
    def profile(self) -> str:
        """The load shape that multiplies the power over time; empty where there is none."""
        return next((name for name in self.profiles.values() if name), "")

    def connected(self) -> Terminal:
        """The terminal: phases, then the neutral of a wye; the nodes of a delta."""
        return self.terminal(self.bus, self.phases, 3 if self.delta and self.phases == 3 else self.phases + 1)

    def share(self, word: str, value: Value) -> float:
        """A power factor between -1 and 1, not 0."""
        factor = value.number()
        if not 0 < abs(factor) <= 1:
            raise value.error(f"a {word} between -1 and 1, not 0")
        return factor
