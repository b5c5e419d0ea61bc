"""Units are labels: shown wherever a quantity is shown, and never mixed in one coupling."""

from __future__ import annotations

from collections.abc import Iterable

from gridmodel.errors import UnitError

__all__ = ["common_unit", "per"]

_POWERS = ("W", "kW", "MW", "GW")


def common_unit(units: Iterable[tuple[str, str | None]], where: str) -> str | None:
    """The one unit that all named quantities share; quantities without a unit take part in any.

    Args:
        units: pairs (name of the quantity, its unit or None).
        where: the user's words for the place, for the error text.

    Raises:
        UnitError: two of them carry different units.
    """
    first: tuple[str, str] | None = None
    for name, unit in units:
        if unit is None:
            continue
        if first is None:
            first = (name, unit)
        elif unit != first[1]:
            raise UnitError(
                f"{where} mixes units: {first[0]} is in {first[1]}, {name} is in {unit}. "
                f"Declare both in one unit and scale the data, e.g. variable(..., unit={first[1]!r})."
            )
    return None if first is None else first[1]


def per(numerator: str, denominator: str | None) -> str:
    """The label of a ratio: ``per("EUR", "kW") == "EUR/kW"`` and ``per("EUR/h", "MW") == "EUR/MWh"``."""
    if denominator is None:
        return numerator
    if denominator in _POWERS and numerator.endswith("/h"):
        return f"{numerator.removesuffix('/h')}/{denominator}h"
    return f"{numerator}/{denominator}"
