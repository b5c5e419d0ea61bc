"""What training knows of a model: the dynamics of its agents as arrays, and the network as a function.

Layout of arrays over a day: steps T first, then days B, then agents N of a kind.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AbstractCost",
    "AbstractNetwork",
    "ActionStep",
    "AgentKind",
    "Draw",
    "Flow",
    "Leaf",
    "Observation",
    "StateStep",
    "StepMap",
    "TrainingGraph",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


class Leaf(NamedTuple):
    """What dynamics, powers and costs are made of; up and down are the positive and the negative part of an action."""

    sort: Literal["state", "action", "up", "down", "series"]
    name: str


@dataclass(frozen=True)
class StepMap:
    """y_ti = constant_ti + sum_k terms[k]_ti k_ti: affine in what agent i has at step t.

    terms: by leaf, shape (T or 1, N or 1). constant: likewise.
    """

    terms: Mapping[Leaf, Floats]
    constant: Floats

    def __call__(self, t: int, leaves: Mapping[Leaf, Any]) -> Any:
        """The value at step t from values of the leaves at that step, arrays or tensors of shape (B, N)."""
        total = _row(self.constant, t)
        for leaf, factor in self.terms.items():
            total = total + leaves[leaf] * _row(factor, t)
        return total


def _row(values: Any, t: int) -> Any:
    return values[t] if len(values) > 1 else values[0]


@dataclass(frozen=True)
class StateStep:
    """A state: where it starts, its limits after every step, and what it is next.

    start: shape (N,). lower, upper: shape (T + 1, N), infinite where there is none. next: in the leaves at t.
    known: whether all series that move it, or limit the actions that do, are known for the whole day; its limits are
    then tightened to those from which later ones can still be kept.
    """

    name: str
    unit: str | None
    start: Floats
    lower: Floats
    upper: Floats
    next: StepMap
    known: bool = True


@dataclass(frozen=True)
class ActionStep:
    """An action: its limits, affine in series, what is done without a policy, and the states that it moves.

    otherwise: affine in states and series; None for what is nearest to zero.
    states: names. Each is moved in one direction: its slopes by a rising and by a falling action have one sign.
    """

    name: str
    unit: str | None
    lower: StepMap
    upper: StepMap
    states: tuple[str, ...]
    otherwise: StepMap | None = None


@dataclass(frozen=True)
class Observation:
    """One number that a policy sees: (value - center) / scale.

    leaf: a state, a series, or an action, of which the last value is seen. ahead: steps into the future, of a series
    that is known before. center, scale: shape (N,).
    """

    leaf: Leaf
    ahead: int
    center: Floats
    scale: Floats
    unit: str | None = None


@dataclass(frozen=True)
class Draw:
    """Power that agents draw from the network: p in kW and q in kvar, at the device port of each.

    port: column of each agent among the network's device ports, shape (N,).
    """

    p: StepMap
    q: StepMap | None
    port: Ints


class AbstractCost(abc.ABC):
    """What agents of a kind pay."""

    @abc.abstractmethod
    def __call__(self, leaves: Mapping[Leaf, Any]) -> Any:
        """Cost of every agent in every step in the model's currency, shape (T, B, N).

        leaves: tensors of shape (T, B, N); of states (T + 1, B, N).
        """


@dataclass(frozen=True)
class AgentKind:
    """Agents of one structure: a fleet, or one agent.

    labels: of the agents. series: names, and whether one series holds for all.
    """

    name: str
    labels: tuple[str, ...]
    states: tuple[StateStep, ...]
    actions: tuple[ActionStep, ...]
    series: Mapping[str, bool]
    observed: tuple[Observation, ...]
    draws: tuple[Draw, ...]
    cost: AbstractCost

    @property
    def size(self) -> int:
        """The number of agents."""
        return len(self.labels)


class Flow(NamedTuple):
    """u: voltage magnitudes in pu at the nodes with limits, shape (rows, nodes), NaN in rows that failed.

    solved: shape (rows,); gradients of rows that failed are zero.
    """

    u: Any
    solved: Any


class AbstractNetwork(abc.ABC):
    """The network as a differentiable function of what devices draw.

    nodes: with limits, "bus.number". lower, upper: limits in pu, shape (nodes,). ports: of devices.
    """

    nodes: tuple[str, ...]
    lower: Floats
    upper: Floats
    ports: tuple[str, ...]

    @abc.abstractmethod
    def flow(self, p: Any, q: Any, loads: Any) -> Flow:
        """Voltages where devices draw p kW and q kvar, tensors of shape (rows, ports), q may be None.

        loads: what the network's loads draw in VA, a complex tensor of shape (rows, loads), None for the file's.
        """

    @abc.abstractmethod
    def exact(self, p: Floats, q: Floats | None, loads: NDArray[np.complex128] | None) -> Flow:
        """The same in double precision by the whole load flow, as arrays: what policies are judged by."""


@dataclass(frozen=True)
class TrainingGraph:
    """A model compiled for training.

    hours: length of a step. fingerprint: the same for models of the same structure and data, else different.
    """

    name: str
    currency: str
    steps: int
    hours: float
    kinds: tuple[AgentKind, ...]
    network: AbstractNetwork | None
    fingerprint: str

    @property
    def agents(self) -> int:
        """Agents in all."""
        return sum(kind.size for kind in self.kinds)
