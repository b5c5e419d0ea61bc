"""From a declared model to its training graph."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError, ShapeError
from gridmodel.grid.feeder import Feeder
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import AgentKind, StepMap, TrainingGraph
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.passes.training.kinds import check_series, kind_of
from gridmodel.passes.training.network import FeederNetwork, Site, feeder_network

__all__ = ["check_days", "training_days", "training_graph"]

Ints = NDArray[np.intp]


def training_graph(model: Model, scenarios: Scenarios) -> TrainingGraph:
    """The model's agents and network as training needs them; scenarios: the days to learn from.

    Raises:
        NotApplicableError: agents without a horizon, couplings or costs of several agents, no action at all, or a
            network from which nobody draws.
        ModelError: what ``kind_of`` and ``feeder_network`` refuse.
    """
    parties = model.agents
    if not parties:
        raise ModelError(f"model {model.name!r} has no agents; declare them with model.agent(...) or model.fleet(...).")
    for party in parties:
        if party.day is None:
            raise NotApplicableError(
                f"{party.name} (declared at {party.place}) has no horizon: policies act over time. "
                "Declare it with agent.horizon(steps, hours)."
            )
    if model.couplings or model.costs:
        what = f"coupling {model.couplings[0].name!r}" if model.couplings else "a cost of several agents"
        raise NotApplicableError(
            f"model {model.name!r} has {what}: policies without messages meet through the network only, "
            "model.place(network, v_min, v_max)."
        )
    days = {(party.day.steps, party.day.hours) for party in parties if party.day is not None}
    if len(days) > 1:
        raise ModelError(f"all horizons must be alike; this model has {sorted(days)} (steps, hours).")
    steps, hours = days.pop()
    network, ports = _network(model, parties)
    kinds = tuple(kind_of(party, ports[party.name], scenarios) for party in parties)
    _check_loads(model, scenarios)
    if not any(kind.actions for kind in kinds):
        raise NotApplicableError(f"model {model.name!r} has no action to learn: day.action(...).")
    return TrainingGraph(model.name, model.currency, steps, hours, kinds, network, _fingerprint(kinds, network))


def training_days(model: Model) -> tuple[Scenarios, Scenarios]:
    """The days that a model learns from, and those on which it is judged.

    Raises:
        NotApplicableError: it has none.
    """
    if model.scenarios is None:
        raise NotApplicableError(
            f"model {model.name!r} has no days to learn from: model.days(train, held_out), each a gm.Scenarios."
        )
    return model.scenarios


def check_days(model: Model, scenarios: Scenarios) -> None:
    """Refuses days that lack what the agents or the network need.

    Raises:
        DataError: a series is missing. ShapeError: it, or the network's loads, have another shape.
    """
    for party in model.agents:
        if party.day is not None:
            check_series(party, party.day, scenarios)
    _check_loads(model, scenarios)


def _check_loads(model: Model, scenarios: Scenarios) -> None:
    """Refuses loads for another number of loads than the feeder has."""
    if scenarios.loads is None or not isinstance(model.network, Feeder):
        return
    found, own = scenarios.loads.shape[-1], len(model.network.loads)
    if found != own:
        raise ShapeError(
            f"the scenarios have loads of shape {scenarios.loads.shape}, and {model.network.name} has {own} loads: "
            f"expected ({len(scenarios)}, {scenarios.steps}, {own}), in VA, in the order of its loads."
        )


def _network(model: Model, parties: list[AbstractParty]) -> tuple[FeederNetwork | None, dict[str, tuple[Ints, ...]]]:
    """The network with a port for every place, and the ports of every draw of every party."""
    sites: list[Site] = []
    spans: dict[str, list[tuple[int, int]]] = {party.name: [] for party in parties}
    for party in parties:
        for drawn in party.day.drawn if party.day is not None else ():
            first = len(sites)
            rating = np.zeros(len(drawn.at)) if drawn.rating is None else drawn.rating
            sites += [
                Site(place, float(kva), drawn.droop, f"{label} (draw at {drawn.place})")
                for place, kva, label in zip(drawn.at, rating, party.labels(), strict=True)
            ]
            spans[party.name].append((first, len(sites)))
    if model.network is None:
        if sites:
            raise ModelError(
                f"{sites[0].who} draws power and model {model.name!r} has no network; "
                "put it on one with model.place(network, v_min, v_max)."
            )
        return None, dict.fromkeys(spans, ())
    if not isinstance(model.network, Feeder) or model.voltages is None:
        raise NotApplicableError("training runs on three-phase feeders: model.place(gm.read_network('file.dss'), ...).")
    if not sites:
        raise NotApplicableError(
            f"model {model.name!r} is on {model.network.name} and no agent draws power from it; "
            "say where with day.draw(p, at=...), or leave model.place(...) out."
        )
    network, port = feeder_network(model.network, sites, *model.voltages)
    if away := [party.name for party in parties if party.day is not None and party.day.actions and not party.day.drawn]:
        warnings.warn(
            f"{', '.join(away)}: no power is drawn from {model.network.name}; if some should be, say where with "
            "day.draw(p, at=...).", stacklevel=2,
        )  # fmt: skip
    return network, {name: tuple(port[a:b] for a, b in parts) for name, parts in spans.items()}


def _fingerprint(kinds: tuple[AgentKind, ...], network: FeederNetwork | None) -> str:
    """A digest of structure and data of agents and network, but for scenarios and costs' texts."""
    digest = hashlib.sha256()
    for kind in kinds:
        digest.update(repr((kind.name, kind.labels, sorted(kind.series.items()))).encode())
        for state in kind.states:
            _add(digest, state.name, (state.start, state.lower, state.upper), [state.next])
        for action in kind.actions:
            _add(digest, action.name, (), [action.lower, action.upper])
        for draw in kind.draws:
            _add(digest, "draw", (draw.port,), [draw.p, *([] if draw.q is None else [draw.q])])
        for seen in kind.observed:
            _add(digest, repr((seen.leaf, seen.ahead)), (seen.center, seen.scale), [])
    if network is not None:
        _add(digest, repr((network.nodes, network.ports, network.feeder.name)), (network.lower, network.upper), [])
    return digest.hexdigest()[:16]


def _add(digest: hashlib._Hash, name: str, arrays: Iterable[NDArray[np.generic]], maps: Iterable[StepMap]) -> None:
    digest.update(name.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    for one in maps:
        for leaf, values in sorted(one.terms.items()):
            digest.update(repr(leaf).encode() + values.tobytes())
        digest.update(one.constant.tobytes())
