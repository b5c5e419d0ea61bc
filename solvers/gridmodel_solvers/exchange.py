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
from gridmodel_solvers.oracles.choose import accuracy_for
from gridmodel_solvers.penalty import energies, slot_units
from gridmodel_solvers.splitting import CouplingSet, SplittingState, advance, observe, setup, start

__all__ = ["Exchange"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Exchange(AbstractAlgorithm):
    """Sharing ADMM on the coupling rows  lower <= sum_i w_i <= upper,  w_i = C_i x_i.

    x_i = argmin f_i(x) + rho/2 |C_i x - (z_i - u)|^2,  z_i = v_i - u,  v_i += relaxation (w_i - z_i),
    u = (sum_i v_i - proj[lower, upper](sum_i v_i)) / n,  mu = rho u,  n the participants of the row.

    rho: penalty in units of the row's own (cost over squared range); None starts at one and balances the residuals
        during the first 100 rounds. relaxation: in (0, 2).
    memory: Anderson steps remembered, 0 for none; their inner products are sums over the agents.
    edge: the two ends of each row send each other v_i and compute u themselves; no coordinator, fixed penalties.
    oracle: "auto", or the kind of local solver.

    Source: Boyd et al. (2011), section 7.3, over-relaxed as in section 3.4.3.
    """

    name: ClassVar[str] = "exchange"

    rho: float | None = None
    relaxation: float = 1.6
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
        slots = sum(stack.rows.size for stack in problem.stacks)
        if self.edge:
            pairs, numbers = _edges(problem)
            return Traffic(2 * pairs, numbers + (problem.blocks * (2 * self.memory + 1) if self.memory else 0))
        reach = sum(stack.size for stack in problem.stacks if stack.slots)
        return Traffic(2 * reach, 2 * slots + (reach * (2 * self.memory + 1) if self.memory else 0))

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
        coupling = _Rows.of(problem)
        unit, penalty, energy = row_sizes(problem)
        rho = (self.rho or 1.0) * penalty
        at = coupling.at
        adaptive = self.rho is None and not self.edge
        accuracy = accuracy_for(tolerance)
        made = setup(
            problem.stacks, coupling, rho[at], unit[at], energy, self.relaxation, adaptive, accuracy, self.oracle
        )
        x: Sequence[Floats] = [np.clip(np.zeros(s.q.shape), s.lower, s.upper) for s in problem.stacks]
        x, mu = (x, np.zeros(len(rho))) if warm is None else (warm.x, warm.mu)
        return start(made, x, mu[at], warm, self.memory)

    def step(self, state: Any) -> SplittingState:
        """One round: local steps, then the rows' sums."""
        return advance(state)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        return observe(state)


@final
@dataclass(frozen=True)
class _Rows(CouplingSet):
    """{w: lower <= sum of a row's slots <= upper}; at: the row of each slot, count: slots of each row."""

    at: Ints
    count: Floats
    couplings: Couplings

    @classmethod
    def of(cls, problem: Separable) -> _Rows:
        at = np.concatenate([np.empty(0, dtype=np.intp), *(stack.rows.ravel() for stack in problem.stacks)])
        count = np.bincount(at, minlength=problem.couplings.size)
        return cls(at, np.maximum(count, 1).astype(float), problem.couplings)

    def project(self, v: Floats) -> Floats:
        total = np.bincount(self.at, weights=v, minlength=len(self.count))
        excess = total - np.clip(total, self.couplings.lower, self.couplings.upper)
        return np.asarray(v - (excess / self.count)[self.at])

    def multipliers(self, dual: Floats) -> Floats:
        return np.bincount(self.at, weights=dual, minlength=len(self.count)) / self.count


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


def _edges(problem: Separable) -> tuple[int, int]:
    """Pairs of blocks that share rows, and numbers that their ends send each other in a round."""
    ends: dict[int, list[int]] = {}
    block = 0
    for stack in problem.stacks:
        for rows in stack.rows:
            for row in rows:
                ends.setdefault(int(row), []).append(block)
            block += 1
    shared = [tuple(two) for two in ends.values() if len(two) == 2]
    return len(set(shared)), 2 * len(shared)
