"""The shipped feeders, and what OpenDSS says about them (see data/README.md)."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.feeder import Feeder

DATA = Path(__file__).parent / "data"
FEEDERS = Path(__file__).parents[2] / "models" / "data" / "feeders"
FILES = {
    "ieee13": "13Bus/IEEE13Nodeckt.dss",
    "ieee37": "37Bus/ieee37.dss",
    "ieee123": "123Bus/IEEE123Master.dss",
}
KERSTING = {"reg1a": 7, "reg2a": -1, "reg3a": 0, "reg3c": -1, "reg4a": 8, "reg4b": 1, "reg4c": 5}
AUTOMATIC = {"reg1a": 6, "reg2a": 0, "reg3a": 2, "reg3c": 0, "reg4a": 8, "reg4b": 4, "reg4c": 6}


def feeder(name: str) -> Feeder:
    """A shipped feeder as its file has it."""
    return read_dss(FEEDERS / FILES[name])


def constant_power(net: Feeder) -> Feeder:
    """The feeder with all loads of constant power at every voltage."""
    power = (0.0, 0.0, 1.0)
    loads = (replace(one, zip_p=power, zip_q=power, v_min=0.0, v_max=np.inf, v_low=0.0) for one in net.loads)
    return replace(net, loads=tuple(loads))


def ratios(steps: dict[str, int]) -> dict[tuple[str, int], float]:
    """Turns ratios of second windings from tap positions of 5/8 percent."""
    return {(name, 1): 1.0 + 0.00625 * k for name, k in steps.items()}


def rows(file: str) -> list[dict[str, str]]:
    """The rows of a table in data/."""
    with (DATA / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def reference(file: str, net: Feeder) -> NDArray[np.complex128]:
    """Node voltages in pu of each node's base, shape (nodes,), in the feeder's order."""
    found = {f"{row['bus']}.{row['phase']}": complex(float(row["v_re_V"]), float(row["v_im_V"])) for row in rows(file)}
    assert sorted(found) == sorted(net.nodes)
    return np.array([found[node] for node in net.nodes]) / net.base


def between_lines(net: Feeder, v: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Voltages from each node to the next one of the same bus, from node voltages in any unit."""
    pairs = [(k, k + 1) for k in range(len(net.nodes) - 1) if _bus(net, k) == _bus(net, k + 1)]
    first, second = np.array(pairs).T
    return v[first] - v[second]


def _bus(net: Feeder, k: int) -> str:
    return net.nodes[k].rsplit(".", 1)[0]


def probe(n: int) -> NDArray[np.complex128]:
    """The vector that the tables of admittance matrices were multiplied with."""
    k = np.arange(n)
    return 1.0 + 0.3 * k + 0.1j * k**2
