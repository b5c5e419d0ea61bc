"""DC optimal power flow in areas: an operator of each area, agreeing with its neighbours at the tie lines.

minimise    sum of the generators' costs
subject to  generation - load = flow out of every bus, whose price is the locational marginal price (LMP)
            flow = base * b * (angle at the start - angle at the end - phase shift), within the line's limits

Every area knows its own buses, lines, generators and costs. In the middle of a tie line both neighbours hold the
angle and the flow, and must agree on the two numbers; nothing else is shared. A case is cut into areas so that few
lines are tie lines.

Cases shipped: PGLib v23.07 `pglib_opf_case5_pjm.m`, `pglib_opf_case14_ieee.m`, `pglib_opf_case30_ieee.m`,
`pglib_opf_case118_ieee.m` (CC BY 4.0, see `data/LICENSE-PGLIB.txt`); the path of any other MATPOWER case works too.
PGLib's published DC optima belong to `susceptance=pglib`: 17480, 2051.5, 7472.8 and 93101 $/h.
"""

from __future__ import annotations

from pathlib import Path

from gridmodel.grid.read import read_case
from gridmodel.language.model import Model
from gridmodel.physics.opf import opf

_DATA = Path(__file__).parent / "data"


def build(
    case: str = "pglib_opf_case118_ieee.m",
    areas: int | str = 4,
    susceptance: str = "matpower",
    boundary: str = "midpoint",
    load_scale: float = 1.0,
    coordinator: bool = True,
) -> Model:
    """The DC optimal power flow of a case as a model.

    Args:
        case: the name of a shipped case, or the path of a MATPOWER file.
        areas: a number of areas, or "file" for the areas of the case.
        susceptance: "matpower", 1 / (x tap), or "pglib", x / (r^2 + x^2) without taps and shifts.
        boundary: what neighbours agree on at a tie line: "midpoint" or "angle".
        load_scale: factor on the loads of the case.
        coordinator: false lets areas talk to their neighbours only.
    """
    shipped = _DATA / case
    net = read_case(shipped if Path(case).name == case and shipped.is_file() else case)
    return opf(
        net,
        "dc",
        areas=areas,
        susceptance=susceptance,
        boundary=boundary,
        load_scale=load_scale,
        coordinator=coordinator,
    )
