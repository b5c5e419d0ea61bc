"""A transformer with any number of windings, each wye or delta, as the admittance matrix between its terminals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.grid.elements import Transformer, Winding
from gridmodel.grid.primitives.primitive import Primitive, ends, inverse

__all__ = ["transformer", "winding_ends", "winding_voltage"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def transformer(element: Transformer, taps: Mapping[int, float] | None = None) -> Primitive:
    """y = sum over phases of N' (B inv(zb) B' + core) N + antifloat, conductors winding by winding.

    zb is the short-circuit matrix of windings 2, 3, .. seen from the first, at one volt a winding (``_leakage``); the
    rows of B make the currents of all windings add up to zero; the core's admittance lies at the second winding, the
    nearest to the core; N gives the voltage of each winding, divided by its rated voltage and tap, from the terminal's.

    taps: turns ratio in pu by position of the winding; the winding's own where it is not there.

    Raises:
        DataError: an impedance is zero, or lists do not fit the number of windings.
        Source: Dugan and Santoso, "An example of 3-phase transformer modeling for distribution system analysis" (2003).
    """
    count = len(element.windings)
    _check(element, count)
    one_volt = _leakage(element, count)
    if count > 1:
        per_phase = element.windings[0].s / element.phases
        one_volt[1, 1] += complex(element.no_load_loss, -element.magnetising) * per_phase
    nodes = ends(*(winding.terminal for winding in element.windings))
    y = _antifloat(element, len(nodes))
    for phase in range(element.phases):
        turns = _turns(element, taps or {}, phase, len(nodes))
        y += turns.T @ one_volt @ turns
    return Primitive(nodes, y)


def _check(element: Transformer, count: int) -> None:
    if len(element.x) != count * (count - 1) // 2:
        raise DataError(
            f"transformer {element.name} has {count} windings and {len(element.x)} leakage reactances; "
            f"expected {count * (count - 1) // 2}, in the order 12, 13, .., 23, ..."
        )
    for winding in element.windings:
        enough = element.phases + (winding.connection == "wye" or element.phases < 3)
        if len(winding.terminal.nodes) < enough:
            raise DataError(
                f"a {winding.connection} winding of transformer {element.name} with {element.phases} phases needs "
                f"{enough} nodes, got {winding.terminal}; name the neutral, 0 for the ground."
            )


def _leakage(element: Transformer, count: int) -> Complexes:
    """B inv(zb) B' in S at one volt, shape (windings, windings).

    zb[i, i] = r_1 + r_i + j x_1i, zb[i, j] = (zb[i, i] + zb[j, j] - r_i - r_j - j x_ij) / 2.
    """
    rating = element.windings[0].s
    r = np.array([winding.r * rating / winding.s for winding in element.windings])
    z = np.zeros((count, count), dtype=np.complex128)
    upper = np.triu_indices(count, 1)
    z[upper] = r[upper[0]] + r[upper[1]] + 1j * np.array(element.x)
    z += z.T
    zb = (z[0, 1:, None] + z[0, None, 1:] - z[1:, 1:]) / 2
    balance = np.vstack([-np.ones(count - 1), np.eye(count - 1)])
    y: Complexes = balance @ inverse(zb * (element.phases / rating), f"transformer {element.name}") @ balance.T
    return y


def _delta_step(element: Transformer) -> int:
    """Where a delta's winding goes from its phase: to the next (1) or the one before (-1).

    Chosen by the first two windings: in a delta-wye pair the low-voltage side lags, or leads if ``lead``.
    """
    first, *others = element.windings
    if not others or others[0].connection == first.connection:
        return 1
    high = others[0] if others[0].v > first.v else first
    return 1 if (high.connection == "delta") == element.lead else -1


def winding_voltage(element: Transformer, winding: Winding) -> float:
    """The rated voltage across one phase's winding in V: of a wye, the line voltage over the square root of three."""
    return winding.v / float(np.sqrt(3.0)) if winding.connection == "wye" and element.phases > 1 else winding.v


def _turns(element: Transformer, taps: Mapping[int, float], phase: int, width: int) -> Floats:
    """The voltage of each winding of one phase in units of its rated voltage and tap, shape (windings, conductors)."""
    out = np.zeros((len(element.windings), width))
    offset = 0
    for w, winding in enumerate(element.windings):
        near, far = winding_ends(element, winding, phase)
        ratio = 1.0 / (winding_voltage(element, winding) * taps.get(w, winding.tap))
        out[w, offset + near] += ratio
        out[w, offset + far] -= ratio
        offset += len(winding.terminal.nodes)
    return out


def winding_ends(element: Transformer, winding: Winding, phase: int) -> tuple[int, int]:
    """The two conductors of one phase's winding, positions in the terminal."""
    if winding.connection == "delta" and element.phases > 1:
        return phase, (phase + _delta_step(element)) % max(element.phases, 3)
    return phase, element.phases


def _antifloat(element: Transformer, width: int) -> Complexes:
    """What ties each end of each phase's winding, and once more the neutral of a wye, to the ground, S."""
    out = np.zeros(width, dtype=np.complex128)
    offset = 0
    for winding in element.windings:
        y = (
            -0.5e-6j
            * element.anti_float
            * element.windings[0].s
            / element.phases
            / winding_voltage(element, winding) ** 2
        )
        for phase in range(element.phases):
            out[[offset + k for k in winding_ends(element, winding, phase)]] += y
        if winding.connection == "wye":
            out[offset + element.phases] += y
        offset += len(winding.terminal.nodes)
    return np.diag(out)
