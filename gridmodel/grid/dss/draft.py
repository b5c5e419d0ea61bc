"""What a script says of one element, while the script is read: properties taken one by one, as OpenDSS does."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol, Self, TypeVar

import numpy as np

from gridmodel.errors import NetworkFileError
from gridmodel.grid.dss.text import Place
from gridmodel.grid.dss.values import BusSpec, Value
from gridmodel.grid.elements import Complexes, Floats, Terminal
from gridmodel.grid.line_constants import Earth

__all__ = ["Draft", "Drafts", "coupled"]

_COMMON = frozenset({"spectrum", "normamps", "emergamps", "faultrate", "pctperm", "repair", "seasons", "ratings"})


class Drafts(Protocol):
    """All that has been read so far, as one element sees it.

    frequency: of the circuit in Hz, base_frequency: of what is declared. earth: model of the return through it.
    """

    frequency: float
    base_frequency: float
    earth: Earth

    def find(self, kind: str, value: Value) -> Draft:
        """The element that a property refers to."""

    def note(self, text: str) -> None:
        """Keeps a remark for who reads the feeder."""

    def note_of(self, what: str, title: str) -> None:
        """Keeps a remark that is made of many elements alike."""


D = TypeVar("D", bound="Draft")


class Draft(ABC):
    """An element as its properties stand so far.

    properties: of its class in OpenDSS's order, in which values without a name are taken.
    silent: those that change nothing in a load flow. drafts: what else has been read.
    """

    kind: ClassVar[str]
    properties: ClassVar[tuple[str, ...]]
    silent: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, name: str, place: Place, drafts: Drafts) -> None:
        self.name = name
        self.place = place
        self.drafts = drafts
        self.enabled = True
        self.base_frequency = drafts.base_frequency
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Takes OpenDSS's default values."""

    @abstractmethod
    def assign(self, key: str, value: Value) -> bool:
        """Takes a property; False for one that is not supported."""

    def settle(self) -> None:  # noqa: B027  most elements have nothing to work out
        """What is worked out at the end of every New, Edit or ``~``, from the properties that stand then."""

    @property
    def title(self) -> str:
        """How messages name the element, e.g. "Line.l1"."""
        return f"{self.kind}.{self.name}"

    def property_name(self, key: str) -> str:
        """The full name of a property that may be given by its beginning; empty where none begins so."""
        names = (*self.properties, "basefreq", "enabled", "like", *sorted(_COMMON))
        return key if key in names else next((name for name in names if name.startswith(key)), "")

    def take(self, key: str, value: Value) -> None:
        """Takes a property by its full name.

        Raises:
            NetworkFileError: a property that is not supported, or a value that does not fit.
        """
        if key == "like":
            self.copy_from(self.drafts.find(self.kind, value))
        elif key == "enabled":
            self.enabled = value.flag()
        elif not self.assign(key, value):
            if key == "basefreq":
                self.base_frequency = value.positive()
            elif key not in self.silent and key not in _COMMON:
                raise self.place_of(value).error(
                    f"{self.title}: the property {key} is not supported. Remove it, or say the same by others."
                )

    @staticmethod
    def place_of(value: Value) -> Place:
        """Where a value stands."""
        return value.parameter.place

    def copy_from(self, other: Draft) -> None:
        """Takes over all properties of another element of the class (``like=``)."""
        kept = {key: self.__dict__[key] for key in ("name", "place", "drafts")}
        same = {key: value for key, value in other.__dict__.items() if key not in kept}
        self.__dict__.update(copy.deepcopy(same))

    def __deepcopy__(self, memo: object) -> Self:
        """Itself: what another element refers to stays one."""
        return self

    def renamed(self, name: str, place: Place) -> Self:
        """A copy under another name."""
        twin = type(self)(name, place, self.drafts)
        twin.copy_from(self)
        return twin

    def terminal(self, spec: BusSpec | None, phases: int, conductors: int, what: str = "bus1") -> Terminal:
        """The terminal of a bus property."""
        if spec is None:
            raise self.error(f"{what} is missing; expected a bus such as {what}=671.1.2.3.")
        if len(spec.nodes) > conductors and any(spec.nodes[conductors:]):
            got = ".".join(map(str, spec.nodes))
            self.drafts.note(
                f"{self.place}: {self.title}: {what} names the nodes {got}, more than its {conductors} conductors; "
                "the last ones are left out."
            )
        return Terminal(spec.bus, spec.filled(phases, conductors))

    def error(self, text: str) -> NetworkFileError:
        """The error for this element, at the line that declares it."""
        return self.place.error(f"{self.title}: {text}")


def coupled(positive: complex, zero: complex, n: int) -> Complexes:
    """The matrix of n equally coupled phases: (2 z1 + z0)/3 on the diagonal, (z0 - z1)/3 off it."""
    own, mutual = (2 * positive + zero) / 3, (zero - positive) / 3
    matrix = np.full((n, n), mutual, dtype=np.complex128)
    np.fill_diagonal(matrix, own)
    return matrix


def sequences(zero: complex, one: complex, two: complex, n: int) -> Complexes:
    """The matrix of n phases from its zero-, positive- and negative-sequence values, a diag(zero, one, two) inv(a).

    Raises:
        ValueError: one and two differ with other than three phases.
    """
    if one == two:
        return coupled(one, zero, n)
    if n != 3:
        raise ValueError(f"positive and negative sequence differ with {n} phases; expected three for that.")
    turn = np.exp(2j * np.pi / 3 * np.outer(range(3), [0, 2, 1]))
    return np.asarray(turn @ np.diag([zero, one, two]) @ np.linalg.inv(turn))


def split(names: str) -> tuple[str, ...]:
    """Names between spaces."""
    return tuple(names.split())


def reduced(matrix: Floats | Complexes, k: int) -> Complexes:
    """The matrix after row and column k are eliminated (Kron): m - m[:, k] m[k, :] / m[k, k]."""
    keep = np.arange(len(matrix)) != k
    m = np.asarray(matrix, dtype=np.complex128)
    return np.asarray(m[np.ix_(keep, keep)] - np.outer(m[keep, k], m[k, keep]) / m[k, k])


def joined(values: Iterable[str]) -> str:
    """Names for a message, the first eight of many."""
    names = list(values)
    return ", ".join(names[:8]) + (f", ... ({len(names)})" if len(names) > 8 else "")
