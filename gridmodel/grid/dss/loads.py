"""Load."""

from __future__ import annotations

from typing import ClassVar

from gridmodel.grid.dss.draft import split
from gridmodel.grid.dss.injections import Injection, factor_of, reactive
from gridmodel.grid.dss.values import Value
from gridmodel.grid.elements import Load

__all__ = ["LoadDraft"]

Shares = tuple[float, float, float]
_Z: Shares = (1.0, 0.0, 0.0)
_I: Shares = (0.0, 1.0, 0.0)
_P: Shares = (0.0, 0.0, 1.0)
_MODELS = {1: (_P, _P), 2: (_Z, _Z), 3: (_P, _Z), 5: (_I, _I), 6: (_P, _P), 7: (_P, _Z)}


class LoadDraft(Injection):
    """A load."""

    kind: ClassVar[str] = "Load"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases bus1 kv kw pf model yearly daily duty growth conn kvar rneut xneut status class vminpu vmaxpu vminnorm "
        "vminemerg xfkva allocationfactor kva %mean %stddev cvrwatts cvrvars kwh kwhdays cfactor cvrcurve numcust zipv "
        "%seriesrl relweight vlowpu puxharm xrharm"
    )
    silent: ClassVar[frozenset[str]] = frozenset(
        split("growth class vminnorm vminemerg %mean %stddev numcust %seriesrl relweight puxharm xrharm cvrcurve")
    )

    def begin(self) -> None:
        super().begin()
        self.low, self.high, self.lowest = 0.95, 1.05, 0.5
        self.kw, self.kvar, self.pf, self.kva = 10.0, 5.0, 0.88, 0.0
        self.given = "pf"
        self.fixed = False
        self.cvr = {"cvrwatts": 1.0, "cvrvars": 2.0}
        self.zip: tuple[Shares, Shares, float] | None = None
        self.neutral_r = -1.0
        self.parts = {"xfkva": 0.0, "allocationfactor": 0.5, "kwh": 0.0, "kwhdays": 30.0, "cfactor": 4.0}

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "kw":
                self.kw, self.given = value.number(), "pf"
            case "pf":
                self.pf = self.share("power factor", value)
            case "kvar":
                self.kvar, self.given = value.number(), "kvar"
            case "kva":
                self.kva, self.given = value.number(), "kva"
            case "xfkva" | "allocationfactor" | "kwh" | "kwhdays" | "cfactor":
                self.parts[key] = value.number()
                self.given = "kwh" if key.startswith(("kwh", "cf")) else "xfkva"
            case "status":
                self.fixed = value.word[:1] in ("f", "e")
            case "cvrwatts" | "cvrvars":
                self.cvr[key] = value.number()
            case "zipv":
                self.zip = self._shares(value)
            case "vlowpu":
                self.lowest = value.number()
            case "rneut":
                self.neutral_r = value.number()
            case "xneut":
                pass
            case _:
                return self.take_shared(key, value)
        return True

    @staticmethod
    def _shares(value: Value) -> tuple[Shares, Shares, float]:
        n = value.numbers().tolist()
        if len(n) != 7:
            raise value.error("seven numbers: z, i, p of the active and of the reactive power, then a cut-off voltage")
        return (n[0], n[1], n[2]), (n[3], n[4], n[5]), n[6]

    def settle(self) -> None:
        if self.given == "kva":
            self.kw = self.kva * abs(self.pf)
        elif self.given == "xfkva":
            self.kw = self.parts["xfkva"] * self.parts["allocationfactor"] * abs(self.pf)
        elif self.given == "kwh":
            self.kw = self.parts["kwh"] / (self.parts["kwhdays"] * 24) * self.parts["cfactor"]
        if self.given == "kvar":
            self.pf = factor_of(self.kw, self.kvar) or self.pf
        else:
            self.kvar = reactive(self.kw, self.pf)

    def _zip(self) -> tuple[Shares, Shares]:
        if self.model == 4:
            shares = {0.0: _P, 1.0: _I, 2.0: _Z}
            try:
                return shares[self.cvr["cvrwatts"]], shares[self.cvr["cvrvars"]]
            except KeyError as bad:
                raise self.error(f"model 4 has the exponent {bad}; expected cvrwatts, cvrvars of 0, 1 or 2.") from None
        if self.model == 8:
            if self.zip is None:
                raise self.error("model 8 needs zipv=[seven numbers].")
            if self.zip[2] > 0:
                self.drafts.note(f"{self.place}: {self.title}: the cut-off voltage of zipv is left out.")
            return self.zip[0], self.zip[1]
        if self.model not in _MODELS:
            raise self.error(f"model is {self.model}, expected 1 to 8.")
        return _MODELS[self.model]

    def build(self, factor: float) -> Load:
        """The load. factor: of all loads that are not fixed."""
        terminal = self.connected()
        if not self.delta and self.neutral_r >= 0 and terminal.nodes[-1]:
            raise self.error("rneut to another node than the ground is not supported; use a Reactor at that node.")
        zip_p, zip_q = self._zip()
        s = complex(self.kw, self.kvar) * 1000 * (1.0 if self.fixed else factor)
        return Load(
            self.name, terminal, self.phases, "delta" if self.delta else "wye", s, self.kv * 1000, zip_p, zip_q,
            self.low, self.high, self.profile, self.lowest, self.model in (3, 4),
        )  # fmt: skip
