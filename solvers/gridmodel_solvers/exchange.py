"""ADMM for resources that many agents share, and for rows of two that neighbours settle between themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.anderson import Anderson
from gridmodel_solvers.metric import Metric
from gridmodel_solvers.oracles.choose import accuracy_for
from gridmodel_solvers.penalty import energies, slot_units
from gridmodel_solvers.splitting import CouplingSet, SplittingState, advance, observe, setup, start
from gridmodel_solvers.traffic import edge_traffic, star_traffic

__all__ = ["CouplingRows", "Exchange", "row_sizes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Exchange(AbstractAlgorithm):
    """Sharing ADMM on the coupling rows  lower <= sum_i w_i <= upper,  w_i = C_i x_i.

    x_i = argmin f_i(x) + rho/2 |C_i x - (z_i - u)|^2,  z_i = v_i - u,  v_i += relaxation (w_i - z_i),
    u = (sum_i v_i - proj[lower, upper](sum_i v_i)) / n,  mu = rho u,  n the participants of the row.

    rho: penalty in units of the row's own (cost over squared range); None starts at one and balances the residuals
        during the first 100 rounds.
    relaxation: in (0, 2); None takes 1.6, and 1 for quadratic agents in the accelerated edge form.
    memory: Anderson steps remembered, 0 for none; their inner products are sums over the agents.
    edge: the two ends of each row send each other v_i and compute u themselves, without a coordinator. Before the first
        round they exchange how far they yield at their common equations, which become the unit of rho (``metric``).
        The 2 memory + 5 sums over all agents that acceleration and balancing take in a round are formed along a
        spanning tree of the pairs, up and down; without memory nothing is summed, and penalties stay.
    oracle: "auto", or the kind of local solver.

    Source: Boyd et al. (2011), section 7.3, over-relaxed as in section 3.4.3.
    """

    name: ClassVar[str] = "exchange"

    rho: float | None = None
    relaxation: float | None = None
    memory: int = 0
    edge: bool = False
    oracle: str = "auto"

    def verdict(self, properties: Properties) -> Verdict:
        """Any convex model with a coordinator; without one, rows of two neighbours."""
        if not self.edge:
            if properties.coordinator:
                return Verdict(True, "every agent is convex; a coordinator adds up what agents report")
            return Verdict(False, "a coordinator must add up what agents report, and the topology forbids one")
        if properties.most_participants > 2:
            most = properties.most_participants
            return Verdict(False, f"a coupling row ties {most} agents together; neighbours settle rows of two only")
        if properties.strangers:
            one, other = properties.strangers[0]
            return Verdict(False, f"{one} and {other} share a coupling but are not neighbours in the topology")
        return Verdict(True, "every coupling row ties two neighbours, who settle it between themselves")

    def traffic(self, problem: Separable) -> Traffic:
        """Agent to coordinator and back; in the edge form, each end of a row to the other."""
        if self.edge:
            return edge_traffic([rows for stack in problem.stacks for rows in stack.rows], self.memory)
        return star_traffic(problem, self.memory)

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> SplittingState:
        """The first state.

        Raises:
            NotApplicableError: the edge form on a row of more than two agents.
        """
        if self.edge and (problem.participants > 2).any():
            row = int(np.argmax(problem.participants))
            name = problem.couplings.name_of_rows()[row]
            raise NotApplicableError(
                f"form='edge' needs coupling rows of two agents; coupling {name!r} ties {problem.participants[row]} "
                f"together. Use form='exchange', which adds them up at a coordinator."
            )
        x: Sequence[Floats] = [np.clip(np.zeros(s.q.shape), s.lower, s.upper) for s in problem.stacks]
        x, mu = (x, np.zeros(problem.couplings.size)) if warm is None else (warm.x, warm.mu)
        metric = Metric.of(problem) if self.edge else None
        if metric is not None:
            problem, mu = metric.turned(problem), metric.back.T @ mu
        coupling = CouplingRows.of(problem, metric)
        unit, penalty, energy = row_sizes(problem)
        if metric is not None:
            penalty = np.where(metric.paired, 1.0, penalty)
        rho = (self.rho or 1.0) * penalty
        at = coupling.at
        # Without memory there are no sums over all agents, by which they could balance their residuals.
        adaptive = self.rho is None and (not self.edge or self.memory > 0)
        # Cones bend: there, steps beyond the projection help; accelerated linear pieces they rather disturb.
        usual = 1.0 if self.edge and self.memory and problem.is_qp else 1.6
        relaxation = usual if self.relaxation is None else self.relaxation
        # An accuracy that acceleration may still look through.
        accuracy = 1e-2 * accuracy_for(tolerance) if self.edge else accuracy_for(tolerance)
        made = setup(problem.stacks, coupling, rho[at], unit[at], energy, relaxation, adaptive, accuracy, self.oracle)
        return start(made, x, mu[at], warm, Anderson(self.memory, eager=self.edge) if self.memory else None)

    def step(self, state: Any) -> SplittingState:
        """One round: local steps, then the rows' sums."""
        return advance(state)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        return observe(state)


@final
@dataclass(frozen=True)
class CouplingRows(CouplingSet):
    """{w: lower <= sum of a row's slots <= upper}; at: the row of each slot, count: slots of each row.

    metric: in whose coordinates slots are, None for those of the given rows, to which multipliers always belong.
    """

    at: Ints
    count: Floats
    couplings: Couplings
    metric: Metric | None = None

    @classmethod
    def of(cls, problem: Separable, metric: Metric | None = None) -> CouplingRows:
        """The rows of stacks."""
        return cls.of_rows([rows for stack in problem.stacks for rows in stack.rows], problem.couplings, metric)

    @classmethod
    def of_rows(cls, rows: Sequence[Ints], couplings: Couplings, metric: Metric | None) -> CouplingRows:
        """The rows of blocks one after the other."""
        at = np.concatenate([np.empty(0, dtype=np.intp), *rows])
        count = np.bincount(at, minlength=couplings.size)
        return cls(at, np.maximum(count, 1).astype(float), couplings, metric)

    def project(self, v: Floats) -> Floats:
        total = np.bincount(self.at, weights=v, minlength=len(self.count))
        excess = total - np.clip(total, self.couplings.lower, self.couplings.upper)
        return np.asarray(v - (excess / self.count)[self.at])

    def multipliers(self, dual: Floats) -> Floats:
        mu = np.bincount(self.at, weights=dual, minlength=len(self.count)) / self.count
        return mu if self.metric is None else np.asarray(self.metric.T.T @ mu)


def row_sizes(problem: Separable) -> tuple[Floats, Floats, float]:
    """How far a row's numbers move, its penalty cost / range^2 (both shape (m,)), and the size of costs.

    Means over a row's participants, so neither depends on the units of columns and rows.
    """
    m = problem.couplings.size
    squares, cost, count = np.zeros(m), np.zeros(m), np.zeros(m)
    largest = 0.0
    for stack, spans in zip(problem.stacks, Scale(problem).columns, strict=True):
        own = energies(stack, spans)
        largest = max(largest, float(own.max(initial=0)))
        np.add.at(squares, stack.rows, slot_units(stack, spans) ** 2)
        np.add.at(cost, stack.rows, own[:, None])
        np.add.at(count, stack.rows, 1.0)
    count = np.maximum(count, 1.0)
    squares = np.where(squares > 0, squares / count, 1.0)
    cost = cost / count
    cost = np.where(cost > 0, cost, largest or 1.0)
    return np.sqrt(squares), cost / squares, largest
