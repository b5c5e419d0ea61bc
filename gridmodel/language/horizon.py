"""Agents over a day: states, actions, what moves them, what they see and where they draw power."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar, final

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import (
    DataError,
    DuplicateNameError,
    ForeignVariableError,
    ModelError,
    ShapeError,
    UnknownNameError,
)
from gridmodel.language.bounds import read_bounds
from gridmodel.language.source import caller
from gridmodel.language.timed import Action, Drawn, Said, Seen, Series, State

if TYPE_CHECKING:
    from gridmodel.language.declared import AbstractParty

__all__ = ["Horizon"]

Floats = NDArray[np.float64]
_Of = TypeVar("_Of")


@final
class Horizon:
    """A day of T steps of an agent or a fleet; made by ``agent.horizon(steps, hours)``.

    Variables and parameters that it declares are the agent's own, cvxpy's, with the steps as last axis; costs and
    limits on them are declared as ever. Training needs dynamics of one step, ``next``, and costs of steps,
    ``minimize``.

    >>> import gridmodel as gm
    >>> home = gm.Model("day").fleet("battery", 3)
    >>> day = home.horizon(48, hours=0.5)
    >>> price, p = day.series("price", shared=True), day.action("p", bounds=(-3, 3), unit="kW")
    >>> e, (up, down) = day.state("e", start=5, bounds=(0, 10), unit="kWh"), day.parts("p")
    >>> day.next("e", e[:, :-1] + 0.5 * (0.95 * up - down / 0.95))
    """

    def __init__(self, party: AbstractParty, steps: int, hours: float) -> None:
        if not (_whole(steps) and steps >= 1 and _number(hours) and 0 < hours < np.inf):
            raise ShapeError(
                f"{party.name}: a horizon has whole steps, at least 1, of some hours, e.g. horizon(48, hours=0.5); got "
                f"{steps!r}, {hours!r}."
            )
        self.party, self.steps, self.hours = party, int(steps), float(hours)
        self.states: dict[str, State] = {}
        self.actions: dict[str, Action] = {}
        self.known: dict[str, Series] = {}
        self.seen: list[Seen] = []
        self.drawn: list[Drawn] = []
        self.costs: list[Said] = []
        self.kept: set[int] = set()

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, T), or (T,) of one agent."""
        return (self.steps,) if self.party.size is None else (self.party.size, self.steps)

    def state(
        self, name: str, start: Any, bounds: tuple[Any, Any] = (None, None), unit: str | None = None
    ) -> cp.Variable:
        """A state before the first step and after each, shape (N, T + 1).

        Args:
            start: a number, or one an agent.
            bounds: (lower, upper); the last column holds for the end of the day.

        Raises:
            ModelError: as of ``agent.variable``; a start out of bounds.
        """
        where = f"state {self.party.name}.{name}"
        full = (*self.shape[:-1], self.steps + 1)
        first = self._one_an_agent(start, f"{where}: start")
        lower, upper = read_bounds(bounds, full, where, self.party.size)
        variable = self.party.variable(name, self.steps + 1, bounds=bounds, unit=unit)
        low, high, begun = (np.atleast_1d(x) for x in (lower[..., 0], upper[..., 0], first))
        if (out := (begun < low) | (begun > high)).any():
            k = int(np.argmax(out))
            raise DataError(
                f"{where}: the start {begun[k]:g} of {[*self.party.labels()][k]} lies outside its bounds, "
                f"{low[k]:g} to {high[k]:g}; give start= within them."
            )
        self._keep(variable[..., 0] == first, f"start of {name}")
        self.states[name] = State(variable, np.atleast_1d(first), lower, upper, caller())
        return variable

    def action(self, name: str, bounds: tuple[Any, Any] | None = None, unit: str | None = None) -> cp.Variable:
        """What an agent decides in each step, shape (N, T).

        Args:
            bounds: (lower, upper), both needed: numbers, arrays, or expressions affine in series, ``(-cap * sun, 0)``.

        Raises:
            ModelError: as of ``agent.variable``; a side without bound.
        """
        where = f"action {self.party.name}.{name}"
        if not isinstance(bounds, Sequence) or len(bounds) != 2 or any(side is None for side in bounds):
            raise ModelError(
                f"{where}: an action needs both bounds, since policies choose between them: bounds=(a, b)."
            )
        fixed = [None if isinstance(side, cp.Expression) else side for side in bounds]
        lower, upper = read_bounds(fixed, self.shape, where, self.party.size)
        if not all(np.isfinite(x).all() for x, side in zip((lower, upper), fixed, strict=True) if side is not None):
            raise ModelError(f"{where}: policies choose between bounds, and one is infinite: give finite ones.")
        variable = self.party.variable(name, self.steps, bounds=(fixed[0], fixed[1]), unit=unit)
        sides = [
            cp.Constant(array) if side is not None else self._wide(given, where)
            for side, array, given in zip(fixed, (lower, upper), bounds, strict=True)
        ]
        if fixed[0] is None:
            self._keep(variable >= sides[0], f"least {name}")
        if fixed[1] is None:
            self._keep(variable <= sides[1], f"most {name}")
        self.actions[name] = Action(variable, sides[0], sides[1], caller())
        return variable

    def series(
        self, name: str, value: Any = None, shared: bool = False, known: bool = False, unit: str | None = None
    ) -> cp.Parameter:
        """Data that nobody decides, shape (N, T), or (T,) where it is shared: a cvxpy Parameter.

        Args:
            value: of the day that is solved centrally; scenarios give those of training.
            shared: one series for all agents of a fleet.
            known: the whole day is known at its start, as day-ahead prices and timetables are.
        """
        parameter = self.party.parameter(name, self.steps, value=value, shared=shared and self.party.size is not None)
        self.known[name] = Series(parameter, shared or self.party.size is None, known, unit)
        return parameter

    def parts(self, name: str) -> tuple[cp.Variable, cp.Variable]:
        """The positive and the negative part of an action, p = up - down, both at least 0.

        Between bounds -a and b that are numbers, up / b + down / a <= 1: the convex hull of the pairs of which one is
        0. A solver of convex models may let both be positive at once, so that its optimum is a lower bound where that
        pays; policies do not.

        Raises:
            UnknownNameError: no action of this name.
        """
        action = self._named(self.actions, "action", name)
        if action.up is None or action.down is None:
            unit, most = self.party.unit(name), action.most()
            action.up, action.down = (
                self.party.variable(f"{name} {part}", self.steps, bounds=(0, side), unit=unit)
                for part, side in zip(("up", "down"), most or (None, None), strict=True)
            )
            self._keep(action.variable == action.up - action.down, f"parts of {name}")
            if most is not None and (both := most[0] * most[1]).any():
                larger = np.maximum(np.maximum(*most), np.finfo(float).tiny)
                used = cp.multiply(most[1] / larger, action.up) + cp.multiply(most[0] / larger, action.down)
                self._keep(used <= both / larger, f"one part of {name}")
        return action.up, action.down

    def otherwise(self, name: str, expression: Any) -> None:
        """What an agent does without a policy, shape (N, T), affine in states before it and series, cut to its limits.

        A thermostat is one; without any, agents do what is nearest to nothing. Policies are compared with it.

        Raises:
            UnknownNameError: no action of this name. ShapeError: another shape.
        """
        place = caller()
        action = self._named(self.actions, "action", name)
        action.otherwise = Said(self._wide(expression, f"what {self.party.name} does otherwise at {place}"), place)

    def next(self, name: str, expression: Any) -> None:
        """What a state is after each step, shape (N, T), affine in states before it, actions and series at it.

        Raises:
            UnknownNameError: no state of this name. DuplicateNameError: it has been said before.
            ShapeError: another shape.
        """
        place = caller()
        where = f"what comes next of {self.party.name}.{name}"
        state = self._named(self.states, "state", name)
        if state.next is not None:
            raise DuplicateNameError(f"{where} is said at {state.next.place} already.")
        wide = self._wide(expression, f"{where} at {place}")
        self._keep(state.variable[..., 1:] == wide, f"next {name}")
        state.next = Said(wide, place)

    def minimize(self, cost: Any) -> None:
        """Adds a convex cost of every step, shape (N, T) or (T,) of one agent; costs of several calls add up.

        Raises:
            ShapeError: another shape.
        """
        place = caller()
        where = f"the cost of {self.party.name} at {place}"
        told = cp.Expression.cast_to_const(cost)
        if told.size == 1 and told.variables() and told.shape != self.shape:
            raise ShapeError(
                f"{where} is one number, expected {self.shape}: one entry an agent and step, without a sum."
            )
        wide = self._wide(told, where)
        self.party.minimize(cp.sum(wide))
        self.costs.append(Said(wide, place))

    def observe(self, *quantities: Any, ahead: int | Sequence[int] = 0) -> None:
        """What policies see: states, series, and the last values of actions; the time of day they always see.

        Args:
            ahead: steps into the future, of series that are known, one or several; past the end of the day, its
                beginning.

        Raises:
            ForeignVariableError: not a state, an action or a series of this agent.
            ModelError: the future of what is not known.
        """
        own = {
            id(x) for x in (*(s.variable for s in self.states.values()), *(a.variable for a in self.actions.values()))
        }
        known = {id(series.parameter): series.known for series in self.known.values()}
        steps = list(ahead) if isinstance(ahead, Iterable) else [ahead]
        if odd := [k for k in steps if not (_whole(k) and k >= 0)]:
            raise ModelError(
                f"{self.party.name} observes ahead={odd[0]!r}: whole steps, 0 for now, 1 for the next one."
            )
        for quantity in quantities:
            if id(quantity) not in own and id(quantity) not in known:
                raise ForeignVariableError(
                    f"{self.party.name} observes {quantity}, which is no state, action or series of it; other agents' "
                    "values reach it through no message. Declare a series."
                )
            if any(steps) and not known.get(id(quantity), False):
                raise ModelError(
                    f"{self.party.name} observes the future of {quantity.name()}: policies see what is known only; "
                    "declare it with series(..., known=True) if its day is known at the start."
                )
            self.seen += [Seen(quantity, int(k)) for k in steps]

    def draw(
        self,
        p: Any,
        at: str | Sequence[str],
        q: Any = None,
        rating: Any = None,
        droop: Any = None,
    ) -> None:
        """Power drawn from the model's network.

        Args:
            p: kW, shape (N, T), affine in actions, states and series. q: kvar, likewise.
            at: of every agent "bus.phase", "bus.phase.phase" between two phases, or "bus" for all its phases.
            rating: kVA of the inverter, which a droop needs.
            droop: a ``gm.VoltVar``, what the inverter does by itself at its voltage.

        Raises:
            ShapeError: not a place for every agent, or powers of another shape.
        """
        place = caller()
        where = f"draw(...) of {self.party.name} at {place}"
        count = self.party.size or 1
        places = (at,) * count if isinstance(at, str) else tuple(at)
        if len(places) != count:
            raise ShapeError(f"{where}: {len(places)} places for {count} agents; give one each.")
        if odd := [place for place in places if not isinstance(place, str)]:
            raise ModelError(f'{where}: a place is a text such as "60.1", got {odd[0]!r}.')
        rated = None if rating is None else np.broadcast_to(self._one_an_agent(rating, f"{where}: rating"), (count,))
        if droop is not None and rated is None:
            raise ModelError(f"{where}: a droop needs the inverter's rating: rating=kVA.")
        if rated is not None and (rated < 0).any():
            raise DataError(f"{where}: rating is {rated.min():g}, expected kVA of at least 0.")
        self.drawn.append(
            Drawn(self._wide(p, where), None if q is None else self._wide(q, where), places, rated, droop, place)
        )

    def _keep(self, limit: Any, name: str) -> None:
        """A limit that says nothing but what the horizon holds itself; training knows it, and no others."""
        self.party.subject_to(limit, name=name)
        self.kept.add(limit.id)

    def _named(self, among: dict[str, _Of], what: str, name: str) -> _Of:
        if name not in among:
            raise UnknownNameError(f"{self.party.name} has no {what} {name!r}; it has {', '.join(among) or 'none'}.")
        return among[name]

    def _one_an_agent(self, value: Any, where: str) -> Floats:
        array = np.asarray(value, dtype=np.float64)
        if array.shape not in ((), self.shape[:-1]):
            raise ShapeError(f"{where}: got shape {array.shape}, expected a finite number, or one an agent.")
        if not np.isfinite(array).all():
            raise DataError(f"{where}: got {value!r}, expected a finite number, or one an agent.")
        return np.array(np.broadcast_to(array, self.shape[:-1]))

    def _wide(self, value: Any, where: str) -> cp.Expression:
        """The value with one entry an agent and step; what is shared by agents is repeated."""
        expression = cp.Expression.cast_to_const(value)
        if expression.shape == self.shape:
            return expression
        if expression.size == 1:
            return expression * np.ones(self.shape)
        if expression.shape in ((self.steps,), (1, self.steps)):
            row = cp.reshape(expression, (1, self.steps), order="C")
            return np.ones((self.shape[0], 1)) @ row
        raise ShapeError(f"{where} has shape {expression.shape}, expected {self.shape}: one entry an agent and step.")


def _number(value: Any) -> bool:
    return isinstance(value, Real)


def _whole(value: Any) -> bool:
    return _number(value) and float(value).is_integer()
