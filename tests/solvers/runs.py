"""Running an algorithm to a tolerance, and models that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from gridmodel.ir.properties import BlockFacts, Properties
from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from tests.solvers.build import Floats, separable, stack


def run(
    algorithm: AbstractAlgorithm,
    problem: Separable,
    tolerance: float = 1e-7,
    limit: int = 1000,
    warm: Iterate | None = None,
) -> tuple[Iterate, int]:
    """Steps until both residuals are within the tolerance; fails the test at the limit."""
    state: Any = algorithm.init(problem, warm, tolerance)
    for rounds in range(1, limit + 1):
        state = algorithm.step(state)
        seen = algorithm.observe(state)
        if residual(problem, seen) <= tolerance and seen.dual_residual <= tolerance:
            return seen, rounds
    raise AssertionError(f"not within {tolerance} after {limit} rounds: {residual(problem, seen)}, {seen}")


def residual(problem: Separable, seen: Iterate) -> float:
    """Largest violation of a coupling row over its largest term."""
    y, value = problem.couplings, problem.coupling_value(list(seen.x))
    terms = abs(problem.matrix) @ np.abs(problem.join(list(seen.x)))
    return float((np.abs(value - np.clip(value, y.lower, y.upper)) / np.maximum(terms, 1e-9)).max(initial=0))


def agreement(curvature: Any, centre: Any, edges: list[tuple[int, int]]) -> Separable:
    """Agents 1/2 q_i (x - c_i)^2 (constant part left out) that agree along the edges."""
    stacks = []
    for i, (q, c) in enumerate(zip(curvature, centre, strict=True)):
        rows = [k for k, edge in enumerate(edges) if i in edge]
        signs = [[1.0 if edges[k][0] == i else -1.0] for k in rows]
        stacks.append(stack([[q]], [[-q * c]], signs, rows, labels=[f"a{i}"]))
    return separable(stacks, np.zeros(len(edges)), np.zeros(len(edges)))


def two_bus(line: float) -> Separable:
    """Generators of 10 and 30 at buses 1 and 2, a load of 100 at bus 2, a line between them."""
    one = stack([0.0], [[10.0]], [[1.0]], [0], 0, 200, labels=["cheap"])
    two = stack([0.0], [[30.0]], [[1.0]], [1], 0, 200, labels=["dear"])
    wire = stack([0.0], [[0.0]], [[-1.0], [1.0]], [0, 1], -line, line, labels=["line"])
    return separable([one, two, wire], [0.0, 100.0], [0.0, 100.0])


def random_model(seed: int, curved: bool = True) -> Separable:
    """Stacks of quadratic agents and rows of every kind (equation, upper, lower, range), feasible by construction."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 4))
    stacks, total = [], np.zeros(m)
    for _ in range(int(rng.integers(1, 4))):
        size, n = int(rng.integers(1, 5)), int(rng.integers(2, 5))
        k = int(rng.integers(1, m + 1))
        x = rng.normal(size=(size, n))
        P = rng.uniform(0.5, 2, (size, n)) if curved else rng.uniform(0.5, 2, n) * (rng.random(n) < 0.5)
        A = rng.normal(size=(1, n))
        C = rng.normal(size=(k, n)) if rng.random() < 0.5 else np.eye(k, n) * 2
        if k > n:
            C = rng.normal(size=(k, n))
        rows = np.stack([np.sort(rng.choice(m, k, replace=False)) for _ in range(size)])
        made = stack(P, rng.normal(size=(size, n)), C, rows, x - 1, x + 1, A, x @ A.T)
        stacks.append(made)
        np.add.at(total, rows, made.C.dot(x))
    kind = rng.integers(0, 4, m)
    room = rng.uniform(0, 1, m)
    lower = np.where(kind == 1, -np.inf, total - np.where(kind == 0, 0, room))
    upper = np.where(kind == 2, np.inf, total + np.where(kind == 0, 0, room / 2))
    touched = np.isin(np.arange(m), np.concatenate([s.rows.ravel() for s in stacks]))
    lower[~touched], upper[~touched] = -1.0, 1.0
    return separable(stacks, lower, upper)


def properties(**changes: Any) -> Properties:
    """Facts of a model to which every algorithm applies, with changes."""
    block = BlockFacts(2, "home", "QP", 3, 1, "none", True, (1.0, 1.0), 1.0)
    facts: dict[str, Any] = {
        "blocks": (block,), "couplings": (), "agents": 2, "columns": 6, "coupling_rows": 1, "copies": 0,
        "is_qp": True, "is_lp": False, "step_norm": 1.0, "most_participants": 2, "all_agreement": False,
        "coordinator": True, "strangers": (), "components": 1,
    }  # fmt: skip
    return Properties(**(facts | changes))


def optimal(problem: Separable, seen: Iterate, tolerance: float) -> None:
    """Asserts that columns and multipliers satisfy the optimality conditions of every block and every row."""
    for s, x, nu, zeta in zip(problem.stacks, seen.x, seen.nu, seen.zeta, strict=True):
        gradient: Floats = s.P.dot(x) + s.q + s.A.tdot(nu) - s.G.tdot(zeta) + s.C.tdot(seen.mu[s.rows])
        np.testing.assert_allclose(x, np.clip(x - gradient, s.lower, s.upper), atol=tolerance)
    y, value = problem.couplings, problem.coupling_value(list(seen.x))
    np.testing.assert_allclose(value, np.clip(value + seen.mu, y.lower, y.upper), atol=tolerance)
