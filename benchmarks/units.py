"""The number of rounds does not depend on units: the energy community in kW and in MW, with rows times a factor.

The same arrays are declared with every power and energy multiplied by ``power``, the money by ``money`` and the
coupling by ``row``; rounds and the relative gap to the centralized optimum must stay.
"""

from __future__ import annotations

from typing import Any

import cvxpy as cp
import numpy as np
from measure import arguments, report

import gridmodel as gm
from gridmodel.verify.central import solve_central
from models import community

CASES = {
    "kW, EUR": (1.0, 1.0, 1.0),
    "MW": (1e-3, 1.0, 1.0),
    "W": (1e3, 1.0, 1.0),
    "cent": (1.0, 100.0, 1.0),
    "row times 1000": (1.0, 1.0, 1e3),
    "MW, cent, row times 1000": (1e-3, 100.0, 1e3),
}


def declare(homes: int, power: float = 1.0, money: float = 1.0, row: float = 1.0, kind: str = "qp") -> gm.Model:
    """The community of ``models/community.py`` in other units."""
    price, load, solar, capacity = community.data(homes, 24, 0)
    load, solar, capacity = (power * array for array in (load, solar, capacity))
    low, high = np.zeros((homes, 25)), np.tile(capacity, (1, 25))
    low[:, [0, -1]] = high[:, [0]] = 0.5 * capacity
    model = gm.Model("community in other units")
    fleet = model.fleet("home", homes)
    grid = fleet.variable("grid", 24, bounds=(-12 * power, 12 * power))
    charge = fleet.variable("charge", 24, bounds=(0, 0.4 * capacity))
    discharge = fleet.variable("discharge", 24, bounds=(0, 0.4 * capacity))
    soc = fleet.variable("soc", 25, bounds=(low, high))
    fleet.subject_to(grid == load - solar + charge - discharge)
    fleet.subject_to(soc[:, 1:] == soc[:, :-1] + community.ETA * charge - discharge / community.ETA)
    loss = community.LOSS[kind] / 2 * money / power**2
    fleet.minimize(cp.sum(grid @ (price * money / power)) + loss * cp.sum_squares(grid))
    model.couple(row * cp.sum(grid, axis=0) <= row * power * 0.65 * homes, name="transformer")
    return model


def rounds(homes: int, kind: str, algorithm: str) -> list[dict[str, Any]]:
    found = []
    for name, (power, money, row) in CASES.items():
        model = declare(homes, power, money, row, kind)
        result = gm.solve(model, algorithm, tolerance=1e-6, verify=False)
        central = solve_central(model)
        found.append({
            "homes": homes, "kind": kind, "units": name, "algorithm": result.algorithm, "rounds": result.rounds,
            "gap": (result.value - central.value) / abs(central.value), "status": result.status.value,
        })  # fmt: skip
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--homes", type=int, default=200)
    parser.add_argument("--algorithm", nargs="+", default=["admm"])
    options = parser.parse_args()
    rows = [row for name in options.algorithm for kind in ("qp", "lp") for row in rounds(options.homes, kind, name)]
    report(rows, "Rounds to 1e-6 in other units", options.json)


if __name__ == "__main__":
    main()
