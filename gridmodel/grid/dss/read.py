"""Reads OpenDSS scripts (``.dss``) into a Feeder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gridmodel.errors import NetworkFileError
from gridmodel.grid.checks import check_feeder
from gridmodel.grid.dss.bases import Volts, nearest, rated, spread
from gridmodel.grid.dss.capcontrol import CapControlDraft
from gridmodel.grid.dss.catalog import IGNORED_CLASSES
from gridmodel.grid.dss.draft import Draft, joined
from gridmodel.grid.dss.generation import GeneratorDraft, PVSystemDraft, StorageDraft
from gridmodel.grid.dss.injections import Injection
from gridmodel.grid.dss.invcontrol import controlled
from gridmodel.grid.dss.lines import LineDraft
from gridmodel.grid.dss.loads import LoadDraft
from gridmodel.grid.dss.script import Script
from gridmodel.grid.dss.shapes import ShapeDraft, aligned
from gridmodel.grid.dss.shunts import CapacitorDraft, ReactorDraft
from gridmodel.grid.dss.sources import VsourceDraft
from gridmodel.grid.dss.transformers import RegControlDraft, TransformerDraft
from gridmodel.grid.elements import (
    Bus,
    CapacitorControl,
    Generator,
    Line,
    Load,
    RegulatorControl,
    Shunt,
    Source,
    Terminal,
    Transformer,
)
from gridmodel.grid.feeder import Feeder

__all__ = ["read_dss"]

E = TypeVar("E", Source, Line, Transformer, Shunt, Load, Generator)


def read_dss(path: str | Path) -> Feeder:
    """Runs an OpenDSS script and takes the circuit as it stands at its end; nothing is solved.

    Names are in lower case, as OpenDSS compares them. What is left out stands in the feeder's notes.

    Raises:
        NetworkFileError: what is wrong, with file and line.
    Source: OpenDSS Manual and Reference Guide (EPRI).
    """
    path = Path(path)
    script = Script()
    script.run(path)
    if not script.circuit:
        raise NetworkFileError(f"{path.name}: no circuit is declared; expected `New Circuit.name` in it.")
    net = _Build(script, path.name).feeder()
    return replace(net, notes=(*net.notes, *_checked(script, net)))


_CLASSES = {"source": "vsource", "pv": "pvsystem"}


def _checked(script: Script, net: Feeder) -> list[str]:
    """What the checks of a feeder say, with the line of the element.

    Raises:
        NetworkFileError: a serious finding.
    """
    said = []
    for finding in check_feeder(net):
        kind, _, name = finding.element.removeprefix("winding of ").partition(" ")
        draft = script.drafts.get((_CLASSES.get(kind, kind), name))
        text = f"{draft.place if draft else net.source_file}: {finding.element} {finding.text}"
        if finding.serious:
            raise NetworkFileError(text)
        said.append(text)
    return said


class _Build:
    """The elements of a script's enabled drafts, in the order of the script."""

    def __init__(self, script: Script, file: str) -> None:
        self.script, self.file = script, file
        self.sources: list[Source] = []
        self.lines: list[Line] = []
        self.transformers: list[Transformer] = []
        self.regulators: list[RegulatorControl] = []
        self.shunts: list[Shunt] = []
        self.capacitor_controls: list[CapacitorControl] = []
        self.loads: list[Load] = []
        self.generators: list[Generator] = []
        self.terminals: list[Terminal] = []
        self.per_unit: dict[str, float] = {}
        for draft in script.drafts.values():
            self._add(draft)

    def _add(self, draft: Draft) -> None:
        if isinstance(draft, RegControlDraft):
            if draft.unit is None or draft.unit.enabled:
                self.regulators.append(draft.build(self.script.controls and draft.enabled))
        elif isinstance(draft, CapControlDraft):
            control = draft.build(self.script.controls)
            self.capacitor_controls += [] if control is None else [control]
        elif not draft.enabled:
            return
        elif isinstance(draft, VsourceDraft):
            self._keep(self.sources, draft.build())
            self.per_unit[draft.name] = draft.pu or 1.0
        elif isinstance(draft, LineDraft):
            self._keep(self.lines, draft.build())
        elif isinstance(draft, TransformerDraft):
            self._keep(self.transformers, draft.build())
            for shunt in draft.neutrals():
                self._keep(self.shunts, shunt)
        elif isinstance(draft, CapacitorDraft | ReactorDraft):
            self._shunt(draft)
        elif isinstance(draft, LoadDraft):
            self._keep(self.loads, draft.build(self.script.load_factor))
        elif isinstance(draft, GeneratorDraft | PVSystemDraft | StorageDraft):
            self._keep(self.generators, draft.build())

    def _shunt(self, draft: CapacitorDraft | ReactorDraft) -> None:
        element = draft.build()
        if isinstance(element, Line):
            self._keep(self.lines, element)
        else:
            self._keep(self.shunts, element)

    def _keep(self, group: list[E], element: E) -> None:
        group.append(element)
        self.terminals.extend(_terminals(element))

    def feeder(self) -> Feeder:
        """The feeder."""
        script = self.script
        generators = controlled(script.drafts.values(), self.generators, script.controls)
        for kind, names in script.ignored.items():
            script.note(
                f"{len(names)} elements of the class {kind} are left out ({IGNORED_CLASSES[kind]}): {joined(names)}."
            )
        for what, titles in script.alike.items():
            script.note(f"{joined(titles)} {what}.")
        profiles, step = aligned([shape for shape in script.of(ShapeDraft) if isinstance(shape, ShapeDraft)])
        for draft in script.drafts.values():
            if isinstance(draft, Injection) and draft.enabled and draft.profile not in ("", *profiles):
                raise draft.error(f"the LoadShape {draft.profile} has no equal steps; give it interval and mult.")
        if not self.sources:
            raise NetworkFileError(f"{self.file}: no source is enabled; expected the circuit's own, or a Vsource.")
        return Feeder(
            name=script.circuit, frequency=script.frequency, buses=self._buses(), sources=tuple(self.sources),
            lines=tuple(self.lines), transformers=tuple(self.transformers), regulators=tuple(self.regulators),
            shunts=tuple(self.shunts), loads=tuple(self.loads), generators=generators, profiles=profiles,
            step=step, source_file=self.file, notes=tuple(script.notes),
            capacitor_controls=tuple(self.capacitor_controls),
        )  # fmt: skip

    def _buses(self) -> tuple[Bus, ...]:
        nodes: dict[str, set[int]] = {}
        for terminal in self.terminals:
            nodes.setdefault(terminal.bus, set()).update(node for node in terminal.nodes if node)
        volts = self._volts()
        where = self.script.coordinates
        return tuple(
            Bus(bus, tuple(sorted(numbers)), self._base(bus, numbers, volts), *where.get(bus, (None, None)))
            for bus, numbers in nodes.items()
        )

    def _volts(self) -> Volts:
        """Voltages at no load; beyond open switches as if they were closed; elsewhere as elements are rated."""
        units, sources = self.transformers, self.sources
        if not self.script.calculated:
            sources = [replace(source, v=source.v / self.per_unit[source.name]) for source in sources]
            units = [replace(u, windings=tuple(replace(w, tap=1.0) for w in u.windings)) for u in units]
        volts = spread(sources, [line for line in self.lines if line.closed], units)
        rest = {**spread(sources, self.lines, units), **volts}
        parts: list[Load | Generator] = [*self.loads, *self.generators]
        for part in parts:
            for node, v in rated(part.terminal, part.v, part.phases, part.connection).items():
                rest.setdefault(node, v)
        return rest

    def _base(self, bus: str, numbers: Iterable[int], volts: Volts) -> float:
        """A bus's base by its lowest node, whose voltage is known."""
        script = self.script
        if bus in script.set_bases:
            return script.set_bases[bus] * 1000
        known = [abs(volts[bus, node]) for node in sorted(numbers) if (bus, node) in volts]
        if not known:
            script.note(f"bus {bus}: no source, load or generator says its voltage; its base is the source's.")
            return self._base(self.sources[0].terminal.bus, self.sources[0].terminal.nodes, volts)
        return nearest(known[0], script.voltage_bases) if script.calculated else known[0]


def _terminals(element: Source | Line | Transformer | Shunt | Load | Generator) -> list[Terminal]:
    if isinstance(element, Line):
        return [element.start, element.end]
    if isinstance(element, Transformer):
        return [winding.terminal for winding in element.windings]
    return [element.terminal]
