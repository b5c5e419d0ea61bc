"""Synthetic days: prices, weather and loads that hang together, from a seed. They are made up, not measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.ir.scenarios import Scenarios

__all__ = ["clear_sky", "prices", "synthetic_days"]

Floats = NDArray[np.float64]
_DAY = 24.0


def synthetic_days(
    days: int,
    steps: int = 48,
    seed: int = 0,
    homes: int = 1,
    latitude: float = 45.0,
    date: int = 80,
    level: float = 0.22,
) -> Scenarios:
    """Days of the series "price", "temperature", "sun", shape (days, steps), and "load", shape (days, homes, steps).

    Each weather and price variable follows from one day to the next by z' = r z + sqrt(1 - r^2) w, w normal, and has a
    smaller part of the same kind from step to step:

    clearness    c = 1 / (1 + exp(-(0.5 + 1.5 z_c))), r = 0.5;  sun = clear sky x (0.15 + 0.85 c)
    temperature  6 + 3.5 z_T - (1 + 3 c) cos(2 pi (h - 3) / 24) deg C, r = 0.8
    price        see ``prices``, r = 0.7
    load         of mean 1 over days and homes: 0.45 + 0.5 morning + 1.1 evening, the peaks of every home at hours of
                 its own around 7.5 and 19 and of sizes of its own, times exp(0.1 z_L) of the day for all homes, less
                 0.01 a K above 6 deg C, times exp(0.15 n), n of every home and step with correlation 0.6 an hour

    Args:
        seed: of all that is random; the first days of a longer run are not those of a shorter one.
        homes: loads with habits of their own. latitude: degrees. date: day of the year, which sets the sun's path.
        level: of prices in currency/kWh.

    Raises:
        DataError: fewer than one day, step or home, or a latitude or date that is none.
    """
    for what, value in (("days", days), ("steps", steps), ("homes", homes)):
        if value < 1 or int(value) != value:
            raise DataError(f"synthetic_days: {what} is a whole number of at least 1, got {value}.")
    if not (abs(latitude) <= 90 and 1 <= date <= 366 and np.isfinite(level)):
        raise DataError(f"synthetic_days: latitude {latitude}, date {date} or level {level} is out of range.")
    rng = np.random.default_rng(seed)
    hour = (np.arange(steps) + 0.5) * _DAY / steps
    z_cloud = _chain(rng, days, 0.5)[:, None] + 0.4 * _within(rng, days, steps, 0.7)
    clear = 1 / (1 + np.exp(-(0.5 + 1.5 * z_cloud)))
    sun = clear_sky(hour, latitude, date) * (0.15 + 0.85 * clear)
    mean_clear = clear.mean(axis=1, keepdims=True)
    swing = (1 + 3 * mean_clear) * np.cos(2 * np.pi * (hour - 3) / _DAY)
    temperature = 6 + 3.5 * _chain(rng, days, 0.8)[:, None] - swing + 0.3 * _within(rng, days, steps, 0.9)
    price = prices(rng, sun, hour, level)
    load = _loads(rng, temperature, hour, homes)
    return Scenarios({"price": price, "temperature": temperature, "sun": sun, "load": load})


def clear_sky(hour: Floats, latitude: float, date: int) -> Floats:
    """Sunshine on a level plane without clouds, in kW/m2: 1.098 s exp(-0.057 / s), s the sine of the sun's height.

    s = sin(latitude) sin(d) + cos(latitude) cos(d) cos(2 pi (hour - 12) / 24)
    d = 23.45 deg sin(2 pi (284 + date) / 365)

    Source: Haurwitz (1945), Journal of Meteorology 2; Cooper (1969), Solar Energy 12, for d.
    """
    tilt = np.deg2rad(23.45) * np.sin(2 * np.pi * (284 + date) / 365)
    phi = np.deg2rad(latitude)
    height = np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.cos(2 * np.pi * (hour - 12) / _DAY)
    safe = np.maximum(height, 1e-6)
    found: Floats = np.where(height > 0, 1.098 * safe * np.exp(-0.057 / safe), 0.0)
    return found


def prices(rng: np.random.Generator, sun: Floats, hour: Floats, level: float) -> Floats:
    """Prices that are known a day ahead, currency/kWh, shape (days, steps); negative at noon of some sunny days.

    level (exp(0.25 z) (1 + 0.15 morning + e evening - 0.25 night) - 1.3 max(1 + 0.5 y, 0) sun + 0.05 n), z and y of
    the day, e = 1 + 0.25 |w|; morning, evening, night: bells around 8, 18 and 3.5 h; n from step to step.
    """
    days, steps = sun.shape
    z, y = _chain(rng, days, 0.7)[:, None], _chain(rng, days, 0.3)[:, None]
    peak = 1 + 0.25 * np.abs(rng.normal(size=(days, 1)))
    shape = 0.15 * _bell(hour, 8.0, 1.5) + peak * _bell(hour, 18.0, 1.75) - 0.25 * _bell(hour, 3.5, 2.5)
    dip = 1.3 * np.maximum(1 + 0.5 * y, 0.0) * sun
    found: Floats = level * (np.exp(0.25 * z) * (1 + shape) - dip + 0.05 * _within(rng, days, steps, 0.5))
    return found


def _loads(rng: np.random.Generator, temperature: Floats, hour: Floats, homes: int) -> Floats:
    days, steps = temperature.shape
    shift = rng.normal(0.0, 0.75, (2, homes, 1))
    size = np.exp(0.25 * rng.normal(size=(2, homes, 1)))
    habit = 0.45 + 0.5 * size[0] * _bell(hour, 7.5 + shift[0], 1.5) + 1.1 * size[1] * _bell(hour, 19 + shift[1], 2.5)
    habit /= habit.mean()
    common = np.exp(0.1 * _chain(rng, days, 0.6))[:, None] * np.maximum(1 - 0.01 * (temperature - 6), 0.2)
    noise = np.exp(0.15 * _within(rng, days * homes, steps, 0.6).reshape(days, homes, steps))
    found: Floats = habit * common[:, None, :] * noise
    found /= found.mean()
    return found


def _bell(hour: Floats, at: Floats | float, width: float) -> Floats:
    """1 at an hour and less around it, over midnight too."""
    apart = (hour - at + _DAY / 2) % _DAY - _DAY / 2
    found: Floats = np.exp(-((apart / width) ** 2))
    return found


def _chain(rng: np.random.Generator, count: int, r: float) -> Floats:
    """count standard normal numbers, each with correlation r to the one before."""
    found: Floats = _within(rng, 1, count, r)[0]
    return found


def _within(rng: np.random.Generator, rows: int, steps: int, r: float) -> Floats:
    """Rows of standard normal numbers with correlation r from step to step."""
    found = rng.normal(size=(rows, steps))
    for t in range(1, steps):
        found[:, t] = r * found[:, t - 1] + np.sqrt(1 - r * r) * found[:, t]
    return found
