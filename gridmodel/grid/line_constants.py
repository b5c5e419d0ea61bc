"""Series impedance and shunt admittance of a line from its wires, their places and the earth beneath."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import iv

from gridmodel.errors import DataError

__all__ = ["Earth", "Shield", "Wire", "line_constants"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Earth: TypeAlias = Literal["deri", "carson", "fullcarson"]

# As OpenDSS rounds them, so that its impedances come out to the last figures.
_MU = 12.56637e-7  # H/m
_EPSILON = 8.854e-12  # F/m
_GMR_BELOW, _GMR_ABOVE = 1000.0, 40.0  # Hz between which the published mean radius stands for the inner inductance
_SKIN = 35.0  # size of the Bessel functions' argument beyond which their ratio is 1


@dataclass(frozen=True)
class Shield:
    """The grounded shield of a cable: strands around it (a concentric neutral), or a tape (strands = 0).

    r: ohm/m of the whole shield. gmr: its geometric mean radius, radius: from the cable's middle to the shield's, inner
    and outer: of the insulation, all in m. permittivity: of the insulation, relative.
    """

    r: float
    gmr: float
    radius: float
    strands: int
    inner: float
    outer: float
    permittivity: float


@dataclass(frozen=True)
class Wire:
    """A conductor of a line. x: to the side, h: above the ground, m. r_ac, r_dc: ohm/m. gmr, radius: m.

    cap_radius: m, of the capacitance (that of a bundle is another). shield: of a cable, None for a bare wire.
    """

    x: float
    h: float
    r_ac: float
    r_dc: float
    gmr: float
    radius: float
    cap_radius: float
    shield: Shield | None = None


def line_constants(
    wires: Sequence[Wire], phases: int, frequency: float, rho: float = 100.0, earth: Earth = "deri",
    reduce: bool = False,
) -> tuple[Complexes, Complexes]:  # fmt: skip
    """z in ohm/m and y in S/m of the conductors, the phases first, each of shape (n, n).

    z_ii = r + j w mu/2pi ln(1/gmr_i) + e_ii, z_ij = j w mu/2pi ln(1/D_ij) + e_ij, e the return through the earth; y is
    j w times the inverse of ln(image distance / distance) / (2 pi epsilon), or of a cable's insulation. The shields of
    cables are eliminated, and with ``reduce`` all conductors that are no phases: n is then ``phases``.

    rho: resistivity of the earth in ohm m. earth: "deri" (complex depth, with skin effect in the conductors), "carson"
    (one term of the series) or "fullcarson" (four).

    Raises:
        DataError: bare wires at or below the ground, wires in one place, or bare phases beside cables.
    Source: Kersting, Distribution System Modeling and Analysis, chapter 4; Deri, Tevan, Semlyen, Castanheira (1981).
    """
    cables = [wire.shield for wire in wires[:phases] if wire.shield is not None]
    _check(wires, phases, len(cables))
    z = _series(wires, cables, frequency, rho, earth)
    y = _insulation(cables, len(wires), frequency) if cables else _air(wires, frequency)
    keep = phases if reduce else len(wires)
    return _kron(z, keep), y[:keep, :keep]


def _check(wires: Sequence[Wire], phases: int, cables: int) -> None:
    if cables not in (0, phases):
        raise DataError(f"{cables} of {phases} phases are cables, expected all or none of them.")
    for k, wire in enumerate(wires, 1):
        if not cables and wire.h <= 0:
            raise DataError(f"conductor {k} is at the height {wire.h:g} m, expected one above the ground.")
        for j, other in enumerate(wires[: k - 1], 1):
            room = max(wire.radius + other.radius, *(w.shield.radius for w in (wire, other) if w.shield), 1e-9)
            if np.hypot(wire.x - other.x, wire.h - other.h) < room:
                raise DataError(f"conductors {j} and {k} are in the same place; give each its own x and h.")


def _series(wires: Sequence[Wire], cables: Sequence[Shield], frequency: float, rho: float, earth: Earth) -> Complexes:
    """z of all wires in ohm/m, the shields eliminated."""
    n, m = len(wires), len(cables)
    x, h = np.array([wire.x for wire in wires]), np.array([wire.h for wire in wires])
    apart = np.hypot(x[:, None] - x, h[:, None] - h)
    by_log = 1j * frequency * _MU
    distance = np.zeros((n + m, n + m))
    distance[:n, :n], distance[n:, n:] = apart, apart[:m, :m]
    for k, shield in enumerate(cables):
        far = apart[k].copy()
        far[k] = np.inf
        if shield.strands:
            far = far * (1.0 - (shield.radius / far) ** shield.strands) ** (1.0 / shield.strands)
        far[k] = shield.radius
        distance[n + k, :n] = distance[:n, n + k] = far
    published = _GMR_ABOVE < frequency < _GMR_BELOW
    inner = np.array([_inner(wire, frequency, earth) for wire in wires])
    np.fill_diagonal(
        distance, [wire.gmr if published else wire.radius for wire in wires] + [shield.gmr for shield in cables]
    )
    own = [*(inner.real if published else inner), *(shield.r for shield in cables)]
    place = np.r_[np.arange(n), np.arange(m)]
    ground = _earth(x, h, frequency, rho, earth)[np.ix_(place, place)]
    return _kron(np.diag(own) - by_log * np.log(distance) + ground, n)


def _inner(wire: Wire, frequency: float, earth: Earth) -> complex:
    """The impedance within a conductor, ohm/m."""
    if earth != "deri":
        return complex(wire.r_ac, frequency * _MU / 4)
    root = np.sqrt(frequency * _MU / wire.r_dc)
    alpha = (1 + 1j) * root
    ratio = iv(0, alpha) / iv(1, alpha) if abs(alpha) <= _SKIN else 1.0
    return complex((1 + 1j) * ratio * np.sqrt(wire.r_dc * frequency * _MU) / 2)


def _earth(x: Floats, h: Floats, frequency: float, rho: float, earth: Earth) -> Complexes:
    """What the return through the earth adds between each two places, ohm/m."""
    high, side = np.abs(h)[:, None] + np.abs(h), x[:, None] - x
    if earth == "carson":
        part = complex(np.pi * frequency * _MU / 4, frequency * _MU * np.log(658.5 * np.sqrt(rho / frequency)))
        return np.full(high.shape, part)
    if earth == "deri":
        depth = 1.0 / np.sqrt(2j * np.pi * frequency * _MU / rho)
        return np.asarray(1j * frequency * _MU * np.log(np.sqrt((high + 2 * depth) ** 2 + side**2)))
    image = np.hypot(high, side)
    t = np.arccos(np.clip(high / image, -1.0, 1.0))
    m = 2.8099e-3 * image * np.sqrt(frequency / rho)
    b1, b2, b3, b4 = 1 / (3 * np.sqrt(2)), 1 / 16, 1 / (45 * np.sqrt(2)), 1 / 384
    c2 = 1.3659315
    log2 = np.log(np.exp(c2) / m) * np.cos(2 * t) + t * np.sin(2 * t)
    log4 = np.log(np.exp(c2 + 5 / 12) / m) * np.cos(4 * t) + t * np.sin(4 * t)
    linear, cubic = b1 * m * np.cos(t), b3 * m**3 * np.cos(3 * t)
    re = np.pi / 8 - linear + b2 * m**2 * log2 + cubic - b4 * np.pi / 4 * m**4 * np.cos(4 * t)
    im = 0.5 * np.log(1.85138 / m) + linear - b2 * np.pi / 4 * m**2 * np.cos(2 * t) + cubic - b4 * m**4 * log4
    return np.asarray((re + 1j * (im + 0.5 * np.log(image))) * 2 * frequency * _MU)


def _air(wires: Sequence[Wire], frequency: float) -> Complexes:
    """y of bare wires above the ground, S/m."""
    x, h = np.array([wire.x for wire in wires]), np.array([wire.h for wire in wires])
    apart = np.hypot(x[:, None] - x, h[:, None] - h)
    np.fill_diagonal(apart, [wire.cap_radius for wire in wires])
    images = np.log(np.hypot(x[:, None] - x, h[:, None] + h) / apart)
    return np.asarray(1j * (2 * np.pi) ** 2 * _EPSILON * frequency * np.linalg.inv(images))


def _insulation(cables: Sequence[Shield], n: int, frequency: float) -> Complexes:
    """y of cables from core to shield, none for bare wires beside them, S/m."""
    y = np.zeros((n, n), dtype=np.complex128)
    for k, one in enumerate(cables):
        y[k, k] = 1j * (2 * np.pi) ** 2 * _EPSILON * one.permittivity * frequency / np.log(one.outer / one.inner)
    return y


def _kron(z: Complexes, keep: int) -> Complexes:
    """z with the conductors after the first ``keep`` at the voltage 0: a - b inv(d) c."""
    if keep == len(z):
        return z
    return np.asarray(z[:keep, :keep] - z[:keep, keep:] @ np.linalg.solve(z[keep:, keep:], z[keep:, :keep]))
