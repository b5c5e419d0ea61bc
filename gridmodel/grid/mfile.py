"""The data statements of a MATLAB file: numbers, texts and tables, each with its line; nothing is run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NetworkFileError

__all__ = ["MFile", "Table", "Texts", "read_mfile"]

_STRING = r"(?<![\w\])}.'])'(?:[^']|'')*'|\"[^\"]*\""
_LEX = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>%.*)|(?P<more>\.\.\..*)|(?P<open>[\[{{(])|(?P<close>[\]}})])|(?P<end>[;,])"
)
_NAME = r"[A-Za-z]\w*"
_ASSIGNED = re.compile(rf"\s*({_NAME})(?:\.({_NAME}))?(?:\.[\w.]+)?\s*=(?!=)\s*")
_CHANGED = re.compile(rf"\s*({_NAME})\.({_NAME})\s*[({{.]")
_FUNCTION = re.compile(rf"\s*function\s+(?:({_NAME})\s*=|(\[[^\]]*\]\s*=)|)")
_CLOSES = {"]": "[", "}": "{", ")": "("}
_IDLE = frozenset({"end", "endfunction", "return", "define_constants"})

Pieces = list[tuple[int, str]]


@dataclass(frozen=True)
class Table:
    """A table of numbers: values of shape (rows, columns), lines of shape (rows,) in the file, the line it opens at."""

    values: NDArray[np.float64]
    lines: NDArray[np.intp]
    line: int


@dataclass(frozen=True)
class Texts:
    """A cell array of texts and the line it opens at."""

    values: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Value:
    """One number or one text and its line."""

    value: float | str
    line: int


@dataclass(frozen=True)
class MFile:
    """The fields of a file's struct. lines: the number of lines of the file."""

    file: str
    lines: int
    tables: Mapping[str, Table]
    texts: Mapping[str, Texts]
    values: Mapping[str, Value]

    def error(self, line: int, text: str) -> NetworkFileError:
        """The error for a line of this file."""
        return NetworkFileError(f"{self.file}:{line}: {text}")


def read_mfile(path: Path, fields: frozenset[str]) -> MFile:
    """Reads the assignments to the named fields of the struct that the file returns; the last of several counts.

    Other fields and other variables are passed over. A statement that computes one of the named fields is refused.

    Raises:
        NetworkFileError: no such file, not closed, not numbers, rows of different length, or a computing statement.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise NetworkFileError(
            f"{path}: cannot be read ({error.strerror}); expected a MATPOWER case file. Check the path."
        ) from None
    tables: dict[str, Table] = {}
    texts: dict[str, Texts] = {}
    values: dict[str, Value] = {}
    found = MFile(path.name, len(lines), tables, texts, values)
    root = "mpc"
    for pieces in _statements(found, lines):
        line, head = pieces[0]
        function = _FUNCTION.match(head)
        if function:
            root = _returned(found, line, function)
            continue
        assigned = _ASSIGNED.match(head)
        field = _wanted(found, pieces, assigned, root, fields)
        if field is None or assigned is None:
            continue
        right: Pieces = [(line, head[assigned.end() :]), *pieces[1:]]
        tables.pop(field, None)
        texts.pop(field, None)
        values.pop(field, None)
        name = f"{root}.{field}"
        start, stop = right[0][1][:1], right[-1][1].rstrip()[-1:]
        if start == "[" and stop == "]":
            tables[field] = _table(found, name, right)
        elif start == "{" and stop == "}":
            texts[field] = _texts(right)
        else:
            values[field] = _value(found, name, right)
    return found


def _wanted(
    found: MFile, pieces: Pieces, assigned: re.Match[str] | None, root: str, fields: frozenset[str]
) -> str | None:
    """The field that a statement assigns as data; None for what does not concern the struct's named fields."""
    line, head = pieces[0]
    if assigned:
        variable, field = assigned.groups()
        if variable != root or (field is not None and field not in fields):
            return None
        if field is not None:
            return str(field)
    changed = _CHANGED.match(head)
    if changed and (changed[1] != root or changed[2] not in fields):
        return None
    left = head.partition("=")
    if left[1] and left[0].lstrip().startswith("[") and not re.search(rf"\b{root}\b", left[0]):
        return None
    if head.strip() in _IDLE:
        return None
    what = f"{changed[1]}.{changed[2]} is computed" if changed else "a statement that computes"
    raise found.error(
        line,
        f"{what}: got `{_short(head)}`, expected only data such as `{root}.bus = [...];`. "
        "The file is read, not run: run it in MATPOWER and store the outcome with savecase(...).",
    )


def _statements(found: MFile, lines: Iterable[str]) -> Iterator[Pieces]:
    """Cuts the file into statements: pieces (line, text) without comments, a piece a line."""
    pieces: Pieces = []
    opened: list[tuple[str, int, str]] = []
    join = hidden = False
    for number, raw in enumerate(lines, 1):
        if raw.strip() in ("%{", "%}"):
            hidden = raw.strip() == "%{"
            continue
        if hidden:
            continue
        if opened and not join and (_ASSIGNED.match(raw) or _FUNCTION.match(raw)):
            raise _not_closed(found, opened[0], f"before the next statement at line {number}")
        start, more = 0, False
        text = raw
        for token in _LEX.finditer(raw):
            kind, sign = token.lastgroup, token.group()
            if kind == "comment" or kind == "more":
                text, more = raw[: token.start()], kind == "more"
                break
            if kind == "open":
                head = pieces[0][1] if pieces else raw[start:]
                opened.append((sign, pieces[0][0] if pieces else number, head))
            elif kind == "close":
                if not opened or opened.pop()[0] != _CLOSES[sign]:
                    raise found.error(number, f"got `{sign}` that closes nothing; remove it, or open it before.")
            elif kind == "end" and not opened:
                yield from _finish(_add(pieces, number, raw[start : token.start()], join))
                pieces, join, start = [], False, token.end()
        _add(pieces, number, text[start:], join)
        join = more
        if not opened and not more:
            yield from _finish(pieces)
            pieces = []
    if opened:
        raise _not_closed(found, opened[0], "before the file ends")
    yield from _finish(pieces)


def _add(pieces: Pieces, line: int, text: str, join: bool) -> Pieces:
    if join and pieces:
        pieces[-1] = (pieces[-1][0], f"{pieces[-1][1]} {text}")
    elif text and not text.isspace():
        pieces.append((line, text))
    return pieces


def _finish(pieces: Pieces) -> Iterator[Pieces]:
    if any(text.strip() for _, text in pieces):
        yield pieces


def _not_closed(found: MFile, opened: tuple[str, int, str], when: str) -> NetworkFileError:
    sign, line, head = opened
    name = head.partition("=")[0].strip()
    closing = {"[": "];", "{": "};", "(": ")"}[sign]
    return found.error(
        line,
        f"{name} opens with `{sign}` and is not closed {when}; expected `{closing}` after its last row. "
        "Is the file truncated? Close the table or get the whole file.",
    )


def _returned(found: MFile, line: int, function: re.Match[str]) -> str:
    if function[2]:
        raise found.error(
            line,
            f"got a function that returns {function[2].rstrip('= ')}, which is case format 1; expected format 2, "
            "`function mpc = NAME`. Convert it in MATPOWER: savecase(FILE, loadcase(NAME)).",
        )
    return str(function[1] or "mpc")


def _table(found: MFile, name: str, pieces: Pieces) -> Table:
    first, last = pieces[0], pieces[-1]
    pieces = [(first[0], first[1][1:]), *pieces[1:]]
    pieces[-1] = (last[0], pieces[-1][1].rstrip()[:-1])
    rows: list[list[float]] = []
    lines: list[int] = []
    for line, text in pieces:
        for part in text.replace(",", " ").split(";"):
            tokens = part.split()
            if tokens:
                rows.append(_numbers(found, name, line, tokens))
                lines.append(line)
    widths = [len(row) for row in rows]
    usual = max(sorted(set(widths)), key=widths.count, default=0)
    for width, line in zip(widths, lines, strict=True):
        if width != usual:
            raise found.error(
                line,
                f"a row of {name} has {width} columns, expected {usual} as in its other rows. "
                "Give every row the same number of columns.",
            )
    return Table(np.array(rows, dtype=np.float64).reshape(len(rows), usual), np.array(lines, dtype=np.intp), first[0])


def _numbers(found: MFile, name: str, line: int, tokens: list[str]) -> list[float]:
    try:
        return [float(token) for token in tokens]
    except ValueError:
        pass
    row = []
    for token in tokens:
        number = re.sub(r"(?<=[\d.])[dD](?=[-+\d])", "e", token)  # MATLAB reads 1d3 as 1e3
        try:
            row.append(float(number))
        except ValueError:
            raise found.error(
                line,
                f"{name} holds `{token}`, expected a number (or Inf, NaN). "
                "The file is read, not run: write the number itself.",
            ) from None
    return row


def _texts(pieces: Pieces) -> Texts:
    whole = "\n".join(text for _, text in pieces)
    found = re.findall(r"'((?:[^']|'')*)'|\"([^\"]*)\"", whole)
    return Texts(tuple((one or two).replace("''", "'") for one, two in found), pieces[0][0])


def _value(found: MFile, name: str, pieces: Pieces) -> Value:
    line = pieces[0][0]
    text = " ".join(part for _, part in pieces).strip()
    if re.fullmatch(r"'[^']*'|\"[^\"]*\"", text):
        return Value(text[1:-1], line)
    try:
        return Value(float(text), line)
    except ValueError:
        raise found.error(
            line,
            f"{name} is computed: got `{_short(text)}`, expected a number, a text or a table [...]. "
            "The file is read, not run: run it in MATPOWER and store the outcome with savecase(...).",
        ) from None


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
