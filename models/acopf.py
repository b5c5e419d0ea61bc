"""AC optimal power flow in areas, exact or relaxed: any MATPOWER case.

minimise    sum of the generators' costs
subject to  generation - load = what the lines take, active and reactive, by the AC equations
            limits of voltages, of the apparent power of lines, of angle differences, of generators

`formulation=ac` is exact and not convex: answers are stationary points, bounded from below by a relaxation. `soc` and
`sdp` are convex relaxations: their cost is a lower bound, exact where the answer has rank one. `dc` leaves out losses.
Areas agree with their neighbours at the tie lines. `gridmodel opf CASE` sets all formulations side by side.

Cases shipped: PGLib v23.07 `pglib_opf_case5_pjm.m`, `pglib_opf_case14_ieee.m`, `pglib_opf_case30_ieee.m`,
`pglib_opf_case118_ieee.m` (CC BY 4.0, see `data/LICENSE-PGLIB.txt`). PGLib's published AC optima are 17552, 2178.1,
8208.5 and 97214 $/h.
"""

from __future__ import annotations

from pathlib import Path

from gridmodel.grid.read import read_case
from gridmodel.language.model import Model
from gridmodel.physics.opf import opf

_DATA = Path(__file__).parent / "data"


def build(
    case: str = "pglib_opf_case14_ieee.m",
    formulation: str = "ac",
    areas: int | str = 2,
    coordinates: str = "polar",
    load_scale: float = 1.0,
    coordinator: bool = True,
) -> Model:
    """The optimal power flow of a case as a model.

    Args:
        case: the name of a shipped case, or the path of a MATPOWER file.
        formulation: "ac", "soc", "sdp", "branchflow", "lindistflow" or "dc".
        areas: a number of areas, or "file" for the areas of the case.
        coordinates: of "ac", "polar" or "rectangular".
        load_scale: factor on the loads of the case.
        coordinator: false lets areas talk to their neighbours only.
    """
    shipped = _DATA / case
    net = read_case(shipped if Path(case).name == case and shipped.is_file() else case)
    own = {"coordinates": coordinates} if formulation == "ac" else {}
    return opf(net, formulation, areas=areas, load_scale=load_scale, coordinator=coordinator, **own)
