"""Newton's method over all nodes: the load flow that needs no port form, as witness and for hard cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from gridmodel.errors import DataError
from gridmodel.grid.assemble import Taps, assemble
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.port_law import current, derivatives
from gridmodel.grid.ports import Ports, ports
from gridmodel.grid.system import NodeSystem

__all__ = ["NodeFlow", "newton", "newton_nodes"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

_SHORTEST = 2.0**-20
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class NodeFlow:
    """What Newton's method found.

    v: node voltages in V, shape (nodes,); 0 at nodes that no source feeds. mismatch: largest current mismatch times
    base voltage, VA. worst: the bus of it. converged: whether it is within the tolerance. iterations: linear solves.
    """

    nodes: tuple[str, ...]
    v: Complexes
    mismatch: float
    worst: str
    converged: bool
    iterations: int


def newton(
    feeder: Feeder,
    s: Complexes | None = None,
    taps: Taps | None = None,
    start: Complexes | None = None,
    tolerance: float = 1e-10,
    most: int = 60,
) -> NodeFlow:
    """The node voltages of a feeder at which the currents at every node add up to zero.

    Solves F(v) = Y v - source + A' I(A v, s) = 0, I the law of the ports, A their incidence, in float64, with halved
    steps; the loads as impedances at their rated voltage give the first point.

    s: what the ports draw at rated voltage in VA, in the order of ``ports(feeder)``; None takes the feeder's own.
    taps: turns ratios that replace the feeder's. start: voltages in V to start from, shape (nodes,).
    tolerance: mismatch in parts of the ports' total power (of 1 VA without any), above what rounding leaves.
    most: linear solves.

    Raises:
        DataError: start or s is not finite or of the wrong shape, or the network's matrix is singular.
    """
    return newton_nodes(assemble(feeder, taps), ports(feeder), s, start, tolerance, most)


def newton_nodes(
    system: NodeSystem,
    ports: Ports,
    s: Complexes | None = None,
    start: Complexes | None = None,
    tolerance: float = 1e-10,
    most: int = 60,
) -> NodeFlow:
    """``newton`` for a network's matrix and ports that exist already; arguments as there."""
    s = _array(ports.s if s is None else s, len(ports.names), "s")
    problem = _Problem(system, ports, s)
    u = problem.first() if start is None else (_array(start, len(system.nodes), "start") / system.base)[problem.live]
    allowed = tolerance * max(float(np.abs(s).sum()), 1.0)
    F, noise = problem.mismatch(u)
    size, done = np.linalg.norm(F), 0
    for done in range(1, most + 1):
        if np.all(np.abs(F) <= allowed + noise):
            done -= 1
            break
        step = problem.step(u, F)
        length = 1.0
        while True:
            new = u + length * step
            F_new, noise = problem.mismatch(new)
            size_new = np.linalg.norm(F_new)
            if size_new < (1.0 - 1e-4 * length) * size or length < _SHORTEST:
                break
            length /= 2
        if not np.isfinite(size_new) or (length < _SHORTEST and size_new >= size):
            break
        u, F, size = new, F_new, size_new
    return problem.answer(u, F, bool(np.all(np.abs(F) <= allowed + problem.mismatch(u)[1])), done)


class _Problem:
    """F over the connected nodes, in VA and pu of each node's base voltage."""

    def __init__(self, system: NodeSystem, ports: Ports, s: Complexes) -> None:
        self.system, self.ports, self.s = system, ports, s
        self.live = np.flatnonzero(system.connected)
        base = sp.diags_array(system.base[self.live])
        self.Y = sp.csc_array(base @ system.Y[self.live][:, self.live] @ base)
        self.size = sp.csr_array(abs(self.Y))
        self.source = system.source[self.live] * system.base[self.live]
        self.A = sp.csr_array(ports.incidence[:, self.live] @ base)

    def first(self) -> Complexes:
        """The voltages with every port an impedance that draws s at its rated voltage, pu."""
        admittance = sp.diags_array(self.s.conj() / self.ports.v**2)
        M = sp.csc_array(self.Y + self.A.T @ admittance @ self.A)
        return np.asarray(_factors(M).solve(self.source), dtype=np.complex128)

    def mismatch(self, u: Complexes) -> tuple[Complexes, Floats]:
        """F in VA at voltages u in pu, and how much of it rounding alone can make, both of shape (live,)."""
        out = self.A.T @ current(self.ports, np.asarray(self.A @ u), self.s)
        F = np.asarray(self.Y @ u + out - self.source, dtype=np.complex128)
        return F, np.asarray(_ROUNDING * (self.size @ np.abs(u) + np.abs(self.source)), dtype=np.float64)

    def step(self, u: Complexes, F: Complexes) -> Complexes:
        """-J^-1 F in pu; with dF = M du + N conj(du), J is real and of twice the size."""
        slopes = derivatives(self.ports, np.asarray(self.A @ u), self.s)
        M = self.Y + self.A.T @ sp.diags_array(slopes.v) @ self.A
        N = self.A.T @ sp.diags_array(slopes.v_conj) @ self.A
        J = sp.block_array([[(M + N).real, (N - M).imag], [(M + N).imag, (M - N).real]], format="csc")
        x = _factors(J).solve(-np.concatenate([F.real, F.imag]))
        n = len(self.live)
        return np.asarray(x[:n] + 1j * x[n:], dtype=np.complex128)

    def answer(self, u: Complexes, F: Complexes, converged: bool, iterations: int) -> NodeFlow:
        v = np.zeros(len(self.system.nodes), dtype=np.complex128)
        v[self.live] = u * self.system.base[self.live]
        worst = int(np.argmax(np.abs(F))) if len(F) else 0
        name = self.system.nodes[self.live[worst]].rsplit(".", 1)[0] if len(F) else ""
        return NodeFlow(self.system.nodes, v, float(np.abs(F).max(initial=0.0)), name, converged, iterations)


def _factors(M: sp.csc_array) -> SuperLU:
    try:
        return splu(M)
    except RuntimeError as error:
        raise DataError(
            "the network's matrix is singular: a part of it floats without any tie to the ground; "
            "give the transformer's anti_float its usual value of 1, or ground a neutral."
        ) from error


def _array(x: Complexes, size: int, what: str) -> Complexes:
    x = np.asarray(x, dtype=np.complex128)
    if x.shape != (size,) or not np.all(np.isfinite(x)):
        raise DataError(f"{what} has shape {x.shape}, expected ({size},) finite numbers; give one number for each.")
    return x
