"""Agents over days: what they see, what their actions come to, what they pay, and the voltages that follow.

Tensors over a day have the layout (steps T, days B, agents N); what policies see and say, (agents, days, numbers).
Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import AgentKind, Draw, Leaf, TrainingGraph
from gridmodel.runtime.agents import CLOCK
from gridmodel.runtime.chain import Answer, linked
from gridmodel.runtime.feasible import Affine, Feasible, Motion
from gridmodel.runtime.limits import Floats
from gridmodel.runtime.walk import Given, Policy, Said, Seen, Walk, walk

__all__ = ["Batch", "Course", "Environment", "Outcome", "Policy"]

_WHOLE = slice(None)


@dataclass(frozen=True)
class Batch:
    """Days as tensors.

    series: of each kind, by leaf, shape (T, B, N). seen: of each kind, what policies see, scaled, shape (N, T, F, B);
    unset in the last columns, of what agents move. motions: of each kind. loads: VA, shape (T B, loads), or None.
    """

    series: tuple[Mapping[Leaf, Tensor], ...]
    seen: tuple[Tensor, ...]
    motions: tuple[Motion, ...]
    loads: Tensor | None
    days: int


@dataclass(frozen=True)
class Course:
    """What the agents of one kind did.

    raw: shape (T, N, B, A), between -1 and 1. seen: (T, N, B, F), without gradient. leaves: shape (T, B, N), of states
    (T + 1, B, N). cost: (T, B, N). p: kW and q: kvar of every draw, shape (T, B, N), q None where there is none.
    """

    raw: Tensor
    seen: Tensor
    leaves: Mapping[Leaf, Tensor]
    cost: Tensor
    p: tuple[Tensor, ...]
    q: tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Outcome:
    """Days as they went.

    courses: of each kind. cost: of all agents in the model's currency, shape (B,). u: pu at the network's nodes with
    limits, shape (T, B, nodes), NaN in steps without a load flow, None without a network. solved: shape (T, B).
    """

    courses: tuple[Course, ...]
    cost: Tensor
    u: Tensor | None
    solved: Tensor | None

    def over(self, lower: Tensor, upper: Tensor) -> Tensor:
        """By how much voltages leave the limits, pu, shape (T, B, nodes), at least 0; 0 in steps not solved.

        Raises:
            ValueError: there is no network.
        """
        if self.u is None or self.solved is None:
            raise ValueError("a model without a network has no voltages")
        out = torch.relu(torch.maximum(lower - self.u, self.u - upper))
        return torch.where(self.solved[..., None], out, torch.zeros_like(out))


class Environment:
    """The model's days, differentiable: ``rollout`` lets policies act, ``replay`` repeats given actions."""

    def __init__(self, graph: TrainingGraph, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        self.graph, self.dtype, self.device = graph, dtype, torch.device(device)
        self.feasible = tuple(Feasible(kind, graph.steps, dtype, self.device) for kind in graph.kinds)
        clock = 2 * np.pi * np.arange(graph.steps) / graph.steps
        self._clock = self.tensor(np.stack([np.sin(clock), np.cos(clock)], axis=1))
        self._own = [_own(self, kind) for kind in graph.kinds]
        network = graph.network
        ports = 0 if network is None else len(network.ports)
        self._draws = [[_Draw.of(draw, one, ports) for draw in one.kind.draws] for one in self.feasible]
        self.lower: Tensor | None = None if network is None else self.tensor(network.lower)
        self.upper: Tensor | None = None if network is None else self.tensor(network.upper)

    def tensor(self, values: Any) -> Tensor:
        """As a tensor of this environment."""
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    def width(self, kind: int) -> int:
        """How many numbers policies of a kind see."""
        return CLOCK + len(self.graph.kinds[kind].observed)

    def batch(self, scenarios: Scenarios, days: Any = None) -> Batch:
        """Some days of scenarios, all where ``days`` is None."""
        own = scenarios if days is None else scenarios.take(days)
        arrays = [_arrays(kind, own) for kind in self.graph.kinds]
        series = tuple(
            {leaf: self.tensor(x.swapaxes(0, 1)).contiguous().expand(-1, -1, kind.size) for leaf, x in values.items()}
            for kind, values in zip(self.graph.kinds, arrays, strict=True)
        )
        seen = tuple(self._seen(k, series[k], len(own)) for k in range(len(series)))
        motions = tuple(self.feasible[k].motion(series[k], arrays[k], len(own)) for k in range(len(series)))
        loads = None
        if own.loads is not None:
            kind = torch.complex128 if self.dtype == torch.float64 else torch.complex64
            flat = own.loads.swapaxes(0, 1).reshape(-1, own.loads.shape[-1])
            loads = torch.as_tensor(flat, dtype=kind, device=self.device)
        return Batch(series, seen, motions, loads, len(own))

    def rollout(self, policy: Policy, batch: Batch, flow: bool = True) -> Outcome:
        """The days under a policy; where gradients are on, through everything, the later policy's answers too."""
        courses = [self._course(k, batch, self._walk(k, batch, Said(policy, k))) for k in range(len(self.graph.kinds))]
        return self._outcome(courses, batch, flow)

    def replay(
        self,
        raw: Sequence[Tensor],
        batch: Batch,
        flow: bool = True,
        courses: Sequence[Course] | None = None,
        answers: Sequence[Answer | None] | None = None,
    ) -> Outcome:
        """The days under given actions, shape (T, N, B, A) of each kind; differentiable in them, once.

        courses: of the same actions on the same days, where they are known; spares the agents' steps.
        answers: how policies answer what they see of themselves, of each kind (``Policies.answer``); with them the
            gradient holds later policies' answers, without, it is the open-loop one.
        """
        found = []
        for k, kind in enumerate(self.graph.kinds):
            with torch.no_grad():
                own = self._walk(k, batch, Given(raw[k])) if courses is None else _walked(courses[k])
            own = replace(own, raw=raw[k])
            if kind.actions and torch.is_grad_enabled() and raw[k].requires_grad:
                own = linked(batch.motions[k], raw[k], own, None if answers is None else answers[k])
            found.append(self._course(k, batch, own))
        return self._outcome(found, batch, flow)

    def baseline(self, batch: Batch, flow: bool = True) -> Outcome:
        """The days without policies: every agent does what its model says it does otherwise."""
        courses = [self._course(k, batch, self._walk(k, batch, None)) for k in range(len(self.graph.kinds))]
        return self._outcome(courses, batch, flow)

    def _outcome(self, courses: list[Course], batch: Batch, flow: bool) -> Outcome:
        cost = torch.stack([course.cost.sum(dim=(0, 2)) for course in courses]).sum(dim=0)
        u = solved = None
        if self.graph.network is not None and flow:
            p, q = self.injections(courses, batch)
            found = self.graph.network.flow(p, q, batch.loads)
            shape = (self.graph.steps, batch.days)
            u, solved = found.u.reshape(*shape, -1), found.solved.reshape(shape)
        return Outcome(tuple(courses), cost, u, solved)

    def injections(self, courses: Sequence[Course], batch: Batch) -> tuple[Tensor, Tensor | None]:
        """kW and kvar drawn at the network's ports, shape (T B, ports)."""
        assert self.graph.network is not None
        rows = self.graph.steps * batch.days
        p = self.feasible[0].zeros(rows, len(self.graph.network.ports))
        q: Tensor | None = None
        for course, draws in zip(courses, self._draws, strict=True):
            for draw, active, reactive in zip(draws, course.p, course.q, strict=True):
                p = p + active.reshape(rows, -1) @ draw.spread
                if reactive is not None:
                    q = (0.0 if q is None else q) + reactive.reshape(rows, -1) @ draw.spread
        return p, q

    def _walk(self, k: int, batch: Batch, said: Said | Given | None) -> Walk:
        seen = Seen(self._own[k], batch.seen[k]) if isinstance(said, Said) else None
        return walk(batch.motions[k], said, seen)

    def _course(self, k: int, batch: Batch, own: Walk) -> Course:
        kind, size = self.graph.kinds[k], (self.graph.steps, batch.days, self.graph.kinds[k].size)
        leaves = dict(batch.series[k]) | dict(own.states)
        for action in kind.actions:
            leaves |= batch.motions[k].parts(action, own.actions[Leaf("action", action.name)])
        each = {leaf: values[:-1] if leaf.sort == "state" else values for leaf, values in leaves.items()}
        cost = kind.cost(leaves) if leaves else self.feasible[k].zeros(*size)
        p = tuple(draw.p.at(_WHOLE, each).expand(size) for draw in self._draws[k])
        q = tuple(None if draw.q is None else draw.q.at(_WHOLE, each).expand(size) for draw in self._draws[k])
        return Course(own.raw, own.seen, leaves, cost, p, q)

    def _seen(self, k: int, series: Mapping[Leaf, Tensor], days: int) -> Tensor:
        """The time of day, then scaled series in the order in which they are observed, and room for the rest."""
        kind, steps = self.graph.kinds[k], self.graph.steps
        if not kind.actions:
            return self.feasible[k].zeros(kind.size, steps, 0, days)
        full = self.feasible[k].zeros(kind.size, steps, self.width(k), days)
        full[:, :, :CLOCK] = self._clock[:, :, None]
        column = CLOCK
        for seen in kind.observed:
            if seen.leaf.sort == "series":
                values, center, scale = series[seen.leaf], self.tensor(seen.center), self.tensor(seen.scale)
                if values.stride(-1) == 0:
                    values, center, scale = values[..., :1], center[:1], scale[:1]
                full[:, :, column] = ((values.roll(-seen.ahead, dims=0) - center) / scale).permute(2, 0, 1)
                column += 1
        return full

    def own(self, k: int) -> list[tuple[int, Leaf, Tensor, Tensor]]:
        """What policies of a kind see of themselves: its place in what they see, center and 1 / scale, shape (N,)."""
        return self._own[k]


def _arrays(kind: AgentKind, scenarios: Scenarios) -> dict[Leaf, Floats]:
    """Series of a kind, shape (B, T, N), or (B, T, 1) where all agents have the same."""
    found = {name: scenarios.of(kind.name, name) for name in kind.series}
    return {Leaf("series", name): x[..., None] if x.ndim == 2 else x.swapaxes(1, 2) for name, x in found.items()}


def _own(env: Environment, kind: AgentKind) -> list[tuple[int, Leaf, Tensor, Tensor]]:
    """Series come first among what is seen."""
    own = [seen for seen in kind.observed if seen.leaf.sort != "series"]
    first = CLOCK + len(kind.observed) - len(own)
    return [(first + j, seen.leaf, env.tensor(seen.center), env.tensor(1.0 / seen.scale)) for j, seen in enumerate(own)]


def _walked(course: Course) -> Walk:
    states, actions = (
        {leaf: x.detach() for leaf, x in course.leaves.items() if leaf.sort == sort} for sort in ("state", "action")
    )
    return Walk(course.raw, course.seen, states, actions)


class _Draw(NamedTuple):
    """Power drawn, over all steps at once, and the matrix from agents to ports."""

    p: Affine
    q: Affine | None
    spread: Tensor

    @classmethod
    def of(cls, draw: Draw, feasible: Feasible, ports: int) -> _Draw:
        spread = feasible.zeros(len(draw.port), ports)
        spread[np.arange(len(draw.port)), draw.port] = 1.0
        return cls(feasible.affine(draw.p), None if draw.q is None else feasible.affine(draw.q), spread)
