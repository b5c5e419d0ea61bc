"""The model: agents, what ties them together, and who may talk to whom."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

import cvxpy as cp

from gridmodel.errors import (
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    ShapeError,
    UnknownNameError,
)
from gridmodel.ir.scenarios import Scenarios
from gridmodel.language.agent import Agent
from gridmodel.language.coupling import Coupling
from gridmodel.language.declared import AbstractParty, Cost, Owner, as_constraint
from gridmodel.language.fleet import Fleet
from gridmodel.language.source import caller
from gridmodel.language.topology import Topology
from gridmodel.units import common_unit

__all__ = ["Model"]

PartyT = TypeVar("PartyT", bound=AbstractParty)


class Model:
    """Agents with costs and limits of their own, and the couplings between them.

    >>> import cvxpy as cp
    >>> model = Model("two")
    >>> for name, price in [("cheap", 10), ("dear", 30)]:
    ...     p = model.agent(name).variable("p", bounds=(0, 60), unit="MW")
    ...     model[name].minimize(price * p)
    >>> model.couple(model["cheap"]["p"] + model["dear"]["p"] == 100, name="balance")
    """

    def __init__(self, name: str = "model", currency: str = "cost", convex: bool = True) -> None:
        """
        Args:
            name: shown in reports.
            currency: the unit label of the objective, e.g. "EUR/h"; prices are shown per unit of it.
            convex: False lets agents have smooth costs and limits that are not convex, such as ``x * y == 1`` and
                ``cp.nlp.sin(x) <= 0``. Answers are then stationary points, and algorithms that rest on convexity
                do not apply.
        """
        self.name = name
        self.currency = currency
        self.convex = convex
        self.relaxation: Callable[[], Model] | None = None
        """Makes a convex model whose optimal cost is no higher, from which ``verify`` takes a lower bound."""
        self.remarks: Callable[[Any], tuple[str, ...]] | None = None
        """What the model's builder has to say to a result, e.g. how exact a relaxation is; notes of its certificate."""
        self.diagnosis: Callable[[Callable[[Model], bool]], str | None] | None = None
        """Says in the builder's own words why the model is infeasible; it is handed what solves a convex model."""
        self.couplings: list[Coupling] = []
        self.costs: list[Cost] = []
        self.topology: Topology | None = None
        self.layout: Any = None  # what a builder such as opf remembers of where its parts lie
        self.quoted: tuple[str, ...] | None = None
        """Couplings and limits whose prices ``verify`` compares, where multipliers of others are not unique or mean
        nothing; None for all."""
        self.network: Any = None  # the grid that agents sit on
        self.voltages: tuple[float, float] | None = None  # limits on it in pu
        self.scenarios: tuple[Scenarios, Scenarios] | None = None  # days to learn from, and days to be judged on
        self._parties: dict[str, AbstractParty] = {}
        self._owners: dict[int, Owner] = {}

    @property
    def agents(self) -> list[AbstractParty]:
        """Agents and fleets in the order of declaration."""
        return list(self._parties.values())

    def agent(self, name: str) -> Agent:
        """Declares one agent.

        Raises:
            DuplicateNameError: an agent or fleet of this name exists.
        """
        return self._join(Agent(self._free(name), self._owners))

    def fleet(self, name: str, size: int) -> Fleet:
        """Declares ``size`` agents of one kind.

        Raises:
            DuplicateNameError: an agent or fleet of this name exists.
            ShapeError: size below one.
        """
        if int(size) != size or size < 1:
            raise ShapeError(f"fleet {name!r}: the size must be a whole number of at least 1, got {size!r}.")
        return self._join(Fleet(self._free(name), int(size), self._owners))

    def couple(self, constraint: Any, name: str | None = None) -> None:
        """Adds a convex constraint over several agents; its price is reported under the name.

        Raises:
            ForeignVariableError: it uses variables that no agent of this model declared, or none at all.
            UnitError: it mixes units.
            DuplicateNameError: a coupling of this name exists.
        """
        place = caller()
        label = name or f"coupling{len(self.couplings) + 1}"
        kept = as_constraint(constraint, f"couple(...) at {place}")
        if any(coupling.name == label for coupling in self.couplings):
            raise DuplicateNameError(f"coupling {label!r} at {place}: the name is taken; choose another.")
        owners = self._owners_of(kept, f"coupling {label!r} at {place}")
        if not owners:
            raise ForeignVariableError(f"coupling {label!r} at {place} has no variable of any agent.")
        unit = common_unit(((str(o), o.unit) for o in owners), f"coupling {label!r} at {place}")
        self.couplings.append(Coupling(label, kept, unit, place))

    def agree(self, first: str | cp.Expression, *others: cp.Expression) -> None:
        """Makes variables equal in all agents that hold one (consensus).

        Args:
            first: the name of a variable, taken from every agent and fleet that has one; or an expression
                such as ``a["x"]``, made equal to all ``others``.

        Raises:
            UnknownNameError: fewer than two agents have a variable of this name.
            ShapeError: variables of different shapes.
        """
        if not isinstance(first, str):
            self._chain("agree", [first, *others])
            return
        having = [party for party in self.agents if first in party.variables]
        count = sum(party.size or 1 for party in having)
        if count < 2:
            raise UnknownNameError(f"agree({first!r}) needs two agents with a variable of this name, found {count}.")
        ends = [party.variables[first] if party.size is None else party.variables[first][0] for party in having]
        self._same_shape(first, ends)
        for party in having:
            if party.size is not None and party.size > 1:
                rows = party.variables[first]
                self.couple(rows[:-1] == rows[1:], name=f"{first}: along {party.name}")
        if len(ends) > 1:
            self._chain(first, ends)

    def connect(self, graph: Any, coordinator: bool = True) -> None:
        """Sets the topology: which agents may talk to each other.

        Args:
            graph: a networkx graph whose nodes are the agents' names (``home[17]`` in a fleet), directed where edges
                carry messages one way only; or a sequence of such graphs, round k using graph k modulo their number;
                or a ``Topology``.
            coordinator: False forbids algorithms in which all agents report to one place.

        Raises:
            TopologyError: no graph, nodes that are no agents, missing agents, self-loops or parallel edges.
        """
        names = [label for party in self.agents for label in party.labels()]
        self.topology = Topology.over(graph, names, coordinator)

    def minimize(self, cost: Any) -> None:
        """Adds a convex cost over several agents; it becomes the cost of an operator agent that holds copies.

        Raises:
            ForeignVariableError: the cost uses variables that no agent of this model declared.
            ShapeError: not a scalar.
        """
        place = caller()
        expression = cp.Expression.cast_to_const(cost)
        self._owners_of(expression, f"the model's cost at {place}")
        if expression.size != 1:
            raise ShapeError(f"the model's cost at {place} has shape {expression.shape}, expected a scalar.")
        self.costs.append(Cost(expression, place))

    def place(self, network: Any, v_min: float, v_max: float) -> None:
        """Puts the agents on a network, from which they draw power where ``draw(...)`` says.

        Args:
            network: a feeder of ``gm.read_network``.
            v_min, v_max: limits of the voltages in pu.

        Raises:
            ModelError: limits that cross. DuplicateNameError: the model is on another network already; on the same
                one, limits may be given anew.
        """
        if self.network is not None and self.network is not network:
            raise DuplicateNameError(
                f"place(...): model {self.name!r} is on the network {getattr(self.network, 'name', '')!r} already, and "
                "has one only; make another model."
            )
        if not 0 < v_min < v_max:
            raise ModelError(f"place(...): 0 < v_min < v_max is expected, got {v_min} and {v_max}.")
        self.network, self.voltages = network, (float(v_min), float(v_max))

    def days(self, train: Scenarios, held_out: Scenarios) -> None:
        """The days that policies learn from, and others on which they are judged.

        Raises:
            ShapeError: days of unequal length. DataError: one of the two is no ``gm.Scenarios``.
        """
        given: dict[str, Any] = {"train": train, "held_out": held_out}
        for what, days in given.items():
            if not isinstance(days, Scenarios):
                raise DataError(
                    f"days(train, held_out): {what} is {type(days).__name__}, expected gm.Scenarios; policies are "
                    "judged on days that they did not learn from, e.g. whole.take(slice(50, 60))."
                )
        if train.steps != held_out.steps:
            raise ShapeError(f"days(...): training has {train.steps} steps a day, the held-out days {held_out.steps}.")
        self.scenarios = train, held_out

    def owner(self, variable: cp.Variable) -> Owner:
        """Who declared a variable."""
        return self._owners[variable.id]

    def __getitem__(self, name: str) -> AbstractParty:
        if name not in self._parties:
            known = ", ".join(self._parties) or "none yet"
            raise UnknownNameError(f"model {self.name!r} has no agent {name!r}; it has {known}.")
        return self._parties[name]

    def _chain(self, label: str, members: list[cp.Expression]) -> None:
        self._same_shape(label, members)
        for left, right in pairwise(members):
            self.couple(left == right, name=f"{label}: {left} = {right}")

    @staticmethod
    def _same_shape(label: str, members: list[cp.Expression]) -> None:
        shapes = {member.shape for member in members}
        if len(shapes) != 1:
            raise ShapeError(f"agree({label!r}): shapes differ: {sorted(shapes)}; all members must have one shape.")

    def _free(self, name: str) -> str:
        if not isinstance(name, str) or not name:
            raise ModelError(f"an agent's name must be a non-empty text, got {name!r}.")
        if name in self._parties:
            taken = self._parties[name]
            raise DuplicateNameError(
                f"an agent or fleet {name!r} exists already, declared at {taken.place}; choose another name, "
                f"or reach it with model[{name!r}]."
            )
        return name

    def _join(self, party: PartyT) -> PartyT:
        self._parties[party.name] = party
        return party

    def _owners_of(self, item: cp.Expression | cp.Constraint, where: str) -> list[Owner]:
        owners = []
        for variable in item.variables():
            owner = self._owners.get(variable.id)
            if owner is None:
                raise ForeignVariableError(
                    f"{where} uses {variable.name()}, which no agent of this model declared. "
                    "Declare it with agent.variable(...)."
                )
            owners.append(owner)
        return owners
