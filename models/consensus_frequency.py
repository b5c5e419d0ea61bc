"""Buses of a transmission network agree on the frequency after a generator trips, talking along the lines only.

minimise    sum_i D_i/2 f_i^2 - m_i f_i      subject to  f_i = f_j for all buses i, j

m_i in MW is what bus i lacks or has over (set points less loads), D_i in MW/Hz what it gives back per Hz that the
frequency falls: droop of its generators and the frequency dependence of its load. The optimum is the frequency
deviation at which droop-controlled generators settle, f = sum_i m_i / sum_i D_i, here minus the lost output over
sum_i D_i: each bus comes to know it from its neighbours, without a control centre.

Source: Simpson-Porco, Doerfler, Bullo (2013), Synchronization and power sharing for droop-controlled inverters,
theorem 2: the synchronous frequency of a droop-controlled network. Cases shipped: see `dc_opf`.
"""

from __future__ import annotations

from pathlib import Path

import cvxpy as cp
import networkx as nx
import numpy as np
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.grid.read import read_case

_DATA = Path(__file__).parent / "data"


def build(
    case: str = "pglib_opf_case118_ieee.m", lost: int = 0, droop: float = 0.05, load_response: float = 0.01
) -> gm.Model:
    """The agreement on the frequency as a model.

    Args:
        case: the name of a shipped case, or the path of a MATPOWER file.
        lost: bus number whose generators trip; 0 takes the largest.
        droop: relative fall of frequency at which a generator gives its full output, of 50 Hz.
        load_response: share by which loads fall for each Hz that the frequency falls.
    """
    if not (0 < droop < float("inf") and 0 < load_response < float("inf")):
        raise gm.ModelError(
            f"consensus_frequency: droop and load_response must be above 0 and finite, got {droop}, {load_response}."
        )
    shipped = _DATA / case
    net = read_case(shipped if Path(case).name == case and shipped.is_file() else case)
    numbers = net.buses.number
    excess, stiffness = balance(net, lost, droop, load_response)
    model = gm.Model(f"frequency of {net.name}", currency="MW Hz")
    buses = model.fleet("bus", len(numbers))
    f = buses.variable("f", unit="Hz")
    buses.minimize(cp.multiply(stiffness / 2, cp.square(f)) - cp.multiply(excess, f))
    model.agree("f")
    lines: nx.Graph[str] = nx.Graph()
    lines.add_nodes_from(f"bus[{k}]" for k in range(len(numbers)))
    ends = zip(net.branches.start, net.branches.end, strict=True)
    lines.add_edges_from((f"bus[{i}]", f"bus[{j}]") for i, j in ends if i != j)
    model.connect(lines, coordinator=False)
    return model


def balance(
    net: gm.Network, lost: int = 0, droop: float = 0.05, load_response: float = 0.01
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """m in MW after the trip and D in MW/Hz of every bus, shape (buses,).

    Before it, every generator gives the same share of its largest output, and supply meets the load.
    """
    generators, load = net.generators, np.maximum(net.buses.p_load, 0.0)
    top = np.where(np.isfinite(generators.p_max), np.maximum(generators.p_max, 0.0), 0.0)
    capacity = np.bincount(generators.bus, top, len(load))
    output = capacity * load.sum() / capacity.sum()
    known = net.buses.number.tolist()
    if lost and lost not in known:
        raise gm.ModelError(f"consensus_frequency: lost={lost} is no bus of {net.name}; there are {known[:5]}, ...")
    at = known.index(lost) if lost else int(np.argmax(capacity))
    if not capacity[at]:
        raise gm.ModelError(f"consensus_frequency: no generator at bus {lost} could trip; lost=0 takes the largest.")
    output[at] = capacity[at] = 0.0
    # A bus with neither load nor generator has some auxiliary power of its own, which keeps its cost curved.
    return output - load, capacity / (droop * 50.0) + load_response * np.maximum(load, 1.0)
