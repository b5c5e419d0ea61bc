"""From a declared model that need not be convex to smooth blocks and coupling rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError
from gridmodel.ir.separable import CouplingInfo, Couplings
from gridmodel.ir.smooth import SmoothBlock, SmoothProblem
from gridmodel.language.coupling import Coupling
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.passes.smooth.affine import matrix_of, without_parameters
from gridmodel.passes.smooth.agent import AgentTape, agent_tape, sides
from gridmodel.passes.template import limit_labels

__all__ = ["SmoothLowering", "lower_smooth"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothLowering:
    """A model as smooth blocks, and where everything went; agents without variables have no block."""

    model: Model
    agents: tuple[AgentTape, ...]
    problem: SmoothProblem

    def values(self, parts: Sequence[Floats]) -> dict[str, dict[str, Any]]:
        """The blocks' columns, shape (columns,) each, under the user's names."""
        found: dict[str, dict[str, Any]] = {party.name: {} for party in self.model.agents}
        for agent, x in zip(self.agents, parts, strict=True):
            found[agent.party.name] = agent.values(x)
        return found

    def duals(self, nu: Sequence[Floats], zeta: Sequence[Floats]) -> dict[str, Any]:
        """cvxpy's duals of named limits: {"agent.limit": number or array}."""
        found: dict[str, Any] = {}
        for agent, equal, above in zip(self.agents, nu, zeta, strict=True):
            party = agent.party
            for k, (label, limit) in enumerate(zip(limit_labels(party), party.limits, strict=True)):
                if label is not None:
                    kind, first, size = agent.rows[k]
                    flat = (equal if kind == "h" else above)[first : first + size]
                    shape = tuple(int(n) for n in limit.constraint.shape)
                    found[f"{party.name}.{label}"] = float(flat[0]) if size == 1 and not shape else flat.reshape(
                        shape, order="F"
                    )  # fmt: skip
        return found


def lower_smooth(model: Model) -> SmoothLowering:
    """Takes every agent apart, and the couplings, which must be affine.

    Raises:
        CurvatureError: a statement that is not smooth, or a coupling or a model's cost that is not affine.
        SeparabilityError: a fleet.
        DataError: a parameter without a value.
    """
    if model.costs:
        raise CurvatureError(
            f"the model's cost at {model.costs[0].place}: in a model that is not convex costs belong to agents; "
            "declare an agent that holds copies, tied by couple(...)."
        )
    agents = tuple(agent_tape(party) for party in model.agents if party.variables)
    starts = np.concatenate([[0], np.cumsum([agent.functions.columns for agent in agents])])
    places = {key: at + int(first) for agent, first in zip(agents, starts, strict=False)
              for key, at in agent.places.items()}  # fmt: skip
    matrix, constant, equal, infos = _couplings(model.couplings, places, int(starts[-1]))
    couplings = Couplings(np.where(equal, -constant, -np.inf), -constant, infos)
    blocks = [
        _block(agent, matrix[:, first:last]) for agent, first, last in zip(agents, starts, starts[1:], strict=False)
    ]
    links = None
    names = [block.label for block in blocks]
    if model.topology is not None and len(names) == len(model.topology.links.nodes):
        links = model.topology.links.reordered(names)
    return SmoothLowering(model, agents, SmoothProblem(tuple(blocks), couplings, links))


def _block(agent: AgentTape, columns: sp.csc_array) -> SmoothBlock:
    own = sp.csr_array(columns)
    rows = np.flatnonzero(np.diff(own.indptr))
    return SmoothBlock(
        agent.party.name, agent.functions, agent.lower, agent.upper, agent.start, own[rows], rows, _names(agent)
    )


def _names(agent: AgentTape) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the user calls the equations and the inequalities of an agent, entry by entry."""
    found = {"h": [""] * agent.functions.equations, "c": [""] * agent.functions.inequalities}
    for k, (label, limit) in enumerate(zip(limit_labels(agent.party), agent.party.limits, strict=True)):
        kind, first, size = agent.rows[k]
        name = label or str(limit)
        entries = limit.rows or range(size)
        found[kind][first : first + size] = [name] if size == 1 else [f"{name}, {entry}" for entry in entries]
    return tuple(found["h"]), tuple(found["c"])


def _couplings(
    declared: Sequence[Coupling], places: dict[int, int], width: int
) -> tuple[sp.csc_array, Floats, NDArray[np.bool_], tuple[CouplingInfo, ...]]:
    """Rows below each other: A x + b = 0 or <= 0."""
    expressions: list[cp.Expression] = []
    equal: list[bool] = []
    infos = []
    at = 0
    for coupling in declared:
        kind, expression = sides(coupling.constraint, str(coupling))
        if not expression.is_affine():
            raise CurvatureError(
                f"{coupling} is not affine: in a model that is not convex agents are tied by affine rows only. "
                "Give one agent a variable for the nonlinear part."
            )
        expressions.append(without_parameters(expression))
        equal += [kind == "h"] * expression.size
        rows = np.arange(at, at + expression.size)
        at += expression.size
        sign = price_sign(coupling.constraint)
        infos.append(CouplingInfo(coupling.name, coupling.unit, coupling.shape, rows, 1.0, sign, str(coupling.place)))
    matrix, constant = matrix_of(expressions, places, width)
    return sp.csc_array(matrix), constant, np.array(equal, dtype=bool), tuple(infos)
