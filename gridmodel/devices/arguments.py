"""What all devices share: arguments that are numbers or one an agent, the price of energy, and where power is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, ShapeError
from gridmodel.language.horizon import Horizon

__all__ = ["draw", "each", "pay_energy", "series", "wide"]

Floats = NDArray[np.float64]


def _horizon(day: Any) -> Horizon:
    """The horizon itself.

    Raises:
        ModelError: something else, such as the agent.
    """
    if not isinstance(day, Horizon):
        raise ModelError(
            f"a device is declared on a horizon, got {type(day).__name__}; give agent.horizon(steps, hours)."
        )
    return day


def each(day: Horizon, what: str, value: Any, least: float = 0.0, most: float = np.inf, open_: bool = False) -> Floats:
    """A physical argument, a number or one an agent, as an array of shape (N,), or () of one agent.

    Args:
        what: its name, for errors. least, most: what is allowed; open_: without ``least`` itself.

    Raises:
        ShapeError: neither a number nor one an agent. DataError: NaN, infinite, or out of [least, most].
    """
    shape = _horizon(day).shape[:-1]
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{day.party.name}: {what} is {value!r}, expected a number, or one an agent.") from None
    if array.shape not in ((), shape):
        raise ShapeError(
            f"{day.party.name}: {what} has shape {array.shape}; give a number" + (f" or {shape[0]}." if shape else ".")
        )
    out = ~np.isfinite(array) | (array < least) | (array > most) | (open_ & (array == least))
    if out.any():
        odd = array.ravel()[int(np.flatnonzero(out.ravel())[0])]
        low = f"above {least:g}" if open_ else f"at least {least:g}"
        expected = ("" if least == -np.inf else f" {low}") + ("" if most == np.inf else f" up to {most:g}")
        raise DataError(f"{day.party.name}: {what} is {odd:g}, expected a finite number{expected}.")
    return np.array(np.broadcast_to(array, shape))


def wide(day: Horizon, value: Floats, columns: int | None = None) -> Floats:
    """One number an agent, repeated over the steps: shape (N, T), or (N, columns)."""
    shape = (*day.shape[:-1], day.steps if columns is None else columns)
    return np.array(np.broadcast_to(value[..., None], shape))


def series(day: Horizon, name: str, value: Any, shared: bool = True, known: bool = True) -> cp.Parameter:
    """The series of this name: the one that the agent has already, or a new one.

    Raises:
        DataError: two values for one series.
    """
    if name not in day.known:
        return day.series(name, value=value, shared=shared, known=known)
    parameter = day.known[name].parameter
    if value is not None and parameter.value is not None and not np.array_equal(parameter.value, value):
        raise DataError(f"{day.party.name}: the series {name!r} has values already, and other ones; give it once.")
    if value is not None:
        parameter.value = np.asarray(value, dtype=np.float64)
    return parameter


def pay_energy(day: Horizon, power: cp.Expression, price: Any) -> None:
    """Adds the cost of what is drawn, price times energy: currency/kWh x kW x h; what is fed in earns the price."""
    paid = series(day, "price", price)
    row = paid if len(day.shape) == 1 else np.ones((day.shape[0], 1)) @ cp.reshape(paid, (1, day.steps), order="C")
    day.minimize(day.hours * cp.multiply(row, power))


def draw(
    day: Horizon, power: cp.Expression, at: str | Sequence[str] | None, factor: float, rating: Any, droop: Any
) -> None:
    """Power drawn at places of the model's network, at a lagging power factor; none where there is no place.

    Raises:
        DataError: a power factor out of (0, 1].
    """
    if not 0.0 < factor <= 1.0:
        raise DataError(f"{day.party.name}: a power factor is above 0 up to 1, got {factor:g}.")
    if at is not None:
        q = None if factor == 1.0 else power * np.tan(np.arccos(factor))
        day.draw(power, at, q=q, rating=rating, droop=droop)
