"""The interior point method by agents: each condenses its KKT system onto the coupling rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from gridmodel.ir.claim import Reveal
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel_solvers.interior.convex import Convex
from gridmodel_solvers.interior.smooth import Smooth
from gridmodel_solvers.traffic import slots

__all__ = ["Interior"]

_SCALARS = 12


@final
@dataclass(frozen=True)
class Interior(AbstractAlgorithm):
    """A primal-dual interior point method in which a coordinator sees of each agent its Schur complement only.

    (sum_i S_i) dmu = sum_i r_i,  S_i = C_i K_i^-1 C_i',  r_i = C_i x_i + C_i K_i^-1 (right side of agent i),
    K_i the matrix of Newton's step of agent i towards the central path of height sigma gamma

    A round is one message up (S_i, r_i) and one down (dmu), on convex blocks one more of each (r_i and dmu again, for
    the step that makes up for what the first one misses), and a few numbers of which only the least or the sum counts:
    step lengths and complementarity.

    sigma: the share of complementarity that a round aims at; None chooses it anew in every round.
    delta, delta_smooth: added to the curvature of every scaled column of convex and of smooth blocks, so that columns
        without cost or limit do no harm; the second falls with the root of complementarity.
    barrier, barrier_smooth: complementarity at the start, over the typical cost of a column, likewise.
    """

    name: ClassVar[str] = "interior"
    rank: ClassVar[int] = 5
    every_round: ClassVar[bool] = True
    sparing: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    reveals: ClassVar[tuple[Reveal, ...]] = (
        Reveal("how it responds to the prices of its coupling rows (its Schur complement)", "coordinator"),
    )

    sigma: float | None = None
    delta: float = 1e-8
    delta_smooth: float = 1e-4
    barrier: float = 1.0
    barrier_smooth: float = 0.1

    def verdict(self, properties: Properties) -> Verdict:
        """A coordinator, and cones that are their own duals."""
        if not properties.coordinator:
            return Verdict(False, "a coordinator must solve for the prices, and the topology forbids one")
        for fact in properties.blocks:
            if "exponential" in fact.cones or "power" in fact.cones:
                return Verdict(
                    False, f"{fact.example} has {fact.cones}: exponential and power cones have no scaling of Nesterov "
                    "and Todd"
                )  # fmt: skip
        return Verdict(True, "every agent condenses its optimality conditions onto its coupling rows")

    def traffic(self, problem: Any) -> Traffic:
        """Every agent sends a triangle and two columns over its rows and a few numbers, and gets two columns back."""
        turns, found = 1 if isinstance(problem, SmoothProblem) else 2, slots(problem)
        numbers = sum(count * (k * (k + 1) // 2 + 4 * k + _SCALARS) for count, k in found)
        return Traffic(2 * turns * sum(count for count, _ in found), numbers)

    def init(self, problem: Any, warm: Iterate | None, tolerance: float) -> Any:
        """The first state."""
        if isinstance(problem, SmoothProblem):
            return Smooth(problem, self.sigma, self.delta_smooth, self.barrier_smooth).start(warm)
        return Convex(problem, self.sigma, self.delta, self.barrier).start(warm)

    def step(self, state: Any) -> Any:
        """One round."""
        return state.engine.step(state)

    def observe(self, state: Any) -> Iterate:
        """The answer as it stands."""
        shown: Iterate = state.engine.observe(state)
        return shown

    def stuck(self, state: Any) -> str | None:
        """Why further rounds would not better the answer."""
        reason: str | None = state.engine.stuck(state)
        return reason
