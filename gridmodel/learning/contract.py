"""What goes into the policy of one agent and what comes out, as a file that stands beside its network.

An agent's contract holds its own numbers only: limits, dynamics and scales of nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.training import (
    AbstractCost,
    AbstractNetwork,
    ActionStep,
    AgentKind,
    Leaf,
    Observation,
    StateStep,
    StepMap,
    TrainingGraph,
)
from gridmodel.runtime.agents import one_agent, seen_order
from gridmodel.runtime.limits import sign_of

__all__ = ["Contract", "contract_dict", "read_contract"]

Floats = NDArray[np.float64]

FORMAT = "gridmodel policy contract 1"
_RULES = {
    1: "u = lo + (raw + 1)/2 (hi - lo)",
    -1: "u = hi - (raw + 1)/2 (hi - lo)",
    0: "u = idle + max(raw, 0) (hi - idle) - max(-raw, 0) (idle - lo), idle the point of [lo, hi] nearest to 0",
}
_READING = (
    "The network takes the observation in the units given, scales it by itself, and gives one number in [-1, 1] an "
    "action. What is ahead of the day's last step is seen at the day's start; before the first step the last action is "
    "0. lo and hi are the ends of what the step allows: the action's bounds, cut so that every state it moves "
    "stays within its limits after the step. Where known is true, these limits are first tightened backwards from the "
    "last step to those from which later ones can be kept: lower_t = max(lower_t, (lower_t+1 - rest_t - most_t)/keep), "
    "most_t the most that bounds allow to move the state up. Maps are affine: constant + sum of factor times the "
    "state before the step, the series at it, the action, or its positive (up) or negative (down) part; arrays have "
    "one entry a step, or one for all steps."
)


@dataclass(frozen=True)
class Contract:
    """kind: the one agent, without costs and draws. network: name of the ONNX file. Steps of a day, hours of a step."""

    agent: str
    model: str
    fingerprint: str
    network: str
    steps: int
    hours: float
    kind: AgentKind


@final
class _NoCost(AbstractCost):
    """A deployed agent needs none."""

    def __call__(self, leaves: Mapping[Leaf, Any]) -> Any:
        """Raises: always."""
        raise DataError("a contract holds no costs.")


def contract_dict(graph: TrainingGraph, k: int, i: int, network: str) -> dict[str, Any]:
    """The contract of the i-th agent of kind k, as JSON takes it."""
    kind = one_agent(graph.kinds[k], i)
    clock = [
        {"name": f"{name} of the time of day, {name}(2 pi step / steps)", "sort": "clock", "ahead": 0, "unit": None,
         "center": 0.0, "scale": 1.0}
        for name in ("sin", "cos")
    ]  # fmt: skip
    return {
        "format": FORMAT, "agent": kind.labels[0], "kind": kind.name, "model": graph.name,
        "fingerprint": graph.fingerprint, "network": network, "steps": graph.steps, "hours": graph.hours,
        "reading": _READING,
        "observation": clock + [
            {"name": seen.leaf.name, "sort": seen.leaf.sort, "ahead": seen.ahead, "unit": seen.unit,
             "center": float(seen.center[0]), "scale": float(seen.scale[0])}
            for seen in seen_order(kind)
        ],
        "actions": [
            {"name": one.name, "unit": one.unit, "rule": _RULES[sign_of(one)], "lower": _map(one.lower),
             "upper": _map(one.upper), "moves": list(one.states),
             "otherwise": None if one.otherwise is None else _map(one.otherwise)}
            for one in kind.actions
        ],
        "states": [
            {"name": one.name, "unit": one.unit, "start": float(one.start[0]), "lower": _limits(one.lower),
             "upper": _limits(one.upper), "known": one.known, "next": _map(one.next)}
            for one in kind.states
        ],
        "series": {name: {"shared": shared} for name, shared in kind.series.items()},
        "inverter": [_inverter(graph.network, int(draw.port[i])) for draw in graph.kinds[k].draws],
    }  # fmt: skip


def read_contract(content: Mapping[str, Any], where: str) -> Contract:
    """What ``contract_dict`` gave.

    Raises:
        DataError: not a contract.
    """
    if content.get("format") != FORMAT:
        raise DataError(f"{where} is no {FORMAT!r}; it says {content.get('format')!r}.")
    try:
        kind = AgentKind(
            content["kind"], (content["agent"],), tuple(_state(one) for one in content["states"]),
            tuple(_action(one) for one in content["actions"]),
            {name: bool(one["shared"]) for name, one in content["series"].items()},
            tuple(_seen(one) for one in content["observation"] if one["sort"] != "clock"), (), _NoCost(),
        )  # fmt: skip
        return Contract(
            content["agent"], content["model"], content["fingerprint"], content["network"], int(content["steps"]),
            float(content["hours"]), kind,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} is no whole contract: {type(error).__name__} {error}.") from None


def _inverter(network: AbstractNetwork | None, port: int) -> dict[str, Any]:
    """Where the agent draws power, and what its inverter does there by itself; without this, voltages are others."""
    from gridmodel.passes.training.network import FeederNetwork  # here: a device that reads contracts has no feeder

    assert isinstance(network, FeederNetwork)
    unit = network.feeder.generators[network.first + port]
    droop = None
    if unit.droop is not None:
        rule = "q = share * rating * clip((u - center) / width, -1, 1), var absorbed, u the local voltage in pu"
        droop = {"rule": rule, **asdict(unit.droop)}
    return {"bus": unit.terminal.bus, "nodes": list(unit.terminal.nodes), "droop": droop}


def _map(step: StepMap) -> dict[str, Any]:
    terms = [{"sort": leaf.sort, "name": leaf.name, "factor": x[:, 0].tolist()} for leaf, x in step.terms.items()]
    return {"constant": step.constant[:, 0].tolist(), "terms": terms}


def _read_map(content: Mapping[str, Any]) -> StepMap:
    terms = {Leaf(one["sort"], one["name"]): _column(one["factor"]) for one in content["terms"]}
    return StepMap(terms, _column(content["constant"]))


def _limits(values: Floats) -> list[float | None]:
    """Infinity as null, which JSON knows."""
    return [float(x) if np.isfinite(x) else None for x in values[:, 0]]


def _column(values: Any) -> Floats:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def _state(one: Mapping[str, Any]) -> StateStep:
    lower = _column([-np.inf if x is None else x for x in one["lower"]])
    upper = _column([np.inf if x is None else x for x in one["upper"]])
    return StateStep(
        one["name"], one["unit"], np.array([one["start"]]), lower, upper, _read_map(one["next"]), bool(one["known"])
    )


def _action(one: Mapping[str, Any]) -> ActionStep:
    return ActionStep(
        one["name"], one["unit"], _read_map(one["lower"]), _read_map(one["upper"]), tuple(one["moves"]),
        None if one["otherwise"] is None else _read_map(one["otherwise"]),
    )  # fmt: skip


def _seen(one: Mapping[str, Any]) -> Observation:
    leaf = Leaf(one["sort"], one["name"])
    return Observation(leaf, int(one["ahead"]), np.array([one["center"]]), np.array([one["scale"]]), one["unit"])
