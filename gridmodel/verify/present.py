"""The centralized optimum of those who are there at the end of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gridmodel.compile import Compiled, compile_model
from gridmodel.errors import NotApplicableError
from gridmodel.language.model import Model
from gridmodel.runtime.absent import without
from gridmodel.runtime.residuals import residuals
from gridmodel.runtime.scale import Scale
from gridmodel.verify.central import Central
from gridmodel.verify.whole import solve_whole

__all__ = ["without_absent"]


def without_absent(model: Model, absent: Sequence[str]) -> Central:
    """Solves the compiled matrices without the absent agents as one program.

    Declared limits of a fleet hold all its rows at once, so who is absent can only be left out of the matrices.
    """
    start = time.perf_counter()
    compiled = compile_model(model)
    if not isinstance(compiled, Compiled):
        raise NotApplicableError("agents that leave need a convex model.")
    problem = without(compiled.lowered.separable, absent)
    status, value, x, mu = solve_whole(problem)
    solved = status in ("Solved", "AlmostSolved")
    if not solved:
        word = {"PrimalInfeasible": "infeasible", "DualInfeasible": "unbounded"}.get(status, "failed")
        value = {"infeasible": np.inf, "unbounded": -np.inf}.get(word, np.nan)
        return Central(word, "CLARABEL", value, {}, {}, {}, time.perf_counter() - start)
    price: dict[str, Any] = {}
    dual: dict[str, Any] = {}
    for info in problem.couplings.infos:
        flat = info.dual_sign * mu[info.rows]
        shaped = float(flat[0]) if info.shape == () else flat.reshape(info.shape, order="F")
        dual[info.name] = shaped
        if info.price_sign is not None:
            price[info.name] = info.price_sign * shaped
    parts = problem.split(x)
    word = "optimal" if status == "Solved" else "optimal_inaccurate"
    variables = compiled.lowering.values(compiled.lowered, parts)
    left = residuals(problem, Scale(problem), parts)
    took = time.perf_counter() - start
    return Central(word, "CLARABEL", value, variables, price, dual, took, None, left.coupling, left.local)
