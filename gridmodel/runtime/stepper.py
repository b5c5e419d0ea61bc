"""A day of all agents one step at a time, as environments of reinforcement learning go. Needs torch for costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from gridmodel.errors import ShapeError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import AgentKind, Leaf, TrainingGraph
from gridmodel.runtime.agents import DayOfAgents

__all__ = ["Stepped", "Stepper"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stepped:
    """One step as it went.

    cost: of every agent of each kind, shape (N,); over a day they add up to what the day costs. over: by how much
    voltages leave the limits, pu, shape (nodes,), 0 where the load flow was not solved and without a network.
    """

    cost: tuple[Floats, ...]
    over: Floats
    solved: bool


@final
class Stepper:
    """Days step by step: ``begin`` a day, then ``step`` until it is ``over``.

    Dynamics in numpy and the exact load flow, both in double precision; ``Environment.rollout`` is the same day with
    gradients.
    """

    def __init__(self, graph: TrainingGraph) -> None:
        self.graph = graph
        self.agents: tuple[DayOfAgents, ...] = ()

    @property
    def over(self) -> bool:
        """Whether the day has no further step."""
        return not self.agents or self.agents[0].t >= self.graph.steps

    def begin(self, scenarios: Scenarios, day: int = 0) -> tuple[Floats, ...]:
        """Starts a day; what the agents of each kind see, scaled, shape (N, F)."""
        self.agents = tuple(
            DayOfAgents(kind, self.graph.steps, {name: scenarios.of(kind.name, name)[day].T for name in kind.series})
            for kind in self.graph.kinds
        )
        self._loads = None if scenarios.loads is None else scenarios.loads[day]
        self._track = [_Track(one) for one in self.agents]
        return self.seen()

    def seen(self) -> tuple[Floats, ...]:
        """What the agents of each kind see now, scaled, shape (N, F); after the last step, what they saw at it."""
        return tuple(track.seen for track in self._track)

    def step(self, raw: Sequence[Floats | None]) -> Stepped:
        """One step of all agents.

        raw: of each kind what policies say, between -1 and 1, shape (N, A); a row of NaN, or None for a whole kind, is
        an agent that does what it does otherwise.

        Raises:
            ShapeError: the day is over, or actions of another shape.
        """
        if self.over:
            raise ShapeError("the day is over: begin another one.")
        t = self.agents[0].t
        moved = [self._moved(one, said) for one, said in zip(self.agents, raw, strict=True)]
        over, solved = self._voltages(t, moved)
        cost = []
        for one, track, own in zip(self.agents, self._track, moved, strict=True):
            one.move(own)
            cost.append(track.add(one, t, own))
        return Stepped(tuple(cost), over, solved)

    def _moved(self, one: DayOfAgents, raw: Floats | None) -> dict[Leaf, Floats]:
        if raw is None or not one.kind.actions:
            return one.otherwise()
        said = np.asarray(raw, dtype=np.float64)
        shape = (one.kind.size, len(one.kind.actions))
        if said.shape != shape:
            raise ShapeError(f"{one.kind.name}: actions have shape {said.shape}, expected {shape}: agents, actions.")
        silent = np.isnan(said).any(axis=1)
        found = one.act(np.clip(np.nan_to_num(said), -1.0, 1.0))
        if silent.any():
            other = one.otherwise()
            found = {leaf: np.where(silent, other[leaf], values) for leaf, values in found.items()}
        return found

    def _voltages(self, t: int, moved: Sequence[dict[Leaf, Floats]]) -> tuple[Floats, bool]:
        network = self.graph.network
        if network is None:
            return np.zeros(0), True
        p, q = np.zeros(len(network.ports)), np.zeros(len(network.ports))
        for one, own in zip(self.agents, moved, strict=True):
            here, wide = {**one.here, **own}, np.zeros(one.kind.size)
            for draw in one.kind.draws:
                np.add.at(p, draw.port, draw.p(t, here) + wide)
                if draw.q is not None:
                    np.add.at(q, draw.port, draw.q(t, here) + wide)
        loads = None if self._loads is None else self._loads[t : t + 1]
        found = network.exact(p[None], q[None], loads)
        if not bool(found.solved[0]):
            return np.zeros(len(network.nodes)), False
        u = found.u[0]
        return np.maximum(np.maximum(network.lower - u, u - network.upper), 0.0), True


class _Track:
    """The day of a kind so far, for its costs: declared over whole days, they are read off step by step."""

    def __init__(self, one: DayOfAgents) -> None:
        kind, steps = one.kind, one.steps
        self.kind, self.paid, self.seen = kind, np.zeros(kind.size), one.scaled(one.see())
        self.leaves: dict[Leaf, Floats] = dict(one.series)
        self.leaves |= {leaf: np.tile(start, (steps + 1, 1)) for leaf, start in one.states.items()}
        for action in kind.actions:
            for sort in ("action", "up", "down"):
                self.leaves[Leaf(sort, action.name)] = np.zeros((steps, kind.size))

    def add(self, one: DayOfAgents, t: int, moved: dict[Leaf, Floats]) -> Floats:
        """Notes a step and gives its cost, shape (N,); in the last step, what the whole day costs beyond the others."""
        for leaf, values in moved.items():
            self.leaves[leaf][t] = values
        for leaf, values in one.states.items():
            self.leaves[leaf][t + 1 :] = values
        last = t + 1 == one.steps
        if not last:
            self.seen = one.scaled(one.see())
        whole = _cost(self.kind, self.leaves, one.steps)
        cost: Floats = whole.sum(axis=0) - self.paid if last else whole[t]
        self.paid = self.paid + cost
        return cost


def _cost(kind: AgentKind, leaves: dict[Leaf, Floats], steps: int) -> Floats:
    """Shape (T, N)."""
    if not leaves:
        return np.zeros((steps, kind.size))
    with torch.no_grad():
        found = kind.cost({leaf: torch.as_tensor(values[:, None, :]) for leaf, values in leaves.items()})
    return np.asarray(found[:, 0].numpy())
