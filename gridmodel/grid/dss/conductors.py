"""WireData, CNData and TSData: the conductors of lines."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.values import Value
from gridmodel.grid.line_constants import Shield, Wire

__all__ = ["CNData", "Conductor", "TSData", "WireData"]

_ROUND = 0.7788  # geometric mean radius of a round conductor in parts of its radius
_TAPE = 0.3183 * 2.3718e-8  # ohm m, of a copper tape, over pi
_CONDUCTOR = "rdc rac runits gmrac gmrunits radius radunits normamps emergamps diam seasons ratings capradius"
_CABLE = f"epsr inslayer diains diacable {_CONDUCTOR}"


class Conductor(Draft):
    """What all conductors share. Lengths and resistances are kept in the file's units, as OpenDSS keeps them.

    units: of resistance, mean radius and radius, in m; None where the file says none, which then is a metre.
    """

    def begin(self) -> None:
        self.r: dict[str, float | None] = {"rdc": None, "rac": None}
        self.gmr: float | None = None
        self.radius: float | None = None
        self.cap_radius: float | None = None
        self.units: dict[str, float | None] = {"runits": None, "gmrunits": None, "radunits": None}
        self.rating = np.inf
        self.own: dict[str, float] = {}

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "rdc" | "rac":
                self.r[key] = r = value.positive()
                other, factor = ("rac", 1.02) if key == "rdc" else ("rdc", 1 / 1.02)
                self.r[other] = r * factor if self.r[other] is None else self.r[other]
            case "gmrac":
                self.gmr = value.positive()
                self.radius = self.gmr / _ROUND if self.radius is None else self.radius
            case "radius" | "diam":
                self.radius = value.positive() / (2 if key == "diam" else 1)
                self.gmr = _ROUND * self.radius if self.gmr is None else self.gmr
                self.cap_radius = self.radius if self.cap_radius is None else self.cap_radius
            case "capradius":
                self.cap_radius = value.positive()
            case "runits" | "gmrunits" | "radunits":
                self.units[key] = value.unit()
                other = {"gmrunits": "radunits", "radunits": "gmrunits"}.get(key, key)
                if self.units[other] is None:
                    self.units[other] = self.units[key]
            case "normamps":
                self.rating = value.number() if value.number() > 0 else np.inf
            case _:
                return self._take_own(key, value)
        return True

    def _take_own(self, key: str, value: Value) -> bool:
        """Takes a property of a cable."""
        if key not in self.own:
            return False
        self.own[key] = value.number() if key == "tapelap" else value.positive()
        if key == "diastrand" and not self.own["gmrstrand"]:
            self.own["gmrstrand"] = _ROUND / 2 * self.own[key]
        return True

    def metres(self, key: str) -> float:
        """The unit of a length or resistance in m."""
        return self.units[key] or 1.0

    def wire(self, x: float, h: float) -> Wire:
        """The conductor at a place."""
        if self.r["rac"] is None or self.r["rdc"] is None or self.gmr is None or self.radius is None:
            raise self.error("it needs a resistance (rac or rdc) and a radius (gmrac, radius or diam).")
        per = self.metres("runits")
        radius, cap = self.radius, self.radius if self.cap_radius is None else self.cap_radius
        size = self.metres("radunits")
        return Wire(
            x, h, self.r["rac"] / per, self.r["rdc"] / per, self.gmr * self.metres("gmrunits"), radius * size,
            cap * size, self.shield(),
        )  # fmt: skip

    def shield(self) -> Shield | None:
        """Its shield; None for a bare wire."""
        return None

    def insulation(self) -> tuple[float, float, float]:
        """Inner and outer radius in m, and permittivity.

        Raises:
            NetworkFileError: a length is missing, or the layer is thicker than the radius.
        """
        if missing := [key for key, value in self.own.items() if not value and key != "tapelap"]:
            raise self.error(f"{missing[0]} is missing; expected a number above 0.")
        outer, size = self.own["diains"] / 2, self.metres("radunits")
        inner = outer - self.own["inslayer"]
        if inner <= 0:
            raise self.error("inslayer is more than half of diains; expected the thickness of the insulation.")
        return inner * size, outer * size, self.own["epsr"]


class WireData(Conductor):
    """A bare wire."""

    kind: ClassVar[str] = "WireData"
    properties: ClassVar[tuple[str, ...]] = split(_CONDUCTOR)


class CNData(Conductor):
    """A cable with a concentric neutral."""

    kind: ClassVar[str] = "CNData"
    properties: ClassVar[tuple[str, ...]] = split(f"k diastrand gmrstrand rstrand {_CABLE}")

    def begin(self) -> None:
        super().begin()
        self.strands = 2
        self.own = {"epsr": 2.3, **dict.fromkeys(split("inslayer diains diacable diastrand gmrstrand rstrand"), 0.0)}

    def assign(self, key: str, value: Value) -> bool:
        if key == "k":
            self.strands = value.count(2)
            return True
        return super().assign(key, value)

    def shield(self) -> Shield:
        """The strands as one conductor on their circle."""
        inner, outer, permittivity = self.insulation()
        radius = (self.own["diacable"] - self.own["diastrand"]) / 2 * self.metres("radunits")
        if radius <= 0:
            raise self.error("diastrand is more than diacable; expected the diameter of one strand.")
        k, strand = self.strands, self.own["gmrstrand"] * self.metres("gmrunits")
        gmr = (strand * k * radius ** (k - 1)) ** (1 / k)
        return Shield(self.own["rstrand"] / self.metres("runits") / k, gmr, radius, k, inner, outer, permittivity)


class TSData(Conductor):
    """A cable with a tape shield of copper."""

    kind: ClassVar[str] = "TSData"
    properties: ClassVar[tuple[str, ...]] = split(f"diashield tapelayer tapelap {_CABLE}")

    def begin(self) -> None:
        super().begin()
        self.own = {"epsr": 2.3, "tapelap": 20.0, **dict.fromkeys(split("inslayer diains diashield tapelayer"), 0.0)}

    def assign(self, key: str, value: Value) -> bool:
        if key == "diacable":
            value.positive()
            return True
        return super().assign(key, value)

    def shield(self) -> Shield:
        """The tape as a thin tube."""
        inner, outer, permittivity = self.insulation()
        size, lap = self.metres("radunits"), self.own["tapelap"]
        across, thick = self.own["diashield"] * size, self.own["tapelayer"] * size
        if not 0 <= lap < 100 or thick >= across:
            raise self.error("tapelap is not in 0 to 100 percent, or the tape is thicker than the shield.")
        radius = (across - thick) / 2
        r = _TAPE / (across * thick * np.sqrt(50 / (100 - lap)))
        return Shield(r, radius, radius, 0, inner, outer, permittivity)
