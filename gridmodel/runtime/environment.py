"""Agents over days: what they see, what their actions come to, what they pay, and the voltages that follow.

Tensors over a day have the layout (steps T, days B, agents N); what policies see and say, (agents, days, numbers).
Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import AgentKind, Leaf, StepMap, TrainingGraph
from gridmodel.runtime.chain import Answer, linked
from gridmodel.runtime.feasible import Feasible, Motion
from gridmodel.runtime.walk import Given, Policy, Said, Seen, Walk

__all__ = ["Batch", "Course", "Environment", "Outcome", "Policy"]

_CLOCK = 2
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
        self._draws = [[_Draw(self, draw.p, draw.q, draw.port) for draw in kind.draws] for kind in graph.kinds]
        self._own = [_own(self, kind) for kind in graph.kinds]
        network = graph.network
        self.lower: Tensor | None = None if network is None else self.tensor(network.lower)
        self.upper: Tensor | None = None if network is None else self.tensor(network.upper)

    def tensor(self, values: Any) -> Tensor:
        """As a tensor of this environment."""
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    def width(self, kind: int) -> int:
        """How many numbers policies of a kind see."""
        return _CLOCK + len(self.graph.kinds[kind].observed)

    def batch(self, scenarios: Scenarios, days: Any = None) -> Batch:
        """Some days of scenarios, all where ``days`` is None."""
        own = scenarios if days is None else scenarios.take(days)
        series = tuple(self._series(kind, own) for kind in self.graph.kinds)
        seen = tuple(self._seen(k, series[k], len(own)) for k in range(len(series)))
        motions = tuple(one.motion(values, len(own)) for one, values in zip(self.feasible, series, strict=True))
        loads = None
        if own.loads is not None:
            kind = torch.complex128 if self.dtype == torch.float64 else torch.complex64
            flat = own.loads.swapaxes(0, 1).reshape(-1, own.loads.shape[-1])
            loads = torch.as_tensor(flat, dtype=kind, device=self.device)
        return Batch(series, seen, motions, loads, len(own))

    def rollout(self, policy: Policy, batch: Batch, flow: bool = True) -> Outcome:
        """The days under a policy; where gradients are on, through everything, the later policy's answers too."""
        said = Said(policy)
        courses = [self._course(k, batch, self._walk(k, batch, said)) for k in range(len(self.graph.kinds))]
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
                walk = self._walk(k, batch, Given(raw[k])) if courses is None else _walked(kind, courses[k])
            states, actions = list(walk.states.values()), list(walk.actions.values())
            if kind.actions and torch.is_grad_enabled() and raw[k].requires_grad:
                answer = None if answers is None else answers[k]
                states, actions = linked(batch.motions[k], raw[k], states, actions, answer)
            linked_walk = Walk(
                raw[k], walk.seen, dict(zip(walk.states, states, strict=True)),
                dict(zip(walk.actions, actions, strict=True)),
            )  # fmt: skip
            found.append(self._course(k, batch, linked_walk))
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
        rows, ports = self.graph.steps * batch.days, len(self.graph.network.ports)
        p = torch.zeros((rows, ports), dtype=self.dtype, device=self.device)
        q: Tensor | None = None
        for course, draws in zip(courses, self._draws, strict=True):
            for draw, active, reactive in zip(draws, course.p, course.q, strict=True):
                p = p + active.reshape(rows, -1) @ draw.spread
                if reactive is not None:
                    q = (0.0 if q is None else q) + reactive.reshape(rows, -1) @ draw.spread
        return p, q

    def _walk(self, k: int, batch: Batch, said: Said | Given | None) -> Walk:
        """The steps of a day of one kind; all at once where no step depends on the one before it."""
        kind, motion, steps = self.graph.kinds[k], batch.motions[k], self.graph.steps
        seen = Seen(self._own[k], batch.seen[k]) if isinstance(said, Said) and kind.actions else None
        empty = torch.zeros((steps, kind.size, batch.days, 0)).to(self._clock)
        if not kind.states and (seen is None or not self._own[k]):
            raw = empty if said is None or not kind.actions else said.day(k, empty if seen is None else seen.full)
            each = [_WHOLE if said is None else raw[..., i].transpose(1, 2) for i in range(len(kind.actions))]
            values = [
                motion.otherwise(i, _WHOLE, {}) if said is None else motion.action(i, _WHOLE, one, {})
                for i, one in enumerate(each)
            ]
            size = (steps, batch.days, kind.size)
            actions = {Leaf("action", a.name): v.expand(size) for a, v in zip(kind.actions, values, strict=True)}
            return Walk(raw, empty if seen is None else seen.full, {}, actions)
        now: dict[Leaf, Tensor] = dict(motion.start)
        last = {Leaf("action", a.name): torch.zeros((batch.days, kind.size)).to(self._clock) for a in kind.actions}
        track: dict[Leaf, list[Tensor]] = {leaf: [value] for leaf, value in now.items()}
        track |= {leaf: [] for leaf in last}
        raws, parted = [], motion.parted
        for t in range(steps):
            if said is not None and kind.actions:
                raw = said(k, t, empty[0] if seen is None else seen.at(t, now, last))
                raws.append(raw)
            here = dict(now)
            for i, action in enumerate(kind.actions):
                value = motion.otherwise(i, t, now) if said is None else motion.action(i, t, raw[:, :, i].T, now)
                leaf = Leaf("action", action.name)
                last[leaf] = value.expand(batch.days, kind.size)
                track[leaf].append(last[leaf])
                here |= motion.parts(action, value) if parted else {leaf: value}
            now = motion.next(t, here)
            for leaf, value in now.items():
                track[leaf].append(value)
        whole = {leaf: torch.stack(values) for leaf, values in track.items()}
        return Walk(
            torch.stack(raws) if raws else empty, empty if seen is None else seen.whole(),
            {leaf: whole[leaf] for leaf in motion.start}, {leaf: whole[leaf] for leaf in last},
        )  # fmt: skip

    def _course(self, k: int, batch: Batch, walk: Walk) -> Course:
        kind = self.graph.kinds[k]
        leaves = dict(batch.series[k]) | dict(walk.states)
        for action in kind.actions:
            leaves |= batch.motions[k].parts(action, walk.actions[Leaf("action", action.name)])
        each = {leaf: values[:-1] if leaf.sort == "state" else values for leaf, values in leaves.items()}
        drawn = [(draw.p(each), None if draw.q is None else draw.q(each)) for draw in self._draws[k]]
        size = (self.graph.steps, batch.days, kind.size)
        return Course(
            walk.raw, walk.seen, leaves, self._cost(kind, leaves, size), tuple(p.expand(size) for p, _ in drawn),
            tuple(None if q is None else q.expand(size) for _, q in drawn),
        )  # fmt: skip

    def _cost(self, kind: AgentKind, leaves: Mapping[Leaf, Tensor], size: tuple[int, ...]) -> Tensor:
        if not leaves:
            return torch.zeros(size).to(self._clock)
        found: Tensor = kind.cost(leaves)
        return found

    def _series(self, kind: AgentKind, scenarios: Scenarios) -> Mapping[Leaf, Tensor]:
        found = {}
        for name in kind.series:
            values = scenarios.of(kind.name, name)
            wide = values[:, None, :] if values.ndim == 2 else values
            tensor = self.tensor(wide).permute(2, 0, 1).contiguous()
            found[Leaf("series", name)] = tensor.expand(-1, -1, kind.size)
        return found

    def _seen(self, k: int, series: Mapping[Leaf, Tensor], days: int) -> Tensor:
        """The time of day, then scaled series in the order in which they are observed, and room for the rest."""
        kind, steps = self.graph.kinds[k], self.graph.steps
        if not kind.actions:
            return torch.zeros((kind.size, steps, 0, days)).to(self._clock)
        full = torch.empty((kind.size, steps, self.width(k), days)).to(self._clock)
        full[:, :, :_CLOCK] = self._clock[:, :, None]
        column = _CLOCK
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


def _own(env: Environment, kind: AgentKind) -> list[tuple[int, Leaf, Tensor, Tensor]]:
    """Series come first among what is seen."""
    own = [seen for seen in kind.observed if seen.leaf.sort != "series"]
    first = _CLOCK + len(kind.observed) - len(own)
    return [(first + j, seen.leaf, env.tensor(seen.center), env.tensor(1.0 / seen.scale)) for j, seen in enumerate(own)]


def _walked(kind: AgentKind, course: Course) -> Walk:
    states, actions = [Leaf("state", s.name) for s in kind.states], [Leaf("action", a.name) for a in kind.actions]
    return Walk(
        course.raw, course.seen, {leaf: course.leaves[leaf].detach() for leaf in states},
        {leaf: course.leaves[leaf].detach() for leaf in actions},
    )  # fmt: skip


class _Draw:
    """A draw's maps over all steps at once, and the matrix from agents to ports."""

    def __init__(self, env: Environment, p: StepMap, q: StepMap | None, port: Any) -> None:
        assert env.graph.network is not None
        self.p, self.q = _Over(env, p), None if q is None else _Over(env, q)
        spread = np.zeros((len(port), len(env.graph.network.ports)))
        spread[np.arange(len(port)), port] = 1.0
        self.spread = env.tensor(spread)


class _Over:
    """A step map over all steps at once."""

    def __init__(self, env: Environment, step: StepMap) -> None:
        self.terms = {leaf: env.tensor(values)[:, None, :] for leaf, values in step.terms.items()}
        self.constant = env.tensor(step.constant)[:, None, :]

    def __call__(self, leaves: Mapping[Leaf, Tensor]) -> Tensor:
        total = self.constant
        for leaf, factor in self.terms.items():
            total = total + leaves[leaf] * factor
        return total
