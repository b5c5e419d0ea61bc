"""The algorithms there are, which of them apply to a model, and which one "auto" takes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from gridmodel.compile import AbstractCompiled, compile_model
from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.language.model import Model
from gridmodel.runtime.channel import Channel
from gridmodel.runtime.interface import AbstractAlgorithm

__all__ = [
    "algorithms",
    "check_channel",
    "check_prefer",
    "choose",
    "doubts",
    "methods",
    "over_channel",
    "verdict_on",
    "verdicts",
]


@cache
def algorithms() -> Mapping[str, type[AbstractAlgorithm]]:
    """All algorithms by name, from the entry points of the group ``gridmodel.algorithms``."""
    points = sorted(entry_points(group="gridmodel.algorithms"), key=lambda point: point.name)
    return {point.name: point.load() for point in points}


@cache
def methods() -> Mapping[str, AbstractAlgorithm]:
    """Every algorithm, and every form of it as ``name:form``, by the names that ``solve`` takes."""
    found: dict[str, AbstractAlgorithm] = {}
    for name, kind in algorithms().items():
        found[name] = kind()
        found |= {f"{name}:{form}": made for form, made in found[name].variants().items()}
    return found


def verdicts(model: Model | AbstractCompiled) -> dict[str, tuple[Verdict, Traffic | None]]:
    """For every algorithm and form: whether it applies, why, and what one round of it sends.

    Args:
        model: a model, or one that is compiled already.
    """
    compiled = model if isinstance(model, AbstractCompiled) else compile_model(model)
    found: dict[str, tuple[Verdict, Traffic | None]] = {}
    for name, algorithm in methods().items():
        verdict = verdict_on(algorithm, compiled.properties)
        settled = algorithm.settled(compiled.properties) if verdict.applies else algorithm
        found[name] = (verdict, settled.traffic(compiled.problem) if verdict.applies else None)
    return found


def verdict_on(algorithm: AbstractAlgorithm, properties: Properties) -> Verdict:
    """Whether an algorithm applies to a model of these properties, and why."""
    if not properties.convex and not algorithm.smooth:
        return Verdict(False, "it rests on convexity, and this model is smooth without being convex")
    return algorithm.verdict(properties)


def choose(properties: Properties, prefer: str, channel: Channel | None = None) -> tuple[str, str]:
    """The algorithm that "auto" takes and the reason.

    Of those that apply, over a channel with faults those go first that are claimed to end at the optimum all the same.

    Args:
        properties: of the model.
        prefer: "seconds" or "rounds".
        channel: what goes wrong between agents.

    Raises:
        NotApplicableError: no algorithm applies.
        ModelError: another word for ``prefer``.
    """
    check_prefer(prefer)
    applies: dict[str, tuple[int, int, str]] = {}
    refused: dict[str, str] = {}
    for name, kind in algorithms().items():
        verdict = verdict_on(kind(), properties)
        if not verdict.applies:
            refused[name] = verdict.reason
            continue
        try:
            over = kind() if channel is None else kind().over(channel)
        except NotApplicableError as error:
            refused[name] = str(error)
            continue
        doubt = max(doubts(over, channel).values(), default=0)
        applies[name] = (doubt, kind.rank, verdict.reason)
    sparing = [name for name in applies if algorithms()[name].sparing and not applies[name][0]]
    if prefer == "rounds" and sparing and properties.coupling_rows:
        return sparing[0], applies[sparing[0]][2]
    if prefer == "rounds" and "dual" in applies and properties.coupling_rows and not applies["dual"][0]:
        return "dual", "every agent's response to prices is smooth, and accelerated dual ascent needs fewest rounds"
    if applies:
        best = min(applies, key=lambda name: applies[name][:2])
        return best, applies[best][2]
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise NotApplicableError(f"no distributed algorithm applies ({reasons}). Solve with method='central'.")


def over_channel(algorithm: AbstractAlgorithm) -> AbstractAlgorithm:
    """The form that an algorithm takes over a faulty channel, whose claims and rules are then its own."""
    if algorithm.claims:
        return algorithm
    try:
        return algorithm.over(Channel(drop=0.1))
    except NotApplicableError:
        return algorithm


def doubts(algorithm: AbstractAlgorithm, channel: Channel | None) -> dict[str, int]:
    """For each fault of the channel how far from the optimum the algorithm is claimed to end: 0 is at it.

    The perfect channel counts as the fault "ideal".
    """
    faults = ("ideal", *(channel.faults if channel is not None else ()))
    order = ("exact", "ball", "drift", "biased", "open", "diverges")
    claims = algorithm.claims
    found = {fault: order.index(claims[fault].outcome if fault in claims else "open") for fault in faults if claims}
    if channel is not None and channel.leaves and not channel.handover and not algorithm.forgiving:
        found["leave"] = order.index("biased")
    return found


def check_channel(channel: Channel | None) -> None:
    """Raises where it is no channel."""
    if not isinstance(channel, Channel | None):
        raise ModelError(f"channel must be a gridmodel.Channel, e.g. gridmodel.Channel(drop=0.1), got {channel!r}.")


def check_prefer(prefer: str) -> None:
    """Raises where it is another word than "seconds" or "rounds"."""
    if prefer not in ("seconds", "rounds"):
        raise ModelError(f'prefer must be "seconds" or "rounds", got {prefer!r}.')
