"""Reads a network file by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gridmodel.errors import ModelError
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.json_file import load, read_json
from gridmodel.grid.matpower import read_matpower
from gridmodel.grid.network import Network
from gridmodel.grid.pandapower_net import from_pandapower, read_pandapower

__all__ = ["read_case", "read_feeder", "read_network"]


def read_network(source: object) -> Network | Feeder:
    """Reads a network file, by its suffix, or takes a pandapower net.

    ``.m`` is a MATPOWER or PGLib case (a balanced Network), ``.dss`` an OpenDSS script (a multiphase Feeder), ``.json``
    what ``write_network`` wrote, or pandapower's ``to_json`` (a Network).

    Raises:
        ModelError: a suffix that no reader takes.
        NetworkFileError: a file that cannot be used, with its line.
    """
    if not isinstance(source, str | Path):
        return from_pandapower(source)
    path = Path(source)
    suffix = path.suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        raise ModelError(
            f"{path.name or str(source)!r}: no reader for {suffix or 'a file without suffix'}; supported: "
            f"{', '.join(_READERS)} (MATPOWER and PGLib cases, OpenDSS scripts, own and pandapower's JSON)."
        )
    return reader(path)


def _read_json(path: Path) -> Network | Feeder:
    data = load(path)
    if isinstance(data, dict) and "pandapower" in str(data.get("_module", "")):
        return read_pandapower(path)
    return read_json(path)


_READERS: Mapping[str, Callable[[Path], Network | Feeder]] = {
    ".m": read_matpower, ".dss": read_dss, ".json": _read_json,
}  # fmt: skip


def read_case(path: str | Path) -> Network:
    """Reads a balanced network, as ``read_network``.

    Raises:
        ModelError: the file holds a multiphase feeder.
    """
    net = read_network(path)
    if isinstance(net, Feeder):
        raise ModelError(f"{Path(path).name} is a multiphase feeder, expected a balanced case such as a MATPOWER file.")
    return net


def read_feeder(path: str | Path) -> Feeder:
    """Reads a multiphase feeder, as ``read_network``.

    Raises:
        ModelError: the file holds a balanced network.
    """
    net = read_network(path)
    if isinstance(net, Network):
        raise ModelError(f"{Path(path).name} is a balanced network, expected a multiphase feeder (OpenDSS).")
    return net
