"""What an inverter can do with reactive power, and a volt-var curve of OpenDSS as volt-var droops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gridmodel.grid.elements import Floats, Generator, VoltVar

__all__ = ["Inverter", "Law", "Ramps", "drooping", "ramps"]

_SAME = 1e-9  # slopes that differ by less, in parts of the steepest one, are one


@dataclass(frozen=True)
class Inverter:
    """An inverter's active power in kW, and its limits.

    kva: its rating. give, take: most kvar that it may give and absorb. watts_first: whether active power comes before
    reactive power. off: whether it stands still. odd: why its reactive power has no fixed limits; else empty.
    """

    p: float
    kva: float
    give: float
    take: float
    watts_first: bool = False
    off: bool = False
    odd: str = ""

    def law(self, available: bool) -> Law:
        """From the curve's y to kvar. available: y is in parts of what p leaves of the rating, else of the limits."""
        left = float(np.sqrt(max(self.kva**2 - self.p**2, 0.0)))
        if self.off:
            return Law(0.0, 0.0, 0.0, 0.0)
        if available:
            return Law(left, left, min(left, self.give), min(left, self.take))
        most = left if self.watts_first else np.inf
        return Law(self.give, self.take, min(self.give, most), min(self.take, most))


@dataclass(frozen=True)
class Law:
    """q = clip(above y, .. give) for y >= 0 and clip(below y, -take ..) for y <= 0, kvar given."""

    above: float
    below: float
    give: float
    take: float

    def __call__(self, y: Floats) -> Floats:
        return np.clip(np.where(y >= 0.0, self.above, self.below) * y, -self.take, self.give)

    @property
    def bends(self) -> tuple[float, float, float]:
        """The y at which q reaches its lower limit, changes its sign, and reaches its upper limit."""
        return (-self.take / self.below if self.below else 0.0, 0.0, self.give / self.above if self.above else 0.0)


@dataclass(frozen=True)
class Ramps:
    """q(u) = offset - sum_k most_k clip((u - center_k) / width_k, -1, 1), kvar given.

    parts: (center, width, most) of every ramp, by rising voltage.
    """

    offset: float
    parts: tuple[tuple[float, float, float], ...]

    @property
    def largest(self) -> float:
        """The largest |q|."""
        return abs(self.offset) + sum(most for *_, most in self.parts)


def ramps(x: Floats, y: Floats, law: Law) -> Ramps:
    """The curve y(u), straight on beyond its ends until the law's limits, as ramps.

    Raises:
        ValueError: why there are none.
    """
    if x.size != y.size or not x.size:
        raise ValueError(f"its curve has {x.size} x and {y.size} y values")
    if (np.diff(x) <= 0.0).any():
        raise ValueError("the voltages of its curve do not rise")
    x, y = _extended(x, y, law)
    u = _corners(x, y, law)
    q = law(np.interp(u, x, y))
    slope = -np.diff(q) / np.diff(u)
    steepest = float(np.abs(slope).max(initial=0.0))
    if (slope < -_SAME * steepest).any():
        raise ValueError("its curve gives more reactive power as the voltage rises")
    starts = [0, *(k for k in range(1, slope.size) if abs(slope[k] - slope[k - 1]) > _SAME * steepest), slope.size]
    parts = []
    for a, b in pairwise(starts):
        most = float(q[a] - q[b]) / 2
        if most > _SAME * float(np.abs(q).max()):
            parts.append((float(u[a] + u[b]) / 2, float(u[b] - u[a]) / 2, most))
    return Ramps(float(q[0] + q[-1]) / 2, tuple(parts))


def _extended(x: Floats, y: Floats, law: Law) -> tuple[Floats, Floats]:
    """The points, with one more at each end where the curve, straight on, reaches a limit only later."""
    if x.size < 2:
        return x, y
    low, _, high = law.bends
    for _ in range(2):  # the upper end, then the lower one
        step = y[-1] - y[-2]
        goal = high if step > 0.0 else low
        if (goal - y[-1]) * step > 0.0:
            x, y = np.append(x, x[-1] + (goal - y[-1]) / step * (x[-1] - x[-2])), np.append(y, goal)
        x, y = x[::-1], y[::-1]
    return x, y


def _corners(x: Floats, y: Floats, law: Law) -> Floats:
    """Every u at which q(u) may bend, rising."""
    found = set(x.tolist())
    for level in law.bends:
        for k in np.flatnonzero((y[:-1] - level) * (y[1:] - level) < 0.0):
            found.add(float(x[k] + (level - y[k]) / (y[k + 1] - y[k]) * (x[k + 1] - x[k])))
    return np.array(sorted(found))


def drooping(unit: Generator, p: float, curve: Ramps) -> list[Generator]:
    """The generator with p in kW and the droops; every further ramp is a generator without power of its own."""
    s = complex(p, curve.offset) * 1000
    whole = replace(unit, s=s, p_max=s.real if unit.kind == "pv" else unit.p_max)
    droops = [VoltVar(center, width, most * 1000 / unit.s_max) for center, width, most in curve.parts]
    if not droops:
        return [whole]
    still = {"q_min": 0.0, "q_max": 0.0}  # in an optimal power flow the first one has the whole rating
    return [replace(whole, droop=droops[0])] + [
        replace(unit, name=f"{unit.name} volt-var {k}", s=0j, p_min=0.0, p_max=0.0, attributes=still, droop=droop)
        for k, droop in enumerate(droops[1:], 2)
    ]
