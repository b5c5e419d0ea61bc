"""What can go wrong between agents: lost, late, noisy and coarse messages, agents that sleep, leave or join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np

from gridmodel.errors import ModelError, UnknownNameError

__all__ = ["Channel"]

Interval = tuple[int, int]
Coding = Literal["fixed", "difference"]


@dataclass(frozen=True)
class Channel:
    """Faults that a run meets, drawn from a seed: the same seed gives the same run.

    One round sends one packet along every directed edge; all numbers of a packet share its fate.

    drop: share of packets lost, in [0, 1). burst: mean length of a loss in rounds (a two-state chain on every edge
        whose bad state loses all, Gilbert-Elliott); None loses packets independently.
    delay: rounds that every packet takes. jitter: up to so many rounds more, drawn for every link and round.
    noise: standard deviation of what is added to every number of every packet.
    bits: numbers are rounded to 2^bits levels; None sends them whole. coding: "fixed" levels on [-span, span], or
        "difference": levels of the change since the last packet, with one scale a packet, for channels without loss.
    awake: probability that an agent takes part in a round; an edge works while both ends do.
    outages: {agent: (first round, round of return)} or a list of such pairs: the agent freezes and is not heard.
    leaves, joins: {agent: round} of agents that go for good, or come; ``handover`` lets who leaves pass on what
        keeps the result of the others exact.
    rule: in place of the algorithm's own rule for what is lost; naive rules show how they go wrong.
    seed: of all draws.

    Source: Gilbert (1960), Elliott (1963) for bursts.
    """

    drop: float = 0.0
    burst: float | None = None
    delay: int = 0
    jitter: int = 0
    noise: float = 0.0
    bits: int | None = None
    coding: Coding = "fixed"
    span: float = 8.0
    awake: float = 1.0
    outages: Mapping[str, Interval | Sequence[Interval]] = field(default_factory=dict)
    leaves: Mapping[str, int] = field(default_factory=dict)
    joins: Mapping[str, int] = field(default_factory=dict)
    handover: bool = True
    rule: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _within("drop", self.drop, 0.0, 1.0, "the share of packets lost", open_above=True)
        _within("awake", self.awake, 0.0, 1.0, "the probability that an agent takes part", open_below=True)
        _within("noise", self.noise, 0.0, np.inf, "a standard deviation", open_above=True)
        _within("span", self.span, 0.0, np.inf, "the largest number that is sent", open_below=True, open_above=True)
        for name in ("delay", "jitter"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 0:
                raise ModelError(f"channel: {name}={value!r} must be a whole number of rounds, 0 or more.")
        if self.bits is not None and not (int(self.bits) == self.bits and 1 <= self.bits <= 52):
            raise ModelError(f"channel: bits={self.bits!r} must be a whole number from 1 to 52, or None for all.")
        if self.coding not in ("fixed", "difference"):
            raise ModelError(f"channel: coding={self.coding!r} is unknown; use 'fixed' or 'difference'.")
        if self.burst is not None:
            self._check_burst(self.burst)
        if self.coding == "difference" and self.bits is not None and self._parts_replicas:
            raise ModelError(
                f"channel: coding='difference' needs that every packet arrives, and {self._parts_replicas} loses or "
                "delays some: sender and receiver would no longer hold the same copy. Use coding='fixed'."
            )
        for name, periods in self.outages.items():
            for first, last in intervals(periods):
                if not 0 <= first < last:
                    raise ModelError(f"channel: the outage ({first}, {last}) of {name!r} must start before it ends.")

    @property
    def is_ideal(self) -> bool:
        """Whether every packet arrives at once and as it was sent, and everybody is there in all rounds."""
        return not (self.faults or self.leaves or self.joins)

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds of fault that it has, as in the table of claims."""
        lossy = "burst" if self.burst is not None else "drop"
        found = {
            lossy: self.drop > 0, "delay": self.delay > 0 or self.jitter > 0, "outage": bool(self.outages),
            "noise": self.noise > 0, "bits": self.bits is not None, "async": self.awake < 1,
        }  # fmt: skip
        return tuple(name for name, there in found.items() if there)

    @classmethod
    def parse(cls, text: str) -> Channel:
        """A channel from a text such as ``drop=0.1,delay=2,outage=g2:200-300``.

        Raises:
            UnknownNameError: no such fault. ModelError: a value that cannot be.
        """
        numbers = {item.name for item in fields(cls)} - {"outages", "leaves", "joins", "handover", "rule", "coding"}
        found: dict[str, object] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, equals, value = part.partition("=")
            key, value = key.strip(), value.strip()
            if key in ("outage", "leave", "join") and equals:
                _add_event(found, key, value)
            elif key in ("rule", "coding") and equals:
                found[key] = value
            elif key in numbers and equals:
                found[key] = _number(key, value)
            else:
                known = ", ".join([*sorted(numbers), "coding", "rule", "outage", "leave", "join"])
                raise UnknownNameError(f"unknown fault {part!r}; write name=value with one of {known}.")
        return cls(**found)  # type: ignore[arg-type]

    def _check_burst(self, burst: float) -> None:
        if not burst >= 1:
            raise ModelError(f"channel: burst={burst!r} must be a mean length of at least 1 round, or None.")
        if self.drop > 0 and self.drop / (1 - self.drop) / burst > 1:
            raise ModelError(
                f"channel: losses of {self.drop:g} cannot come in bursts of {burst:g} rounds; "
                f"use burst of at least {self.drop / (1 - self.drop):.3g}."
            )

    @property
    def _parts_replicas(self) -> str:
        """The first fault under which a replica at the receiver would part from the sender's, or ''."""
        faults = [name for name in self.faults if name not in ("bits", "noise")]
        faults += ["leave"] if self.leaves else []
        faults += ["join"] if self.joins else []
        return faults[0] if faults else ""


def intervals(periods: Interval | Sequence[Interval]) -> list[Interval]:
    """One outage or several, as a list of (first round, round of return)."""
    if len(periods) == 2 and all(isinstance(item, int | np.integer) for item in periods):
        return [(int(periods[0]), int(periods[1]))]  # type: ignore[arg-type, call-overload]
    return [(int(first), int(last)) for first, last in periods]  # type: ignore[misc]


def _within(
    name: str, value: float, low: float, high: float, what: str, open_below: bool = False, open_above: bool = False
) -> None:
    inside = (value > low if open_below else value >= low) and (value < high if open_above else value <= high)
    if not inside:
        limits = f"{'above' if open_below else 'at least'} {low:g}"
        if np.isfinite(high):
            limits += f" and {'below' if open_above else 'at most'} {high:g}"
        raise ModelError(f"channel: {name}={value!r} is {what} and must be {limits}.")


def _number(key: str, value: str) -> float | int | None:
    if value.lower() == "none":
        return None
    try:
        number = float(value)
    except ValueError:
        raise ModelError(f"channel: {key}={value!r} is no number.") from None
    return int(number) if key in ("delay", "jitter", "bits", "seed") and number == int(number) else number


def _add_event(found: dict[str, object], key: str, value: str) -> None:
    """``outage=g2:200-300``, ``leave=g2:200``, ``join=g2:200``."""
    name, colon, rounds = value.rpartition(":")
    ends = rounds.split("-")
    if not colon or not all(end.isdigit() for end in ends) or len(ends) != (2 if key == "outage" else 1):
        form = "AGENT:FIRST-LAST" if key == "outage" else "AGENT:ROUND"
        raise ModelError(f"channel: {key}={value!r} is not understood; write {key}={form}.")
    events = found.setdefault({"outage": "outages", "leave": "leaves", "join": "joins"}[key], {})
    assert isinstance(events, dict)
    if key == "outage":
        events.setdefault(name, []).append((int(ends[0]), int(ends[1])))
    else:
        events[name] = int(ends[0])
