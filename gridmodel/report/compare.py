"""Algorithms side by side, as text."""

from __future__ import annotations

from collections.abc import Mapping

from gridmodel.ir.result import Result
from gridmodel.report.text import columns, size

__all__ = ["comparison"]


def comparison(results: Mapping[str, Result], refused: Mapping[str, str]) -> str:
    """One line an algorithm, and the reason of each that does not apply.

    Args:
        results: by algorithm, the centralized optimum among them as "central".
        refused: the reason by algorithm.
    """
    header = ("algorithm", "status", "cost", "gap to central", "price error", "rounds", "messages", "sent", "seconds")
    text = columns([header, *(_row(name, result) for name, result in results.items())], right=range(2, 9))
    if refused:
        text += "\n\nnot applicable\n" + columns([(f"  {name}", reason) for name, reason in refused.items()])
    return text


def _row(name: str, result: Result) -> tuple[str, ...]:
    proof = result.certificate
    alone = result.rounds == 0
    return (
        name,
        result.status.value,
        f"{result.value:.8g}",
        _number(None if proof is None else proof.central_gap),
        _number(None if proof is None else proof.price_error),
        "-" if alone else str(result.rounds),
        "-" if alone else str(result.messages),
        "-" if alone else size(result.bytes),
        f"{result.seconds.solve:.3f}",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"
