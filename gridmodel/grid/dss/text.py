"""The text of OpenDSS scripts: statements, their parameters and values, each with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridmodel.errors import NetworkFileError

__all__ = ["Parameter", "Place", "lines_of", "parameters", "read_text"]

CLOSES = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
_BREAK = re.compile(r"[\s,=!]|//")


@dataclass(frozen=True)
class Place:
    """Where a text stands. folder: what file names in it are relative to."""

    file: str
    line: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, text: str) -> NetworkFileError:
        """The error for this place."""
        return NetworkFileError(f"{self}: {text}")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a statement: ``name=text``, or a text alone (name is empty then), in lower or upper case.

    quoted: whether it stood in brackets or quotes, which are taken off.
    """

    name: str
    text: str
    quoted: bool
    place: Place


def read_text(path: Path, place: Place | None) -> list[str]:
    """The lines of a file, found without regard to case.

    Raises:
        NetworkFileError: there is no such file; at `place`, where another file asks for it.
    """
    found = _find(path)
    try:
        text = _decoded(found.read_bytes())
    except OSError as error:
        reason = error.strerror or "not found"
    else:
        if "\0" not in text:
            return text.splitlines()
        reason = "not a text"
    if place is None:
        raise NetworkFileError(f"{path}: cannot be read ({reason}); expected an OpenDSS script. Check the path.")
    raise place.error(f"the file {path.name!r} cannot be read ({reason}); expected it at {path}. Check its name.")


def _decoded(raw: bytes) -> str:
    """The text of a file in UTF-8, in UTF-16 with its mark, or else in Latin-1, in which every byte means something."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _find(path: Path) -> Path:
    """The file of this name, letters of either case being the same."""
    if path.exists() or path == path.parent:
        return path
    parent = _find(path.parent)
    try:
        same = sorted(entry for entry in parent.iterdir() if entry.name.lower() == path.name.lower())
    except OSError:
        return path
    return same[0] if same else path


def path_in(folder: Path, name: str) -> Path:
    """The path that a script in this folder means by a file name, with separators of either kind."""
    path = Path(name.strip().replace("\\", "/"))
    return path if path.is_absolute() else folder / path


def lines_of(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; block comments ``/* .. */`` are passed over."""
    hidden = False
    for number, raw in enumerate(lines, 1):
        text = raw.strip()
        if hidden or text.startswith("/*"):
            hidden = "*/" not in text
        elif text and not text.startswith(("!", "//")):
            yield number, text


def parameters(text: str, place: Place) -> list[Parameter]:
    """Cuts a statement into parameters; a comment ends it.

    Raises:
        NetworkFileError: a bracket or quote that is not closed, or a name without a value.
    """
    found: list[Parameter] = []
    at = _skip(text, 0)
    while at < len(text):
        word, quoted, at = _token(text, at, place)
        after = _skip(text, at, ",")
        if after < len(text) and text[after] == "=" and not quoted:
            at = _skip(text, after + 1)
            if at >= len(text):
                raise place.error(f"got `{word}=` without a value; expected one after the sign.")
            name = word
            word, quoted, at = _token(text, at, place)
            found.append(Parameter(name.lower(), word, quoted, place))
        else:
            found.append(Parameter("", word, quoted, place))
        at = _skip(text, at)
    return found


def _skip(text: str, at: int, stop: str = "") -> int:
    """The next position that is neither space nor comma; the end where a comment begins."""
    while at < len(text) and (text[at].isspace() or (text[at] == "," and "," not in stop)):
        at += 1
    return len(text) if text.startswith(("!", "//"), at) else at


def _token(text: str, at: int, place: Place) -> tuple[str, bool, int]:
    closing = CLOSES.get(text[at])
    if closing:
        end = _closing(text, at, closing)
        if end < 0:
            raise place.error(f"`{text[at]}` is not closed: got `{_short(text[at:])}`, expected `{closing}` after it.")
        return text[at + 1 : end].strip(), True, end + 1
    if text[at] == "=":
        raise place.error(f"got `=` without a name before it in `{_short(text)}`; expected name=value.")
    end = at
    stop = _BREAK.search(text, at)
    end = stop.start() if stop else len(text)
    return text[at:end], False, end


def _closing(text: str, at: int, closing: str) -> int:
    """Where what opens at a position closes, brackets of its kind within it counted; -1: nowhere."""
    depth = 0
    for k in range(at + 1, len(text)):
        if text[k] == closing:
            if depth == 0:
                return k
            depth -= 1
        elif text[k] == text[at]:
            depth += 1
    return -1


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
