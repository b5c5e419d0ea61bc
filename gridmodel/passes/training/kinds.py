"""The agents of a model as arrays over a day."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, NotApplicableError, ShapeError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import ActionStep, AgentKind, Draw, Leaf, Observation, StateStep, StepMap
from gridmodel.language.declared import AbstractParty
from gridmodel.language.horizon import Horizon
from gridmodel.language.timed import Said
from gridmodel.passes.training.cost import StageCost
from gridmodel.passes.training.step_map import Leaves
from gridmodel.runtime.limits import levers

__all__ = ["check_series", "kind_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def kind_of(party: AbstractParty, ports: tuple[Ints, ...], scenarios: Scenarios) -> AgentKind:
    """The arrays of one agent or fleet with a horizon.

    Args:
        ports: of every ``draw``, the network's port of each agent.
        scenarios: days from which the scale of what policies see is taken.

    Raises:
        ModelError: what comes next of a state is missing, not affine or not causal, or moved by two actions.
        DataError: the scenarios lack a series. ShapeError: or have it for another number of agents.
    """
    day = party.day
    assert day is not None
    leaves = Leaves(day)
    _check_costs(party, day)
    _check_limits(party, day)
    check_series(party, day, scenarios)
    steps = {name: _next(party, leaves, name) for name in day.states}
    actions = tuple(_action(party, leaves, name, steps) for name in day.actions)
    kind = AgentKind(
        party.name, tuple(party.labels()), tuple(_state(leaves, name, steps[name], actions) for name in day.states),
        actions, {name: series.shared for name, series in day.known.items()},
        _observed(day, leaves, scenarios) if actions else (),
        tuple(
            Draw(
                leaves.step_map(Said(drawn.p, drawn.place), "the power it draws"),
                None if drawn.q is None else leaves.step_map(Said(drawn.q, drawn.place), "the reactive power it draws"),
                port,
            )
            for drawn, port in zip(day.drawn, ports, strict=True)
        ),
        StageCost(tuple(day.costs), leaves),
    )  # fmt: skip
    _check_directions(kind)
    return kind


def _next(party: AbstractParty, leaves: Leaves, name: str) -> StepMap:
    state = leaves.day.states[name]
    if state.next is None:
        raise ModelError(
            f"{party.name}: what comes next of the state {name!r} (declared at {state.place}) is not said; "
            f"say it with day.next({name!r}, ...)."
        )
    return leaves.step_map(state.next, f"what comes next of {name!r}")


def _action(party: AbstractParty, leaves: Leaves, name: str, steps: dict[str, StepMap]) -> ActionStep:
    action = leaves.day.actions[name]
    sides = [
        leaves.step_map(Said(side, action.place), f"the {what} bound of {name!r}")
        for side, what in ((action.lower, "lower"), (action.upper, "upper"))
    ]
    for side, what in zip(sides, ("lower", "upper"), strict=True):
        if strange := [leaf for leaf in side.terms if leaf.sort != "series"]:
            raise ModelError(
                f"{party.name}: the {what} bound of {name!r} holds {strange[0].sort} {strange[0].name!r}; bounds are "
                "affine in series."
            )
    parts = {Leaf("action", name), Leaf("up", name), Leaf("down", name)}
    moved = [state for state, step in steps.items() if parts & step.terms.keys()]
    for state in moved:
        other = {leaf.name for leaf in steps[state].terms if leaf.sort in ("action", "up", "down")} - {name}
        if other:
            raise NotApplicableError(
                f"{party.name}: the state {state!r} is moved by {name!r} and by {min(other)!r}; a policy keeps the "
                "limits of states that one action moves. Split the agent, or the state."
            )
    otherwise = None
    if action.otherwise is not None:
        otherwise = leaves.step_map(action.otherwise, f"what it does otherwise with {name!r}")
        if odd := [leaf for leaf in otherwise.terms if leaf.sort not in ("state", "series")]:
            raise ModelError(f"{party.name}: what it does otherwise with {name!r} holds {odd[0].sort} {odd[0].name!r}.")
    unit = leaves.day.party.unit(name)
    return ActionStep(name, unit, sides[0], sides[1], tuple(moved), otherwise)


def _check_directions(kind: AgentKind) -> None:
    for action, own in zip(kind.actions, levers(kind), strict=True):
        for by in own:
            if any(((slopes > 0) != by.rises).any() for slopes in (by.up, by.down)):
                raise NotApplicableError(
                    f"{kind.name}: {action.name!r} moves {by.state!r} in one direction when it rises and in the other "
                    "when it falls; training needs one direction."
                )


def _state(leaves: Leaves, name: str, step: StepMap, actions: tuple[ActionStep, ...]) -> StateStep:
    state, day = leaves.day.states[name], leaves.day
    count = day.party.size or 1
    lower, upper = (np.ascontiguousarray(np.atleast_2d(side).T) for side in (state.lower, state.upper))
    used = {leaf.name for leaf in step.terms if leaf.sort == "series"}
    for action in actions:
        if name in action.states:
            used |= {leaf.name for side in (action.lower, action.upper) for leaf in side.terms}
    known = all(day.known[one].known for one in used)
    start = np.broadcast_to(state.start, (count,)).copy()
    return StateStep(name, day.party.unit(name), start, lower, upper, step, known)


def _check_costs(party: AbstractParty, day: Horizon) -> None:
    if len(party.costs) != len(day.costs):
        own = {one.place for one in day.costs}
        odd = next((cost for cost in party.costs if cost.place not in own), party.costs[-1])
        raise NotApplicableError(
            f"{party.name}: the cost at {odd.place} is no cost of steps; declare it with day.minimize(...), one entry "
            "an agent and step."
        )


def _check_limits(party: AbstractParty, day: Horizon) -> None:
    if odd := [limit for limit in party.limits if limit.constraint.id not in day.kept]:
        raise NotApplicableError(
            f"{party.name}: {odd[0]} is no bound of a state or an action, and policies keep no others. Bound what it "
            "limits (for a ramp: the power is a state, its change the action), or make it a cost."
        )


def check_series(party: AbstractParty, day: Horizon, scenarios: Scenarios) -> None:
    """Refuses scenarios that lack a series of an agent, or have it in another shape.

    Raises:
        ShapeError, DataError: so.
    """
    if scenarios.steps != day.steps:
        raise ShapeError(
            f"{party.name} has a horizon of {day.steps} steps, the scenarios have days of {scenarios.steps}."
        )
    for name, series in day.known.items():
        found = scenarios.of(party.name, name)
        wide = found.ndim == 3 and found.shape[1] == (party.size or 1)
        if found.ndim != 2 and (series.shared or not wide):
            raise ShapeError(
                f"{party.name}: the series {name!r} of the scenarios has shape {found.shape}, expected "
                f"({len(scenarios)}, {day.steps})" + ("." if series.shared else f" or ({len(scenarios)}, "
                f"{party.size or 1}, {day.steps}).")
            )  # fmt: skip


def _observed(day: Horizon, leaves: Leaves, scenarios: Scenarios) -> tuple[Observation, ...]:
    """What was asked for; where nothing was, all states, and all series as they are now."""
    seen: list[tuple[Any, int]] = [(one.quantity, one.ahead) for one in day.seen]
    if not seen:
        seen = [(state.variable, 0) for state in day.states.values()]
        seen += [(series.parameter, 0) for series in day.known.values()]
    return tuple(_observation(day, leaves.of[quantity.id], ahead, scenarios) for quantity, ahead in seen)


def _observation(day: Horizon, leaf: Leaf, ahead: int, scenarios: Scenarios) -> Observation:
    count = day.party.size or 1
    if leaf.sort == "series":
        values = scenarios.of(day.party.name, leaf.name)
        center, spread = values.mean(axis=(0, -1)), values.std(axis=(0, -1))
    elif leaf.sort == "state":
        state = day.states[leaf.name]
        center, spread = _middle(state.lower, state.upper, state.start)
    else:
        action = day.actions[leaf.name]
        low, high = (_bound(side) for side in (action.lower, action.upper))
        center, spread = (low + high) / 2, (high - low) / 2
    wide = [np.broadcast_to(x, (count,)).astype(np.float64).copy() for x in (center, spread)]
    if not all(np.isfinite(x).all() for x in wide):
        raise DataError(f"{day.party.name}: what is seen of {leaf.name!r} has no finite scale.")
    return Observation(leaf, ahead, wide[0], np.where(wide[1] > 0, wide[1], 1.0), _unit(day, leaf))


def _middle(lower: Floats, upper: Floats, start: Floats) -> tuple[Floats, Floats]:
    low, high = lower.min(axis=-1), upper.max(axis=-1)
    both = np.isfinite(low) & np.isfinite(high) & (high > low)
    center = np.where(both, (np.where(both, low, 0.0) + np.where(both, high, 0.0)) / 2, start)
    spread = np.where(both, (np.where(both, high, 1.0) - np.where(both, low, 0.0)) / 2, np.maximum(np.abs(start), 1.0))
    return center, spread


def _bound(side: Any) -> Floats:
    """Largest magnitude of a constant bound, 1 where it depends on series."""
    value = None if side.parameters() else side.value
    return np.asarray(1.0) if value is None else np.asarray(value, dtype=np.float64).max(axis=-1)


def _unit(day: Horizon, leaf: Leaf) -> str | None:
    return day.known[leaf.name].unit if leaf.sort == "series" else day.party.unit(leaf.name)
