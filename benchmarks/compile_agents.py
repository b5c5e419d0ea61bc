"""Compile homes that are declared one agent at a time: gridmodel against CVXPY's own compilation.

Building the expressions is the user's code and equal for both; it is timed apart. What is compared is ``gm.compile``
and ``problem.get_problem_data`` of the same costs and constraints.
"""

from __future__ import annotations

import time
from typing import Any

import cvxpy as cp
import numpy as np
from measure import alternate, arguments, report

import gridmodel as gm
from gridmodel.verify.central import central_program
from models import community


def declare(homes: int, hours: int = 24) -> gm.Model:
    """The energy community with an agent a home."""
    price, load, solar, capacity = community.data(homes, hours, 0)
    model = gm.Model("homes one by one")
    for i in range(homes):
        home = model.agent(f"home{i}")
        size = float(capacity[i, 0])
        low, high = np.zeros(hours + 1), np.full(hours + 1, size)
        low[[0, -1]] = high[0] = 0.5 * size
        grid = home.variable("grid", hours, bounds=(-12, 12))
        charge = home.variable("charge", hours, bounds=(0, 0.4 * size))
        discharge = home.variable("discharge", hours, bounds=(0, 0.4 * size))
        soc = home.variable("soc", hours + 1, bounds=(low, high))
        home.subject_to(grid == load[i] - solar[i] + charge - discharge)
        home.subject_to(soc[1:] == soc[:-1] + community.ETA * charge - discharge / community.ETA)
        home.minimize(price @ grid + 0.0125 * cp.sum_squares(grid))
    model.couple(cp.sum([home["grid"] for home in model.agents]) <= 0.65 * homes, name="transformer")
    return model


def total(model: gm.Model) -> cp.Problem:
    """The central program, for which nothing has been compiled yet."""
    return central_program(model)


def compare(agents: int, repetitions: int) -> list[dict[str, Any]]:
    start = time.perf_counter()
    model = declare(agents)
    building = time.perf_counter() - start
    runs = {
        "gridmodel": lambda: gm.compile(model, "admm"),
        # A problem caches what it compiled, so each repetition needs its own.
        "CVXPY for OSQP": lambda: total(model).get_problem_data(cp.OSQP),
        "CVXPY for Clarabel": lambda: total(model).get_problem_data(cp.CLARABEL),
    }
    timed = alternate(runs, repetitions)
    base = timed["gridmodel"].median
    return [
        {"agents": agents, "by": name, "seconds": run.median, "times": run.median / base, "building": building}
        for name, run in timed.items()
    ]


def main() -> None:
    parser = arguments(__doc__, repetitions=3)
    parser.add_argument("--agents", type=int, nargs="+", default=[2000])
    options = parser.parse_args()
    rows = [row for n in options.agents for row in compare(n, options.repetitions)]
    report(rows, "Homes declared one by one: median seconds to compile", options.json)


if __name__ == "__main__":
    main()
