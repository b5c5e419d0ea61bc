"""Generator, PVSystem and Storage."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import split
from gridmodel.grid.dss.injections import Injection, factor_of, reactive
from gridmodel.grid.dss.inverter import Inverter
from gridmodel.grid.dss.shapes import CurveDraft
from gridmodel.grid.dss.values import Value
from gridmodel.grid.elements import Generator

__all__ = ["GeneratorDraft", "PVSystemDraft", "StorageDraft"]


class GeneratorDraft(Injection):
    """A generator of constant power."""

    kind: ClassVar[str] = "Generator"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases bus1 kv kw pf kvar model vminpu vmaxpu yearly daily duty dispmode dispvalue conn status class vpu "
        "maxkvar minkvar pvfactor forceon kva mva xd xdp xdpp h d usermodel userdata shaftmodel shaftdata dutystart "
        "debugtrace balanced xrdp usefuel fuelkwh %fuel %reserve refuel dynamiceq dynout rneut xneut"
    )
    silent: ClassVar[frozenset[str]] = frozenset(
        split(
            "dispmode dispvalue status class pvfactor forceon xd xdp xdpp h d usermodel userdata shaftmodel shaftdata"
        )
        + split("dutystart debugtrace balanced xrdp usefuel fuelkwh %fuel %reserve refuel dynamiceq dynout rneut xneut")
    )

    def begin(self) -> None:
        super().begin()
        self.kw, self.kvar, self.pf, self.kva = 1000.0, 60.0, 0.88, 0.0
        self.extra: dict[str, float] = {}

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kw":
                self.kw = value.number()
                self.kvar = reactive(self.kw, self.pf)
            case "pf":
                self.pf = self.share("power factor", value)
                self.kvar = reactive(self.kw, self.pf)
            case "kvar":
                self.kvar = value.number()
                self.pf = factor_of(self.kw, self.kvar) or self.pf
            case "kva" | "mva":
                self.kva = value.positive() * (1000 if key == "mva" else 1)
            case "vpu" | "maxkvar" | "minkvar":
                self.extra[key] = value.number()
            case _:
                return self.take_shared(key, value)
        return True

    def build(self) -> Generator:
        """The generator."""
        if self.model == 3:
            self.drafts.note(
                f"{self.place}: {self.title}: model 3 holds its voltage by reactive power in OpenDSS; here it "
                f"gives the constant {self.kvar:g} kvar."
            )
        elif self.model not in (1, 4, 5, 7):
            raise self.error(f"model is {self.model}, expected 1 (constant power), 3, 4, 5 or 7.")
        s = complex(self.kw, self.kvar) * 1000
        kva = self.kva or 1.2 * self.kw
        extra = {"v_set": self.extra["vpu"]} if "vpu" in self.extra else {}
        extra |= {f"q_{k[:3]}": self.extra[k] * 1000 for k in ("minkvar", "maxkvar") if k in self.extra}
        return Generator(
            self.name, self.connected(), self.phases, "delta" if self.delta else "wye", s, self.kv * 1000, kva * 1000,
            min(0.0, s.real), max(0.0, s.real), "generator", None, self.profile,
            self.low, self.high, extra,
        )  # fmt: skip


class PVSystemDraft(Injection):
    """Panels behind an inverter."""

    kind: ClassVar[str] = "PVSystem"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases bus1 kv irradiance pmpp %pmpp temperature pf conn kvar kva %cutin %cutout effcurve p-tcurve %r %x "
        "model vminpu vmaxpu balanced limitcurrent yearly daily duty tyearly tdaily tduty class usermodel userdata "
        "debugtrace varfollowinverter dutystart wattpriority pfpriority %pminnovars %pminkvarmax kvarmax "
        "kvarmaxabs kvdc kp pitol safevoltage safemode dynamiceq dynout controlmode amplimit amplimitgain"
    )
    silent: ClassVar[frozenset[str]] = frozenset(
        split("%r %x balanced limitcurrent tyearly tdaily tduty class usermodel userdata debugtrace dutystart kvdc kp")
        + split("pitol safevoltage safemode dynamiceq dynout controlmode amplimit amplimitgain")
    )

    def begin(self) -> None:
        super().begin()
        self.values = {"irradiance": 1.0, "pmpp": 500.0, "%pmpp": 100.0, "temperature": 25.0, "%cutin": 20.0,
                       "%pminnovars": 0.0, "%pminkvarmax": 0.0}  # fmt: skip
        self.kva, self.pf, self.kvar = 500.0, 1.0, None
        self.kvar_max: float | None = None
        self.kvar_most: float | None = None
        self.first, self.follows = "", False
        self.curves: dict[str, CurveDraft] = {}

    kvar: float | None

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kva":
                self.kva = value.positive()
            case "pf":
                self.pf, self.kvar = self.share("power factor", value), None
            case "kvar":
                self.kvar = value.number()
            case "kvarmax":
                self.kvar_max = value.number()
            case "kvarmaxabs":
                self.kvar_most = value.number()
            case "varfollowinverter":
                self.follows = value.flag()
            case "%cutout":
                value.number()
            case "wattpriority" | "pfpriority":
                self.first = key.removesuffix("priority").removesuffix("t") if value.flag() else ""
            case "effcurve" | "p-tcurve":
                curve = self.drafts.find("XYCurve", value)
                assert isinstance(curve, CurveDraft)
                self.curves[key] = curve
            case _:
                if key not in self.values:
                    return self.take_shared(key, value)
                self.values[key] = value.number()
        return True

    def build(self) -> Generator:
        """The inverter's output at the given irradiance."""
        p = self._active()
        p, q = self._within(p, reactive(p, self.pf) if self.kvar is None else self.kvar)
        s = complex(p, q) * 1000
        return Generator(
            self.name, self.connected(), self.phases, "delta" if self.delta else "wye", s, self.kv * 1000,
            self.kva * 1000, 0.0, s.real, "pv", None, self.profile, self.low, self.high,
        )  # fmt: skip

    def _active(self) -> float:
        """kW that the panels give, without regard to the rating."""
        v = self.values
        panel = v["irradiance"] * v["pmpp"]
        if "p-tcurve" in self.curves:
            panel *= self.curves["p-tcurve"].at(v["temperature"])
        efficiency = self.curves["effcurve"].at(panel / self.kva) if "effcurve" in self.curves else 1.0
        p = min(panel * efficiency, v["pmpp"] * v["%pmpp"] / 100)
        return 0.0 if panel < v["%cutin"] / 100 * self.kva else p

    def inverter(self) -> Inverter:
        """What its reactive power may be while a control decides it."""
        v = self.values
        p = min(self._active(), self.kva)
        give = self.kva if self.kvar_max is None else self.kvar_max
        take = self.kvar_most if self.kvar_most is not None else give
        none = v["%pminnovars"] / 100 * v["pmpp"]
        less = p < v["%pminkvarmax"] / 100 * v["pmpp"]
        return Inverter(
            p, self.kva, give, take, self.first == "wat", (self.follows and p == 0.0) or p < none,
            "its kvar are limited by its kW, %PminkvarMax" if less else "",
        )  # fmt: skip

    def _within(self, p: float, q: float) -> tuple[float, float]:
        """The output within the inverter's rating: reactive power comes first unless watts or the power factor do."""
        limit = self.kva if self.kvar_max is None else self.kvar_max
        if self.first == "pf" and self.kvar is None and np.hypot(p, q) > self.kva:
            return self.kva * abs(self.pf), float(np.copysign(self.kva * np.sqrt(1 - self.pf**2), q))
        q = float(np.clip(q, -limit, limit))
        if np.hypot(p, q) > self.kva:
            if self.first == "wat":
                p = min(p, self.kva)
                q = float(np.copysign(np.sqrt(self.kva**2 - p**2), q))
            else:
                p = float(np.sqrt(self.kva**2 - q**2))
        return p, q


class StorageDraft(Injection):
    """A battery."""

    kind: ClassVar[str] = "Storage"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases bus1 kv conn kw kvar pf kva %cutin %cutout effcurve varfollowinverter kvarmax kvarmaxabs wattpriority "
        "pfpriority %pminnovars %pminkvarmax kwrated %kwrated kwhrated kwhstored %stored %reserve state %discharge "
        "%charge %effcharge %effdischarge %idlingkw %idlingkvar %r %x model vminpu vmaxpu balanced limitcurrent yearly "
        "daily duty dispmode dischargetrigger chargetrigger timechargetrig class dynadll dynadata usermodel userdata "
        "debugtrace kvdc kp pitol safevoltage safemode dynamiceq dynout controlmode amplimit amplimitgain"
    )
    silent: ClassVar[frozenset[str]] = frozenset(
        split("%cutin %cutout effcurve varfollowinverter pfpriority %kwrated %idlingkvar %r %x balanced limitcurrent")
        + split("dispmode dischargetrigger chargetrigger")
        + split(
            "timechargetrig class dynadll dynadata usermodel userdata debugtrace kvdc kp pitol safevoltage safemode"
        )
        + split("dynamiceq dynout controlmode amplimit amplimitgain")
    )

    def begin(self) -> None:
        super().begin()
        self.values = {
            "kwrated": 25.0, "kwhrated": 50.0, "%reserve": 20.0, "%discharge": 100.0, "%charge": 100.0,
            "%effcharge": 90.0, "%effdischarge": 90.0, "%idlingkw": 1.0,
        }  # fmt: skip
        self.stored: float | None = None
        self.kva, self.pf, self.kvar = 0.0, 1.0, 0.0
        self.state = "i"
        self.limits: dict[str, float] = {}
        self.watts_first = False

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kw":
                kw = value.number()
                self.state = "d" if kw > 0 else "c" if kw < 0 else "i"
                share = 100 * abs(kw) / self.values["kwrated"]
                self.values["%discharge" if kw > 0 else "%charge"] = share
            case "kvar":
                self.kvar, self.pf = value.number(), 0.0
            case "pf":
                self.pf = self.share("power factor", value)
            case "kva":
                self.kva = value.positive()
            case "state":
                self.state = value.word[:1]
                if self.state not in ("i", "c", "d"):
                    raise value.error("idling, charging or discharging")
            case "kwhstored":
                self.stored = value.number()
            case "%stored":
                self.stored = value.number() / 100 * self.values["kwhrated"]
            case "kwhrated":
                self.values[key], self.stored = value.positive(), None
            case "kwrated":
                self.values[key] = value.positive()
            case "kvarmax" | "kvarmaxabs" | "%pminnovars" | "%pminkvarmax":
                self.limits[key] = value.number()
            case "wattpriority":
                self.watts_first = value.flag()
            case _:
                if key not in self.values:
                    return self.take_shared(key, value)
                self.values[key] = value.number()
        return True

    def build(self) -> Generator:
        """The battery as its state has it: positive while it gives power."""
        v = self.values
        p, kva = self._active(), self.kva or v["kwrated"]
        q = self.kvar if self.pf == 0 else reactive(p, self.pf)
        if np.hypot(p, q) > kva:
            q = float(np.clip(q, -kva, kva))
            p = float(np.copysign(np.sqrt(kva**2 - q**2), p))
        extra = {
            "energy_max": v["kwhrated"] * 1000, "energy": self._energy * 1000,
            "energy_min": v["kwhrated"] * v["%reserve"] * 10, "efficiency_charge": v["%effcharge"] / 100,
            "efficiency_discharge": v["%effdischarge"] / 100,
        }  # fmt: skip
        rated = v["kwrated"] * 1000
        return Generator(
            self.name, self.connected(), self.phases, "delta" if self.delta else "wye", complex(p, q) * 1000,
            self.kv * 1000, kva * 1000, -rated, rated, "storage", None, self.profile,
            self.low, self.high, extra,
        )  # fmt: skip

    @property
    def _energy(self) -> float:
        """kWh that are stored."""
        return self.values["kwhrated"] if self.stored is None else self.stored

    def _active(self) -> float:
        """kW that it gives in its state, without regard to the rating of the inverter."""
        v = self.values
        state = "i" if self.state == "c" and self._energy >= v["kwhrated"] else self.state
        share = {"i": -v["%idlingkw"], "c": -v["%charge"], "d": v["%discharge"]}[state]
        return float(np.clip(v["kwrated"] * share / 100, -v["kwrated"], v["kwrated"]))

    def inverter(self) -> Inverter:
        """What its reactive power may be while a control decides it."""
        kva = self.kva or self.values["kwrated"]
        give = self.limits.get("kvarmax", kva)
        odd = any(self.limits.get(key) for key in ("%pminnovars", "%pminkvarmax"))
        return Inverter(
            float(np.clip(self._active(), -kva, kva)), kva, give, self.limits.get("kvarmaxabs", give), self.watts_first,
            odd="its kvar are limited by its kW, %PminNoVars and %PminkvarMax" if odd else "",
        )  # fmt: skip
