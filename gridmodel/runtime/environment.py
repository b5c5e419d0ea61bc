"""Agents over days: what they see, what their actions come to, what they pay, and the voltages that follow.

Tensors over a day have the layout (steps T, days B, agents N); what policies see and say, (agents, days, numbers).
Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import AgentKind, Leaf, StepMap, TrainingGraph
from gridmodel.runtime.feasible import Feasible

__all__ = ["Batch", "Course", "Environment", "Outcome", "Policy"]

Policy = Callable[[int, int, Tensor], Tensor]
"""(kind, step, what its agents see, shape (N, B, F)) -> raw actions, shape (N, B, A), between -1 and 1."""

_CLOCK = 2


@dataclass(frozen=True)
class Batch:
    """Days as tensors.

    series: of each kind, by leaf, shape (T, B, N). seen: of each kind, the part of what policies see that no agent
    moves, scaled, shape (T, N, B, F'). loads: VA, shape (T B, loads), or None.
    """

    series: tuple[Mapping[Leaf, Tensor], ...]
    seen: tuple[Tensor, ...]
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
        self._own = [[seen for seen in kind.observed if seen.leaf.sort != "series"] for kind in graph.kinds]
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
        loads = None
        if own.loads is not None:
            kind = torch.complex128 if self.dtype == torch.float64 else torch.complex64
            flat = own.loads.swapaxes(0, 1).reshape(-1, own.loads.shape[-1])
            loads = torch.as_tensor(flat, dtype=kind, device=self.device)
        return Batch(series, seen, loads, len(own))

    def rollout(self, policy: Policy, batch: Batch, flow: bool = True) -> Outcome:
        """The days under a policy; where gradients are on, through everything, the later policy's answers too."""
        said = _Said(policy)
        courses = [self._course(k, batch, said) for k in range(len(self.graph.kinds))]
        return self._outcome(courses, batch, flow)

    def replay(self, raw: Sequence[Tensor], batch: Batch, flow: bool = True) -> Outcome:
        """The days under given actions, shape (T, N, B, A) of each kind: their gradient is the open-loop one."""
        courses = [self._course(k, batch, _Given(raw[k])) for k in range(len(self.graph.kinds))]
        return self._outcome(courses, batch, flow)

    def baseline(self, batch: Batch, flow: bool = True) -> Outcome:
        """The days without policies: every agent does what its model says it does otherwise."""
        courses = [self._course(k, batch, None) for k in range(len(self.graph.kinds))]
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

    def _course(self, k: int, batch: Batch, said: _Said | _Given | None) -> Course:
        kind, feasible, series = self.graph.kinds[k], self.feasible[k], batch.series[k]
        limits = feasible.limits(series)
        now = {Leaf("state", s.name): feasible.start(s, batch.days) for s in kind.states}
        last = {Leaf("action", a.name): torch.zeros((batch.days, kind.size)).to(self._clock) for a in kind.actions}
        track: dict[Leaf, list[Tensor]] = {leaf: [value] for leaf, value in now.items()}
        raws, seens = [], []
        for t in range(self.graph.steps):
            here = {leaf: values[t] for leaf, values in series.items()} | now
            if kind.actions and said is not None:
                seen = self._look(k, batch, t, now, last)
                raw = said(k, t, seen)
                raws.append(raw)
                seens.append(seen.detach())
            for i, action in enumerate(kind.actions):
                value = (
                    feasible.otherwise(i, t, here, limits)
                    if said is None
                    else feasible.action(i, t, raw[:, :, i].T, here, limits)
                )
                moved = feasible.parts(action, value)
                here |= moved
                last[Leaf("action", action.name)] = value
                for leaf, part in moved.items():
                    track.setdefault(leaf, []).append(part)
            now = feasible.next(t, here)
            for leaf, value in now.items():
                track[leaf].append(value)
        leaves = dict(series) | {leaf: torch.stack(values) for leaf, values in track.items()}
        empty = torch.zeros((self.graph.steps, kind.size, batch.days, 0)).to(self._clock)
        each = {leaf: values[:-1] if leaf.sort == "state" else values for leaf, values in leaves.items()}
        drawn = [(draw.p(each), None if draw.q is None else draw.q(each)) for draw in self._draws[k]]
        size = (self.graph.steps, batch.days, kind.size)
        return Course(
            torch.stack(raws) if raws else empty, torch.stack(seens) if seens else empty, leaves,
            self._cost(kind, leaves, size), tuple(p.expand(size) for p, _ in drawn),
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
            tensor = self.tensor(wide).permute(2, 0, 1)
            found[Leaf("series", name)] = tensor.expand(-1, -1, kind.size)
        return found

    def _seen(self, k: int, series: Mapping[Leaf, Tensor], days: int) -> Tensor:
        """The time of day, then scaled series in the order in which they are observed."""
        kind, steps = self.graph.kinds[k], self.graph.steps
        parts = [self._clock[:, None, None, :].expand(steps, kind.size, days, _CLOCK)]
        for seen in kind.observed:
            if seen.leaf.sort == "series":
                values = series[seen.leaf].roll(-seen.ahead, dims=0)
                scaled = (values - self.tensor(seen.center)) / self.tensor(seen.scale)
                parts.append(scaled.transpose(1, 2)[..., None])
        return torch.cat(parts, dim=-1).contiguous()

    def _look(self, k: int, batch: Batch, t: int, now: Mapping[Leaf, Tensor], last: Mapping[Leaf, Tensor]) -> Tensor:
        parts = [batch.seen[k][t]]
        for seen in self._own[k]:
            value = now[seen.leaf] if seen.leaf.sort == "state" else last[seen.leaf]
            parts.append(((value - self.tensor(seen.center)) / self.tensor(seen.scale)).T[..., None])
        return torch.cat(parts, dim=-1)


@dataclass(frozen=True)
class _Said:
    policy: Policy

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        return self.policy(k, t, seen)


@dataclass(frozen=True)
class _Given:
    raw: Tensor

    def __call__(self, k: int, t: int, seen: Tensor) -> Tensor:
        return self.raw[t]


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
