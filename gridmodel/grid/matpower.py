"""Reads MATPOWER and PGLib case files (``.m``, case format 2); the data only, nothing is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NetworkFileError
from gridmodel.grid.matpower_costs import read_costs
from gridmodel.grid.mfile import MFile, Table, read_mfile
from gridmodel.grid.network import Branches, Buses, Generators, Network

__all__ = ["network_of", "read_matpower"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_COLUMNS = {"bus": 13, "gen": 10, "branch": 11, "gencost": 5}
_FOREIGN = {
    "dcbus": "a DC grid", "dcbranch": "a DC grid", "dcconv": "a DC grid",
    "busdc": "a DC grid", "branchdc": "a DC grid", "convdc": "a DC grid",
    "A": "user-defined constraints", "N": "user-defined costs",
}  # fmt: skip
_FIELDS = frozenset({"version", "baseMVA", "bus_name", "dcline", *_COLUMNS, *_FOREIGN})


def read_matpower(path: str | Path) -> Network:
    """Reads a case file and keeps what is in service, as MATPOWER does.

    Dropped are buses of type 4 with all that is attached to them, generators of status <= 0 and branches of
    status 0. The network must be one island with one reference bus (type 3).

    Raises:
        NetworkFileError: what is wrong, with the file's name and line.
    Source: MATPOWER User's Manual 8.0, appendix B (data file format).
    """
    return network_of(read_mfile(Path(path), _FIELDS), Path(path).stem)


def network_of(file: MFile, name: str) -> Network:
    """The network of a case's tables, by the same rules as ``read_matpower``.

    Raises:
        NetworkFileError: what is wrong, with the file's name and line.
    """
    base = _header(file)
    buses, live = _buses(file)
    position = {int(number): k for k, number in enumerate(buses.number)}
    generators, lines_of_generators = _generators(file, live, position)
    branches, lines_of_branches = _branches(file, live, position)
    costs = read_costs(file, generators.row, file.tables["gen"].lines.size)
    net = Network(name, base, buses, branches, generators, costs, file.file)
    _check_supply(file, generators, lines_of_generators)
    _check_branches(file, net, lines_of_branches)
    _check_connected(file, net)
    return net


def _header(file: MFile) -> float:
    """The base power, after the checks of what the file holds."""
    version = file.values.get("version")
    if version is not None and str(version.value).removesuffix(".0") != "2":
        raise file.error(
            version.line,
            f"mpc.version is {version.value}, expected '2'. Convert it in MATPOWER: savecase(FILE, loadcase(NAME)).",
        )
    base = file.values.get("baseMVA")
    if base is None:
        raise _missing(file, "baseMVA", "a number such as `mpc.baseMVA = 100;`")
    if not isinstance(base.value, float) or not 0 < base.value < np.inf:
        raise file.error(base.line, f"mpc.baseMVA is {base.value}, expected a positive number of MVA, mostly 100.")
    for name, least in _COLUMNS.items():
        table = file.tables.get(name)
        if table is None or not table.lines.size:
            raise _missing(file, name, f"a table `mpc.{name} = [...];` with a row or more")
        if table.values.shape[1] < least:
            raise file.error(
                int(table.lines[0]),
                f"a row of mpc.{name} has {table.values.shape[1]} columns, expected at least {least} (case format 2).",
            )
    for name, what in _FOREIGN.items():
        other = file.tables.get(name)
        if other is not None and other.lines.size:
            raise file.error(other.line, f"mpc.{name} declares {what}, which is not supported. Remove it.")
    links = file.tables.get("dcline")
    if links is not None and links.values.shape[1] > 2:
        for line in links.lines[links.values[:, 2] > 0]:
            raise file.error(
                int(line),
                "mpc.dcline holds a DC line in service, which is not supported; expected status 0 in column 3. "
                "Give it status 0, or replace it by a generator at either end.",
            )
    return base.value


def _missing(file: MFile, name: str, expected: str) -> NetworkFileError:
    return file.error(max(file.lines, 1), f"the file ends without mpc.{name}; expected {expected}. Is it truncated?")


def _whole(file: MFile, table: Table, name: str, columns: dict[int, str]) -> None:
    """Refuses what is not finite in the columns that must be numbers."""
    for column, what in columns.items():
        for row in np.flatnonzero(~np.isfinite(table.values[:, column])):
            raise file.error(
                int(table.lines[row]),
                f"column {column + 1} of mpc.{name} ({what}) is {table.values[row, column]}, expected a finite number.",
            )


def _integers(file: MFile, table: Table, column: int, name: str, what: str) -> NDArray[np.intp]:
    values = table.values[:, column]
    for row in np.flatnonzero((values != np.floor(values)) | (values < 1)):
        raise file.error(
            int(table.lines[row]), f"{what} in mpc.{name} is {values[row]:g}, expected a whole number of at least 1."
        )
    return values.astype(np.intp)


def _buses(file: MFile) -> tuple[Buses, dict[int, bool]]:
    """The buses in service, and for every bus number whether it is in service."""
    table = file.tables["bus"]
    _whole(file, table, "bus", {0: "bus number", 1: "type", 2: "Pd", 3: "Qd", 4: "Gs", 5: "Bs", 6: "area", 10: "zone"})
    number = _integers(file, table, 0, "bus", "the bus number")
    kind = table.values[:, 1]
    first: dict[int, int] = {}
    for row, bus in enumerate(number.tolist()):
        line = int(table.lines[row])
        if bus in first:
            raise file.error(
                line, f"bus {bus} is declared twice, first at line {first[bus]}; expected once. Renumber one."
            )
        first[bus] = line
        if kind[row] not in (1, 2, 3, 4):
            raise file.error(
                line,
                f"bus {bus} has type {kind[row]:g}, expected 1 (load), 2 (generator), 3 (reference) or 4 (off).",
            )
    on = kind != 4
    names = file.texts["bus_name"].values if "bus_name" in file.texts else ()
    kept = table.values[on]
    c = kept.T
    buses = Buses(
        number=number[on], kind=kept[:, 1].astype(np.intp), p_load=c[2], q_load=c[3], g_shunt=c[4], b_shunt=c[5],
        area=c[6].astype(np.intp), v_magnitude=c[7], v_angle=np.radians(c[8]), base_kv=c[9],
        zone=c[10].astype(np.intp), v_max=c[11], v_min=c[12],
        name=tuple(name for name, keep in zip(names, on, strict=True) if keep) if len(names) == on.size else (),
    )  # fmt: skip
    return buses, dict(zip(number.tolist(), on.tolist(), strict=True))


def _attached(file: MFile, name: str, column: int, live: dict[int, bool]) -> tuple[NDArray[np.intp], Flags]:
    """The bus numbers of a column, all known, and which of them are in service."""
    table = file.tables[name]
    numbers = table.values[:, column]
    for row, number in enumerate(numbers):
        if number not in live:
            raise file.error(
                int(table.lines[row]),
                f"row {row + 1} of mpc.{name} refers to bus {number:g}, which mpc.bus does not hold. "
                "Expected a number of its first column; correct it or add the bus.",
            )
    known = numbers.astype(np.intp)
    return known, np.array([live[int(number)] for number in known], dtype=np.bool_)


def _generators(file: MFile, live: dict[int, bool], position: dict[int, int]) -> tuple[Generators, NDArray[np.intp]]:
    table = file.tables["gen"]
    number, on = _attached(file, "gen", 0, live)
    _whole(file, table, "gen", {7: "status"})
    on &= table.values[:, 7] > 0
    if not on.any():
        raise file.error(table.line, "no generator of mpc.gen is in service; expected a row of status 1 (column 8).")
    c = table.values[on].T
    bus = np.array([position[int(k)] for k in number[on]], dtype=np.intp)
    generators = Generators(
        bus=bus, p=c[1], q=c[2], p_min=c[9], p_max=c[8], q_min=c[4], q_max=c[3], v_set=c[5], mva_base=c[6],
        row=np.flatnonzero(on) + 1,
    )  # fmt: skip
    return generators, table.lines[on]


def _branches(file: MFile, live: dict[int, bool], position: dict[int, int]) -> tuple[Branches, NDArray[np.intp]]:
    table = file.tables["branch"]
    start, first = _attached(file, "branch", 0, live)
    end, second = _attached(file, "branch", 1, live)
    _whole(file, table, "branch", {2: "r", 3: "x", 4: "b", 8: "ratio", 9: "angle", 10: "status"})
    on = first & second & (table.values[:, 10] != 0)
    kept = table.values[on]
    c = kept.T
    rates = [np.where(c[k] == 0, np.inf, c[k]) for k in (5, 6, 7)]
    low, high = (c[11], c[12]) if len(c) > 12 else (np.zeros(len(kept)), np.zeros(len(kept)))
    branches = Branches(
        start=np.array([position[int(k)] for k in start[on]], dtype=np.intp),
        end=np.array([position[int(k)] for k in end[on]], dtype=np.intp),
        r=c[2], x=c[3], b=c[4], rate_a=rates[0], rate_b=rates[1], rate_c=rates[2],
        tap=np.where(c[8] == 0, 1.0, c[8]), shift=np.radians(c[9]),
        angle_min=np.where((low == 0) | (low <= -360), -np.inf, np.radians(low)),
        angle_max=np.where((high == 0) | (high >= 360), np.inf, np.radians(high)),
        row=np.flatnonzero(on) + 1,
    )  # fmt: skip
    return branches, table.lines[on]


def _check_supply(file: MFile, generators: Generators, lines: NDArray[np.intp]) -> None:
    for k in np.flatnonzero(~(generators.p_min <= generators.p_max)):
        raise file.error(
            int(lines[k]),
            f"generator {generators.row[k]} has Pmin = {generators.p_min[k]:g} MW (column 10) and "
            f"Pmax = {generators.p_max[k]:g} MW (column 9), expected Pmin <= Pmax. Exchange or correct them.",
        )


def _check_branches(file: MFile, net: Network, lines: NDArray[np.intp]) -> None:
    branches, number = net.branches, net.buses.number
    wrong = {
        "x = 0 (column 4), expected another reactance. Merge its buses, or give it a small x": branches.x == 0,
        "a rating below 0 or NaN (column 6), expected MVA, or 0 for no limit": ~(branches.rate_a >= 0),
        "angmin above angmax (columns 12 and 13), expected angmin <= angmax in degrees. Exchange or correct them":
            ~(branches.angle_min <= branches.angle_max),
        "the same bus at both ends, expected two. Remove the row, or give it status 0": branches.start == branches.end,
    }  # fmt: skip
    for text, flags in wrong.items():
        for k in np.flatnonzero(flags):
            ends = f"{number[branches.start[k]]}-{number[branches.end[k]]}"
            raise file.error(int(lines[k]), f"branch {branches.row[k]} ({ends}) has {text}.")


def _check_connected(file: MFile, net: Network) -> None:
    table = file.tables["bus"]
    line = {int(number): int(row) for number, row in zip(table.values[:, 0], table.lines, strict=True)}
    numbers = net.buses.number
    for k in net.isolated:
        raise file.error(
            line[int(numbers[k])],
            f"bus {numbers[k]} is isolated: no branch in service touches it. "
            "Expected a branch; give the bus type 4 to leave it out, or give a branch of it status 1.",
        )
    islands = net.islands
    if len(islands) > 1:
        parts = "; ".join(f"{{{_some(numbers[island])}}}" for island in islands)
        raise file.error(
            line[int(numbers[islands[1][0]])],
            f"the network has {len(islands)} islands: {parts}. Expected one connected network: close a branch "
            "between them, or keep one island and give the buses of the others type 4.",
        )
    reference = net.reference
    if reference.size != 1:
        at = line[int(numbers[reference[1]])] if reference.size else table.line
        got = f"{reference.size} reference buses: {_some(numbers[reference])}" if reference.size else "no reference bus"
        raise file.error(at, f"the network has {got}; expected one. Give one bus type 3 (column 2), the others 1 or 2.")


def _some(numbers: NDArray[np.intp]) -> str:
    shown = ", ".join(str(number) for number in numbers[:8])
    return shown if numbers.size <= 8 else f"{shown}, ... ({numbers.size} buses)"
