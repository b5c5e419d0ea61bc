"""ADMM for agreements: all copies of a number are pulled to their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from gridmodel.errors import NotApplicableError
from gridmodel.ir.batch import Batch
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.agreed import all_agreements
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.anderson import Anderson
from gridmodel_solvers.oracles.choose import accuracy_for
from gridmodel_solvers.penalty import energies
from gridmodel_solvers.splitting import CouplingSet, SplittingState, advance, observe, setup, start

__all__ = ["Consensus", "Groups"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Consensus(AbstractAlgorithm):
    """Global-variable consensus ADMM on rows a (x_p - x_q) = 0.

    x_i = argmin f_i(x) + rho/2 |x - z + u_i|^2,  z = mean_i(x_i + u_i),  u_i += x_i - z  (here for relaxation 1)

    Columns joined by such rows form a group with one z. rho: penalty, absolute; None takes cost over squared range
    and balances the residuals during the first 100 rounds. relaxation, memory, oracle: as in the exchange form.

    Source: Boyd et al. (2011), section 7.1.
    """

    name: ClassVar[str] = "consensus"

    rho: float | None = None
    relaxation: float = 1.6
    memory: int = 0
    oracle: str = "auto"

    def verdict(self, properties: Properties) -> Verdict:
        """Models whose couplings are all agreements, with a coordinator that takes the means."""
        if not properties.all_agreement:
            return Verdict(False, "a coupling is no agreement of two variables (a resource is shared instead)")
        if not properties.coordinator:
            return Verdict(False, "a coordinator must take the means, and the topology forbids one")
        return Verdict(True, "every coupling is an agreement; a coordinator takes the means of the copies")

    def traffic(self, problem: Separable) -> Traffic:
        """Every agent sends its copies to the coordinator and gets their means back."""
        copies = sum(stack.size * len(np.unique(stack.C.col)) for stack in problem.stacks)
        reach = sum(stack.size for stack in problem.stacks if stack.C.nnz)
        return Traffic(2 * reach, 2 * copies + (reach * (2 * self.memory + 1) if self.memory else 0))

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> SplittingState:
        """The first state.

        Raises:
            NotApplicableError: a coupling row that is no agreement.
        """
        if not all_agreements(problem):
            raise NotApplicableError(
                "form='consensus' needs couplings that are agreements of two variables, and at least one is not. "
                "Use form='exchange' or form='auto'."
            )
        stacks, columns = _picked(problem)
        groups = Groups.of(problem.matrix, columns)
        unit, energy = _sizes(problem, groups)
        rho = (np.full(unit.shape, self.rho)) if self.rho else energy / unit**2
        accuracy = accuracy_for(tolerance)
        made = setup(stacks, groups, rho, unit, energy, self.relaxation, self.rho is None, accuracy, self.oracle)
        x: Sequence[Floats] = [np.clip(np.zeros(s.q.shape), s.lower, s.upper) for s in stacks]
        dual = np.zeros(len(columns))
        if warm is not None:
            x, dual = warm.x, np.asarray(groups.matrix.T @ warm.mu)
        return start(made, x, dual, warm, Anderson(self.memory) if self.memory else None)

    def step(self, state: Any) -> SplittingState:
        """One round: local steps, then the means of the groups."""
        return advance(state)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        return observe(state)


@final
class Groups(CouplingSet):
    """{w: equal within each group}; every group has one penalty, so the projection is a mean."""

    def __init__(self, group: Ints, matrix: sp.csr_array) -> None:
        self.group = group
        self.matrix = matrix
        self.count = np.bincount(group).astype(float)
        gram = sp.csc_matrix(matrix @ matrix.T)
        # Agreements in a ring follow from each other; the shift picks their smallest multipliers.
        self._factor = splu(gram + sp.diags_array(1e-12 * gram.diagonal(), format="csc"))

    @classmethod
    def of(cls, matrix: sp.csr_array, columns: Ints) -> Groups:
        """The groups among the coupled columns of the coupling matrix."""
        coupled = sp.csr_array(sp.csc_array(matrix)[:, columns])
        links = abs(coupled.T) @ abs(coupled)
        return cls(connected_components(links, directed=False)[1].astype(np.intp), coupled)

    def project(self, v: Floats) -> Floats:
        return self.mean(v)

    def mean(self, values: Floats) -> Floats:
        """Every slot's group mean, shape (slots,)."""
        return np.asarray((np.bincount(self.group, weights=values) / self.count)[self.group])

    def multipliers(self, dual: Floats) -> Floats:
        """mu with C' mu = dual, which sums to zero in every group."""
        return np.asarray(self._factor.solve(np.asarray(self.matrix @ dual)))


def _picked(problem: Separable) -> tuple[tuple[Stack, ...], Ints]:
    """Stacks that report their coupled columns themselves, and these columns among all."""
    stacks, columns = [], [np.empty(0, dtype=np.intp)]
    for stack, start_at in zip(problem.stacks, problem.offsets, strict=False):
        own = np.unique(stack.C.col)
        k = len(own)
        C = Batch((k, stack.columns), np.arange(k), own, np.ones((1, k)), stack.size)
        rows = np.broadcast_to(np.arange(k), (stack.size, k))
        stacks.append(replace(stack, C=C, rows=rows))
        columns.append((start_at + np.arange(stack.size)[:, None] * stack.columns + own).ravel())
    return tuple(stacks), np.concatenate(columns)


def _sizes(problem: Separable, groups: Groups) -> tuple[Floats, float]:
    """How far the copies of each group move, shape (slots,), and the size of costs."""
    moves, costs = [np.empty(0)], []
    for stack, spans in zip(problem.stacks, Scale(problem).columns, strict=True):
        own = spans[:, np.unique(stack.C.col)]
        moves.append(np.broadcast_to(own, (stack.size, own.shape[1])).ravel())
        costs.append(float(energies(stack, spans).mean()))
    return np.sqrt(groups.mean(np.concatenate(moves) ** 2)), max(costs, default=0.0) or 1.0
