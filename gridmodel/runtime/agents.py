"""Agents of a kind through one day, step by step, in numpy: what they see, what they may do, what is next.

Actions follow from what policies say as in ``gridmodel.runtime.feasible``, for one day and without gradients, so that
policies run where no torch is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.training import AgentKind, Draw, Leaf, Observation, StepMap
from gridmodel.runtime.limits import Lever, at_step, levers, sign_of, viable

__all__ = ["CLOCK", "GAIN", "DayOfAgents", "one_agent", "seen_order"]

Floats = NDArray[np.float64]
CLOCK = 2
"""What policies see first: sine and cosine of the time of day."""
GAIN = 1.25
"""What policies say is their network's output, a tanh, times this and clipped to -1 and 1, the ends of what devices may
do: prices and voltages ask for the ends themselves, which a tanh only nears."""


def seen_order(kind: AgentKind) -> tuple[Observation, ...]:
    """What policies see after the sine and cosine of the time of day: series first, then states and actions."""
    series = tuple(seen for seen in kind.observed if seen.leaf.sort == "series")
    return series + tuple(seen for seen in kind.observed if seen.leaf.sort != "series")


@final
class DayOfAgents:
    """The agents of a kind on one day.

    Args:
        series: by name, shape (T,) or (T, N); NaN where a value that is not known at the start is not there yet.

    t: the step. states: now, shape (N,). last: the last action of each name, 0 before the first.

    Raises:
        DataError: a series is missing, or has NaN where limits of states need it.
    """

    def __init__(self, kind: AgentKind, steps: int, series: Mapping[str, Floats]) -> None:
        self.kind, self.steps, self.t = kind, steps, 0
        self.series: dict[Leaf, Floats] = {}
        for name in kind.series:
            if name not in series:
                raise DataError(f"{kind.name} needs the series {name!r}; got {', '.join(series) or 'none'}.")
            values = np.asarray(series[name], dtype=np.float64)
            wide = values[:, None] if values.ndim == 1 else values
            self.series[Leaf("series", name)] = np.array(np.broadcast_to(wide, (steps, kind.size)))
        self.states = {Leaf("state", s.name): np.array(s.start, dtype=np.float64) for s in kind.states}
        self.last = {Leaf("action", a.name): np.zeros(kind.size) for a in kind.actions}
        self._levers = levers(kind)
        self._limits = {s.name: viable(kind, s, self.series) for s in kind.states}

    @property
    def here(self) -> dict[Leaf, Floats]:
        """States and series at this step."""
        return {leaf: values[self.t] for leaf, values in self.series.items()} | self.states

    def see(self) -> Floats:
        """What policies see, in physical units, shape (N, F)."""
        angle = 2 * np.pi * self.t / self.steps
        found = [np.full(self.kind.size, part) for part in (np.sin(angle), np.cos(angle))]
        for seen in seen_order(self.kind):
            if seen.leaf.sort == "series":
                found.append(self.series[seen.leaf][(self.t + seen.ahead) % self.steps])
            else:
                found.append((self.states if seen.leaf.sort == "state" else self.last)[seen.leaf])
        return np.stack(found, axis=1)

    def scaled(self, seen: Floats) -> Floats:
        """The same as policies were trained on it: (value - center) / scale."""
        order = seen_order(self.kind)
        center = [np.zeros(self.kind.size)] * CLOCK + [one.center for one in order]
        scale = [np.ones(self.kind.size)] * CLOCK + [one.scale for one in order]
        return (seen - np.stack(center, axis=1)) / np.stack(scale, axis=1)

    def act(self, raw: Floats) -> dict[Leaf, Floats]:
        """Actions in their units and both their parts, from what policies said, shape (N, A)."""
        return self._moved([self._action(i, raw[:, i]) for i in range(len(self.kind.actions))])

    def otherwise(self) -> dict[Leaf, Floats]:
        """Actions and both their parts without policies."""
        found = []
        for i, action in enumerate(self.kind.actions):
            lo, hi = self.interval(i)
            step = action.otherwise
            found.append(np.clip(0.0 if step is None else step(self.t, self.here), lo, hi))
        return self._moved(found)

    def move(self, moved: Mapping[Leaf, Floats]) -> None:
        """On to the next step, from what ``act`` or ``otherwise`` gave."""
        here = {**self.here, **moved}
        wide = np.zeros(self.kind.size)
        self.states = {Leaf("state", s.name): s.next(self.t, here) + wide for s in self.kind.states}
        self.last = {leaf: values for leaf, values in moved.items() if leaf.sort == "action"}
        self.t += 1

    def interval(self, i: int) -> tuple[Floats, Floats]:
        """Least and most of the i-th action in this step, shape (N,)."""
        action, here, wide = self.kind.actions[i], self.here, np.zeros(self.kind.size)
        least, most = (side(self.t, here) + wide for side in (action.lower, action.upper))
        lo, hi = least, most
        for by in self._levers[i]:
            low, high = self._room(by, here)
            lo, hi = np.maximum(lo, low), np.minimum(hi, high)
        # Where a state's limits cannot be kept, what comes nearest to them.
        lo, hi = np.clip(lo, least, most), np.clip(hi, least, most)
        return np.minimum(lo, hi), hi

    def _action(self, i: int, raw: Floats) -> Floats:
        lo, hi = self.interval(i)
        sign = sign_of(self.kind.actions[i])
        if sign:
            near, far = (lo, hi) if sign > 0 else (hi, lo)
            return np.asarray(near + 0.5 * (raw + 1.0) * (far - near))
        idle = np.clip(0.0, lo, hi)
        return np.asarray(idle + raw * np.where(raw > 0, hi - idle, idle - lo))

    def _moved(self, values: list[Floats]) -> dict[Leaf, Floats]:
        found: dict[Leaf, Floats] = {}
        for action, value in zip(self.kind.actions, values, strict=True):
            found[Leaf("action", action.name)] = value
            found[Leaf("up", action.name)] = np.maximum(value, 0.0)
            found[Leaf("down", action.name)] = np.maximum(-value, 0.0)
        return found

    def _room(self, by: Lever, here: Mapping[Leaf, Floats]) -> tuple[Floats, Floats]:
        """Between which actions the state stays within its limits after this step."""
        rest, up, down = by.rest(self.t, here), at_step(by.up, self.t), at_step(by.down, self.t)
        left = [side[self.t + 1] - rest for side in self._limits[by.state]]
        low, high = (np.where((x > 0) == by.rises, x / up, x / down) for x in (left if by.rises else left[::-1]))
        return low, high


def one_agent(kind: AgentKind, i: int) -> AgentKind:
    """The i-th agent of a kind as a kind of its own, without its draws."""

    def column(values: Floats) -> Floats:
        return values[..., i : i + 1] if values.shape[-1] > 1 else values

    def own(step: StepMap) -> StepMap:
        return StepMap({leaf: column(values) for leaf, values in step.terms.items()}, column(step.constant))

    states = tuple(
        replace(s, start=column(s.start), lower=column(s.lower), upper=column(s.upper), next=own(s.next))
        for s in kind.states
    )
    actions = tuple(
        replace(a, lower=own(a.lower), upper=own(a.upper), otherwise=None if a.otherwise is None else own(a.otherwise))
        for a in kind.actions
    )
    observed = tuple(replace(seen, center=column(seen.center), scale=column(seen.scale)) for seen in kind.observed)
    draws: tuple[Draw, ...] = ()
    return replace(kind, labels=kind.labels[i : i + 1], states=states, actions=actions, observed=observed, draws=draws)
