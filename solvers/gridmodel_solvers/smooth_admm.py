"""ADMM for agents that are smooth without being convex: the iteration of ``splitting``, with Newton's method inside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.anderson import Anderson, accelerate
from gridmodel_solvers.exchange import CouplingRows
from gridmodel_solvers.interior.local import LocalAnswer, solve_local
from gridmodel_solvers.metric import Metric
from gridmodel_solvers.splitting import imbalance, may_adapt
from gridmodel_solvers.traffic import edge_traffic, star_traffic

__all__ = ["SmoothADMM"]

Floats = NDArray[np.float64]

_SOFT = 0.3
"""Where no penalty is given: prices of agents that are not convex find their way sooner than their flows."""


@dataclass(frozen=True)
class _State:
    """problem: with rows in the metric's coordinates. v carries the iteration, z = project(v), rho (v - z) = dual.

    rho: shape (slots,), slots of all blocks one after the other. answers: None before the first round.
    """

    problem: SmoothProblem
    coupling: CouplingRows
    rho: Floats
    v: Floats
    z: Floats
    dual: Floats
    answers: tuple[LocalAnswer, ...] | None
    memory: Anderson | None
    accuracy: float
    dual_residual: float = np.inf
    rounds: int = 0


@final
@dataclass(frozen=True)
class SmoothADMM(AbstractAlgorithm):
    """Exchange ADMM on rows lower <= sum_i C_i x_i <= upper of smooth agents, each round from a stationary point each.

    z = project(v);  x_i = argmin f_i + rho/2 |C_i x - 2 z_i + v_i|^2, locally;  v += relaxation (C x - z)

    Without convexity nothing is promised: where the run ends, the point is feasible and stationary, or its status says
    that it is not. rho, relaxation, memory: as in ``Exchange`` with edges. edge: whether there is no coordinator.
    """

    name: ClassVar[str] = "smooth-admm"
    smooth: ClassVar[bool] = True
    every_round: ClassVar[bool] = True

    rho: float | None = None
    relaxation: float | None = None
    memory: int = 30
    edge: bool = True

    def verdict(self, properties: Properties) -> Verdict:
        """That of the form; ``ADMM`` gives it."""
        return Verdict(not properties.convex, "every agent searches a stationary point of its own problem")

    def traffic(self, problem: SmoothProblem) -> Traffic:
        """As in the forms of ``Exchange``."""
        if self.edge:
            return edge_traffic([block.rows for block in problem.blocks], self.memory)
        return star_traffic(problem, self.memory)

    def init(self, problem: SmoothProblem, warm: Iterate | None, tolerance: float) -> _State:
        """The first state, at the agents' starts or an earlier answer."""
        metric = Metric.of(problem)
        turned = metric.turned_smooth(problem)
        coupling = CouplingRows.of_rows([block.rows for block in problem.blocks], turned.couplings, metric)
        rho = (self.rho or _SOFT) * np.where(metric.paired, 1.0, 1.0 / metric.yields)[coupling.at]
        x = [block.start for block in problem.blocks] if warm is None else [part[0] for part in warm.x]
        mu = np.zeros(problem.couplings.size) if warm is None else warm.mu
        dual = np.asarray(metric.back.T @ mu)[coupling.at]
        v = coupling.project(_reported(turned, x)) + dual / rho
        memory = Anderson(self.memory, eager=True) if self.memory else None
        accuracy = min(1e-8, 1e-4 * tolerance)
        return _State(turned, coupling, rho, v, coupling.project(v), dual, None, memory, accuracy)

    def step(self, state: Any) -> _State:
        """One round: local searches, then the rows' sums."""
        s: _State = state
        target = 2 * s.z - s.v
        ends = np.cumsum([len(block.rows) for block in s.problem.blocks])[:-1]
        before = s.answers or (None,) * len(s.problem.blocks)
        answers = tuple(
            solve_local(block, weight=weight, target=aim, warm=last, tolerance=s.accuracy)
            for block, weight, aim, last in zip(
                s.problem.blocks, np.split(s.rho, ends), np.split(target, ends), before, strict=True
            )
        )
        w = _reported(s.problem, [answer.x for answer in answers])
        mapped = s.v + (1.6 if self.relaxation is None else self.relaxation) * (w - s.z)
        z = s.coupling.project(mapped)
        dual = s.rho * (mapped - z)
        marginal = s.rho * (w - target)
        size = max(float(np.abs(marginal).max(initial=0.0)), np.finfo(float).tiny)
        residual = float(np.abs(marginal - dual).max(initial=0.0)) / size
        done = replace(s, v=mapped, z=z, dual=dual, answers=answers, dual_residual=residual, rounds=s.rounds + 1)
        if s.memory is None:
            return done
        if self.rho is None and may_adapt(done.rounds):
            factor = imbalance(s.rho, w, s.z, z, dual)
            if factor is not None:
                rho = factor * s.rho
                v = z + dual / rho
                return replace(done, rho=rho, v=v, z=s.coupling.project(v), memory=s.memory.forget())
        root = np.sqrt(s.rho)
        v, memory = accelerate(s.memory, root * s.v, root * mapped)
        return replace(done, v=v / root, z=s.coupling.project(v / root), memory=memory)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        s: _State = state
        mu = s.coupling.multipliers(s.dual)
        if s.answers is None:
            blocks = s.problem.blocks
            sizes = [(block.functions.equations, block.functions.inequalities) for block in blocks]
            nu, zeta = [np.zeros((1, m)) for m, _ in sizes], [np.zeros((1, k)) for _, k in sizes]
            return Iterate([block.start[None] for block in blocks], mu, nu, zeta, np.inf)
        return Iterate(
            x=[answer.x[None] for answer in s.answers],
            mu=mu,
            nu=[answer.nu[None] for answer in s.answers],
            zeta=[answer.zeta[None] for answer in s.answers],
            dual_residual=s.dual_residual,
        )


def _reported(problem: SmoothProblem, x: list[Floats]) -> Floats:
    return np.concatenate([np.empty(0), *(block.C @ part for block, part in zip(problem.blocks, x, strict=True))])
