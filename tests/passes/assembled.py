"""A separable problem put together again as one program, solved without cvxpy and held to the central optimum."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.language.model import Model
from gridmodel.passes.lower import Lowered, Lowering, lower
from gridmodel.verify.central import central_program, solve_central

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Solved:
    """The optimum of the assembled program: columns and multipliers in the form of ``runtime.interface.Iterate``."""

    status: str
    value: float
    x: list[Floats]
    mu: Floats
    nu: list[Floats]


def solve_separable(problem: Separable) -> Solved:
    """minimise sum of the blocks' costs s.t. their rows, bounds and cones, and the coupling rows, in one program."""
    P = sp.block_diag([stack.P.diagonal_blocks for stack in problem.stacks], format="csc")
    q = problem.join([stack.q for stack in problem.stacks])
    y = problem.couplings
    equal, above, below = y.equality, ~y.equality & np.isfinite(y.upper), ~y.equality & np.isfinite(y.lower)
    parts: list[tuple[Any, Floats, Any]] = [
        (problem.matrix[equal], y.lower[equal], clarabel.ZeroConeT),
        (problem.matrix[above], y.upper[above], clarabel.NonnegativeConeT),
        (-problem.matrix[below], -y.lower[below], clarabel.NonnegativeConeT),
    ]
    for stack, start in zip(problem.stacks, problem.offsets, strict=False):
        parts += list(_local(stack, start, len(q)))
    parts = [part for part in parts if part[0].shape[0]]
    is_lp = problem.is_qp and not P.data.any()
    status, x, dual = (_linear if is_lp else _conic)(P, q, parts)
    offset = float(sum(stack.offset.sum() for stack in problem.stacks))
    ends = np.cumsum([len(side) for _, side, _ in parts])
    return _sorted(problem, x, np.split(dual, ends[:-1]), status, float(0.5 * x @ (P @ x) + q @ x) + offset)


def _conic(P: Any, q: Floats, parts: list[tuple[Any, Floats, Any]]) -> tuple[str, Floats, Floats]:
    """Status, columns and multipliers of the rows (matrix x <= side, or in another cone) by Clarabel."""
    cones: list[Any] = []
    for matrix, _, kind in parts:
        cones += kind if isinstance(kind, list) else [kind(matrix.shape[0])]
    A = sp.csc_matrix(sp.vstack([matrix for matrix, _, _ in parts]) if parts else sp.csc_matrix((0, len(q))))
    b = np.concatenate([np.empty(0), *(side for _, side, _ in parts)])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    for name in ("tol_gap_abs", "tol_gap_rel", "tol_feas"):
        setattr(settings, name, 1e-9)
    found = clarabel.DefaultSolver(sp.csc_matrix(sp.triu(P)), q, A, b, cones, settings).solve()
    return str(found.status), np.array(found.x), np.array(found.z)


def _linear(P: Any, q: Floats, parts: list[tuple[Any, Floats, Any]]) -> tuple[str, Floats, Floats]:
    """The same by a simplex method, which bad scaling does not trouble."""
    del P
    equal = [kind is clarabel.ZeroConeT for _, _, kind in parts]

    def rows(which: bool) -> tuple[Any, Any]:
        chosen = [(matrix, side) for (matrix, side, _), same in zip(parts, equal, strict=True) if same == which]
        return (sp.vstack([m for m, _ in chosen]), np.concatenate([s for _, s in chosen])) if chosen else (None, None)

    found = linprog(q, *rows(False), *rows(True), bounds=(None, None), method="highs")
    marginals = {True: iter(-found.eqlin.marginals), False: iter(-found.ineqlin.marginals)}
    dual = [next(marginals[same]) for (_, side, _), same in zip(parts, equal, strict=True) for _ in side]
    return "Solved" if found.status == 0 else found.message, found.x, np.array(dual)


def _local(stack: Stack, start: int, width: int) -> Iterator[tuple[Any, Floats, Any]]:
    """Rows (matrix, side, cone) of all blocks of a stack: equations, bounds, cones."""
    n = stack.q.size
    place = sp.csr_array((np.ones(n), (np.arange(n), start + np.arange(n))), shape=(n, width))
    yield stack.A.diagonal_blocks @ place, stack.b.ravel(), clarabel.ZeroConeT
    for sign, side in ((1.0, stack.upper.ravel()), (-1.0, -stack.lower.ravel())):
        kept = np.isfinite(side)
        yield sign * place[kept], side[kept], clarabel.NonnegativeConeT
    yield -(stack.G.diagonal_blocks @ place), stack.h.ravel(), _cones(stack.cones) * stack.size


def _cones(cones: Cones) -> list[Any]:
    out: list[Any] = [clarabel.NonnegativeConeT(cones.nonneg)] if cones.nonneg else []
    out += [clarabel.SecondOrderConeT(size) for size in cones.soc]
    out += [clarabel.PSDTriangleConeT(order) for order in cones.psd]
    out += [clarabel.ExponentialConeT() for _ in range(cones.exp)]
    return out + [clarabel.PowerConeT(a) for a in cones.pow3d]


def _sorted(problem: Separable, x: Floats, duals: list[Floats], status: str, value: float) -> Solved:
    y = problem.couplings
    queue = iter(duals)
    mu = np.zeros(y.size)
    finite = [~y.equality & np.isfinite(y.upper), ~y.equality & np.isfinite(y.lower)]
    for rows, sign in ((y.equality, 1.0), (finite[0], 1.0), (finite[1], -1.0)):
        if rows.any():
            mu[rows] += sign * next(queue)
    nu = []
    for stack in problem.stacks:
        nu.append(next(queue).reshape(stack.b.shape) if stack.b.size else np.zeros(stack.b.shape))
        for bounded in (stack.upper, stack.lower):
            if np.isfinite(bounded).any():
                next(queue)
        if stack.h.size:
            next(queue)
    return Solved(status, value, problem.split(x), mu, nu)


def lowered_optimum(model: Model) -> tuple[Lowering, Lowered, Solved]:
    """Compiles a model and solves what came out."""
    lowering = lower(model)
    lowered = lowering.evaluate()
    return lowering, lowered, solve_separable(lowered.separable)


def coupling_duals(lowered: Lowered, mu: Floats) -> dict[str, Any]:
    """cvxpy's duals of the couplings that became rows, from the rows' multipliers."""
    out: dict[str, Any] = {}
    for info in lowered.separable.couplings.infos:
        if len(info.rows):
            out[info.name] = (info.dual_sign * mu[info.rows]).reshape(info.shape, order="F")
    return out


def assert_compiled_right(
    model: Model, *, values: bool = True, duals: bool = True, lowering: Lowering | None = None, tol: float = 1e-5
) -> Lowered:
    """The compiled program has the central optimum, its values under the user's names, and its multipliers.

    Args:
        values: optimal variables are unique, so compare them. duals: the same of multipliers.
        lowering: compiled before; left out, the model is compiled here.
    """
    lowering = lowering or lower(model)
    lowered = lowering.evaluate()
    solved = solve_separable(lowered.separable)
    central = solve_central(model)
    assert central.solved, central
    assert solved.status in ("Solved", "AlmostSolved"), solved.status
    scale = max(1.0, abs(central.value))
    assert solved.value == pytest.approx(central.value, abs=tol * scale)
    assert lowered.separable.cost(solved.x) == pytest.approx(solved.value, abs=tol * scale)
    found = lowering.values(lowered, solved.x)
    assert cost_of(model, found) == pytest.approx(central.value, abs=tol * scale)
    assert {name: set(of) for name, of in found.items()} == {a.name: set(a.variables) for a in model.agents}
    if values:
        for name, variables in central.variables.items():
            for key, value in variables.items():
                np.testing.assert_allclose(found[name][key], value, atol=100 * tol * max(1.0, np.abs(value).max()))
    if duals:
        given = coupling_duals(lowered, solved.mu) | lowering.duals(lowered, solved.nu)
        shapes = {coupling.name: coupling.shape for coupling in model.couplings}
        for key, dual in given.items():
            # cvxpy gives the dual of a nonlinear scalar constraint as an array of one entry.
            truth = np.reshape(central.dual[key], np.shape(dual))
            np.testing.assert_allclose(dual, truth, atol=100 * tol * scale, err_msg=key)
            assert np.shape(dual) == shapes.get(key, np.shape(central.dual[key]))
    return lowered


def cost_of(model: Model, found: dict[str, dict[str, Any]]) -> float:
    """The declared cost at given values, after checking with cvxpy that they satisfy every declared constraint."""
    problem = central_program(model)
    for party in model.agents:
        for name, variable in party.variables.items():
            variable.save_value(np.asarray(found[party.name][name]))
            if variable.attributes["bounds"] is not None:
                lower_bound, upper = variable.attributes["bounds"]
                value = found[party.name][name]
                size = np.maximum(1.0, np.abs(value))
                assert (value >= lower_bound - 1e-6 * size).all()
                assert (value <= upper + 1e-6 * size).all()
    for constraint in problem.constraints:
        sizes = [np.abs(arg.value).max(initial=0.0) for arg in constraint.args if arg.value is not None]
        assert np.max(constraint.violation()) <= 1e-5 * max(1.0, *sizes), constraint
    return float(problem.objective.expr.value)
