"""From a model to matrices and facts: everything before an algorithm is chosen."""

from __future__ import annotations

import abc
import time
from dataclasses import dataclass
from functools import cached_property

from gridmodel.errors import ModelError
from gridmodel.ir.properties import Properties
from gridmodel.ir.separable import Separable
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.language.model import Model
from gridmodel.passes.lower import Lowered, Lowering, lower
from gridmodel.passes.properties import find_properties
from gridmodel.passes.smooth.lower import SmoothLowering, lower_smooth
from gridmodel.passes.smooth.properties import smooth_properties
from gridmodel.runtime.scale import Scale

__all__ = ["AbstractCompiled", "Compiled", "CompiledSmooth", "compile_model"]


class AbstractCompiled(abc.ABC):
    """A model's structure and data. model: as declared. seconds: wall time that it took."""

    model: Model
    seconds: float

    @property
    @abc.abstractmethod
    def properties(self) -> Properties:
        """Facts on which algorithms rest their verdicts."""

    @property
    @abc.abstractmethod
    def structure(self) -> Properties:
        """The same without what takes long to find."""

    @property
    @abc.abstractmethod
    def problem(self) -> Separable | SmoothProblem:
        """What an algorithm is given."""

    @abc.abstractmethod
    def refreshed(self) -> AbstractCompiled:
        """The same model at the parameters' present values."""


@dataclass(frozen=True)
class Compiled(AbstractCompiled):
    """A convex model canonicalised once; parameters' values are read anew at each ``lowered``."""

    model: Model
    lowering: Lowering
    lowered: Lowered
    seconds: float

    @property
    def problem(self) -> Separable:
        return self.lowered.separable

    @cached_property
    def properties(self) -> Properties:
        return find_properties(self.lowered.separable, self.model.topology)

    @cached_property
    def structure(self) -> Properties:
        return find_properties(self.lowered.separable, self.model.topology, curvature=False)

    @cached_property
    def scale(self) -> Scale:
        """Sizes of columns and rows."""
        return Scale(self.lowered.separable)

    def refreshed(self) -> Compiled:
        start = time.perf_counter()
        lowered = self.lowering.evaluate()
        return Compiled(self.model, self.lowering, lowered, time.perf_counter() - start)


@dataclass(frozen=True)
class CompiledSmooth(AbstractCompiled):
    """A model that need not be convex, as smooth blocks at the present values of its parameters."""

    model: Model
    lowering: SmoothLowering
    seconds: float

    @property
    def problem(self) -> SmoothProblem:
        return self.lowering.problem

    @cached_property
    def properties(self) -> Properties:
        return smooth_properties(self.problem, self.model.topology)

    @property
    def structure(self) -> Properties:
        return self.properties

    def refreshed(self) -> CompiledSmooth:
        start = time.perf_counter()
        return CompiledSmooth(self.model, lower_smooth(self.model), time.perf_counter() - start)


def compile_model(model: Model) -> AbstractCompiled:
    """Finds a model's structure: stacks of equal blocks, or smooth blocks where it need not be convex; coupling rows.

    Raises:
        ModelError: the model has no agent with a variable, or a statement that cannot be compiled.
        TopologyError: an agent was declared after ``connect``.
    """
    if not any(party.variables for party in model.agents):
        raise ModelError(f"model {model.name!r} has no variable; declare agents with agent.variable(...).")
    start = time.perf_counter()
    if model.topology is not None:
        model.topology.check(label for party in model.agents for label in party.labels())
    if not model.convex:
        return CompiledSmooth(model, lower_smooth(model), time.perf_counter() - start)
    lowering = lower(model)
    lowered = lowering.evaluate()
    return Compiled(model, lowering, lowered, time.perf_counter() - start)
