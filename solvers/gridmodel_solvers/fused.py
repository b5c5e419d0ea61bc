"""The fused sweep: local quadratic programs and coupling rows in one iteration, nothing solved to the end.

With z the columns clipped to their bounds and y the coupling values clipped to their sides, a round is

    t  = r (2 z - v) - q
    x  = M (t - C'mu) + E b,     (C M C' + diag(d)) mu = C (M t + E b) - (2 y - w)
    v += alpha (x - z),   w += alpha (2 y - w + d mu - y)

where M, E solve the blocks' equality-constrained quadratics (Douglas-Rachford splitting, that is ADMM on the split
"equations and couplings" / "bounds and sides"). Each agent sends C_i x_i, one number a coupling row it touches, and
gets mu of these rows back. r is a weight over the columns' squared ranges, so the number of rounds does not depend on
units. Linear programs, for which this creeps, run the restarted reflected Halpern form v <- (k+1)/(k+2) (v + 2 (x - z))
+ v0/(k+2).

Source: Douglas and Rachford (1956) in the form of Boyd et al. (2011), section 5; Lu and Yang (2024), restarted
Halpern PDHG, for the anchor and restart rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.separable import Separable
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.oracles.active_set import ActiveSet, Quadratic
from gridmodel_solvers.oracles.response import Response
from gridmodel_solvers.traffic import star_traffic

__all__ = ["Fused"]

Floats = NDArray[np.float64]

_DENSE_ROWS = 1500


@dataclass(frozen=True)
class _Plan:
    """What stays fixed while the weight does: the problem as vectors, and the factorised maps."""

    problem: Separable
    scale: Scale
    q: Floats
    P: Floats
    lower: Floats
    upper: Floats
    C: sp.csr_array
    Ct: sp.csr_array
    cost: float
    weight: float = 0.0
    r: Floats = field(default_factory=lambda: np.empty(0))
    response: Response | None = None
    d: Floats = field(default_factory=lambda: np.empty(0))
    solve: object = None

    @classmethod
    def of(cls, problem: Separable) -> _Plan:
        scale = Scale(problem)
        stacks = problem.stacks
        diagonal = [np.broadcast_to(s.P.diagonal(), s.q.shape) if s.P.nnz else np.zeros_like(s.q) for s in stacks]
        C = problem.matrix
        return cls(
            problem, scale, problem.join([s.q for s in stacks]), problem.join(diagonal),
            problem.join([s.lower for s in stacks]), problem.join([s.upper for s in stacks]),
            C, sp.csr_array(C.T), scale.cost,
        )  # fmt: skip

    @cached_property
    def linear(self) -> bool:
        """Whether no column has curvature."""
        return not self.P.any()

    @cached_property
    def quadratic(self) -> Quadratic:
        """The problem as the refinement wants it."""
        stacks = self.problem.stacks
        A = sp.csr_array(sp.block_diag([s.A.diagonal_blocks for s in stacks], format="csr"))
        b = np.concatenate([s.b.ravel() for s in stacks])
        return Quadratic(self.problem, self.P, self.q, self.lower, self.upper, A, b, self.C, self.scale.flat, self.cost)

    def at(self, weight: float) -> _Plan:
        """The plan with r = weight / range^2, factorised."""
        r = weight / self.scale.flat**2
        D = 1.0 / (self.P + r)
        response = Response(self.problem, D)
        S = response.schur()
        # What a row would react without equations; where they hold it still, its diagonal is rounding.
        alone = self.C.multiply(self.C) @ D
        diagonal = np.where(alone > 0, np.maximum(S.diagonal(), 1e-12 * alone), 1.0)
        d = np.where(self.problem.couplings.equality, 1e-9, 1.0) * diagonal
        return replace(self, weight=weight, r=r, response=response, d=d, solve=_solver(S, d))


@dataclass(frozen=True)
class _State:
    """v, w: the splitting's state. x, z, y, t, mu: of the last round. anchor: (v0, w0) and rounds since the restart."""

    plan: _Plan
    v: Floats
    w: Floats
    x: Floats
    z: Floats
    t: Floats
    mu: Floats
    before: Floats
    rounds: int
    anchor: tuple[Floats, Floats]
    since: int
    at_restart: float


@dataclass(frozen=True)
class Fused(AbstractAlgorithm):
    """Local QPs and coupling rows in one sweep; the in-process default where blocks are QPs.

    relaxation: alpha in (0, 2). halpern: None takes the anchored form for linear programs only.
    adapt_every: rounds between two looks at the weight.
    """

    relaxation: float = 1.8
    halpern: bool | None = None
    adapt_every: int = 60

    name: ClassVar[str] = "fused"

    def verdict(self, properties: Properties) -> Verdict:
        """Applies where no block has cones and a coordinator is allowed."""
        if not properties.is_qp:
            conic = next(b for b in properties.blocks if b.kind == "conic")
            return Verdict(False, f"{conic.example} has cones ({conic.cones}); the fused sweep takes QPs only")
        if not properties.coordinator:
            return Verdict(False, "the topology forbids a coordinator, which solves the coupling rows")
        return Verdict(True, "all agents are linear or quadratic")

    def traffic(self, problem: Separable) -> Traffic:
        """Each agent sends one number a coupling row it touches and gets one back."""
        return star_traffic(problem)

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> _State:
        """Starts at the middle of the bounds, or from an earlier answer."""
        plan = _Plan.of(problem)
        plan = plan.at(plan.cost)
        couplings = problem.couplings
        if warm is None:
            x = np.clip(np.zeros_like(plan.q), plan.lower, plan.upper)
            v, w = x.copy(), np.clip(plan.C @ x, couplings.lower, couplings.upper)
            mu = np.zeros(couplings.size)
        else:
            x, mu = problem.join(list(warm.x)), warm.mu
            pull = plan.P * x + plan.q + plan.Ct @ mu
            pull += problem.join([s.A.tdot(nu) for s, nu in zip(problem.stacks, warm.nu, strict=True)])
            v = x - pull / plan.r
            w = np.clip(plan.C @ x, couplings.lower, couplings.upper) + plan.d * mu
        z = np.clip(v, plan.lower, plan.upper)
        return _State(plan, v, w, x, z, np.zeros_like(v), mu, z, 0, (v, w), 0, np.inf)

    def step(self, state: _State) -> _State:
        """One round; every ``adapt_every`` rounds the weight may change first."""
        if state.rounds and state.rounds % self.adapt_every == 0:
            state = _adapt(state)
        plan, v, w = state.plan, state.v, state.w
        couplings = plan.problem.couplings
        assert plan.response is not None
        z = np.maximum(v, plan.lower)
        np.minimum(z, plan.upper, out=z)
        y = np.clip(w, couplings.lower, couplings.upper)
        t = 2 * z
        t -= v
        t *= plan.r
        t -= plan.q
        x = plan.response.apply(t)
        reflected = 2 * y - w
        mu = plan.solve(plan.C @ x - reflected)  # type: ignore[operator]
        plan.response.shift(x, mu)
        gap, row_gap = x - z, reflected + plan.d * mu - y
        linear = self.halpern if self.halpern is not None else plan.linear
        since, anchor, at_restart = state.since, state.anchor, state.at_restart
        if linear:
            size = float(np.sqrt(np.sum(plan.r * gap**2) + np.sum(row_gap**2 / plan.d)))
            if size < 0.3 * at_restart or since >= max(50, 0.36 * state.rounds):
                anchor, since, at_restart = (v, w), 0, size
            share = (since + 1.0) / (since + 2.0)
            v = share * (v + 2 * gap) + (1 - share) * anchor[0]
            w = share * (w + 2 * row_gap) + (1 - share) * anchor[1]
            since += 1
        else:
            gap *= self.relaxation
            gap += v
            v, w = gap, w + self.relaxation * row_gap
        return _State(plan, v, w, x, z, t, mu, state.z, state.rounds + 1, anchor, since, at_restart)

    def guess(self, state: _State) -> bytes:
        """The bounds and sides that the state holds active."""
        return ActiveSet.of(state.plan.quadratic, state.v, state.w).key()

    def refine(self, state: _State) -> tuple[Iterate, int] | None:
        """The exact optimum on the bounds and sides that the state holds active."""
        plan = state.plan
        assert plan.response is not None
        nu = plan.response.multipliers(state.t - plan.Ct @ state.mu)
        flat = np.concatenate([part.ravel() for part in nu]) if nu else np.empty(0)
        return ActiveSet.of(plan.quadratic, state.v, state.w).solve(plan.quadratic, state.x, state.mu, flat)

    def observe(self, state: _State) -> Iterate:
        """x of the last round: equations and coupling equations hold, bounds up to the residual."""
        plan = state.plan
        assert plan.response is not None
        nu = plan.response.multipliers(state.t - plan.Ct @ state.mu)
        apart = np.abs(state.x - state.z) * plan.r * plan.scale.flat
        dual = float(apart.max(initial=0.0)) / plan.cost
        cones = [np.zeros((s.size, 0)) for s in plan.problem.stacks]
        return Iterate(plan.problem.split(state.x), state.mu, nu, cones, dual)


def _solver(S: sp.csr_array, d: Floats) -> object:
    """Solves (S + diag d) mu = right."""
    if S.shape[0] <= _DENSE_ROWS:
        full = S.toarray()
        scale = 1.0 / np.sqrt(np.maximum(np.diag(full) + d, 1e-300))
        inverse = np.linalg.inv(full * scale[:, None] * scale + np.diag(d * scale**2)) * scale[:, None] * scale

        def dense(right: Floats) -> Floats:
            return np.asarray(inverse @ right)

        return dense
    factor = splu(sp.csc_matrix(S + sp.diags_array(d)), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return factor.solve


def _adapt(state: _State) -> _State:
    """Balances both residuals by the weight, keeping the duals: v' = z + (v - z)/f."""
    plan = state.plan
    root = np.sqrt(plan.r)
    primal = float(np.linalg.norm(root * (state.x - state.z)))
    moved = float(np.linalg.norm(root * (state.z - state.before)))
    size = float(np.linalg.norm(root * state.z))
    dual = float(np.linalg.norm(root * (state.z - state.v)))
    if min(primal, moved, size, dual) <= 0:
        return state
    factor = float(np.clip(np.sqrt((primal / size) / (moved / dual)), 0.2, 5.0))
    if 0.5 < factor < 2.0:
        return state
    new = plan.at(plan.weight * factor)
    couplings = plan.problem.couplings
    z = np.clip(state.v, plan.lower, plan.upper)
    y = np.clip(state.w, couplings.lower, couplings.upper)
    v = z + (state.v - z) / factor
    w = y + (state.w - y) * (new.d / plan.d)
    return replace(state, plan=new, v=v, w=w, anchor=(v, w), since=0, at_restart=np.inf)
