"""The load flow of a balanced network by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.grid.network import Network

__all__ = ["PowerFlow", "admittance", "bus_powers", "end_powers", "power_flow"]

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.intp]


_MOST = 30  # steps of Newton; where it converges at all it takes fewer than ten


@dataclass(frozen=True)
class PowerFlow:
    """v: complex voltages in pu, shape (buses,). converged: whether the mismatch fell below the tolerance.

    mismatch: the largest |dP| or |dQ| in pu at the end. iterations: Newton's steps.
    """

    v: Complex
    converged: bool
    mismatch: float
    iterations: int


def admittance(net: Network) -> sp.csr_array:
    """Y with injected currents Y v in pu, shunts included, shape (buses, buses).

    Source: Zimmerman, Murillo-Sanchez, Thomas (2011), eq. 2-12.
    """
    branches, count = net.branches, net.buses.number.size
    own, to_end, to_start, other = _two_ports(net)
    start, end = branches.start, branches.end
    shunt = (net.buses.g_shunt + 1j * net.buses.b_shunt) / net.base_mva
    bus = np.arange(count)
    row = np.concatenate([start, start, end, end, bus])
    col = np.concatenate([start, end, start, end, bus])
    return sp.csr_array((np.concatenate([own, to_end, to_start, other, shunt]), (row, col)), shape=(count, count))


def bus_powers(net: Network, v: Complex) -> Complex:
    """The complex powers in pu that every bus takes in from generators, less its loads, at voltages v in pu."""
    return np.asarray(v * np.conj(np.asarray(admittance(net) @ v)))


def end_powers(net: Network, v: Complex) -> tuple[Complex, Complex]:
    """The complex powers in pu that enter every branch at its start and at its end."""
    own, to_end, to_start, other = _two_ports(net)
    at, to = v[net.branches.start], v[net.branches.end]
    return at * np.conj(own * at + to_end * to), to * np.conj(to_start * at + other * to)


def power_flow(
    net: Network, injection: Complex, v: Complex, slack: Indices, held: Indices, tolerance: float = 1e-10
) -> PowerFlow:
    """Voltages at which every bus but the slack takes in its power.

    v conj(Y v) = injection at all buses but ``slack``, of buses ``held`` the real part only, whose |v| stays

    Args:
        injection: complex power from generators less loads in pu, shape (buses,).
        v: where to start, complex in pu, shape (buses,); slack buses keep it. tolerance: on the mismatch, in pu.
    """
    Y, count = admittance(net), v.size
    free = np.ones(count, dtype=bool)
    free[slack] = False
    turned = np.flatnonzero(free)  # buses with a free angle
    free[held] = False
    scaled = np.flatnonzero(free)  # buses with a free magnitude
    size, angle = np.abs(v), np.angle(v)
    worst, steps = np.inf, -1
    while steps < _MOST:
        steps += 1
        v = size * np.exp(1j * angle)
        current = np.asarray(Y @ v)
        miss = v * np.conj(current) - injection
        residual = np.concatenate([miss.real[turned], miss.imag[scaled]])
        worst = float(np.abs(residual).max(initial=0.0))
        if not worst > tolerance or not np.isfinite(worst):
            break
        along_angle = 1j * sp.diags_array(v) @ (sp.diags_array(current) - Y @ sp.diags_array(v)).conj()
        unit = sp.diags_array(v / np.abs(v))
        along_size = sp.diags_array(v) @ (Y @ unit).conj() + sp.diags_array(current.conj()) @ unit
        by_angle, by_size = sp.csc_array(along_angle)[:, turned], sp.csc_array(along_size)[:, scaled]
        rows = sp.csr_array(sp.hstack([by_angle, by_size]))
        jacobian = sp.vstack([rows[turned].real, rows[scaled].imag])
        try:
            step = splu(sp.csc_matrix(jacobian)).solve(residual)
        except RuntimeError:  # singular
            break
        angle[turned] -= step[: turned.size]
        size[scaled] -= step[turned.size :]
    return PowerFlow(v, worst <= tolerance, worst, steps)


def _two_ports(net: Network) -> tuple[Complex, Complex, Complex, Complex]:
    """Y_ss, Y_se, Y_es, Y_ee of every branch in pu, see ``pieces.Lines``."""
    branches = net.branches
    y = np.asarray(1.0 / (branches.r + 1j * branches.x), dtype=np.complex128)
    end = np.asarray(y + 0.5j * branches.b)
    turn = np.asarray(branches.tap * np.exp(1j * branches.shift))
    return np.asarray(end / branches.tap**2), -y / turn.conj(), -y / turn, end
