"""The law of a port: the current that one phase of a load or a generator draws at a voltage, and its derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.ports import Ports, ports

__all__ = ["Ports", "Slopes", "current", "derivatives", "droop", "droop_slopes", "ports"]

Reals: TypeAlias = NDArray[np.floating[Any]]
Voltages: TypeAlias = NDArray[np.complexfloating[Any, Any]]

_DEAD = 1e-9  # pu; keeps 1/u finite where a port has no voltage, its current is 0 there


@dataclass(frozen=True)
class Slopes:
    """dI = v dv + v_conj conj(dv) + s ds + s_conj conj(ds): how a port's current moves, each of shape (..., m).

    In the letters of the adjoint: c, b, and a for s_conj; s is 0 where active and reactive power follow one law.
    """

    v: Voltages
    v_conj: Voltages
    s: Voltages
    s_conj: Voltages


def current(ports: Ports, v: Voltages, s: Voltages | None = None) -> Voltages:
    """The current in A that ports draw: I = conj(S(u)) / conj(v), S(u) = p g(u) u^2 + j (q b(u) u^2 + d(u)).

    u = |v| / rated; g(u) = z + i/u + c/u^2 with (z, i, c) of ``Ports.law`` in the zone where u lies; b likewise; d is
    what a volt-var droop absorbs.

    v: V across the ports, shape (..., m), complex64 or complex128, which is also the type of the answer.
    s: p + j q in VA at rated voltage, shape (..., m); None takes ports.s.
    """
    u, s = _scaled(ports, v, s)
    (g, _), (b, _) = _shares(ports, u, 0), _shares(ports, u, 1)
    y: Voltages = s.real * g - 1j * (s.imag * b)
    if ports.droop[:, 2].any():
        y = y - 1j * _droop(ports, u)[0]
    return y * v


def derivatives(ports: Ports, v: Voltages, s: Voltages | None = None) -> Slopes:
    """The derivatives of ``current`` by v and s and their conjugates; arguments as there.

    With I = y v and y' = dy/du: dI/dv = y + y' u / 2, dI/dconj(v) = (y' u / 2) v / conj(v).
    """
    u, s = _scaled(ports, v, s)
    (g, dg), (b, db) = _shares(ports, u, 0), _shares(ports, u, 1)
    y: Voltages = s.real * g - 1j * (s.imag * b)
    slope = (s.real * dg - 1j * (s.imag * db)) * (u / 2)
    if ports.droop[:, 2].any():
        d, dd = _droop(ports, u)
        y, slope = y - 1j * d, slope - 1j * (dd * (u / 2))
    unit: Voltages = (v / ports.v**2).astype(v.dtype)
    turn = (v / np.maximum(u * ports.v.astype(u.dtype), _DEAD)) ** 2
    return Slopes(v=y + slope, v_conj=slope * turn, s=unit * ((g - b) / 2), s_conj=unit * ((g + b) / 2))


def droop_slopes(ports: Ports, v: Voltages, saturated: bool = False) -> tuple[Voltages, Voltages]:
    """(dI/dv, dI/dconj(v)) of the droop's part of the current alone, shape (..., m), v in V.

    saturated: False takes the slope between the corners of the curve wherever v lies, True that beyond them, where q is
    constant.
    """
    u = np.abs(v) / ports.v
    safe = np.maximum(u, _DEAD)
    q = ports.droop[:, 2] * droop(ports, u)
    rise = np.zeros_like(u) if saturated else ports.droop[:, 2] / ports.droop[:, 1] * u
    y, slope = -1j * q / (safe * ports.v) ** 2, -1j * (rise / 2 - q) / (safe * ports.v) ** 2
    turn = (v / (safe * ports.v)) ** 2
    return np.asarray(np.where(u > 0.0, y + slope, 0.0)), np.asarray(slope * turn)


def droop(ports: Ports, u: Reals) -> Reals:
    """What volt-var droops absorb at u pu in parts of their most, -1 to 1, shape of u."""
    center, width = ports.droop[:, 0].astype(u.dtype), ports.droop[:, 1].astype(u.dtype)
    return np.clip((u - center) / width, -1.0, 1.0)


def _droop(ports: Ports, u: Reals) -> tuple[Reals, Reals]:
    """d / (u rated)^2 of the droop's reactive power d in var, and its derivative in u, each of u's shape."""
    rating = (ports.droop[:, 2] / ports.v**2).astype(u.dtype)
    part, safe = droop(ports, u), np.maximum(u, u.dtype.type(_DEAD))
    rise = np.where(np.abs(part) < 1.0, 1.0 / ports.droop[:, 1].astype(u.dtype), 0.0)
    value = rating * part / safe**2
    return value, rating * rise / safe**2 - 2 * value / safe


def _scaled(ports: Ports, v: Voltages, s: Voltages | None) -> tuple[Reals, Voltages]:
    """|v| in pu and s / rated^2, in the precision of v."""
    size: Reals = np.abs(v)
    s = ports.s if s is None else s
    return size / ports.v.astype(size.dtype), (s / ports.v**2).astype(v.dtype)


def _shares(ports: Ports, u: Reals, kind: int) -> tuple[Reals, Reals]:
    """z + i/u + c/u^2 of active (kind 0) or reactive power (1), and its derivative in u, each of u's shape."""
    law = ports.law[kind].astype(u.dtype)
    z, i, c = law[2].T
    outside = np.nonzero((u <= ports.v_min) | (u > ports.v_max))
    u = np.maximum(u, u.dtype.type(_DEAD))
    value, slope = z + (i + c / u) / u, -(i + 2 * c / u) / (u * u)
    if outside[0].size:
        port, at = outside[-1], u[outside]
        zone = (at > ports.v_low[port]).astype(int) + 2 * (at > ports.v_max[port])
        z, i, c = law[zone, port].T
        value[outside], slope[outside] = z + (i + c / at) / at, -(i + 2 * c / at) / (at * at)
    return value, slope
