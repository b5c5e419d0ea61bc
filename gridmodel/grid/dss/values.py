"""What the values of OpenDSS properties mean: numbers, arrays, matrices, flags, buses."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gridmodel.errors import NetworkFileError
from gridmodel.grid.dss.rpn import rpn
from gridmodel.grid.dss.tables import column
from gridmodel.grid.dss.text import Parameter, parameters
from gridmodel.grid.elements import Floats

__all__ = ["BusSpec", "Value"]

_PIECE = re.compile(r"\"[^\"]*\"|'[^']*'|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|\||[^\s,|]+")
_MOST = 100
_LEAST = 1e-30  # what is meant to be above zero but is less would be lost in the arithmetic
_UNITS = {"mi": 1609.344, "kf": 304.8, "km": 1000.0, "m": 1.0, "me": 1.0, "ft": 0.3048, "fe": 0.3048, "in": 0.0254,
          "cm": 0.01, "mm": 0.001}  # fmt: skip


@dataclass(frozen=True)
class BusSpec:
    """A bus as a property names it: ``671.1.2`` is the bus 671 and the nodes (1, 2)."""

    bus: str
    nodes: tuple[int, ...] = ()

    def filled(self, phases: int, conductors: int) -> tuple[int, ...]:
        """The nodes of all conductors: those that were named, then 1, 2, .. for phases and 0 for the rest."""
        usual = tuple(k + 1 if k < phases else 0 for k in range(conductors))
        return (self.nodes + usual[len(self.nodes) :])[:conductors]


@dataclass(frozen=True)
class Value:
    """A value of the property ``owner`` (a text such as "Line.l1: length")."""

    owner: str
    parameter: Parameter

    @property
    def text(self) -> str:
        return self.parameter.text

    @property
    def word(self) -> str:
        """The text in lower case, as names are compared."""
        return self.parameter.text.strip().lower()

    def error(self, expected: str) -> NetworkFileError:
        """The error that the value is not what was expected."""
        return self.parameter.place.error(f"{self.owner} is `{self.text}`, expected {expected}.")

    def _number(self, text: str, quoted: bool) -> float:
        try:
            return float(text)
        except ValueError as error:
            if not quoted:
                raise self.error("a number") from error
        try:
            return rpn(text)
        except ValueError as error:
            raise self.error(f"a number or arithmetic such as (7 100 /), but this {error}") from error

    def number(self) -> float:
        """One finite number."""
        number = self._number(self.text, self.parameter.quoted)
        if not np.isfinite(number):
            raise self.error("a finite number")
        return number

    def positive(self) -> float:
        """One number above zero."""
        number = self.number()
        if number < _LEAST:
            raise self.error("a number above 0")
        return number

    def integer(self, least: int = 1) -> int:
        """One whole number."""
        number = self.number()
        if number != round(number) or number < least:
            raise self.error(f"a whole number of at least {least}")
        return round(number)

    def count(self, least: int = 1) -> int:
        """How many phases, conductors, windings or steps there are: no element has more than a hundred."""
        number = self.integer(least)
        if number > _MOST:
            raise self.error(f"a whole number from {least} to {_MOST}")
        return number

    def flag(self) -> bool:
        """Yes or no."""
        if self.word[:1] in ("y", "t", "1"):
            return True
        if self.word[:1] in ("n", "f", "0"):
            return False
        raise self.error("yes or no")

    def delta(self) -> bool:
        """Whether a connection is delta; wye otherwise."""
        if self.word[:1] == "d" or self.word[:2] == "ll":
            return True
        if self.word[:1] in ("y", "w") or self.word[:2] == "ln":
            return False
        raise self.error("wye or delta")

    def unit(self) -> float | None:
        """A unit of length in m; None for "none"."""
        if self.word[:2] == "no":
            return None
        unit = _UNITS.get(self.word[:2])
        if unit is None:
            raise self.error("one of none, mi, kft, km, m, ft, in, cm, mm")
        return unit

    def pieces(self) -> list[tuple[str, bool]]:
        """The entries of an array and whether each stood in brackets or quotes."""
        found = []
        for piece in _PIECE.findall(self.text):
            quoted = piece[0] in "\"'([{" and len(piece) > 1
            found.append((piece[1:-1].strip() if quoted else piece, quoted))
        return found

    def names(self) -> list[str]:
        """An array of names in lower case."""
        return [text.lower() for text, _ in self.pieces() if text != "|"]

    def entries(self) -> list[Value]:
        """The entries of an array, each as a value."""
        place = self.parameter.place
        return [Value(self.owner, Parameter("", text, quoted, place)) for text, quoted in self.pieces() if text != "|"]

    def numbers(self) -> Floats:
        """An array of numbers, from the script or from ``file=NAME``."""
        inner = parameters(self.text, self.parameter.place) if "file=" in self.word.replace(" ", "") else []
        if inner and inner[0].name in ("file", "sngfile", "dblfile"):
            return column(self.owner, inner)
        found = np.array([self._number(text, quoted) for text, quoted in self.pieces() if text != "|"])
        if not np.isfinite(found).all():
            raise self.error("finite numbers")
        return found

    def matrix(self, n: int) -> Floats:
        """A symmetric matrix of order n from its lower triangle ``a | b c | d e f`` or in full."""
        rows: list[list[float]] = [[]]
        for text, quoted in self.pieces():
            if text == "|" and not quoted:
                rows.append([])
            else:
                rows[-1].append(self._number(text, quoted))
        lengths = [len(row) for row in rows if row]
        rows = [row for row in rows if row]
        if lengths != list(range(1, n + 1)) and lengths != [n] * n:
            got = ", ".join(map(str, lengths))
            raise self.error(f"{n} rows between `|`, the lower triangle or all of {n} x {n} (got rows of {got})")
        matrix = np.zeros((n, n))
        for i, row in enumerate(rows):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = row[j]
        if not np.isfinite(matrix).all():
            raise self.error("finite numbers")
        return matrix

    def bus(self) -> BusSpec:
        """A bus with its nodes."""
        name, *nodes = self.word.split(".")
        if not name or not all(node.isdigit() for node in nodes):
            raise self.error("a bus such as 671 or 671.1.2.3, with whole numbers as nodes")
        return BusSpec(name, tuple(map(int, nodes)))
