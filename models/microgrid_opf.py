"""Optimal power flow of a three-phase feeder with distributed generation, in areas that agree at their borders.

minimise    losses, or the cost of the source's energy and of generation
subject to  the three-phase branch flow equations with the rank left out, one positive semidefinite block a line
            limits of the voltages of every phase, and of what generators and the substation give

Each area is an operator that knows its own lines, loads and generators. Neighbours agree on the voltage matrix of the
bus between them and on the power that flows there. The prices of `balance` are those of active power per bus and phase.

Feeders shipped: IEEE 13, 37 and 123 as OpenDSS files (BSD 3-clause, see `data/feeders/LICENSE-EPRI.txt`). They have no
generation of their own; one-phase generators are put where one-phase loads are, evenly along the file.
"""

from __future__ import annotations

from pathlib import Path

from gridmodel.errors import ModelError
from gridmodel.grid.read import read_feeder
from gridmodel.language.model import Model
from gridmodel.physics.multiphase.generation import load_places, with_generation
from gridmodel.physics.opf import opf

_DATA = Path(__file__).parent / "data" / "feeders"
_SHIPPED = {"ieee13": "13Bus/IEEE13Nodeckt.dss", "ieee37": "37Bus/ieee37.dss", "ieee123": "123Bus/IEEE123Master.dss"}


def build(
    feeder: str = "ieee37",
    areas: int = 5,
    objective: str = "cost",
    units: int = 13,
    kw: float = 50.0,
    kvar: float = 30.0,
    unit_cost: float = 60.0,
    v_min: float = 0.92,
    v_max: float = 1.05,
    formulation: str = "sdp",
    taps: str = "auto",
    load_scale: float = 1.0,
    coordinator: bool = True,
) -> Model:
    """The optimal power flow of a feeder as a model.

    Args:
        feeder: ieee13, ieee37, ieee123, or the path of an OpenDSS file.
        areas: how many, cut at lines.
        objective: "cost" in $/h, or "loss" in kW.
        units: one-phase generators, at places with one-phase loads.
        kw: what a generator can give at most.
        kvar: reactive power that a generator can give or take.
        unit_cost: of generators' energy in $/MWh; the source's costs 100.
        v_min, v_max: limits of the voltages in pu.
        formulation: "sdp" or "lindistflow".
        taps: of regulators, "auto", where they stand without the optimal power flow, or "file".
        load_scale: factor on the loads.
        coordinator: false lets areas talk to their neighbours only.
    """
    net = read_feeder(_DATA / _SHIPPED[feeder] if feeder in _SHIPPED else feeder)
    if kw < 0 or kvar < 0:
        raise ModelError(f"microgrid_opf: kw and kvar are at least 0, got {kw:g} and {kvar:g}.")
    if taps not in ("file", "auto"):
        raise ModelError(f"microgrid_opf: taps={taps!r}, expected 'file' or 'auto'.")
    places = load_places(net, units)
    return opf(
        with_generation(net, places, kw, kvar, unit_cost / 1e3),
        formulation,
        areas,
        objective=objective,
        v_min=v_min,
        v_max=v_max,
        taps="auto" if taps == "auto" else None,
        load_scale=load_scale,
        coordinator=coordinator,
    )
