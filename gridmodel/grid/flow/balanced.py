"""The AC load flow of a balanced network by Newton's method, with the conventions of MATPOWER."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import splu

from gridmodel.errors import DataError, ModelError, ShapeError
from gridmodel.grid.network import Network

__all__ = ["BalancedFlow", "balanced_flow"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class BalancedFlow:
    """The voltages of a network. Scenarios are the first axis of every array; without them it is absent.

    v: pu, complex, shape ([scenarios,] buses); NaN where Newton failed. nodes: the file's bus numbers. converged,
    status ("converged" or "failed"), iterations: [scenarios]. mismatch: largest mismatch of power in pu. worst: the
    bus number of it where the load flow failed, else 0. generation: p + j q in MVA of all generators of a bus, shape
    ([scenarios,] buses).
    """

    net: Network
    v: Complexes
    converged: Any
    status: Any
    iterations: Any
    mismatch: Any
    worst: Any
    generation: Complexes

    @property
    def nodes(self) -> NDArray[np.intp]:
        """The bus numbers."""
        return self.net.buses.number

    @cached_property
    def flows(self) -> Complexes:
        """What enters the branches at start and end in MVA, shape ([scenarios,] 2, branches)."""
        branches, (same, mixed, back, own) = self.net.branches, _branch_admittances(self.net)
        v, w = self.v[..., branches.start], self.v[..., branches.end]
        both = (v * (same * v + mixed * w).conj(), w * (back * v + own * w).conj())
        return np.stack(both, axis=-2) * self.net.base_mva

    @property
    def losses(self) -> Any:
        """What the branches use up in MVA, [scenarios]."""
        return self.flows.sum(axis=(-2, -1))


def balanced_flow(
    net: Network, loads: ArrayLike | None = None, tolerance: float = 1e-8, most: int = 30
) -> BalancedFlow:
    """Solves s_generation - s_load = v conj(Y v): PQ, PV and reference buses as in MATPOWER, without reactive limits.

    A bus of type 2 without a generator in service is one of type 1; a bus with generators holds their v_set; the
    reference buses hold the angle of the file.

    loads: MVA, complex, shape ([scenarios,] buses); None takes the file's. tolerance: mismatch in pu.

    Raises:
        ModelError: no reference bus with a generator, or loads of a wrong shape or not finite.
    Source: Zimmerman, Murillo-Sánchez, Thomas (2011), MATPOWER, section 4.1.
    """
    load, many = _loads(net, loads)
    reference, pv, pq = _kinds(net)
    Y = admittance(net)
    given = np.zeros(net.buses.number.size, dtype=np.complex128)
    np.add.at(given, net.generators.bus, (net.generators.p + 1j * net.generators.q) / net.base_mva)
    found = [_newton(Y, given - row, _start(net), reference, pv, pq, tolerance, most) for row in load]
    v, gap, iterations = np.array([x[0] for x in found]), np.array([x[1] for x in found]), [x[2] for x in found]
    mismatch = np.abs(gap).max(axis=1, initial=0.0)
    converged = mismatch <= tolerance
    generation = (v * np.asarray(Y @ v.T).T.conj() + load) * net.base_mva
    worst = np.where(converged, 0, net.buses.number[np.abs(gap).argmax(axis=1)])
    v[~converged] = generation[~converged] = complex(np.nan, np.nan)
    status = np.where(converged, "converged", "failed")
    arrays = (v, converged, status, np.array(iterations), mismatch, worst, generation)
    return BalancedFlow(net, *(arrays if many else (x[0] for x in arrays)))


def admittance(net: Network) -> sp.csr_array:
    """The bus admittance matrix Y in pu, shape (buses, buses)."""
    n, branches = net.buses.number.size, net.branches
    parts = _branch_admittances(net)
    f, t, all_ = branches.start, branches.end, np.arange(n)
    shunt = (net.buses.g_shunt + 1j * net.buses.b_shunt) / net.base_mva
    rows, columns = np.concatenate([f, f, t, t, all_]), np.concatenate([f, t, f, t, all_])
    return sp.csr_array(sp.coo_array((np.concatenate([*parts, shunt]), (rows, columns)), shape=(n, n)))


def _branch_admittances(net: Network) -> tuple[Complexes, Complexes, Complexes, Complexes]:
    """y of i_start = y0 v_start + y1 v_end, i_end = y2 v_start + y3 v_end, each of shape (branches,)."""
    branches = net.branches
    series = 1.0 / (branches.r + 1j * branches.x)
    tap = branches.tap * np.exp(1j * branches.shift)
    own = series + 0.5j * branches.b
    return own / np.abs(tap) ** 2, -series / tap.conj(), -series / tap, own


def _newton(
    Y: sp.csr_array, s: Complexes, v: Complexes, reference: Any, pv: Any, pq: Any, tolerance: float, most: int
) -> tuple[Complexes, Complexes, int]:
    """Newton in polar coordinates: voltages, mismatch of power where it must vanish, and iterations."""
    free, angle, size = np.concatenate([pv, pq]), np.angle(v), np.abs(v)
    counted = np.zeros(v.size, dtype=np.complex128)
    for iteration in range(most + 1):
        gap = v * np.asarray(Y @ v).conj() - s
        counted[:] = 0.0
        counted.real[free], counted.imag[pq] = gap.real[free], gap.imag[pq]
        right = np.concatenate([gap.real[free], gap.imag[pq]])
        largest = np.abs(right).max(initial=0.0)
        if largest <= tolerance or not np.isfinite(largest) or iteration == most:
            break
        step = _step(Y, v, free, pq, right)
        if step is None:
            break
        angle[free] -= step[: free.size]
        size[pq] -= step[free.size :]
        v = size * np.exp(1j * angle)
    return v, np.where(np.isfinite(counted), counted, np.inf), iteration


def _step(Y: sp.csr_array, v: Complexes, free: Any, pq: Any, right: Floats) -> Floats | None:
    """The Newton step in angles and magnitudes; None where the Jacobian is singular."""
    i, turn = np.asarray(Y @ v), v / np.abs(v)
    own = sp.diags_array(v)
    by_angle = (1j * own @ (sp.diags_array(i) - Y @ own).conj()).tocsr()
    by_size = (own @ (Y @ sp.diags_array(turn)).conj() + sp.diags_array(i.conj() * turn)).tocsr()
    J = sp.block_array([
        [by_angle.real[free][:, free], by_size.real[free][:, pq]],
        [by_angle.imag[pq][:, free], by_size.imag[pq][:, pq]],
    ])  # fmt: skip
    try:
        return np.asarray(splu(sp.csc_matrix(J)).solve(right))
    except RuntimeError:
        return None


def _start(net: Network) -> Complexes:
    """The file's voltages, with the set points of the generators."""
    size = net.buses.v_magnitude.copy()
    held = np.isin(net.buses.kind, (2, 3))[net.generators.bus]
    size[net.generators.bus[held]] = net.generators.v_set[held]
    return np.asarray(size * np.exp(1j * net.buses.v_angle))


def _kinds(net: Network) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Positions of reference, PV and PQ buses."""
    fed = np.isin(np.arange(net.buses.number.size), net.generators.bus)
    reference = np.flatnonzero((net.buses.kind == 3) & fed)
    if not reference.size:
        raise ModelError(f"{net.name} has no reference bus (type 3) with a generator in service; give it one.")
    pv = np.flatnonzero((net.buses.kind == 2) & fed)
    return reference, pv, np.setdiff1d(np.arange(fed.size), np.concatenate([reference, pv]))


def _loads(net: Network, loads: ArrayLike | None) -> tuple[Complexes, bool]:
    """Loads in pu, shape (scenarios or 1, buses), and whether scenarios were given."""
    if loads is None:
        return np.asarray((net.buses.p_load + 1j * net.buses.q_load) / net.base_mva, dtype=np.complex128)[None], False
    x = np.asarray(loads, dtype=np.complex128)
    if x.ndim not in (1, 2) or x.shape[-1] != net.buses.number.size:
        raise ShapeError(
            f"loads: an array of shape {x.shape}, expected MVA of shape ({net.buses.number.size},) or (scenarios, "
            f"{net.buses.number.size}) in the order of net.buses."
        )
    if not np.isfinite(x).all():
        raise DataError("loads: a number is not finite; every load must be.")
    return np.asarray(np.atleast_2d(x) / net.base_mva, dtype=np.complex128), x.ndim == 2
