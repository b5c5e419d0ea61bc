"""A channel as text: what the command line takes, and what a report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from gridmodel.errors import ModelError, UnknownNameError
from gridmodel.runtime.masking import Gaussian

if TYPE_CHECKING:
    from gridmodel.runtime.channel import Channel

__all__ = ["intervals", "read", "whole", "words"]

EVENTS = {"outage": "outages", "leave": "leaves", "join": "joins"}
NUMBERS = ("drop", "burst", "delay", "jitter", "noise", "bits", "span", "awake", "mask", "seed")
WORDS = ("coding", "rule")


def read(text: str) -> dict[str, Any]:
    """The fields of a channel from ``name=value,name=value,...``.

    Raises:
        UnknownNameError: no such fault. ModelError: a value that is not understood.
    """
    if not isinstance(text, str):
        raise ModelError(f"channel: expected a text such as 'drop=0.1,delay=2', got {text!r}.")
    found: dict[str, Any] = {}
    for piece in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in piece.partition("="))
        reader = _readers().get(key)
        if reader is None:
            raise UnknownNameError(f"channel: unknown fault {key!r}{_nearest(key)}.")
        if not equals or not value:
            raise ModelError(f"channel: {piece!r} has no value; write {_form(key)}.")
        if key in EVENTS:
            reader(found.setdefault(EVENTS[key], {}), value)
        elif key in found:
            raise ModelError(f"channel: {key} is given twice; leave one of them out.")
        else:
            found[key] = reader(key, value)
    return found


def words(channel: Channel) -> str:
    """One short line, e.g. "drops 10 %, 2 rounds late, g2 out in rounds 200-300"."""
    said: list[str] = []
    if channel.drop:
        said.append(f"drops {100 * channel.drop:g} %" + (f" in bursts of {channel.burst:g}" if channel.burst else ""))
    if channel.reach:
        late = f"{channel.delay}" if not channel.jitter else f"{channel.delay} to {channel.reach}"
        said.append(f"{late} {'round' if channel.reach == 1 else 'rounds'} late")
    if channel.noise:
        said.append(f"noise {channel.noise:g}")
    if channel.bits is not None:
        how = "differences" if channel.coding == "difference" else f"on +-{channel.span:g}"
        said.append(f"{channel.bits} {'bit' if channel.bits == 1 else 'bits'} {how}")
    if channel.awake < 1:
        said.append(f"agents awake {100 * channel.awake:g} %")
    said += _several(
        [f"{name} out in rounds {_spans(periods)}" for name, periods in channel.outages.items()], "outages"
    )
    said += _several([f"{name} leaves at {at}" for name, at in channel.leaves.items()], "agents leave")
    said += _several([f"{name} joins at {at}" for name, at in channel.joins.items()], "agents join")
    if channel.leaves and not channel.handover:
        said.append("without handing over")
    if channel.rule:
        said.append(f"rule {channel.rule}")
    if channel.mask is not None:
        said.append(f"masks of {channel.mask:g}")
    if channel.privacy is not None:
        said.append(f"private noise {channel.privacy.sigma:g}")
    return ", ".join(said) or "perfect channel"


def intervals(periods: Any, name: str = "") -> list[tuple[int, int]]:
    """One outage or several, as a list of (first round, round of return)."""
    try:
        listed = list(periods)
        if len(listed) == 2 and not any(isinstance(item, Sequence) for item in listed):
            listed = [(listed[0], listed[1])]
        found = [(first, last) for first, last in listed]
        if all(whole(abs(end)) for pair in found for end in pair):
            return [(int(first), int(last)) for first, last in found]
    except (TypeError, ValueError):
        pass
    raise ModelError(f"channel: the outage {periods!r} of {name!r} is not understood; write (first round, round of "
                     "return), or a list of such pairs.")  # fmt: skip


def whole(value: object) -> bool:
    """Whether it is a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(value) and value >= 0 and int(value) == value)


def _several(listed: list[str], what: str) -> list[str]:
    return listed if len(listed) <= 3 else [f"{len(listed)} {what}"]


def _spans(periods: Any) -> str:
    return " and ".join(f"{first}-{last}" for first, last in intervals(periods))


def _readers() -> dict[str, Callable[..., Any]]:
    readers: dict[str, Callable[..., Any]] = dict.fromkeys(NUMBERS, _number)
    readers |= dict.fromkeys(WORDS, lambda key, value: value)
    readers |= {"handover": _flag, "privacy": _privacy, "outage": _outage, "leave": _event, "join": _event}
    return readers


def _form(key: str) -> str:
    forms = {"outage": "AGENT:FIRST-LAST", "leave": "AGENT:ROUND", "join": "AGENT:ROUND", "handover": "yes|no",
             "privacy": "SIGMA:SENSITIVITY", "coding": "fixed|difference", "rule": "NAME"}  # fmt: skip
    return f"{key}={forms.get(key, 'NUMBER')}"


def _nearest(key: str) -> str:
    known = [*NUMBERS, *WORDS, "handover", "privacy", *EVENTS]
    near = get_close_matches(key, known, 1)
    return f"; did you mean {near[0]!r}" if near else f"; known are {', '.join(known)}"


def _number(key: str, value: str) -> float | int | None:
    if value.lower() == "none" and key in ("burst", "bits", "mask"):
        return None
    try:
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    except ValueError:
        percent = f"; a share of 10 % is {key}=0.1" if value.endswith("%") else ""
        raise ModelError(f"channel: {key}={value!r} is no number{percent}.") from None


def _flag(key: str, value: str) -> bool:
    named = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if value.lower() not in named:
        raise ModelError(f"channel: {key}={value!r} is not understood; write {_form(key)}.")
    return named[value.lower()]


def _privacy(key: str, value: str) -> Gaussian:
    sigma, _, sensitivity = value.partition(":")
    try:
        return Gaussian(float(sigma), float(sensitivity))
    except ValueError:
        raise ModelError(f"channel: {key}={value!r} is not understood; write {_form(key)}.") from None


def _outage(events: dict[str, Any], value: str) -> None:
    name, _, rounds = value.rpartition(":")
    first, _, last = rounds.partition("-")
    if not (name and first.isdigit() and last.isdigit()):
        raise ModelError(
            f"channel: outage={value!r} is not understood; write {_form('outage')}, e.g. outage=g2:200-300."
        )
    events.setdefault(name, []).append((int(first), int(last)))


def _event(events: dict[str, Any], value: str) -> None:
    name, _, at = value.rpartition(":")
    if not (name and at.isdigit()):
        raise ModelError(f"channel: {value!r} is not understood; write AGENT:ROUND, e.g. leave=g2:200.")
    if name in events:
        raise ModelError(f"channel: {name} leaves or joins twice; leave one of them out.")
    events[name] = int(at)
