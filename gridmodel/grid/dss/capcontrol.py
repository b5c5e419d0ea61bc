"""CapControl."""

from __future__ import annotations

import copy
from typing import ClassVar

from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.shunts import CapacitorDraft
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import CapacitorControl, Shunt, Terminal

__all__ = ["CapControlDraft"]

_KINDS = {"c": "current", "v": "voltage", "k": "kvar", "t": "time", "p": "power factor"}
_PHASES = {"av": 0, "ma": -1, "mi": -2}
_WATCHED = {"line": "Line", "transformer": "Transformer", "capacitor": "Capacitor"}


class CapControlDraft(Draft):
    """The control of a capacitor."""

    kind: ClassVar[str] = "CapControl"
    properties: ClassVar[tuple[str, ...]] = split(
        "element terminal capacitor type ptratio ctratio onsetting offsetting delay voltoverride vmax vmin delayoff "
        "deadtime ctphase ptphase vbus eventlog usermodel userdata pctminkvar reset"
    )
    silent: ClassVar[frozenset[str]] = frozenset(split("eventlog pctminkvar reset"))

    def begin(self) -> None:
        self.capacitor: CapacitorDraft | None = None
        self.element: Draft | None = None
        self.other = ""
        self.type = "current"
        self.side = 1
        self.override = False
        self.phase = {"ctphase": 1, "ptphase": 1}
        self.bus: BusSpec | None = None
        self.numbers = {
            "ptratio": 60.0, "ctratio": 60.0, "onsetting": 300.0, "offsetting": 200.0, "delay": 15.0, "vmax": 126.0,
            "vmin": 115.0, "delayoff": 15.0, "deadtime": 300.0,
        }  # fmt: skip

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "capacitor":
                found = self.drafts.find("Capacitor", value)
                assert isinstance(found, CapacitorDraft)
                self.capacitor = found
            case "element":
                self._watch(value)
            case "terminal":
                self.side = value.count()
            case "type":
                if value.word[:1] not in _KINDS:
                    raise value.error("current, voltage, kvar, time or pf")
                self.type = _KINDS[value.word[:1]]
            case "voltoverride":
                self.override = value.flag()
            case "ctphase" | "ptphase":
                self.phase[key] = _PHASES[value.word[:2]] if value.word[:2] in _PHASES else value.count()
            case "vbus":
                self.bus = value.bus()
            case _:
                if key not in self.numbers:
                    return False
                self.numbers[key] = value.positive() if key.endswith("ratio") else value.number()
        return True

    def _watch(self, value: Value) -> None:
        kind, _, _ = value.word.partition(".")
        self.element, self.other = None, ""
        if kind in _WATCHED:
            self.element = self.drafts.find(_WATCHED[kind], value)
        else:
            self.other = value.word

    def build(self, controls: bool) -> CapacitorControl | None:
        """The control; None, and a note, where it stays out. controls: whether the script leaves controls on."""
        draft = self.capacitor
        if draft is None or (self.element is None and not self.other):
            raise self.error("expected element=Line.NAME (or Transformer, Capacitor) and capacitor=NAME.")
        full = copy.copy(draft)
        full.states = None
        shunt = full.build()
        reason = ""
        if self.element is None or not self.element.enabled:
            reason = f"it watches {self.other or 'an element that is disabled'}"
        elif self.type == "power factor":
            reason = "it goes by the power factor"
        elif draft.steps > 1 or not isinstance(shunt, Shunt) or not draft.enabled:
            reason = "its capacitor has several steps, is in series or is disabled"
        if reason or self.element is None or not isinstance(shunt, Shunt):
            self.drafts.note(f"{self.place}: {self.title} is left out ({reason}); its capacitor stays as declared.")
            return None
        n = self.numbers
        bus = None if self.bus is None else Terminal(self.bus.bus, self.bus.filled(draft.phases, draft.phases))
        return CapacitorControl(
            self.name, draft.name, shunt.y, self.type, (self.element.kind.lower(), self.element.name),
            self.side - 1, draft.states is None or bool(draft.states.any()), draft.phases, draft.delta,
            n["onsetting"], n["offsetting"], n["ptratio"], n["ctratio"], self.phase["ptphase"], self.phase["ctphase"],
            n["delay"], n["delayoff"], n["deadtime"], n["vmin"] if self.override else None,
            n["vmax"] if self.override else None, bus, controls and self.enabled,
        )  # fmt: skip
