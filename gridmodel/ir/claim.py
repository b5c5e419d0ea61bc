"""What is claimed of an algorithm under a fault of the channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FAULTS", "Claim", "Outcome", "Reveal"]

Outcome = Literal["exact", "biased", "drift", "ball", "diverges", "open"]

FAULTS = ("ideal", "drop", "burst", "delay", "outage", "noise", "bits", "async")
"""Kinds of fault, in the order of the table of claims."""


@dataclass(frozen=True)
class Claim:
    """How an algorithm ends under one fault.

    outcome: "exact" (the optimum, in the limit), "biased" (rests beside it), "drift" (the error grows without bound,
        slowly), "ball" (stays within an error that does not grow), "diverges", or "open" (not claimed).
    error: size of the error measured on the reference problem, (least, largest) over its instances; None for exact.
    condition: what must be given for it, e.g. a smaller step; empty where nothing.
    """

    outcome: Outcome
    error: tuple[float, float] | None = None
    condition: str = ""

    @property
    def exact(self) -> bool:
        """Whether the optimum is reached."""
        return self.outcome == "exact"

    def __str__(self) -> str:
        text = self.outcome if self.error is None else f"{self.outcome} ({_span(self.error)})"
        return f"{text} if {self.condition}" if self.condition else text


@dataclass(frozen=True)
class Reveal:
    """What an agent shows of itself: ``what`` (e.g. "gradient"), ``to`` "neighbours" or the "coordinator", and when."""

    what: str
    to: str
    when: str = "every round"


def _span(error: tuple[float, float]) -> str:
    low, high = error
    return f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
