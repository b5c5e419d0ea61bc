"""Writes a small OpenDSS script and reads it."""

from __future__ import annotations

from pathlib import Path

from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder

FEEDERS = Path(__file__).parents[3] / "models" / "data" / "feeders"
HEAD = "clear\nnew circuit.small basekv=12.47\n"


def read(folder: Path, text: str, **files: str) -> Feeder:
    """The feeder of a script that begins with a circuit; files: others beside it, a double underscore for the dot."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    path = folder / "small.dss"
    path.write_text(HEAD + text, encoding="utf-8")
    return read_dss(path)
