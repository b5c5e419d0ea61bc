"""Columns of numbers that a script takes from other files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gridmodel.errors import NetworkFileError
from gridmodel.grid.dss.text import Parameter, Place, path_in, read_text
from gridmodel.grid.elements import Floats

__all__ = ["column", "rows_of", "table"]


def rows_of(name: str, place: Place) -> Iterator[tuple[Place, list[str]]]:
    """The rows of a file as texts between commas, tabs and spaces, each with its place."""
    path = path_in(place.folder, name)
    for number, line in enumerate(read_text(path, place), 1):
        cells = [cell.strip("\"'") for cell in re.split(r"[,\s;]+", line.strip()) if cell]
        if cells and not cells[0].startswith(("!", "//")):
            yield Place(path.name, number, path.parent), cells


def table(owner: str, name: str, place: Place, header: bool = False) -> Floats:
    """The numbers of a file, shape (rows, columns); a row of words at the top counts as a header.

    Raises:
        NetworkFileError: no such file, not numbers, rows of different length, or nothing in it.
    """
    fast = _plain(path_in(place.folder, name)) if not header else None
    if fast is not None:
        return fast
    found: list[list[float]] = []
    for k, (at, cells) in enumerate(rows_of(name, place)):
        if k == 0 and header:
            continue
        try:
            found.append([float(cell) for cell in cells])
        except ValueError:
            if k:
                raise _bad(at, owner, f"got `{' '.join(cells)[:60]}`, expected numbers") from None
            continue
        if len(found[-1]) != len(found[0]):
            raise _bad(at, owner, f"a row has {len(found[-1])} columns, expected {len(found[0])}")
    if not found:
        raise place.error(f"{owner}: {name!r} holds no number; expected one a row.")
    return np.array(found)


def _plain(path: Path) -> Floats | None:
    """A file of numbers alone, read at once; None for any other."""
    for sign in (",", None):
        try:
            with path.open(encoding="utf-8-sig") as stream:
                values = np.loadtxt(stream, delimiter=sign, ndmin=2)
        except (OSError, ValueError):
            continue
        if values.size and np.isfinite(values).all():
            return np.asarray(values, dtype=np.float64)
    return None


def column(owner: str, parts: Sequence[Parameter]) -> Floats:
    """The column that ``file=NAME, column=K, header=yes`` asks for, or the numbers of a binary file."""
    name, place = parts[0].text, parts[0].place
    asked = {part.name[:1]: part.text for part in parts[1:]}
    if parts[0].name != "file":
        kind = np.float32 if parts[0].name == "sngfile" else np.float64
        return binary(owner, name, place, kind)
    values = table(owner, name, place, asked.get("h", "n").lower().startswith(("y", "t")))
    try:
        k = int(asked.get("c", "1"))
    except ValueError:
        k = 0
    if not 1 <= k <= values.shape[1]:
        raise place.error(f"{owner}: column {asked['c']} of {name!r}, expected 1 to {values.shape[1]}.")
    return np.ascontiguousarray(values[:, k - 1])


def binary(owner: str, name: str, place: Place, kind: type[np.float32] | type[np.float64]) -> Floats:
    """The numbers of a binary file in single or double precision."""
    try:
        return np.fromfile(path_in(place.folder, name), dtype=kind).astype(np.float64)
    except OSError as error:
        raise place.error(f"{owner}: the file {name!r} cannot be read ({error.strerror}). Check its name.") from None


def _bad(place: Place, owner: str, text: str) -> NetworkFileError:
    return place.error(f"{owner}: {text}.")
