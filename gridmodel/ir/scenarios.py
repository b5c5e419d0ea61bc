"""Days of data that no agent decides: prices, weather, loads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ShapeError

__all__ = ["Scenarios"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scenarios:
    """Days of exogenous series.

    series: by the name under which agents declare them, "price", or "battery.price" for those of one agent or fleet;
        shape (days, steps), or (days, agents, steps) where every agent of a fleet has its own.
    loads: what the network's own loads draw in VA, complex, shape (days, steps, loads); None where it is the file's.
    names: of the days, for pictures and errors; numbered where left out.

    Raises:
        ShapeError: arrays of other shapes or of unequal numbers of days or steps.
        DataError: a number that is NaN or infinite; the series, the day and the step are named.
    """

    series: Mapping[str, Floats] = field(default_factory=dict)
    loads: NDArray[np.complex128] | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "series", {name: _real(name, values) for name, values in self.series.items()})
        arrays = {f"series {name!r}": values for name, values in self.series.items()}
        if self.loads is not None:
            arrays["loads"] = np.asarray(self.loads)
        if not arrays:
            raise ShapeError("Scenarios need at least one series, or loads: their shape says how many days there are.")
        spans = {}
        for what, values in arrays.items():
            if values.ndim in (2, 3) and not values.size:
                raise ShapeError(f"{what}: shape {values.shape} holds no day, or no step; give at least one of each.")
            if values.ndim not in (2, 3):
                raise ShapeError(
                    f"{what}: shape {values.shape}, expected (days, steps), or (days, agents, steps) with one row an "
                    "agent (loads: (days, steps, loads))."
                )
            if not np.isfinite(values).all():
                day, *place = (int(k) for k in np.argwhere(~np.isfinite(values))[0])
                step = place[0 if what == "loads" else -1]
                raise DataError(f"{what}: not a finite number on day {day}, entry {step}; fill gaps before training.")
            spans[what] = (values.shape[0], values.shape[1] if what == "loads" else values.shape[-1])
        if len(set(spans.values())) > 1:
            shown = "; ".join(f"{what} has {days} days of {steps} steps" for what, (days, steps) in spans.items())
            raise ShapeError(f"all series of a set of scenarios have the same days and steps, but {shown}.")
        if self.names and len(self.names) != len(self):
            raise ShapeError(f"{len(self.names)} names for {len(self)} days.")

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def steps(self) -> int:
        """Steps in a day."""
        return self._shape[1]

    @property
    def _shape(self) -> tuple[int, int]:
        if self.loads is not None:
            return self.loads.shape[0], self.loads.shape[1]
        values = next(iter(self.series.values()))
        return values.shape[0], values.shape[-1]

    def take(self, days: Any) -> Scenarios:
        """Some days: an index, a slice, or an array of them."""
        keep = np.atleast_1d(np.arange(len(self))[days])
        series = {name: values[keep] for name, values in self.series.items()}
        names = tuple(self.names[k] for k in keep) if self.names else ()
        return Scenarios(series, None if self.loads is None else self.loads[keep], names)

    def of(self, agent: str, name: str) -> Floats:
        """The series that an agent or fleet declared under this name, shape (days, steps) or (days, agents, steps).

        Raises:
            DataError: there is none.
        """
        found = self.series.get(f"{agent}.{name}", self.series.get(name))
        if found is None:
            known = ", ".join(self.series) or "none"
            raise DataError(
                f"{agent} declares the series {name!r}, and the scenarios hold {known}. "
                f"Add series={{{name!r}: array of shape (days, steps)}}."
            )
        return found


def _real(name: str, values: Any) -> Floats:
    """The values as an array of real numbers; single precision stays what it is."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise ShapeError(f"series {name!r}: days of unequal length; give an array of shape (days, steps).") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"series {name!r}: entries are {array.dtype}, expected real numbers.")
    return array
