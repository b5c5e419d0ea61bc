"""Who is there at the end of a run, and what is said of those who are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridmodel.language.model import Model
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm
from gridmodel.runtime.networked import AbstractNetworked

__all__ = ["blanked", "channel_of", "gone", "membership", "releases_of"]


def membership(algorithm: AbstractAlgorithm | None) -> tuple[tuple[str, ...], int]:
    """Agents that are absent at the end, and the round from which nobody leaves or comes any more."""
    if not isinstance(algorithm, AbstractNetworked):
        return (), 0
    channel = algorithm.channel
    return gone(channel), max([0, *(at + 1 for at in (*channel.leaves.values(), *channel.joins.values()))])


def gone(channel: Channel) -> tuple[str, ...]:
    """Agents that are absent at the end."""
    return tuple(name for name, at in channel.leaves.items() if channel.joins.get(name, -1) < at)


def channel_of(algorithm: AbstractAlgorithm | None) -> Channel | None:
    """The channel with the faults that the algorithm runs over; None where it is perfect and hides nothing."""
    if not isinstance(algorithm, AbstractNetworked) or algorithm.channel == Channel():
        return None
    return algorithm.channel


def releases_of(algorithm: AbstractAlgorithm | None, state: Any, agents: int) -> int:
    """Quantities that the agent that sent most has released under ``Channel.privacy``; a coordinator is no agent."""
    if not isinstance(algorithm, AbstractNetworked):
        return 0
    return int(state.network.releases[:agents].max(initial=0))


def blanked(
    model: Model, variables: Mapping[str, Mapping[str, Any]], absent: tuple[str, ...]
) -> Mapping[str, Mapping[str, Any]]:
    """The variables with NaN for agents that are absent."""
    if not (absent and variables):
        return variables
    out: dict[str, dict[str, Any]] = {}
    for party in model.agents:
        out_of = np.array([label in absent for label in party.labels()])
        out[party.name] = {name: _blank(value, out_of, party.size) for name, value in variables[party.name].items()}
    return out


def _blank(value: Any, gone: Any, size: int | None) -> Any:
    if not gone.any():
        return value
    array = np.array(value, dtype=np.float64)
    array[gone if size is not None else ...] = np.nan
    return float(array) if array.ndim == 0 else array
