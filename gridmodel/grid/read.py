"""Reads a network file by its suffix."""

from __future__ import annotations

from pathlib import Path

from gridmodel.errors import ModelError
from gridmodel.grid.matpower import read_matpower
from gridmodel.grid.network import Network

__all__ = ["read_network"]

_READERS = {".m": read_matpower}


def read_network(path: str | Path) -> Network:
    """Reads a network file; the suffix says which format: ``.m`` is a MATPOWER or PGLib case.

    Raises:
        ModelError: a suffix that no reader takes.
        NetworkFileError: a file that cannot be used, with its line.
    """
    suffix = Path(path).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        raise ModelError(
            f"{Path(path).name or str(path)!r}: no reader for {suffix or 'a file without suffix'}; supported: "
            f"{', '.join(_READERS)} (MATPOWER and PGLib cases)."
        )
    return reader(path)
