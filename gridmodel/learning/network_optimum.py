"""What agents could do at best if they knew the day, within the network's limits."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, NotApplicableError
from gridmodel.grid.flow.linear import linear_flow
from gridmodel.ir.result import Result, Status
from gridmodel.ir.scenarios import Scenarios
from gridmodel.language.model import Model
from gridmodel.learning.foresight import day_of
from gridmodel.passes.training.graph import training_graph
from gridmodel.passes.training.network import FeederNetwork
from gridmodel.solve import solve

__all__ = ["NetworkOptimum", "foresight_on_network"]

Floats = NDArray[np.float64]
_NEAR = 1e-3  # pu from a limit where it is held too
_SETTLED = 1e-6  # of the cost, from one answer to the next
_FAR = 0.03  # pu from a limit where it is not


@dataclass(frozen=True)
class NetworkOptimum:
    """The best day with the network's limits, by linear models made anew at every answer.

    cost: of all agents. worst: pu by which the exact load flow of the answer leaves the limits. passes: convex
    problems solved. rows: limits of node and step that they held. result: the last answer.
    """

    cost: float
    worst: float
    passes: int
    rows: int
    result: Result


def foresight_on_network(
    model: Model, scenarios: Scenarios, day: int, tolerance: float = 1e-5, most: int = 12
) -> NetworkOptimum:
    """The least cost of a day under perfect foresight with the voltages within their limits.

    Convex problems in which |v| is linear in what devices draw, at the nodes and steps that come near their limits;
    the linear models are made anew at each answer until the exact load flow keeps the limits.
    The problem is not convex as a whole: the answer is feasible for the exact load flow, and stationary, not proven to
    be the best. Where parts of an action are both positive in it, no device can follow it.

    Args:
        tolerance: pu by which limits may be left. most: convex problems at most; the worst excursion is told.

    Raises:
        NotApplicableError: a model without a network. DataError: no such day.
        ModelError: limits that the devices cannot keep in a linear model, which is no proof that they cannot.
    """
    graph = training_graph(model, scenarios)
    if not isinstance(graph.network, FeederNetwork):
        raise NotApplicableError(f"model {model.name!r} has no network; foresight(...) gives its optimum.")
    if not 0 <= day < len(scenarios):
        raise DataError(f"foresight_on_network(...): there are days 0 to {len(scenarios) - 1}, got {day}.")
    network, steps = graph.network, graph.steps
    power = _power(model, [draw.port for kind in graph.kinds for draw in kind.draws], len(network.ports), steps)
    loads = None if scenarios.loads is None else scenarios.loads[day]
    held = np.zeros((steps, len(network.nodes)), dtype=bool)
    kept, passes, last = list(model.couplings), 0, np.inf
    with day_of(model, scenarios, day):
        try:
            for _ in range(most):
                result, passes = solve(model, "central"), passes + 1
                if result.status not in (Status.CERTIFIED, Status.SOLVED):
                    raise ModelError(
                        f"day {day}: the devices cannot keep the voltages' limits, linear at the answer before "
                        f"({result.message})."
                    )
                _assign(model, result)
                p, q = (None if x is None else np.asarray(x.value).T for x in power)
                assert p is not None
                u, solved = network.exact(p, q, loads)
                if not solved.all():
                    raise ModelError(f"day {day}, step {int(np.argmin(solved))}: no load flow at the optimum.")
                over = np.maximum(network.lower - u, u - network.upper)
                worst = float(max(over.max(), 0.0))
                settled = not held.any() or abs(result.value - last) <= _SETTLED * abs(result.value)
                if worst <= tolerance and settled:
                    break
                last = result.value
                held |= over > -_NEAR
                model.couplings[:] = kept
                _hold(model, network, power, held, (p, q, loads))
        finally:
            model.couplings[:] = kept
    return NetworkOptimum(result.value, worst, passes, int(held.sum()), result)


def _assign(model: Model, result: Result) -> None:
    """Puts an answer into the model's variables, so that expressions of them have values."""
    for party in model.agents:
        for name, variable in party.variables.items():
            variable.value = np.reshape(result[party.name][name], variable.shape)


def _power(
    model: Model, port: list[NDArray[np.intp]], ports: int, steps: int
) -> tuple[cp.Expression, cp.Expression | None]:
    """kW and kvar drawn at the ports, expressions of shape (ports, T); kvar None where no draw has any."""
    drawn = [one for party in model.agents if party.day is not None for one in party.day.drawn]
    p: list[cp.Expression] = []
    q: list[cp.Expression] = []
    for one, at in zip(drawn, port, strict=True):
        spread = sp.csr_array((np.ones(len(at)), (at, np.arange(len(at)))), shape=(ports, len(at)))
        for given, into in ((one.p, p), (one.q, q)):
            if given is not None:
                into.append(spread @ cp.reshape(given, (len(at), steps), order="F"))
    return sum(p[1:], p[0]), sum(q[1:], q[0]) if q else None


def _hold(
    model: Model, network: FeederNetwork, power: tuple[cp.Expression, cp.Expression | None],
    held: NDArray[np.bool_], at: tuple[Floats, Floats | None, NDArray[np.complex128] | None],
) -> None:  # fmt: skip
    """Adds the limits of the held nodes and steps, linear at this answer."""
    p, q, loads = at
    first = len(network.feeder.loads) + network.first
    of = np.arange(first, first + len(network.ports))
    for t in np.flatnonzero(held.any(axis=1)):
        generation = network.generation(p[t : t + 1], None if q is None else q[t : t + 1])[0]
        line = linear_flow(network.feeder, "taylor", None if loads is None else loads[t], generation, of)
        nodes = np.flatnonzero(held[t])
        across = network.matrix[nodes].toarray()
        u = across @ line.v
        turn = (u.conj() / np.abs(u))[:, None]
        by_p, by_q = ((turn * (across @ by)).real * 1e3 for by in (line.by_p, line.by_q))
        moved = by_p @ (power[0][:, t] - p[t])
        if power[1] is not None and q is not None:
            moved = moved + by_q @ (power[1][:, t] - q[t])
        size = np.abs(u)
        for sign, limit, what in ((1.0, network.upper[nodes], "upper"), (-1.0, network.lower[nodes], "lower")):
            near = sign * size > sign * limit - _FAR
            if near.any():
                model.couple((sign * (moved + size))[np.flatnonzero(near)] <= (sign * limit)[near], name=f"{what} {t}")
