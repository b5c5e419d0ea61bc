"""What can go wrong between agents: lost, late, noisy and coarse messages, agents that sleep, leave or join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from gridmodel.errors import ModelError
from gridmodel.runtime import channel_text
from gridmodel.runtime.channel_text import intervals, whole
from gridmodel.runtime.masking import Gaussian

__all__ = ["MIX_RULES", "PUSH_RULES", "Channel", "intervals"]

Interval = tuple[int, int]
Coding = Literal["fixed", "difference"]

MIX_RULES = ("paired", "skip", "hold")
PUSH_RULES = ("sums", "ack", "lose")


@dataclass(frozen=True)
class Channel:
    """Faults that a run meets, drawn from a seed: the same seed gives the same run.

    One round sends one packet along every directed edge; all numbers of a packet share its fate.

    drop: share of packets lost, in [0, 1). burst: mean length of a loss in rounds (a two-state chain on every edge
        whose bad state loses all, Gilbert-Elliott); None loses packets independently.
    delay: rounds that every packet takes. jitter: up to so many rounds more, drawn for every packet; of the packets
        of an edge, one that is overtaken by a newer one is not used.
    noise: standard deviation of what is added to every number of every packet.
    bits: numbers are rounded to 2^bits levels; None sends them whole. coding: "fixed" levels on [-span, span], or
        "difference": levels of the change since the last packet, with one scale a quantity, for channels without loss.
    awake: probability that an agent (and a coordinator) takes part in a round; an edge works while both ends do.
    outages: {agent: (first round, round of return)} or a list of such pairs: the agent freezes and is not heard.
    leaves, joins: {agent: round} of agents that go for good, or come; ``handover`` lets who leaves pass on what
        keeps the result of the others exact. An agent that joins after it left stands for a newcomer in its place.
    rule: in place of the algorithm's own rule for what is lost; naive rules show how they go wrong.
    mask: standard deviation of random numbers that neighbours exchange in advance, to hide what they start from; for
        algorithms that ask for it by ``Network.masked``. None exchanges none.
    privacy: noise that agents add to all they send, and the (epsilon, delta) that it buys.
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
    mask: float | None = None
    privacy: Gaussian | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        share = " (10 % is drop=0.1)"
        _within("drop", self.drop, 0.0, 1.0, "the share of packets lost" + share, open_above=True)
        _within("awake", self.awake, 0.0, 1.0, "the probability that an agent takes part", open_below=True)
        _within("noise", self.noise, 0.0, np.inf, "a standard deviation", open_above=True)
        _within("span", self.span, 0.0, np.inf, "the largest number that is sent", open_below=True, open_above=True)
        if self.mask is not None:
            _within("mask", self.mask, 0.0, np.inf, "a standard deviation", open_below=True, open_above=True)
        for name, of in (("delay", " of rounds"), ("jitter", " of rounds"), ("seed", "")):
            value = getattr(self, name)
            if not whole(value):
                raise ModelError(f"channel: {name}={value!r} must be a whole number{of}, 0 or more.")
            object.__setattr__(self, name, int(value))
        if not isinstance(self.handover, bool | np.bool_):
            raise ModelError(f"channel: handover={self.handover!r} must be True or False.")
        if self.rule is not None and self.rule not in MIX_RULES + PUSH_RULES:
            raise ModelError(f"channel: rule={self.rule!r} is unknown; use {', '.join(MIX_RULES)} for what is mixed, "
                             f"{', '.join(PUSH_RULES)} for shares.")  # fmt: skip
        if self.privacy is not None and not isinstance(self.privacy, Gaussian):
            raise ModelError(f"channel: privacy={self.privacy!r} must be a Gaussian(sigma, sensitivity), or None.")
        self._check_burst()
        self._check_coding()
        self._check_events()

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
            "noise": self.noise > 0 or self.privacy is not None, "bits": self.bits is not None, "async": self.awake < 1,
        }  # fmt: skip
        return tuple(name for name, there in found.items() if there)

    @property
    def reach(self) -> int:
        """The most rounds that a packet takes."""
        return int(self.delay + self.jitter)

    @classmethod
    def parse(cls, text: str) -> Channel:
        """A channel from a text such as ``drop=0.1,delay=2,outage=g2:200-300``.

        Every field may be given by its name; ``outage=AGENT:FIRST-LAST``, ``leave=AGENT:ROUND``, ``join=AGENT:ROUND``
        may come more than once, ``privacy=SIGMA:SENSITIVITY`` adds noise against reading.

        Raises:
            UnknownNameError: no such fault. ModelError: a value that cannot be.
        """
        return cls(**channel_text.read(text))

    def __str__(self) -> str:
        return channel_text.words(self)

    def _check_burst(self) -> None:
        if self.burst is None:
            return
        _within("burst", self.burst, 1.0, np.inf, "the mean length of a loss in rounds", open_above=True)
        if not self.drop:
            raise ModelError(f"channel: burst={self.burst:g} loses nothing without drop; give drop=SHARE as well.")
        least = self.drop / (1 - self.drop)
        if self.burst < least:
            raise ModelError(
                f"channel: losses of {self.drop:g} cannot come in bursts of {self.burst:g} rounds; "
                f"use burst of at least {least:.3g}."
            )

    def _check_coding(self) -> None:
        if self.coding not in ("fixed", "difference"):
            raise ModelError(f"channel: coding={self.coding!r} is unknown; use 'fixed' or 'difference'.")
        if self.bits is not None and not (whole(self.bits) and 1 <= self.bits <= 52):
            raise ModelError(f"channel: bits={self.bits!r} must be a whole number from 1 to 52, or None for all.")
        if self.coding == "fixed":
            return
        if self.bits is None:
            raise ModelError("channel: coding='difference' rounds to levels; give their number by bits, e.g. bits=8.")
        parts = [name for name in self.faults if name in ("drop", "burst", "outage", "async")]
        parts += [name for name in ("jitter", "leaves", "joins") if getattr(self, name)]
        if parts:
            raise ModelError(
                f"channel: coding='difference' needs that every packet arrives in its turn, and {parts[0]} keeps some "
                "from it: sender and receiver would no longer hold the same copy. Use coding='fixed'."
            )

    def _check_events(self) -> None:
        for kind, form in (("outages", "(first round, round of return)"), ("leaves", "round"), ("joins", "round")):
            if not isinstance(getattr(self, kind), Mapping):
                raise ModelError(
                    f"channel: {kind}={getattr(self, kind)!r} must map names of agents, {{agent: {form}}}."
                )
        for name, periods in self.outages.items():
            for first, last in intervals(periods, name):
                if not 0 <= first < last:
                    raise ModelError(
                        f"channel: the outage ({first}, {last}) of {name!r} must start at round 0 or later and before "
                        "it ends; write (first round, round of return)."
                    )
        for kind in ("leaves", "joins"):
            for name, at in getattr(self, kind).items():
                if not whole(at):
                    raise ModelError(f"channel: {kind}={{{name!r}: {at!r}}} must name a round, 0 or more.")
        for name in set(self.leaves) & set(self.joins):
            if self.leaves[name] == self.joins[name]:
                raise ModelError(
                    f"channel: {name!r} leaves and joins in round {self.leaves[name]}; a newcomer joins later."
                )


def _within(
    name: str, value: float, low: float, high: float, what: str, open_below: bool = False, open_above: bool = False
) -> None:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    inside = (
        number and (value > low if open_below else value >= low) and (value < high if open_above else value <= high)
    )
    if not inside:
        limits = f"{'above' if open_below else 'at least'} {low:g}"
        if np.isfinite(high):
            limits += f" and {'below' if open_above else 'at most'} {high:g}"
        elif open_above:
            limits += " and finite"
        raise ModelError(f"channel: {name}={value!r} is {what} and must be {limits}.")
