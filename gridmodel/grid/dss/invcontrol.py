"""InvControl in mode voltvar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from gridmodel.grid.dss.draft import Draft, split
from gridmodel.grid.dss.generation import PVSystemDraft, StorageDraft
from gridmodel.grid.dss.inverter import drooping, ramps
from gridmodel.grid.dss.shapes import CurveDraft
from gridmodel.grid.dss.values import Value
from gridmodel.grid.elements import Generator

__all__ = ["InvControlDraft", "controlled"]

_KINDS = {"pvsystem": PVSystemDraft, "storage": StorageDraft}


class InvControlDraft(Draft):
    """The control of inverters; only volt-var curves are read."""

    kind: ClassVar[str] = "InvControl"
    properties: ClassVar[tuple[str, ...]] = split(
        "derlist mode combimode vvc_curve1 hysteresis_offset voltage_curvex_ref avgwindowlen voltwatt_curve dbvmin "
        "dbvmax argralowv argrahiv dynreacavgwindowlen deltaq_factor voltagechangetolerance varchangetolerance "
        "voltwattyaxis rateofchangemode lpftau risefalllimit deltap_factor eventlog refreactivepower "
        "activepchangetolerance monvoltagecalc monbus monbusesvbase voltwattch_curve wattpf_curve wattvar_curve "
        "vv_refreactivepower pvsystemlist vsetpoint controlmodel"
    )
    silent: ClassVar[frozenset[str]] = frozenset(properties)

    def begin(self) -> None:
        self.curve: CurveDraft | None = None
        self.listed: list[tuple[str, Value]] = []
        self.words = {
            "mode": "voltvar", "combimode": "", "voltage_curvex_ref": "rated", "rateofchangemode": "inactive",
            "refreactivepower": "varaval", "monvoltagecalc": "avg", "monbus": "",
        }  # fmt: skip
        self.offset = 0.0

    def assign(self, key: str, value: Value) -> bool:
        match key:
            case "vvc_curve1":
                curve = self.drafts.find("XYCurve", value)
                assert isinstance(curve, CurveDraft)
                self.curve = curve
            case "derlist" | "pvsystemlist":
                self.listed = [self._named(key, entry) for entry in value.entries()]
            case "hysteresis_offset":
                self.offset = value.number()
            case "vv_refreactivepower":
                self.words["refreactivepower"] = value.word
            case _:
                if key not in self.words:
                    return False
                self.words[key] = value.word
        return True

    @staticmethod
    def _named(key: str, entry: Value) -> tuple[str, Value]:
        """The class of a listed inverter, and its name as the script has it."""
        kind, dot, _ = entry.word.partition(".")
        if not dot and key == "pvsystemlist":
            kind = "pvsystem"
        if kind not in _KINDS:
            raise entry.error("names such as PVSystem.p1 or Storage.s1")
        return kind, entry

    @property
    def unread(self) -> str:
        """Why the control cannot be read; else empty."""
        words = self.words
        if words["combimode"] or not "voltvar".startswith(words["mode"]):
            return f"mode {words['combimode'] or words['mode']}"
        if not words["voltage_curvex_ref"].startswith("rat"):
            return f"its voltages are in parts of a moving average, voltage_curvex_ref={words['voltage_curvex_ref']}"
        if not words["rateofchangemode"].startswith("i"):
            return f"it limits how fast it acts, rateofchangemode={words['rateofchangemode']}"
        if words["monbus"]:
            return f"it watches other buses, monbus={words['monbus']}"
        if self.offset:
            return f"its curve has a hysteresis of {self.offset:g} pu"
        return "" if self.curve is not None else "it has no vvc_curve1"

    def inverters(self, every: Iterable[Draft]) -> list[PVSystemDraft | StorageDraft]:
        """Those that it controls and that are enabled; all where it names none.

        Raises:
            NetworkFileError: it names one that is not there.
        """
        drafts = [draft for draft in every if isinstance(draft, PVSystemDraft | StorageDraft)]
        if self.listed:
            drafts = []
            for kind, value in self.listed:
                found = self.drafts.find(_KINDS[kind].kind, value)
                assert isinstance(found, PVSystemDraft | StorageDraft)
                drafts.append(found)
        return [draft for draft in drafts if draft.enabled]

    def act(self, draft: PVSystemDraft | StorageDraft, unit: Generator) -> list[Generator]:
        """The inverter with its droop, and the generators of further ramps.

        Raises:
            ValueError: why that cannot be.
        """
        inverter, nodes, watched = draft.inverter(), unit.terminal.nodes, self.words["monvoltagecalc"]
        if unit.phases > 1:
            raise ValueError(
                "all phases of an inverter follow the mean of their voltages; droop=gm.VoltVar(...) of the generator "
                "lets each follow its own"
            )
        if unit.connection == "delta" or any(nodes[1:]):
            raise ValueError("it goes by the voltage to ground, and the inverter is not between a phase and ground")
        if watched not in ("avg", "max", "min", "1"):
            raise ValueError(f"it watches another phase, monvoltagecalc={watched}")
        if min(inverter.give, inverter.take) < 0.0:
            raise ValueError("kvarMax and kvarMaxAbs are at least 0")
        if inverter.odd:
            raise ValueError(inverter.odd)
        assert self.curve is not None
        available = self.words["refreactivepower"].startswith("vara")
        curve = ramps(self.curve.x, self.curve.y, inverter.law(available))
        if available:
            self.drafts.note_of(
                "have a volt-var curve in parts of the kvar that their power in the file leaves "
                "(RefReactivePower=VARAVAL); it stays so when a scenario changes the power", draft.title,
            )  # fmt: skip
        elif abs(complex(inverter.p, curve.largest)) > inverter.kva * (1 + 1e-9):
            self.drafts.note_of(
                "may exceed their rating at the ends of their volt-var curve, where OpenDSS lowers their kW",
                draft.title,
            )  # fmt: skip
        return drooping(unit, inverter.p, curve)


def controlled(drafts: Iterable[Draft], generators: Iterable[Generator], act: bool) -> tuple[Generator, ...]:
    """The generators with the droops that the controls of a script give them. act: whether it leaves controls on."""
    every = list(drafts)
    made = {(unit.kind, unit.name): [unit] for unit in generators}
    done: dict[tuple[str, str], str] = {}
    for control in every:
        if not isinstance(control, InvControlDraft) or not control.enabled or not act:
            continue
        if control.unread:
            control.drafts.note(
                f"{control.place}: {control.title} is left out ({control.unread}); its inverters keep the reactive "
                "power that the file declares."
            )
            continue
        for draft in control.inverters(every):
            key = ("pv" if isinstance(draft, PVSystemDraft) else "storage", draft.name)
            try:
                if key in done:
                    raise ValueError(f"{done[key]} controls it already")
                made[key] = control.act(draft, made[key][0])
                done[key] = control.title
            except ValueError as error:
                what = f"keep the reactive power that they have without {control.title}, which is left out ({error})"
                control.drafts.note_of(what, draft.title)
    return tuple(unit for units in made.values() for unit in units)
