"""XfmrCode, Transformer and RegControl."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import RegulatorControl, Shunt, Transformer, Winding

__all__ = ["RegControlDraft", "TransformerDraft", "XfmrCode"]


@dataclass
class WindingDraft:
    """A winding: kv, kva, tap in pu, r in % of the first winding's rating, neutral impedance in ohm (below 0: none)."""

    bus: BusSpec | None = None
    delta: bool = False
    kv: float = 12.47
    kva: float = 1000.0
    tap: float = 1.0
    r: float = 0.2
    r_neutral: float = -1.0
    x_neutral: float = 0.0
    high: float = 1.1
    low: float = 0.9
    steps: int = 32


_EACH: dict[str, tuple[str, Callable[[Value], object]]] = {
    "bus": ("bus", Value.bus), "conn": ("delta", Value.delta), "kv": ("kv", Value.positive),
    "tap": ("tap", Value.positive), "%r": ("r", Value.number), "rneut": ("r_neutral", Value.number),
    "xneut": ("x_neutral", Value.number), "maxtap": ("high", Value.positive), "mintap": ("low", Value.positive),
    "numtaps": ("steps", Value.integer),
}  # fmt: skip
_ARRAYS = {"buses": "bus", "conns": "conn", "kvs": "kv", "kvas": "kva", "taps": "tap", "%rs": "%r"}
_PAIRS = {"xhl": (0, 1), "x12": (0, 1), "xht": (0, 2), "x13": (0, 2), "xlt": (1, 2), "x23": (1, 2)}
_QUIET = frozenset(
    split("thermal n m flrise hsrise emerghkva sub subname wdgcurrents core rdcohms seasons ratings xrconst")
)


class _Ratings(Draft):
    """What a transformer and its code share."""

    def begin(self) -> None:
        self.phases = 3
        self.windings = [WindingDraft(), WindingDraft()]
        self.active = 0
        self.x = {(0, 1): 7.0}
        self.named = {(0, 1): 7.0, (0, 2): 35.0, (1, 2): 30.0}
        self.no_load, self.magnetising, self.anti_float = 0.0, 0.0, 1.0
        self.lead = False
        self.rating = np.inf

    def take_rating(self, key: str, value: Value) -> bool:
        """Takes a property of the ratings; False for another property."""
        match key:
            case "phases":
                self.phases = value.count()
            case "windings":
                self._resize(value.count(2))
            case "wdg":
                self._activate(value)
            case "kva":
                self._take_kva(value)
            case "xscarray":
                pairs = self.pairs()
                numbers = value.numbers()
                if len(numbers) != len(pairs):
                    raise value.error(f"{len(pairs)} reactances, one a pair of its {len(self.windings)} windings")
                self.x.update(zip(pairs, numbers.tolist(), strict=True))
            case "%loadloss":
                for winding in self.windings[:2]:
                    winding.r = value.number() / 2
            case "%noloadloss":
                self.no_load = value.number() / 100
            case "%imag":
                self.magnetising = value.number() / 100
            case "ppm_antifloat":
                self.anti_float = value.number()
            case "normhkva":
                self.rating = value.positive() * 1000
            case "leadlag":
                self.lead = value.word in ("lead", "euro")
            case _:
                return self._take_winding(key, value)
        return True

    def _take_winding(self, key: str, value: Value) -> bool:
        if key in _PAIRS:
            self.named[_PAIRS[key]] = value.number()
            if len(self.windings) > 3:
                raise value.error("xscarray=[..] instead, for more than three windings")
            self.x.update(self.named)
        elif key in _EACH:
            name, meaning = _EACH[key]
            setattr(self.windings[self.active], name, meaning(value))
        elif key in _ARRAYS:
            self._take_array(_ARRAYS[key], value)
        else:
            return False
        return True

    def _take_array(self, key: str, value: Value) -> None:
        entries = value.entries()
        if len(entries) > len(self.windings):
            raise value.error(f"at most {len(self.windings)} entries, one a winding (got {len(entries)})")
        for winding, entry in zip(self.windings, entries, strict=False):
            if key == "kva":
                winding.kva = entry.positive()
            else:
                name, meaning = _EACH[key]
                setattr(winding, name, meaning(entry))

    def _take_kva(self, value: Value) -> None:
        """The first winding's rating is everybody's until another is given; two windings have one rating."""
        kva = value.positive()
        self.windings[self.active].kva = kva
        if self.active == 0 or len(self.windings) == 2:
            for winding in self.windings:
                winding.kva = kva

    def _resize(self, n: int) -> None:
        if n != len(self.windings):
            self.windings = [WindingDraft() for _ in range(n)]
        self.active = 0

    def _activate(self, value: Value) -> None:
        number = value.integer()
        if number > len(self.windings):
            raise value.error(f"1 to {len(self.windings)}; say windings={number} before")
        self.active = number - 1

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of windings in the order 12, 13, .., 23, .."""
        n = len(self.windings)
        return [(i, j) for i in range(n) for j in range(i + 1, n)]


class XfmrCode(_Ratings):
    """A kind of transformer."""

    kind: ClassVar[str] = "XfmrCode"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases windings wdg conn kv kva tap %r rneut xneut conns kvs kvas taps xhl xht xlt xscarray thermal n m "
        "flrise hsrise %loadloss %noloadloss normhkva emerghkva maxtap mintap numtaps %imag ppm_antifloat %rs "
        "x12 x13 x23 rdcohms"
    )
    silent: ClassVar[frozenset[str]] = _QUIET

    def assign(self, key: str, value: Value) -> bool:
        return self.take_rating(key, value)


class TransformerDraft(_Ratings):
    """A transformer."""

    kind: ClassVar[str] = "Transformer"
    properties: ClassVar[tuple[str, ...]] = split(
        "phases windings wdg bus conn kv kva tap %r rneut xneut buses conns kvs kvas taps xhl xht xlt xscarray thermal "
        "n m flrise hsrise %loadloss %noloadloss normhkva emerghkva sub maxtap mintap numtaps subname %imag "
        "ppm_antifloat %rs bank xfmrcode xrconst x12 x13 x23 leadlag wdgcurrents core rdcohms"
    )
    silent: ClassVar[frozenset[str]] = _QUIET

    def begin(self) -> None:
        super().begin()
        self.bank = ""

    def assign(self, key: str, value: Value) -> bool:
        if key == "bank":
            self.bank = value.word
        elif key == "xfmrcode":
            code = self.drafts.find("XfmrCode", value)
            assert isinstance(code, XfmrCode)
            buses = [winding.bus for winding in self.windings]
            for name in ("phases", "windings", "x", "named", "no_load", "magnetising", "anti_float", "rating"):
                setattr(self, name, copy.deepcopy(getattr(code, name)))
            for winding, bus in zip(self.windings, buses, strict=False):
                winding.bus = bus
            self.active = 0
        else:
            return self.take_rating(key, value)
        return True

    def _conductors(self, winding: WindingDraft) -> int:
        return 3 if winding.delta and self.phases == 3 else self.phases + 1

    def build(self) -> Transformer:
        """The transformer; resistances are turned from the first winding's rating to the own one's."""
        first = self.windings[0]
        windings = tuple(
            Winding(
                terminal=self.terminal(w.bus, self.phases, self._conductors(w), f"the bus of winding {k}"),
                connection="delta" if w.delta else "wye", v=w.kv * 1000, s=w.kva * 1000,
                r=w.r / 100 * w.kva / first.kva, tap=w.tap, tap_min=w.low, tap_max=w.high, tap_steps=w.steps,
            )
            for k, w in enumerate(self.windings, 1)
        )  # fmt: skip
        return Transformer(
            self.name, self.phases, windings, tuple(self.x.get(pair, 30.0) / 100 for pair in self.pairs()),
            self.no_load, self.magnetising, self.anti_float, self.lead, self.bank, self.rating,
        )  # fmt: skip

    def neutrals(self) -> list[Shunt]:
        """The impedances from neutrals that are not grounded directly to the ground."""
        found = []
        for k, w in enumerate(self.windings, 1):
            if w.delta or w.bus is None or w.r_neutral < 0:
                continue
            node = w.bus.filled(self.phases, self.phases + 1)[-1]
            if node:
                z = complex(w.r_neutral, w.x_neutral) or 1e-6
                terminal = self.terminal(BusSpec(w.bus.bus, (node,)), 1, 1)
                found.append(Shunt(f"{self.name}.neutral{k}", terminal, np.array([[1 / z]]), "reactor"))
        return found


class RegControlDraft(Draft):
    """The control of a regulator's taps."""

    kind: ClassVar[str] = "RegControl"
    properties: ClassVar[tuple[str, ...]] = split(
        "transformer winding vreg band ptratio ctprim r x bus delay reversible revvreg revband revr revx tapdelay "
        "debugtrace maxtapchange inversetime tapwinding vlimit ptphase revthreshold revdelay revneutral eventlog "
        "remoteptratio tapnum reset ldc_z rev_z cogen"
    )
    silent: ClassVar[frozenset[str]] = frozenset(
        split("tapdelay debugtrace inversetime revneutral eventlog reset") + split("remoteptratio cogen rev_z")
    )

    def begin(self) -> None:
        self.unit: TransformerDraft | None = None
        self.winding, self.tap_winding = 1, 0
        self.numbers = {
            "vreg": 120.0, "band": 3.0, "ptratio": 60.0, "ctprim": 300.0, "r": 0.0, "x": 0.0, "delay": 15.0,
            "revvreg": 120.0, "revband": 3.0, "revr": 0.0, "revx": 0.0, "revthreshold": 100.0, "revdelay": 60.0,
        }  # fmt: skip
        self.bus: BusSpec | None = None
        self.phase = 1
        self.reversible = False
        self.max_change = 16

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "transformer":
                unit = self.drafts.find("Transformer", value)
                assert isinstance(unit, TransformerDraft)
                self.unit = unit
            case "winding":
                self.winding = value.integer()
            case "tapwinding":
                self.tap_winding = value.integer()
            case "bus":
                self.bus = value.bus() if value.word else None
            case "ptphase":
                if value.word in ("max", "min"):
                    raise value.error("the number of a phase; the highest or lowest of three is not supported")
                self.phase = value.integer()
            case "maxtapchange":
                self.max_change = value.integer(0)
            case "reversible":
                self.reversible = value.flag()
            case "tapnum":
                self._set_tap(value)
            case "vlimit" | "ldc_z":
                if value.number() != 0:
                    raise value.error("0; this is not supported")
            case _:
                if key not in self.numbers:
                    return False
                self.numbers[key] = value.number()
        return True

    def _set_tap(self, value: Value) -> None:
        if self.unit is None:
            raise value.error("its transformer before, transformer=NAME")
        winding = self.unit.windings[(self.tap_winding or self.winding) - 1]
        step = (winding.high - winding.low) / winding.steps
        winding.tap = (winding.high + winding.low) / 2 + value.integer(-winding.steps) * step

    def build(self, controls: bool) -> RegulatorControl:
        """The control. controls: whether the script leaves controls on."""
        if self.unit is None:
            raise self.error("transformer is missing; expected transformer=NAME.")
        if self.winding > len(self.unit.windings):
            raise self.error(f"winding is {self.winding}, expected 1 to {len(self.unit.windings)}.")
        if self.tap_winding not in (0, self.winding):
            raise self.error("tapwinding is another winding than the one watched, which is not supported.")
        n = self.numbers
        bus = None if self.bus is None else self.terminal(self.bus, 1, max(1, len(self.bus.nodes)))
        return RegulatorControl(
            self.name, self.unit.name, self.winding - 1, n["vreg"], n["band"], n["ptratio"], n["ctprim"], n["r"],
            n["x"], n["delay"], self.phase, self.reversible, controls, bus,
            self.max_change, n["revvreg"], n["revband"], n["revr"], n["revx"], n["revthreshold"] * 1000, n["revdelay"],
        )  # fmt: skip
