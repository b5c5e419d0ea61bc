"""Solves a Pyomo model by Ipopt: by the executable where there is one, else by the library in casadi's wheel."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np

from gridmodel.errors import ModelError

__all__ = ["Ending", "solve_ipopt"]

_STATUS = {
    "Solve_Succeeded": "stationary",
    "Solved_To_Acceptable_Level": "stationary",
    "Feasible_Point_Found": "stationary",
    "Infeasible_Problem_Detected": "infeasible",
    "Diverging_Iterates": "unbounded",
}


@dataclass(frozen=True)
class Ending:
    """How Ipopt ended.

    status: "stationary", "infeasible" (no point found near where it searched), "unbounded" or "failed".
    message: Ipopt's own word, or Pyomo's on a row that no value fulfils. solver: "IPOPT", and
    through what, or "presolve". slope: the largest entry of the gradient of the Lagrangian at the end, over that of the
    cost where this is more than 1; NaN where it was not computed.
    """

    status: str
    message: str
    solver: str
    slope: float = np.nan


def solve_ipopt(program: Any, tolerance: float = 1e-8, iterations: int = 3000) -> Ending:
    """Solves a Pyomo ConcreteModel; values and multipliers come back onto it.

    Suffixes as of any Pyomo solver: ``dual``, the rise of the optimum per unit rise of a constraint's constant;
    ``ipopt_zL_out`` >= 0 and ``ipopt_zU_out`` <= 0, those of the lower and upper bounds.

    Args:
        program: an objective to minimise, variables with starts.
        tolerance: of the optimality conditions, as Ipopt scales them.

    Raises:
        ModelError: neither an ``ipopt`` executable nor casadi is there.
    """
    import pyomo.environ as pyo
    from pyomo.common.errors import InfeasibleConstraintException

    for name in ("dual", "ipopt_zL_out", "ipopt_zU_out"):
        if program.component(name) is None:
            program.add_component(name, pyo.Suffix(direction=pyo.Suffix.IMPORT))
    solve = _by_executable if which("ipopt") else _by_casadi
    try:
        return solve(program, tolerance, iterations)
    except InfeasibleConstraintException as error:
        return Ending("infeasible", str(error), "presolve")


def _by_executable(program: Any, tolerance: float, iterations: int) -> Ending:
    import pyomo.environ as pyo

    solver = pyo.SolverFactory("ipopt")
    solver.options.update({"tol": tolerance, "max_iter": iterations, "print_level": 0, "bound_relax_factor": 0.0})
    answer = solver.solve(program, load_solutions=False)
    word = str(answer.solver.termination_condition)
    if len(answer.solution):
        program.solutions.load_from(answer)
    status = {"optimal": "stationary", "infeasible": "infeasible", "unbounded": "unbounded"}.get(word, "failed")
    return Ending(status, word, "IPOPT (executable)")


def _by_casadi(program: Any, tolerance: float, iterations: int) -> Ending:
    try:
        import casadi
    except ImportError:
        raise ModelError(
            "Ipopt is not installed, which models that are not convex need: pip install 'gridmodel[acopf]', or put "
            "an ipopt executable on the PATH."
        ) from None
    from pyomo.repn.plugins.nl_writer import NLWriter

    builder = casadi.NlpBuilder()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.nl"
        with path.open("w", newline="\n") as stream:
            written = NLWriter().write(program, stream, linear_presolve=False, scale_model=False)
        builder.import_nl(str(path), {"verbose": False})
    # Bounds as they are: Ipopt else widens them by 1e-8 of their size, and answers would lie outside.
    quiet = {"print_level": 0, "sb": "yes", "tol": tolerance, "max_iter": iterations, "bound_relax_factor": 0.0}
    nlp: Any = {"x": casadi.vertcat(*builder.x), "f": builder.f, "g": casadi.vertcat(*builder.g)}
    options: Any = {"print_time": False, "expand": True, "ipopt": quiet}
    solver = casadi.nlpsol("solver", "ipopt", nlp, options)
    found = solver(x0=builder.x_init, lbx=builder.x_lb, ubx=builder.x_ub, lbg=builder.g_lb, ubg=builder.g_ub)
    word = str(solver.stats()["return_status"])
    _load(program, written, *(np.asarray(found[key]).ravel() for key in ("x", "lam_g", "lam_x")))
    return Ending(_STATUS.get(word, "failed"), word, "IPOPT (casadi)", _slope(casadi, nlp, found))


def _slope(casadi: Any, nlp: Any, found: Any) -> float:
    """How far the multipliers are from balancing the cost's gradient: f' + g' lam_g + lam_x."""
    multipliers = casadi.MX.sym("multipliers", nlp["g"].shape)
    cost = casadi.gradient(nlp["f"], nlp["x"])
    pull = casadi.jtimes(nlp["g"], nlp["x"], multipliers, True)
    both = casadi.Function("slopes", [nlp["x"], multipliers], [cost, pull])
    own, rows = (np.asarray(part).ravel() for part in both(found["x"], found["lam_g"]))
    away = own + rows + np.asarray(found["lam_x"]).ravel()
    return float(np.abs(away).max(initial=0.0) / max(1.0, np.abs(own).max(initial=0.0)))


def _load(program: Any, written: Any, x: Any, on_rows: Any, on_bounds: Any) -> None:
    """casadi's multipliers belong to f + lam_g' g + lam_x' x, Pyomo's are rises of the optimum."""
    for variable, value, multiplier in zip(written.variables, x.tolist(), on_bounds.tolist(), strict=True):
        variable.set_value(value, skip_validation=True)
        program.ipopt_zL_out[variable] = max(-multiplier, 0.0)
        program.ipopt_zU_out[variable] = min(-multiplier, 0.0)
    for constraint, multiplier in zip(written.constraints, on_rows.tolist(), strict=True):
        program.dual[constraint] = -multiplier
