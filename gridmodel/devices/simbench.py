"""Days of SimBench's profiles of a year."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from gridmodel.devices.days import prices
from gridmodel.errors import DataError, ModelError
from gridmodel.ir.scenarios import Scenarios

__all__ = ["simbench_days"]

Floats = NDArray[np.float64]
_QUARTERS = 96
_FOLDER = "1-complete_data-mixed-all-0-sw"


def simbench_days(
    steps: int = 48, loads: tuple[str, ...] = ("H0-A", "H0-B", "H0-C"), pv: str = "PV1", seed: int = 0
) -> Scenarios:
    """The 366 days of 2016 from the installed package ``simbench``, its quarters of an hour averaged over each step.

    Series "load", shape (366, len(loads), steps), every profile divided by its mean; "sun", parts of the highest
    power, shape (366, steps); and "price", which SimBench does not have, as of ``gridmodel.devices.days.prices`` with
    this sun, level 0.22. There is no temperature.

    Args:
        steps: a day, a divisor of 96. loads: profiles such as "H0-A" (homes), "G0-M" (trade), "L2-A" (farms).
        pv: "PV1" to "PV8". seed: of the prices.

    Raises:
        ModelError: simbench is not installed. DataError: no such profile, or no such steps.

    Source: Meinecke et al. (2020), SimBench, Energies 13(12), 3290.
    """
    if find_spec("simbench") is None:
        raise ModelError("simbench_days needs the package simbench: pip install simbench")
    if steps < 1 or _QUARTERS % steps:
        raise DataError(f"simbench_days: steps is a divisor of 96 (quarters of an hour), got {steps}.")
    drawn = _columns("LoadProfile.csv", tuple(f"{name}_pload" for name in loads), steps)
    sun = _columns("RESProfile.csv", (pv,), steps)[:, 0]
    hour = (np.arange(steps) + 0.5) * 24.0 / steps
    price = prices(np.random.default_rng(seed), sun, hour, 0.22)
    return Scenarios({"price": price, "sun": sun, "load": drawn / drawn.mean(axis=(0, 2), keepdims=True)})


def _columns(file: str, wanted: tuple[str, ...], steps: int) -> Floats:
    """Columns of a table, shape (days, columns, steps)."""
    path = files("simbench").joinpath("networks", _FOLDER, file)
    with path.open(encoding="utf-8") as source:
        head = source.readline().strip().split(";")
        if strange := [name for name in wanted if name not in head]:
            known = ", ".join(name.removesuffix("_pload") for name in head[1:] if not name.endswith("_qload"))
            raise DataError(f"SimBench has no profile {strange[0].removesuffix('_pload')!r}; it has {known}.")
        values = np.loadtxt(source, delimiter=";", usecols=[head.index(name) for name in wanted], ndmin=2)
    whole = len(values) // _QUARTERS
    apart = values[: whole * _QUARTERS].reshape(whole, steps, _QUARTERS // steps, len(wanted))
    found: Floats = apart.mean(axis=2).transpose(0, 2, 1)
    return found
