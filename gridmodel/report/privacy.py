"""What each agent revealed to whom in a run, and what hides it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gridmodel.errors import ModelError
from gridmodel.ir.claim import Reveal
from gridmodel.ir.result import Result
from gridmodel.language.model import Model
from gridmodel.report.text import columns

__all__ = ["Privacy", "Revealed", "privacy"]

_MOST = 12
_DELTA = 1e-5


@dataclass(frozen=True)
class Revealed:
    """One thing that an agent showed: ``what``, to ``whom`` (agents, or the coordinator), in how many packets."""

    agent: str
    what: str
    whom: tuple[str, ...]
    packets: int


@dataclass(frozen=True)
class Privacy:
    """The report of a run.

    revealed: one entry an agent and thing shown. protections: sentences on what hides it.
    """

    model: str
    algorithm: str
    revealed: tuple[Revealed, ...]
    protections: tuple[str, ...]

    def __str__(self) -> str:
        rows = [(r.agent, r.what, _names(r.whom), str(r.packets)) for r in self.revealed[:_MOST]]
        if len(self.revealed) > _MOST:
            rows.append((f"... and {len(self.revealed) - _MOST} more", "", "", ""))
        lines = [f"{self.model}, {self.algorithm}: what agents revealed"]
        if rows:
            text = columns([("agent", "what", "to", "packets, at most"), *rows], right=(3,))
            lines += [f"  {line}" for line in text.split("\n")]
        lines += [f"  {sentence}" for sentence in self.protections]
        return "\n".join(lines)


def privacy(result: Result) -> Privacy:
    """What each agent revealed to whom: variables, gradients, prices; costs, limits and data stay with their owner.

    Args:
        result: of a distributed algorithm.

    Raises:
        ModelError: the result is the central solver's, to which every agent shows its whole model.
    """
    if result.algorithm == "central":
        raise ModelError(
            "the central solver reads every agent's costs, limits and data: nothing stays private. "
            "Solve by a distributed algorithm; gridmodel.explain(model) lists those that apply."
        )
    hears = _listeners(result.model)
    found = []
    for party in result.model.agents:
        for agent in party.labels():
            found += [_revealed(agent, reveal, hears.get(agent, ()), result.rounds) for reveal in result.reveals]
    return Privacy(result.model_name, result.algorithm, tuple(found), tuple(_protections(result)))


def _revealed(agent: str, reveal: Reveal, neighbours: tuple[str, ...], rounds: int) -> Revealed:
    whom = ("coordinator",) if reveal.to == "coordinator" else neighbours
    times = rounds if reveal.when == "every round" else 1
    return Revealed(agent, reveal.what, whom, times * len(whom))


def _listeners(model: Model) -> dict[str, tuple[str, ...]]:
    """Who hears each agent, by the topology."""
    if model.topology is None:
        return {}
    links = model.topology.links
    found: dict[str, list[str]] = {node: [] for node in links.nodes}
    for sender, receiver in zip(links.sender, links.receiver, strict=True):
        found[links.nodes[sender]].append(links.nodes[receiver])
    return {node: tuple(sorted(others)) for node, others in found.items()}


def _protections(result: Result) -> Iterator[str]:
    channel = result.channel
    mask = getattr(channel, "mask", None)
    noise = getattr(channel, "privacy", None)
    if mask is not None:
        central = any(reveal.to == "coordinator" for reveal in result.reveals)
        what = "What each agent reports" if central else "What agents start from"
        yield f"{what} is hidden by random shares of size {mask:g} that cancel in the sum."
    if noise is not None:
        epsilon = noise.epsilon(result.releases, _DELTA)
        yield (
            f"Noise of size {noise.sigma:g} on quantities cut to {noise.sensitivity / 2:g}: each agent's data are "
            f"({epsilon:.3g}, {_DELTA:g})-differentially private after {result.releases} releases."
        )
    if mask is None and noise is None:
        yield "Nothing hides it: who collects many rounds of an agent's messages can infer its cost near the optimum."


def _names(whom: tuple[str, ...]) -> str:
    return ", ".join(whom[:4]) + (f" and {len(whom) - 4} more" if len(whom) > 4 else "") or "nobody"
