"""Runs an OpenDSS script: New, Edit, Set, Redirect, Open, .. build up the drafts of all elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from gridmodel.grid.dss.catalog import COMMANDS, IGNORED_CLASSES, KINDS, OPTIONS, REFUSED_CLASSES, REFUSED_COMMANDS
from gridmodel.grid.dss.draft import Draft, joined
from gridmodel.grid.dss.lines import LineDraft, earth_model
from gridmodel.grid.dss.shapes import DEFAULT_DAY, ShapeDraft
from gridmodel.grid.dss.tables import rows_of
from gridmodel.grid.dss.text import Parameter, Place, lines_of, parameters, path_in, read_text
from gridmodel.grid.dss.values import Value
from gridmodel.grid.line_constants import Earth

__all__ = ["Script"]

_DEPTH = 30


class Script:
    """What a script has declared so far."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.running: list[Path] = []
        self._commands: Mapping[str, Callable[[list[Parameter], Place], None]] = {
            "new": self._new, "edit": self._edit, "more": self._more, "m": self._more, "~": self._more,
            "set": self._set, "clear": self._clear, "clearall": self._clear, "redirect": self._redirect,
            "compile": self._redirect, "open": self._open, "close": self._open, "enable": self._enable,
            "disable": self._enable, "buscoords": self._coordinates, "latlongcoords": self._coordinates,
            "giscoords": self._coordinates, "setbusxy": self._coordinate, "setkvbase": self._set_base,
            "calcvoltagebases": self._calculate_bases, "batchedit": self._batch, "select": self._select, "cd": self._cd,
        }  # fmt: skip
        self.base_frequency = 60.0
        self.reset()

    def reset(self) -> None:
        """Forgets everything that was declared (``Clear``)."""
        self.circuit = ""
        self.drafts: dict[tuple[str, str], Draft] = {}
        self.active: Draft | None = None
        self.ignored: dict[str, list[str]] = {}
        self.alike: dict[str, list[str]] = {}
        self.skipping = False
        self.frequency = self.base_frequency
        self.load_factor = 1.0
        self.controls = True
        self.voltage_bases: tuple[float, ...] = (0.208, 0.48, 12.47, 24.9, 34.5, 115.0, 230.0)
        self.calculated = False
        self.earth: Earth = "deri"
        self.set_bases: dict[str, float] = {}
        self.coordinates: dict[str, tuple[float, float]] = {}

    def of(self, kind: type[Draft]) -> Iterator[Draft]:
        """The elements of a class in the order of their declaration."""
        return (draft for draft in self.drafts.values() if type(draft) is kind)

    def note(self, text: str) -> None:
        """Keeps a remark, once."""
        if text not in self.notes:
            self.notes.append(text)

    def note_of(self, what: str, title: str) -> None:
        """Keeps a remark that is made of many elements alike."""
        self.alike.setdefault(what, []).append(title)

    def find(self, kind: str, value: Value) -> Draft:
        """The element that a property refers to.

        Raises:
            NetworkFileError: there is none of this name.
        """
        name = value.word.removeprefix(f"{kind.lower()}.")
        found = self.drafts.get((kind.lower(), name))
        if found is None and (kind, name) == ("LoadShape", "default"):
            found = self._default_shape(value.parameter.place)
        if found is None:
            known = [draft.name for draft in self.drafts.values() if draft.kind == kind]
            raise value.error(f"a {kind} that is declared before; known are {joined(known) or 'none'}")
        return found

    def _default_shape(self, place: Place) -> Draft:
        shape = ShapeDraft("default", place, self)
        shape.values = np.array(DEFAULT_DAY)
        self.drafts["loadshape", "default"] = shape
        return shape

    def run(self, path: Path, place: Place | None = None) -> None:
        """Runs the script in a file.

        Raises:
            NetworkFileError: what is wrong, with file and line.
        """
        lines = read_text(path, place)
        real = path.resolve()
        if place is not None and (real in self.running or len(self.running) >= _DEPTH):
            chain = " -> ".join(p.name for p in [*self.running, real])
            raise place.error(f"{path.name} reads itself ({chain}); expected scripts that end. Remove this line.")
        self.running.append(real)
        folder = path.parent
        self._folder = folder
        for number, text in lines_of(lines):
            self._line(text, Place(path.name, number, self._folder))
        self.running.pop()

    def _line(self, text: str, place: Place) -> None:
        if text.startswith("~"):
            text = "~ " + text[1:]
        elif text.startswith("?"):
            return
        found = parameters(text, place)
        if not found:
            return
        first, rest = found[0], found[1:]
        if first.name:
            self._property(first, rest, place)
            return
        command = _command(first, place)
        action = self._commands.get(command)
        if action is not None:
            self._command = command
            action(rest, place)

    def _property(self, first: Parameter, rest: list[Parameter], place: Place) -> None:
        """A line such as ``Transformer.reg1a.wdg=2 Tap=1.05``."""
        kind, _, name = first.name.partition(".")
        name, _, key = name.rpartition(".")
        if not name or not key:
            raise place.error(f"got `{first.name}=`, expected a command, or Class.name.property=value.")
        draft = self._known(f"{kind}.{name}", place)
        if draft is not None:
            self.active = draft
            self._take(draft, [Parameter(key, first.text, first.quoted, place), *rest])

    def _kind(self, name: str, place: Place) -> type[Draft] | None:
        """The class of this name; None for one that is left out."""
        kind = KINDS.get(name)
        if kind is None and name not in IGNORED_CLASSES:
            if name in REFUSED_CLASSES:
                raise place.error(f"elements of the class {name} are not supported; remove them or replace them.")
            raise place.error(f"got the class `{name}`, expected one of {', '.join(sorted(KINDS))}.")
        return kind

    def _known(self, title: str, place: Place) -> Draft | None:
        """The declared element "class.name"; None for one that was left out."""
        kind, _, name = title.lower().partition(".")
        self.skipping = False
        if kind == "circuit":
            kind, name = "vsource", "source"
        if self._kind(kind, place) is None:
            self.skipping = True
            return None
        draft = self.drafts.get((kind, name))
        if draft is None:
            known = [d.name for (k, _), d in self.drafts.items() if k == kind]
            raise place.error(f"there is no {title}; expected one declared before: {joined(known) or 'none yet'}.")
        return draft

    def _named(self, rest: list[Parameter], place: Place) -> tuple[str, list[Parameter]]:
        """The "class.name" that a command begins with, and what follows."""
        if not rest or rest[0].name not in ("", "object", "element", "name"):
            raise place.error(f"`{self._command}` without an element; expected Class.name after it.")
        return rest[0].text.lower(), rest[1:]

    def _new(self, rest: list[Parameter], place: Place) -> None:
        title, rest = self._named(rest, place)
        kind, _, name = title.partition(".")
        if kind == "circuit":
            self._new_circuit(name, rest, place)
            return
        if not name:
            raise place.error(f"`New {title}` names no element; expected New Class.name.")
        made = self._kind(kind, place)
        self.skipping = made is None
        if made is None:
            self.ignored.setdefault(kind, []).append(name)
            return
        if not self.circuit:
            raise place.error(f"`New {title}` before the circuit; expected `New Circuit.name` first.")
        if (kind, name) in self.drafts:
            raise place.error(
                f"{title} is declared twice, first at {self.drafts[kind, name].place}; expected once. "
                "Rename one, or use Edit to change it."
            )
        self.active = self.drafts[kind, name] = made(name, place, self)
        self._take(self.active, rest)

    def _new_circuit(self, name: str, rest: list[Parameter], place: Place) -> None:
        if self.circuit:
            raise place.error(f"a second circuit, {name}, after {self.circuit}; expected one. Clear before it.")
        self.circuit = name or "circuit"
        self.skipping = False
        self.active = self.drafts["vsource", "source"] = KINDS["vsource"]("source", place, self)
        self._take(self.active, rest)

    def _take(self, draft: Draft, found: list[Parameter]) -> None:
        """Gives an element its properties; a value without a name is the property after the last one."""
        at = -1
        for parameter in found:
            place = parameter.place
            if parameter.name:
                key = draft.property_name(parameter.name)
                if not key:
                    raise place.error(
                        f"{draft.title}: unknown property `{parameter.name}`, expected one of "
                        f"{', '.join(draft.properties)}."
                    )
                at = draft.properties.index(key) if key in draft.properties else len(draft.properties)
            else:
                at += 1
                if at >= len(draft.properties):
                    raise place.error(f"{draft.title}: `{parameter.text}` stands after the last property; name it.")
                key = draft.properties[at]
            draft.take(key, Value(f"{draft.title}: {key}", parameter))
        draft.settle()

    def _edit(self, rest: list[Parameter], place: Place) -> None:
        title, rest = self._named(rest, place)
        draft = self._known(title, place)
        if draft is not None:
            self.active = draft
            self._take(draft, rest)

    def _more(self, rest: list[Parameter], place: Place) -> None:
        if self.skipping:
            return
        if self.active is None:
            raise place.error("`~` continues nothing; expected New or Edit before it.")
        self._take(self.active, rest)

    def _select(self, rest: list[Parameter], place: Place) -> None:
        self.active = self._known(self._named(rest, place)[0], place)

    def _batch(self, rest: list[Parameter], place: Place) -> None:
        title, rest = self._named(rest, place)
        kind, _, pattern = title.partition(".")
        if self._kind(kind, place) is None:
            return
        try:
            matching = re.compile(pattern)
        except re.error as error:
            raise place.error(f"BatchEdit: `{pattern}` is no regular expression ({error}).") from None
        for (of, name), draft in list(self.drafts.items()):
            if of == kind and matching.search(name):
                self._take(draft, rest)

    def _clear(self, rest: list[Parameter], place: Place) -> None:
        self.reset()
        self.notes.clear()

    def _redirect(self, rest: list[Parameter], place: Place) -> None:
        if not rest:
            raise place.error(f"`{self._command}` without a file; expected its name.")
        stays, folder = self._command == "compile", place.folder
        self.run(path_in(folder, rest[0].text), place)
        if not stays:
            self._folder = folder

    def _cd(self, rest: list[Parameter], place: Place) -> None:
        if rest:
            self._folder = path_in(place.folder, rest[0].text)

    def _enable(self, rest: list[Parameter], place: Place) -> None:
        draft = self._known(self._named(rest, place)[0], place)
        if draft is not None:
            draft.enabled = self._command == "enable"

    def _open(self, rest: list[Parameter], place: Place) -> None:
        """``Open Line.x 1``: all conductors of a line; one conductor alone is refused."""
        title, rest = self._named(rest, place)
        draft = self._known(title, place)
        if draft is None:
            return
        numbers = [Value(f"{self._command} {title}", parameter).integer(0) for parameter in rest[:2]]
        terminal = numbers[0] if numbers else 1
        if len(numbers) > 1 and numbers[1]:
            raise place.error(f"one conductor alone is not supported; expected all: {self._command} {title}.")
        if not isinstance(draft, LineDraft):
            if self._command == "open":
                raise place.error(f"open of a {draft.kind} is not supported; use Disable {title}, or open a line.")
        elif self._command == "open":
            draft.opened.add(terminal)
        else:
            draft.opened.discard(terminal)

    def _set(self, rest: list[Parameter], place: Place) -> None:
        for parameter in rest:
            name = parameter.name or parameter.text.lower()
            key = name if name in OPTIONS else next((option for option in OPTIONS if option.startswith(name)), "")
            if not key:
                raise place.error(f"`Set {name}`: unknown option; expected one of OpenDSS's options.")
            self._option(key, Value(f"Set {key}", parameter))

    def _option(self, key: str, value: Value) -> None:
        match key:
            case "defaultbasefrequency":
                self.base_frequency = self.frequency = value.positive()
            case "frequency":
                self.frequency = value.positive()
            case "loadmult":
                self.load_factor = value.number()
            case "controlmode":
                self.controls = not value.word.startswith("of")
            case "voltagebases":
                bases = tuple(value.numbers().tolist())
                if not bases or min(bases) <= 0:
                    raise value.error("voltages in kV above 0")
                self.voltage_bases = bases
            case "earthmodel":
                self.earth = earth_model(value)
            case "genmult" | "loadmodel" | "cktmodel":
                if value.word[:1] not in ("1", "p", "m"):
                    raise value.error("the usual value; another is not supported")

    def _calculate_bases(self, rest: list[Parameter], place: Place) -> None:
        self.calculated = True

    def _set_base(self, rest: list[Parameter], place: Place) -> None:
        """``SetkVBase bus=x kVLL=0.48`` (or kVLN)."""
        got = {parameter.name or ("bus", "kvll", "kvln")[min(k, 2)]: parameter for k, parameter in enumerate(rest)}
        volts = got.get("kvll") or got.get("kvln")
        if "bus" not in got or volts is None:
            raise place.error("`SetkVBase` needs bus=NAME and kVLL=NUMBER (or kVLN).")
        kv = Value("SetkVBase", volts).positive()
        self.set_bases[got["bus"].text.lower()] = kv / 3**0.5 if volts.name != "kvln" else kv

    def _coordinates(self, rest: list[Parameter], place: Place) -> None:
        if not rest:
            raise place.error(f"`{self._command}` without a file; expected its name.")
        for at, cells in rows_of(rest[0].text, place):
            try:
                x, y = float(cells[1]), float(cells[2])
            except (IndexError, ValueError):
                raise at.error(f"got `{' '.join(cells)[:60]}`, expected a bus and two numbers.") from None
            self.coordinates[cells[0].lower()] = (x, y) if self._command == "buscoords" else (y, x)

    def _coordinate(self, rest: list[Parameter], place: Place) -> None:
        got = {parameter.name: parameter for parameter in rest}
        if {"bus", "x", "y"} <= got.keys():
            x, y = (Value("SetBusXY", got[key]).number() for key in "xy")
            self.coordinates[got["bus"].text.lower()] = (x, y)


def _command(first: Parameter, place: Place) -> str:
    """The full name of a command that may be given by its beginning."""
    word = first.text.lower()
    found = word if word in COMMANDS else next((command for command in COMMANDS if command.startswith(word)), "")
    if found in REFUSED_COMMANDS:
        raise place.error(f"the command {found} is not supported; write out the circuit that it makes.")
    if not found:
        raise place.error(f"got `{first.text}`, expected a command such as New, Edit, Set, Redirect or Solve.")
    return found
