"""Takes pandapower nets: their balanced equivalent as a Network."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NetworkFileError
from gridmodel.grid.matpower import network_of
from gridmodel.grid.mfile import MFile, Table, Texts, Value
from gridmodel.grid.network import Network

__all__ = ["from_pandapower", "read_pandapower"]

Floats = NDArray[np.float64]

_COLUMNS = {"bus": 13, "gen": 10, "branch": 13}
_LIMITS = {"min_p_mw": -np.inf, "max_p_mw": np.inf, "min_q_mvar": -np.inf, "max_q_mvar": np.inf}
_MISSING = "pandapower is not installed; pip install 'gridmodel[interop]'."


def read_pandapower(path: str | Path) -> Network:
    """Reads a net that pandapower wrote with ``to_json``.

    Raises:
        ModelError: pandapower is not installed.
        NetworkFileError: no pandapower net, or one that does not fit a Network.
    """
    try:
        import pandapower
    except ImportError as error:
        raise ModelError(_MISSING) from error
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            net = pandapower.from_json(str(path))
    except Exception as error:  # pandapower raises whatever its parts raise
        raise NetworkFileError(f"{path.name}: pandapower cannot read it ({error}); write it with to_json.") from error
    return _network(net, path.stem, path.name)


def from_pandapower(net: Any, name: str = "") -> Network:
    """The balanced network of a pandapower net.

    All elements that pandapower turns into buses, branches and injections are taken, as its own optimal power flow
    does: lines, transformers with two and three windings, switches, loads, generators, wards, shunts, costs, limits.
    A branch's shunt conductance (iron losses) goes to its two buses. Controllable loads and sgens become generators.
    A bus without voltage limits has pandapower's 0 and 2 pu; an ext_grid's are its set point.

    Args:
        net: a pandapowerNet; it is not changed.
        name: of the network; the net's own by default.

    Raises:
        ModelError: pandapower is not installed, or `net` is not one of its nets.
        NetworkFileError: what a Network cannot hold, such as islands or several slack buses.
    """
    label = name or str(getattr(net, "name", "") or "pandapower")
    return _network(net, label, label)


def _network(net: Any, name: str, file: str) -> Network:
    try:
        from pandapower.auxiliary import pandapowerNet
    except ImportError as error:
        raise ModelError(_MISSING) from error
    if not isinstance(net, pandapowerNet):
        raise ModelError(f"from_pandapower(...) expects a pandapower net, got {type(net).__name__}.")
    net = copy.deepcopy(net)
    case = _case(net, file)
    tables = {key: np.array(case[key], dtype=np.float64)[:, :width] for key, width in _COLUMNS.items()}
    _move_conductance(case, tables, file)
    for key, columns in (("bus", (0,)), ("gen", (0,)), ("branch", (0, 1))):
        tables[key][:, columns] += 1
    tables["gencost"] = _costs(case, tables["gen"])
    texts = {"bus_name": Texts(_names(net, len(tables["bus"])), 0)}
    values = {"baseMVA": Value(float(case["baseMVA"]), 0)}
    found = {key: Table(value, np.arange(1, len(value) + 1), 1) for key, value in tables.items()}
    return network_of(MFile(file, 0, found, texts, values), name)


def _case(net: Any, file: str) -> Any:
    """The net as pandapower's own tables for an optimal power flow."""
    from pandapower.converter.pypower.to_ppc import to_ppc

    for table in ("gen", "ext_grid"):
        for column, limit in _LIMITS.items():
            if column not in net[table]:
                net[table][column] = limit
            net[table][column] = net[table][column].astype(float).fillna(limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of nets that older versions wrote
            return to_ppc(net, init="flat", mode="opf", calculate_voltage_angles=True)
    except Exception as error:  # pandapower raises whatever its parts raise
        raise NetworkFileError(
            f"{file}: pandapower cannot turn this net into a case ({type(error).__name__}: {error}). "
            "Expected a net on which pandapower.runpp works; diagnose it with pandapower.diagnostic(net)."
        ) from error


def _move_conductance(case: Any, tables: dict[str, Floats], file: str) -> None:
    """Puts the branches' shunt conductance g/2 at each end into the buses' Gs, in MW at 1 pu."""
    on = np.asarray(case["internal"]["branch_is"], dtype=bool)
    for key in ("branch_r_asym", "branch_x_asym", "branch_g_asym", "branch_b_asym"):
        if key in case and np.any(np.asarray(case[key])[on]):
            raise NetworkFileError(
                f"{file}: a branch has different values at its two ends ({key}); expected symmetric branches. "
                "Give transformers an even leakage ratio (leakage_resistance_ratio_hv = 0.5)."
            )
    if "branch_g" not in case:
        return
    branch, bus = tables["branch"], tables["bus"]
    half = np.asarray(case["branch_g"], dtype=np.float64)[on] / 2 * float(case["baseMVA"])
    tap = np.where(branch[:, 8] == 0, 1.0, branch[:, 8])
    np.add.at(bus[:, 4], branch[:, 0].astype(int), half / tap**2)
    np.add.at(bus[:, 4], branch[:, 1].astype(int), half)


def _costs(case: Any, gen: Floats) -> Floats:
    """The cost table; pandapower's default (minimal generation) where the net has no cost."""
    costs = np.atleast_2d(np.asarray(case["gencost"], dtype=np.float64))
    if len(costs) > len(gen):
        costs = costs[: len(gen)]
    return costs


def _names(net: Any, count: int) -> tuple[str, ...]:
    """The names of the pandapower buses at each bus of the case; its indices where they have none."""
    lookup = net._pd2ppc_lookups["bus"]
    found: list[list[str]] = [[] for _ in range(count)]
    for index, name in net.bus["name"].items():
        position = int(lookup[index])
        if 0 <= position < count and bool(net.bus.at[index, "in_service"]):
            found[position].append(str(name) if name else f"bus {index}")
    return tuple(" = ".join(names) for names in found)
