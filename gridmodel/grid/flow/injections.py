"""The merged ports of a feeder in pu, and the current they draw, fast where the law allows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.grid.port_law import current, droop
from gridmodel.grid.ports import Ports

__all__ = ["POWER", "Coefficients", "Complexes", "Injections", "merge"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complexfloating[Any, Any]]

POWER = 1e6  # VA that are 1 pu
_DEAD = 1e-12  # pu squared; a port without voltage draws no current


@dataclass(frozen=True)
class Coefficients:
    """The law between a port's voltage limits: i = (power / u^2 + current / u + impedance) v, u = |v|, all in pu.

    Each is conj(s) times the share of that kind, shape (scenarios, ports); None where every share is zero. What of the
    impedance is already in the network's matrix is subtracted.
    """

    power: Complexes
    current: Complexes | None
    impedance: Complexes | None

    def rows(self, keep: NDArray[Any]) -> Coefficients:
        """Those of some scenarios."""
        return Coefficients(*(None if x is None else x[keep] for x in (self.power, self.current, self.impedance)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Injections:
    """Ports that differ in nodes or law, P of them, each with the sum of the loads and generators that share it.

    merged: these ports, s their nominal power in VA. member: sparse, shape (elements, P), adds the phases up.
    owner: sparse, shape (loads + generators, P), shares a load's s over the ports. fixed: conductance and susceptance
    in the network's matrix, pu, shape (P,): the nominal loads' constant impedance.
    """

    merged: Ports
    owner: sp.csr_array
    fixed: NDArray[np.complex128]

    @property
    def size(self) -> int:
        return int(self.merged.v.size)

    def at_ports(self, s: Complexes) -> Complexes:
        """What the ports draw at rated voltage, shape (scenarios, P), VA, from s of loads and generators."""
        return np.ascontiguousarray((self.owner.T @ s.T).T)

    def coefficients(self, s: Complexes, dtype: Any = np.complex128, whole: bool = False) -> Coefficients:
        """The fast law from s at the ports, shape (scenarios, P), VA; whole: with what is in the network's matrix."""
        real, imag = self.merged.zip_p, self.merged.zip_q
        p, q = s.real / POWER, s.imag / POWER

        def kind(k: int) -> Complexes | None:
            if not real[:, k].any() and not imag[:, k].any():
                return None
            out = np.empty(s.shape, dtype=np.complex128)
            np.multiply(p, real[:, k], out=out.real)
            np.multiply(q, -imag[:, k], out=out.imag)
            return out

        power, steady, impedance = kind(2), kind(1), kind(0)
        if impedance is not None and not whole:
            impedance -= self.fixed
            impedance = impedance if np.abs(impedance).max(initial=0.0) > 1e-15 else None
        power = np.zeros_like(s) if power is None else power
        return Coefficients(*(None if x is None else x.astype(dtype, copy=False) for x in (power, steady, impedance)))  # type: ignore[arg-type]

    def inside(self, v: Complexes) -> NDArray[np.bool_]:
        """Per scenario, whether the fast law holds at v (pu): no port is where the other zones of its law begin."""
        u = np.abs(v)
        return np.asarray(((u > self.lowest) & (u <= self.highest)).all(axis=-1))

    @property
    def has_droop(self) -> bool:
        """Whether any port has a volt-var droop."""
        return bool(self.merged.droop[:, 2].any())

    @property
    def lowest(self) -> Floats:
        """The voltage in pu down to which the fast law is the law, shape (P,)."""
        return np.where(self.merged.v_low > 0.0, self.merged.v_min, self._edge(0.0))

    @property
    def highest(self) -> Floats:
        """The voltage in pu up to which the fast law is the law, shape (P,)."""
        return self._edge(np.inf)

    @property
    def has_zones(self) -> bool:
        """Whether any port's law has zones in which the fast law does not hold."""
        return bool((self.lowest > 0.0).any() or np.isfinite(self.highest).any())

    def _edge(self, free: float) -> Floats:
        """An edge that does not matter where clipping the voltage is what the law says beyond it."""
        edge = self.merged.v_min if free == 0.0 else self.merged.v_max
        steady = (self.merged.zip_p[:, 2] == 1.0) & (self.merged.zip_q[:, 2] == 1.0)
        clipped = steady | ~self.merged.power_outside
        return np.where(clipped, free if free else -1.0, edge)

    def fast(self, c: Coefficients, v: Complexes) -> Complexes:
        """The current in pu at v in pu, shape (scenarios, P), in the type of v."""
        low, high = self.clip(v.real.dtype)
        w = np.clip(v.real**2 + v.imag**2, low, high)
        y: Complexes = c.power * np.reciprocal(w)
        if c.current is not None:
            y += c.current * np.reciprocal(np.sqrt(w))
        if c.impedance is not None:
            y += c.impedance
        if self.has_droop:
            w = np.maximum(v.real**2 + v.imag**2, w.dtype.type(_DEAD))
            most = (self.merged.droop[:, 2] / POWER).astype(w.dtype)
            y.imag -= most * droop(self.merged, np.sqrt(w)) / w
        y *= v
        return y

    def clip(self, dtype: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """The edges between which u^2 is clipped, shape (P,)."""
        low = np.maximum(self.merged.v_min**2, _DEAD).astype(dtype)
        return low, (self.merged.v_max**2).astype(dtype)

    def exact(self, s: Complexes, v: Complexes) -> Complexes:
        """The current in pu at v in pu by the whole law with all its zones; s at the ports in VA."""
        drawn = current(self.merged, v * self.merged.v, s)
        return drawn * (self.merged.v / POWER) - self.fixed * v


def merge(ports: Ports, phases: NDArray[np.intp]) -> Injections:
    """Merges the ports that have nodes and law in common; phases: of every load, then of every generator.

    Ports of one droop curve have their ratings added up; a port without a droop joins one that has any.
    """
    incidence = ports.incidence.tocsr()
    position: dict[object, int] = {}
    at = np.empty(len(ports.names), dtype=np.intp)
    curves: dict[object, tuple[float, ...]] = {}
    for k in sorted(range(at.size), key=lambda k: (not ports.droop[k, 2], k)):  # those with a droop come first
        part = slice(incidence.indptr[k], incidence.indptr[k + 1])
        nodes = tuple(sorted(zip(incidence.indices[part].tolist(), incidence.data[part].tolist(), strict=True)))
        law = (*ports.zip_p[k], *ports.zip_q[k], ports.v_min[k], ports.v_max[k], ports.v_low[k])
        key = (nodes, float(ports.v[k]), law, bool(ports.power_outside[k]))
        if ports.droop[k, 2]:
            curve: tuple[float, ...] = tuple(ports.droop[k, :2].tolist())
            curves.setdefault(key, curve)
        else:
            curve = curves.get(key, ())
        at[k] = position.setdefault((key, curve), len(position))
    count = len(position)
    first = np.full(count, at.size)
    np.minimum.at(first, at, np.arange(at.size))
    member = sp.csr_array((np.ones(at.size), (np.arange(at.size), at)), shape=(at.size, count))
    share = sp.csr_array(
        (1.0 / np.repeat(phases, phases), (np.repeat(np.arange(phases.size), phases), np.arange(at.size))),
        shape=(phases.size, at.size),
    )
    droops = np.tile([0.0, 1.0, 0.0], (count, 1))
    having = np.flatnonzero(ports.droop[:, 2])
    droops[at[having], :2] = ports.droop[having, :2]
    droops[:, 2] = member.T @ ports.droop[:, 2]
    merged = replace(
        ports, incidence=incidence[first], s=np.asarray(member.T @ ports.s), names=tuple(ports.names[k] for k in first),
        droop=droops,
        **{name: getattr(ports, name)[first] for name in _FIELDS},
    )  # fmt: skip
    fixed = np.asarray(merged.s.real * merged.zip_p[:, 0] - 1j * merged.s.imag * merged.zip_q[:, 0]) / POWER
    return Injections(merged, sp.csr_array(share @ member), fixed.astype(np.complex128))


_FIELDS = ("v", "zip_p", "zip_q", "v_min", "v_max", "v_low", "power_outside")
