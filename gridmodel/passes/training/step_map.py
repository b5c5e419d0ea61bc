"""One step of what an agent declared over a day, as coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, ForeignVariableError, ModelError
from gridmodel.ir.training import Leaf, StepMap
from gridmodel.language.horizon import Horizon
from gridmodel.language.timed import Said
from gridmodel.passes.smooth.affine import matrix_of, offsets

__all__ = ["Leaves"]

Floats = NDArray[np.float64]
_TINY = 1e-14


@dataclass(frozen=True)
class Leaves:
    """What expressions of a horizon may hold, each as a variable: parameters have stand-ins.

    of: by the id of the variable or the parameter.
    """

    day: Horizon

    @cached_property
    def variables(self) -> dict[Leaf, cp.Variable]:
        """By leaf; of shape (N, T), of states (N, T + 1), of shared series (T,)."""
        day = self.day
        found: dict[Leaf, cp.Variable] = {Leaf("state", name): x.variable for name, x in day.states.items()}
        for name, action in day.actions.items():
            found[Leaf("action", name)] = action.variable
            if action.up is not None and action.down is not None:
                found[Leaf("up", name)], found[Leaf("down", name)] = action.up, action.down
        for name, series in day.known.items():
            found[Leaf("series", name)] = cp.Variable(series.parameter.shape)
        return found

    @cached_property
    def of(self) -> dict[int, Leaf]:
        """The leaf by the id of its variable or parameter."""
        found = {variable.id: leaf for leaf, variable in self.variables.items()}
        return found | {series.parameter.id: Leaf("series", name) for name, series in self.day.known.items()}

    def step_map(self, said: Said, what: str) -> StepMap:
        """The expression's coefficients, step by step.

        Args:
            what: of the agent, for errors, e.g. "what comes next of e".

        Raises:
            CurvatureError: not affine. ModelError: not causal: at some step it depends on another.
        """
        where = f"{self.day.party.name}: {what} at {said.place}"
        expression = self._plain(said.expression, where)
        if not expression.is_affine():
            raise CurvatureError(
                f"{where} is not affine in states, actions, their parts and series; products of series and variables "
                "and other atoms belong in limits or costs."
            )
        variables = list(self.variables.values())
        places, width = offsets(variables)
        A, b = matrix_of([expression], places, width)
        count, steps = self.day.party.size or 1, self.day.steps
        entry = sp.coo_array(A)
        keep = np.abs(entry.data) > _TINY
        row, column, value = entry.row[keep], entry.col[keep], entry.data[keep]
        agent, step = row % count, row // count
        starts = np.array([places[variable.id] for variable in variables])
        which = np.searchsorted(starts, column, side="right") - 1
        terms: dict[Leaf, Floats] = {}
        for k, leaf in enumerate(self.variables):
            own = which == k
            if not own.any():
                continue
            local = column[own] - starts[k]
            wide = len(variables[k].shape) == 2
            at = local // count if wide else local
            if (at != step[own]).any():
                odd = int(np.flatnonzero(at != step[own])[0])
                raise ModelError(
                    f"{where} is not causal: in step {step[own][odd]} it holds {leaf.sort} {leaf.name!r} of step "
                    f"{at[odd]}. Write one step: states before it (x[..., :-1]), actions and series at it."
                )
            if wide and (local % count != agent[own]).any():
                raise ModelError(f"{where} ties agents of the fleet together; each has its own dynamics.")
            dense = np.zeros((steps, count))
            dense[step[own], agent[own]] = value[own]
            terms[leaf] = compressed(dense)
        return StepMap(terms, compressed(b.reshape(steps, count)))

    def _plain(self, node: cp.Expression, where: str) -> cp.Expression:
        """The expression with stand-ins for its parameters."""
        if isinstance(node, (cp.Parameter, cp.Variable)):
            leaf = self.of.get(node.id)
            if leaf is None:
                raise ForeignVariableError(
                    f"{where} holds {node.name()}, which is no state, action, part of one or series of this horizon."
                )
            return self.variables[leaf]
        if not node.args or not (node.parameters() or node.variables()):
            return node
        return node.copy([self._plain(arg, where) for arg in node.args])


def compressed(values: Floats) -> Floats:
    """The same with axes of length one where nothing changes along them."""
    if (values == values[:1]).all():
        values = values[:1]
    if (values == values[:, :1]).all():
        values = values[:, :1]
    return np.ascontiguousarray(values)
