"""Where in the user's file a statement stands, so that an error can name it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Place", "caller"]

_PACKAGE = str(Path(__file__).resolve().parents[1])


class Place(NamedTuple):
    """A file and a line of the user's."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}"


def caller() -> Place:
    """The nearest frame that does not belong to this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)
