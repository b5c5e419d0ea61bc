"""Economic dispatch of many generators: gridmodel's fleet form against CVXPY with OSQP on the vectorised model.

minimise  sum_i (p_i - alpha_i)^2 / (2 beta_i)   s.t.  sum_i p_i == demand,  0 <= p_i <= cap_i

Declaring and compiling are inside the clock for both. The truth is in closed form: p_i = clip(alpha_i + beta_i price),
with the price by bisection of the balance.
"""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
from measure import Answer, accuracy, alternate, arguments, report
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.verify.central import Central

Floats = NDArray[np.float64]


def data(size: int) -> tuple[Floats, Floats, Floats, float]:
    """alpha, beta, cap of each generator, and the demand."""
    rng = np.random.default_rng(0)
    alpha, beta, cap = rng.uniform(-2, 0, size), rng.uniform(1, 4, size), rng.uniform(1, 5, size)
    return alpha, beta, cap, 0.5 * float(cap.sum())


def declare(size: int) -> gm.Model:
    alpha, beta, cap, demand = data(size)
    model = gm.Model("dispatch")
    fleet = model.fleet("generator", size)
    p = fleet.variable("p", bounds=(0, cap), unit="kW")
    fleet.minimize(cp.multiply(0.5 / beta, cp.square(p - alpha)))
    model.couple(cp.sum(p) == demand, name="balance")
    return model


def truth(size: int) -> Central:
    alpha, beta, cap, demand = data(size)
    low, high = -10.0, 10.0
    for _ in range(200):
        price = 0.5 * (low + high)
        short = np.clip(alpha + beta * price, 0, cap).sum() < demand
        low, high = (price, high) if short else (low, price)
    p = np.clip(alpha + beta * price, 0, cap)
    value = float((0.5 / beta * (p - alpha) ** 2).sum())
    return Central("optimal", "bisection", value, {"generator": {"p": p}}, {"balance": price}, {"balance": -price}, 0.0)


def by_gridmodel(size: int, tolerance: float) -> Answer:
    result = gm.solve(declare(size), tolerance=tolerance, verify=False)
    return Answer(result.value, result.price, result.variables, f"{result.algorithm}, {result.rounds} rounds")


def by_cvxpy(size: int, **options: Any) -> Answer:
    alpha, beta, cap, demand = data(size)
    p = cp.Variable(size, bounds=[np.zeros(size), cap])
    balance = cp.sum(p) == demand
    problem = cp.Problem(cp.Minimize(cp.sum(cp.multiply(0.5 / beta, cp.square(p - alpha)))), [balance])
    problem.solve(**options)
    note = f"{problem.solver_stats.num_iters} iterations"
    return Answer(problem.value, {"balance": -balance.dual_value}, {"generator": {"p": p.value}}, note)


def compare(size: int, repetitions: int) -> list[dict[str, Any]]:
    osqp = {"solver": cp.OSQP, "eps_abs": 1e-7, "eps_rel": 1e-7, "max_iter": 100_000}
    runs = {
        "gridmodel 1e-6": lambda: by_gridmodel(size, 1e-6),
        "CVXPY + OSQP 1e-7": lambda: by_cvxpy(size, **osqp),
        "CVXPY + OSQP as it comes": lambda: by_cvxpy(size, solver=cp.OSQP),
        "CVXPY + Clarabel": lambda: by_cvxpy(size, solver=cp.CLARABEL),
    }
    timed = alternate(runs, repetitions)
    model, optimum, base = declare(size), truth(size), timed["gridmodel 1e-6"].median
    return [
        {"generators": size, "by": name, "seconds": run.median, "times": run.median / base}
        | accuracy(run.answer, model, optimum)
        | {"note": run.answer.note}
        for name, run in timed.items()
    ]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--generators", type=int, nargs="+", default=[10_000])
    options = parser.parse_args()
    rows = [row for n in options.generators for row in compare(n, options.repetitions)]
    report(rows, "Economic dispatch: median seconds to declare, compile and solve", options.json)


if __name__ == "__main__":
    main()
