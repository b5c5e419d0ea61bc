"""Ports of a feeder: the pairs of nodes where loads and generators are connected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.grid.elements import Generator, Load
from gridmodel.grid.feeder import Feeder

__all__ = ["Ports", "ports"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ports:
    """Pairs of nodes at which one phase of a load or a generator draws current, m of them.

    incidence: sparse, shape (m, nodes), 1 at the node where the current leaves the network and -1 where it returns;
    port voltages are incidence @ v. v: rated voltage across the port in V, shape (m,). s: what it draws at rated
    voltage in VA, shape (m,); generators draw a negative one. zip_p, zip_q: shape (m, 3), shares of constant impedance,
    current and power. v_min, v_max, v_low: shape (m,), pu of v, and power_outside, shape (m,): what happens beyond, as
    in ``Load``. names: of the owners, m of them. droop: shape (m, 3), center and width in pu of v and the most that a
    volt-var droop absorbs in var, 0 for none.
    """

    incidence: sp.csr_array
    v: Floats
    s: NDArray[np.complex128]
    zip_p: Floats
    zip_q: Floats
    v_min: Floats
    v_max: Floats
    v_low: Floats
    power_outside: NDArray[np.bool_]
    names: tuple[str, ...]
    droop: Floats

    @cached_property
    def law(self) -> Floats:
        """(z, i, c) of active and reactive power in four zones of voltage, shape (2, 4, m, 3).

        The zones: up to v_low, up to v_min, up to v_max, above. Written as z + i/u + c/u^2, the admittance in pu.
        """
        out = np.zeros((2, 4, len(self.names), 3))
        out[:, 0, :, 0] = 1.0
        power = np.array([0.0, 0.0, 1.0])
        for kind, share in enumerate((self.zip_p, self.zip_q)):
            beyond = np.where(self.power_outside[:, None], power, share)
            at_min, at_max = (_at(beyond, edge) for edge in (self.v_min, self.v_max))
            span = np.where(self.v_min > self.v_low, self.v_min - self.v_low, 1.0)
            rise = np.where(self.v_min > self.v_low, (self.v_min * at_min - self.v_low) / span, 1.0)
            out[kind, 1, :, 0], out[kind, 1, :, 1] = rise, (1.0 - rise) * self.v_low
            out[kind, 2], out[kind, 3, :, 0] = share, at_max
        return out


def ports(feeder: Feeder) -> Ports:
    """The ports of all loads, then of all generators, in the feeder's order, one a phase."""
    owners: list[Load | Generator] = [*feeder.loads, *feeder.generators]
    each = [owner for owner in owners for _ in range(owner.phases)]
    power = [(owner.s if isinstance(owner, Load) else -owner.s) / owner.phases for owner in each]
    fixed = (0.0, 0.0, 1.0)
    loads = [owner if isinstance(owner, Load) else None for owner in each]
    return Ports(
        incidence=_incidence(feeder, owners),
        v=np.array([_across(owner) for owner in each], dtype=np.float64),
        s=np.array(power, dtype=np.complex128),
        zip_p=np.array([load.zip_p if load else fixed for load in loads], dtype=np.float64).reshape(-1, 3),
        zip_q=np.array([load.zip_q if load else fixed for load in loads], dtype=np.float64).reshape(-1, 3),
        v_min=np.array([owner.v_min for owner in each], dtype=np.float64),
        v_max=np.array([owner.v_max for owner in each], dtype=np.float64),
        v_low=np.array([load.v_low if load else 0.0 for load in loads], dtype=np.float64),
        power_outside=np.array([load is not None and load.power_outside for load in loads], dtype=np.bool_),
        names=tuple(owner.name for owner in each),
        droop=np.array([_droop(owner) for owner in each], dtype=np.float64).reshape(-1, 3),
    )


def _droop(owner: Load | Generator) -> tuple[float, float, float]:
    """Center and width in pu and the most reactive power of one phase in var."""
    if isinstance(owner, Load) or owner.droop is None:
        return 0.0, 1.0, 0.0
    return owner.droop.center, owner.droop.width, owner.droop.share * owner.s_max / owner.phases


def _at(share: Floats, u: Floats) -> Floats:
    """z + i/u + c/u^2, 0 where u is 0 or infinite: nothing lies beyond such an edge."""
    real = np.isfinite(u) & (u > 0.0)
    safe = np.where(real, u, 1.0)
    return np.where(real, share[:, 0] + (share[:, 1] + share[:, 2] / safe) / safe, 0.0)


def _across(owner: Load | Generator) -> float:
    """The rated voltage across one port: that of a wye's phase is the line voltage over the square root of three."""
    return owner.v / float(np.sqrt(3.0)) if owner.connection == "wye" and owner.phases > 1 else owner.v


def _pairs(owner: Load | Generator) -> Iterator[tuple[int, int]]:
    """The two nodes of each phase: phase and neutral of a wye, phase and next phase of a delta; 0 is the ground."""
    nodes = owner.terminal.nodes
    neutral = nodes[owner.phases] if len(nodes) > owner.phases else 0
    for k in range(owner.phases):
        yield nodes[k], nodes[(k + 1) % len(nodes)] if owner.connection == "delta" else neutral


def _incidence(feeder: Feeder, owners: list[Load | Generator]) -> sp.csr_array:
    rows, columns, values, row = [], [], [], 0
    for owner in owners:
        for first, second in _pairs(owner):
            for node, sign in ((first, 1.0), (second, -1.0)):
                if node != 0:
                    rows.append(row)
                    columns.append(feeder.position[f"{owner.terminal.bus}.{node}"])
                    values.append(sign)
            row += 1
    return sp.csr_array((values, (rows, columns)), shape=(row, len(feeder.nodes)))
