"""Declare, compile and solve the energy community: gridmodel against CVXPY with Clarabel on the central model.

Both build the same vectorised model from the same arrays in every repetition. gridmodel is asked for a relative gap of
1e-6; Clarabel runs once with its own tolerance of 1e-8 and once with 1e-6. A tight central solve outside the clock is
the truth for gaps and prices; violations are those of the declared rows and bounds, in kW and kWh.
"""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
from measure import Answer, accuracy, alternate, arguments, report

import gridmodel as gm
from gridmodel.verify.central import solve_central
from models import community


def by_gridmodel(homes: int, kind: str, tolerance: float) -> Answer:
    result = gm.solve(community.build(homes=homes, kind=kind), tolerance=tolerance, verify=False)
    return Answer(result.value, result.price, result.variables, f"{result.algorithm}, {result.rounds} rounds")


def by_cvxpy(homes: int, kind: str, tolerance: float) -> Answer:
    """The model of ``models/community.py`` in plain CVXPY."""
    price, load, solar, capacity = community.data(homes, 24, 0)
    low, high = np.zeros((homes, 25)), np.tile(capacity, (1, 25))
    low[:, [0, -1]] = high[:, [0]] = 0.5 * capacity
    power = 0.4 * capacity * np.ones(24)
    grid = cp.Variable((homes, 24), bounds=[-12, 12])
    charge = cp.Variable((homes, 24), bounds=[np.zeros_like(power), power])
    discharge = cp.Variable((homes, 24), bounds=[np.zeros_like(power), power])
    soc = cp.Variable((homes, 25), bounds=[low, high])
    transformer = cp.sum(grid, axis=0) <= 0.65 * homes
    rows = [
        grid == load - solar + charge - discharge,
        soc[:, 1:] == soc[:, :-1] + community.ETA * charge - discharge / community.ETA,
        transformer,
    ]
    cost = cp.sum(grid @ price) + community.LOSS[kind] / 2 * cp.sum_squares(grid)
    problem = cp.Problem(cp.Minimize(cost), rows)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=tolerance, tol_gap_rel=tolerance, tol_feas=tolerance)
    values = {"grid": grid.value, "charge": charge.value, "discharge": discharge.value, "soc": soc.value}
    steps = problem.solver_stats.num_iters
    return Answer(problem.value, {"transformer": -transformer.dual_value}, {"home": values}, f"{steps} iterations")


def compare(homes: int, kind: str, repetitions: int) -> list[dict[str, Any]]:
    runs = {
        "gridmodel 1e-6": lambda: by_gridmodel(homes, kind, 1e-6),
        "CVXPY + Clarabel 1e-8": lambda: by_cvxpy(homes, kind, 1e-8),
        "CVXPY + Clarabel 1e-6": lambda: by_cvxpy(homes, kind, 1e-6),
    }
    timed = alternate(runs, repetitions)
    model = community.build(homes=homes, kind=kind)
    truth = solve_central(model, 1e-9)
    base = timed["gridmodel 1e-6"].median
    return [
        {"homes": homes, "kind": kind, "by": name, "seconds": run.median, "times": run.median / base}
        | accuracy(run.answer, model, truth)
        | {"note": run.answer.note}
        for name, run in timed.items()
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--homes", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--kind", choices=("qp", "lp"), nargs="+", default=["qp"])
    options = parser.parse_args()
    rows = [row for kind in options.kind for n in options.homes for row in compare(n, kind, options.repetitions)]
    report(rows, "Energy community: median seconds to declare, compile and solve", options.json)


if __name__ == "__main__":
    main()
