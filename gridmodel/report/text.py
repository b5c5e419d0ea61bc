"""A result in words and small tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gridmodel.ir.result import Result, Status
from gridmodel.units import per

__all__ = ["columns", "size", "summary"]

_MOST = 12


def summary(result: Result) -> str:
    """Status, cost, prices, variables, traffic and certificate as plain text."""
    sentence = result.message or result.status.sentence
    head = [f"{result.model_name}, {result.algorithm}: {result.status.value}", f"  {sentence}"]
    if result.culprit and result.culprit not in sentence:
        head.append(f"  cause: {result.culprit}")
    if result.channel is not None:
        head.append(f"  {result.channel}")
    if result.absent:
        head.append(f"  not there at the end, and left out of cost and certificate: {', '.join(result.absent)}")
    parts = ["\n".join(head)]
    if result.status not in (Status.INFEASIBLE, Status.UNBOUNDED):
        parts += [f"cost {result.value:.8g} {_shown(result.currency)}".rstrip(), _prices(result), _variables(result)]
    parts.append(_effort(result))
    if result.certificate is not None:
        parts.append("certificate\n" + _indent(str(result.certificate)))
    return "\n\n".join(part for part in parts if part)


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Rows as aligned columns of plain text; ``right`` lists the columns aligned to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [c.rjust(w) if k in right else c.ljust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def size(count: float) -> str:
    """Bytes in words: ``size(2048) == "2.0 KiB"``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def _prices(result: Result) -> str:
    if not result.price:
        return ""
    rows = [
        (name, _values(value), per(result.currency, result.units[name]) if name in result.units else "")
        for name, value in result.price.items()
    ]
    return "prices\n" + _indent(columns(_shorten(rows)))


def _variables(result: Result) -> str:
    rows = [
        (agent, name, _values(value), result.units.get(f"{agent}.{name}") or "")
        for agent, named in result.variables.items()
        for name, value in named.items()
    ]
    return "variables\n" + _indent(columns(_shorten(rows))) if rows else ""


def _effort(result: Result) -> str:
    seconds = result.seconds
    times = f"compile {seconds.compile:.3f} s, solve {seconds.solve:.3f} s, verify {seconds.verify:.3f} s"
    if not result.rounds:
        return times
    traffic = f"{result.rounds} rounds, {result.messages} messages, {size(result.bytes)}"
    return f"{traffic}\n{times}"


def _values(value: Any) -> str:
    if value is None:
        return "none"
    array = np.asarray(value)
    if array.size == 0:
        return "empty"
    if array.size == 1:
        return _number(array.reshape(-1)[0])
    if array.size <= 4:
        return "[" + ", ".join(_number(entry) for entry in array.reshape(-1)) + "]"
    shape = " x ".join(str(k) for k in array.shape)
    if np.iscomplexobj(array):
        array = np.abs(array)
    known = array[np.isfinite(array)]  # those of agents that are absent are NaN
    if not known.size:
        return f"{shape} numbers, none known"
    return f"{shape} numbers, {_number(known.min())} to {_number(known.max())}, mean {_number(known.mean())}"


def _number(value: Any) -> str:
    return f"{value:.5g}" if np.iscomplexobj(value) else f"{float(value) + 0.0:.5g}"


def _shorten(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    if len(rows) <= _MOST:
        return list(rows)
    left_out = len(rows) - _MOST + 1
    return [*rows[: _MOST - 1], (f"... and {left_out} more", *[""] * (len(rows[0]) - 1))]


def _shown(currency: str) -> str:
    return "" if currency == "cost" else currency


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
