"""The load flow's equation in port form: v = b - K i(v) over the ports of loads and generators."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from gridmodel.errors import DataError
from gridmodel.grid.flow.injections import POWER, Complexes, Injections
from gridmodel.grid.system import NodeSystem

__all__ = ["DENSE", "PortForm", "columns", "port_form"]

DENSE = 1000  # ports; above, K is never formed and every product is a solve with Y's factors
_TOGETHER = 8  # columns; SuperLU needs 100 times longer for a column where it gets 64 and more at once


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

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What others have built from this form once."""
        return {}

    @cached_property
    def _between(self) -> tuple[sp.csr_array, sp.csr_array]:
        """(currents in pu into the connected nodes in A, their voltages in V to those across the ports in pu)."""
        ports = self.injections.merged
        A = sp.csr_array(ports.incidence[:, self.system.connected]).astype(np.complex128)
        return sp.csr_array(A.T @ sp.diags_array(POWER / ports.v)), sp.csr_array(sp.diags_array(1.0 / ports.v) @ A)

    def drop(self, i: Complexes) -> Complexes:
        """K i for every scenario, shape (scenarios, P), in the type of i."""
        if self.K is not None:
            return np.asarray(i @ self.KT(i.dtype))
        to_ports = self._between[1]
        return np.array([to_ports @ v for v in self._solve(i)], dtype=i.dtype).reshape(i.shape)

    def nodes(self, i: Complexes) -> NDArray[np.complex128]:
        """All node voltages in V at these port currents, shape (scenarios, nodes)."""
        if self.to_nodes is not None:
            return self.open - np.asarray(i.astype(np.complex128) @ self.to_nodes.T)
        out = np.repeat(self.open[None], len(i), axis=0)
        out[:, self.system.connected] -= self._solve(i)
        return out

    def nodes_of(self, i: Complexes) -> NDArray[np.complex128]:
        """The change of all node voltages in V that port currents make, shape (nodes, columns), i (P, columns)."""
        return -(self.to_nodes @ i) if self.to_nodes is not None else (self.nodes(i.T) - self.open).T

    def _solve(self, i: Complexes) -> NDArray[np.complex128]:
        """Z A' i in V over the connected nodes, shape (scenarios, connected nodes)."""
        into = self._between[0]
        right = np.empty((len(i), into.shape[0]), dtype=np.complex128)
        for row, one in zip(right, i, strict=True):  # rows stay in the cache, and none is copied into another order
            row[:] = into @ one
        return columns(self.factors, right.T).T


def columns(factors: SuperLU, right: NDArray[Any]) -> NDArray[Any]:
    """The solutions for the columns of ``right``, a few at a time."""
    out = np.empty(right.shape, dtype=right.dtype, order="F")
    for k in range(0, right.shape[1], _TOGETHER):
        out[:, k : k + _TOGETHER] = factors.solve(np.asfortranarray(right[:, k : k + _TOGETHER]))
    return out


def port_form(system: NodeSystem, injections: Injections, dense: int = DENSE) -> PortForm:
    """The port form of a network, all in float64, with the nominal loads' constant impedance within Y.

    dense: most ports for which K is formed.

    Raises:
        DataError: the matrix is singular.
    """
    ports, live = injections.merged, system.connected
    A = ports.incidence
    fixed = sp.diags_array(injections.fixed * POWER / ports.v**2)
    Y = sp.csc_array(sp.csc_array(system.Y + A.T @ fixed @ A)[live][:, live])
    factors = _factors(Y, np.array(system.nodes)[live])
    open_ = np.zeros(live.size, dtype=np.complex128)
    open_[live] = factors.solve(system.source[live])
    K: NDArray[np.complex128] | None = None
    to_nodes: NDArray[np.complex128] | None = None
    if injections.size <= dense:
        to_nodes = np.zeros((live.size, injections.size), dtype=np.complex128)
        to_nodes[live] = columns(factors, A.T.toarray()[live].astype(np.complex128)) * (POWER / ports.v)
        K = np.asarray(A @ to_nodes, dtype=np.complex128) / ports.v[:, None]
    return PortForm(
        injections, system, np.asarray(A @ open_, dtype=np.complex128) / ports.v, open_, K, to_nodes, Y, factors
    )


def _factors(Y: sp.csc_array, names: NDArray[np.str_]) -> SuperLU:
    """LU factors on symmetric pivots as far as they can be had: little fill, and floating parts keep their digits.

    Raises:
        DataError: Y is singular; one of the nodes whose voltage it does not determine is named.
    """
    options: dict[str, Any] = {
        "permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}
    }  # fmt: skip
    try:
        return splu(sp.csc_matrix(Y), **options)
    except RuntimeError:
        own = np.abs(Y.diagonal())
        tied = splu(sp.csc_matrix(Y + sp.diags_array(1e-9 * np.where(own > 0.0, own, 1.0))))
        loose = names[np.argmax(np.abs(tied.solve(np.ones(len(names), dtype=np.complex128))))]
    raise DataError(
        f"the voltage of node {loose} is not determined: nothing ties its part of the network to the ground. Ground a "
        "neutral, give a transformer's anti_float its usual value of 1, or remove the part."
    )
