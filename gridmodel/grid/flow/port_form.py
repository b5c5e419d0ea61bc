"""The load flow's equation in port form: v = b - K i(v) over the ports of loads and generators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from gridmodel.grid.flow.injections import POWER, Complexes, Injections
from gridmodel.grid.system import NodeSystem

__all__ = ["DENSE", "PortForm", "port_form"]

DENSE = 1000  # ports; above, K is never formed and every product is a solve with Y's factors


@dataclass(frozen=True)
class PortForm:
    """v = b - K i, K = A Z A', b = A Z source, Z = inv(Y), A the incidence of the ports; pu of rated port voltages.

    b: shape (P,). open: node voltages without port currents in V, shape (nodes,). K: shape (P, P), None in sparse form.
    to_nodes: shape (nodes, P), V a pu of current: the nodes' voltages are open - to_nodes @ i; None in sparse form.
    admittance, factors: Y over the connected nodes with the constant impedances in it, S, and its LU factors.
    """

    injections: Injections
    system: NodeSystem
    b: NDArray[np.complex128]
    open: NDArray[np.complex128]
    K: NDArray[np.complex128] | None
    to_nodes: NDArray[np.complex128] | None
    admittance: sp.csc_array
    factors: SuperLU

    @cached_property
    def _transposed(self) -> dict[Any, Complexes]:
        return {}

    def KT(self, dtype: Any) -> Complexes:
        """K transposed in this precision, formed once."""
        assert self.K is not None
        name = np.dtype(dtype)
        if name not in self._transposed:
            self._transposed[name] = np.ascontiguousarray(self.K.T.astype(name))
        return self._transposed[name]

    def drop(self, i: Complexes) -> Complexes:
        """K i for every scenario, shape (scenarios, P), in the type of i."""
        if self.K is not None:
            return np.asarray(i @ self.KT(i.dtype))
        ports = self.injections.merged
        across = np.asarray(ports.incidence @ self._solve(i)).T / ports.v
        return np.ascontiguousarray(across.astype(i.dtype))

    def nodes(self, i: Complexes) -> NDArray[np.complex128]:
        """All node voltages in V at these port currents, shape (scenarios, nodes)."""
        if self.to_nodes is not None:
            return self.open - np.asarray(i.astype(np.complex128) @ self.to_nodes.T)
        return self.open - self._solve(i).T

    def nodes_of(self, i: Complexes) -> NDArray[np.complex128]:
        """The change of all node voltages in V that port currents make, shape (nodes, columns), i (P, columns)."""
        return -(self.to_nodes @ i) if self.to_nodes is not None else -self._solve(i.T)

    def _solve(self, i: Complexes) -> NDArray[np.complex128]:
        """Z A' i in V, shape (nodes, scenarios)."""
        ports, live = self.injections.merged, self.system.connected
        into = np.asarray(ports.incidence.T @ (i.astype(np.complex128) * (POWER / ports.v)).T)
        out = np.zeros(into.shape, dtype=np.complex128)
        out[live] = self.factors.solve(np.ascontiguousarray(into[live]))
        return out


def port_form(system: NodeSystem, injections: Injections, dense: int = DENSE) -> PortForm:
    """The port form of a network, all in float64, with the nominal loads' constant impedance within Y.

    dense: most ports for which K is formed.
    """
    ports, live = injections.merged, system.connected
    A = ports.incidence
    fixed = sp.diags_array(injections.fixed * POWER / ports.v**2)
    Y = sp.csc_array(sp.csc_array(system.Y + A.T @ fixed @ A)[live][:, live])
    factors = splu(sp.csc_matrix(Y))
    open_ = np.zeros(live.size, dtype=np.complex128)
    open_[live] = factors.solve(system.source[live])
    K: NDArray[np.complex128] | None = None
    to_nodes: NDArray[np.complex128] | None = None
    if injections.size <= dense:
        to_nodes = np.zeros((live.size, injections.size), dtype=np.complex128)
        to_nodes[live] = factors.solve(A.T.toarray()[live].astype(np.complex128)) * (POWER / ports.v)
        K = np.asarray(A @ to_nodes, dtype=np.complex128) / ports.v[:, None]
    return PortForm(
        injections, system, np.asarray(A @ open_, dtype=np.complex128) / ports.v, open_, K, to_nodes, Y, factors
    )
