"""From a model to matrices and facts: everything before an algorithm is chosen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from gridmodel.errors import ModelError
from gridmodel.ir.properties import Properties
from gridmodel.language.model import Model
from gridmodel.passes.lower import Lowered, Lowering, lower
from gridmodel.passes.properties import find_properties
from gridmodel.runtime.scale import Scale

__all__ = ["Compiled", "compile_model"]


@dataclass(frozen=True)
class Compiled:
    """A model canonicalised once; parameters' values are read anew at each ``lowered``.

    seconds: wall time that it took.
    """

    model: Model
    lowering: Lowering
    lowered: Lowered
    seconds: float

    @cached_property
    def properties(self) -> Properties:
        """Facts on which algorithms rest their verdicts."""
        return find_properties(self.lowered.separable, self.model.topology)

    @cached_property
    def structure(self) -> Properties:
        """The same without curvature along the couplings, which takes longer to find than all the rest."""
        return find_properties(self.lowered.separable, self.model.topology, curvature=False)

    @cached_property
    def scale(self) -> Scale:
        """Sizes of columns and rows."""
        return Scale(self.lowered.separable)

    def refreshed(self) -> Compiled:
        """The same model at the parameters' present values, without canonicalising again."""
        start = time.perf_counter()
        lowered = self.lowering.evaluate()
        return Compiled(self.model, self.lowering, lowered, time.perf_counter() - start)


def compile_model(model: Model) -> Compiled:
    """Finds a model's structure: stacks of equal blocks, coupling rows, data.

    Raises:
        ModelError: the model has no agent with a variable, or a statement that cannot be compiled.
        TopologyError: an agent was declared after ``connect``.
    """
    if not any(party.variables for party in model.agents):
        raise ModelError(f"model {model.name!r} has no variable; declare agents with agent.variable(...).")
    start = time.perf_counter()
    if model.topology is not None:
        model.topology.check(label for party in model.agents for label in party.labels())
    lowering = lower(model)
    lowered = lowering.evaluate()
    return Compiled(model, lowering, lowered, time.perf_counter() - start)
