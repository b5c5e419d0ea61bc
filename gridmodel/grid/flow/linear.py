"""Linear models of a feeder's voltages in the powers of its loads and generators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.injections import POWER, Complexes
from gridmodel.grid.flow.load_flow import load_flow
from gridmodel.grid.flow.newton import linear_solve, slopes
from gridmodel.grid.flow.port_form import PortForm
from gridmodel.grid.flow.result import LoadFlow
from gridmodel.grid.flow.scenarios import Powers
from gridmodel.grid.port_law import derivatives, droop, droop_slopes

__all__ = ["LinearFlow", "linear_flow"]

Kind = Literal["taylor", "fixed-point"]

_MOST = 60  # iterations; where they do not suffice, the load flow is near its end
_PRECISE = 1e-13


@dataclass(frozen=True)
class LinearFlow:
    """v(s) = v + by_p (p - p0) + by_q (q - q0), s = p + j q what loads draw and, negative, generators inject.

    v: at s0, complex pu, shape (nodes,). by_p, by_q: complex pu a VA, shape (nodes, moved). s0: VA, shape (moved,).
    of: which of loads + generators are moved, positions; all where nothing else was asked for.
    """

    feeder: Feeder
    kind: Kind
    v: NDArray[np.complex128]
    by_p: NDArray[np.complex128]
    by_q: NDArray[np.complex128]
    s0: NDArray[np.complex128]
    of: NDArray[np.intp]

    @property
    def magnitude_by(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """d|v|/dp and d|v|/dq in pu a VA, Re(conj(v) dv) / |v|, each of shape (nodes, loads + generators)."""
        size = np.abs(self.v)
        turn = self.v.conj() / np.where(size > 0.0, size, 1.0)
        return (turn[:, None] * self.by_p).real, (turn[:, None] * self.by_q).real

    def voltages(self, s: Complexes) -> NDArray[np.complex128]:
        """The voltages in pu, shape (..., nodes), at powers in VA, shape (..., moved)."""
        move = s - self.s0
        return np.asarray(self.v + move.real @ self.by_p.T + move.imag @ self.by_q.T)

    def magnitudes(self, s: Complexes) -> NDArray[np.float64]:
        """|v| in pu as a linear function of the powers, shapes as in ``voltages``."""
        by_p, by_q = self.magnitude_by
        move = s - self.s0
        return np.asarray(np.abs(self.v) + move.real @ by_p.T + move.imag @ by_q.T)

    def error(self, flow: LoadFlow) -> Mapping[str, NDArray[np.float64]]:
        """The largest error in pu of "v" and of "magnitude" in every scenario of a load flow; NaN where that failed."""
        s = flow.s[..., self.of]
        v, size = self.voltages(s), self.magnitudes(s)
        return {
            "v": np.abs(v - flow.v).max(axis=-1),
            "magnitude": np.abs(size - np.abs(flow.v)).max(axis=-1),
        }


def linear_flow(
    feeder: Feeder,
    kind: Kind = "taylor",
    loads: Powers = None,
    generation: Powers = None,
    of: Sequence[int] | NDArray[np.intp] | None = None,
) -> LinearFlow:
    """Linearises the load flow at one case.

    kind: "taylor", the derivative of the solution, best near the case; "fixed-point", one step of the fixed point from
    the solution w with constant powers, v = b - K conj(s / w), which is exact at no load as well; volt-var droops
    follow the voltage in both, as they do at the case.
    of: positions among the loads, then the generators, by whose powers it is differentiated; None takes all.

    Raises:
        ModelError: a kind that is none of these, positions that are none, or the load flow of the case fails.
    Source: Bernstein et al. (2018), Load flow in multiphase distribution networks, section V.
    """
    if kind not in ("taylor", "fixed-point"):
        raise ModelError(f"kind is {kind!r}, expected 'taylor' or 'fixed-point'.")
    moved = _positions(of, len(feeder.loads) + len(feeder.generators))
    flow = load_flow(feeder, loads, generation, tolerance=1e-12)
    if flow.v.ndim > 1:
        raise ModelError("A linear model is made at one case; give loads and generation without scenarios.")
    if not flow.converged:
        raise ModelError(
            f"{feeder.name}: the load flow fails at bus {flow.worst} (last change {flow.mismatch:.3g} pu), so there is "
            "nothing to linearise at; scale the loads down."
        )
    form = form_of(feeder)
    s = form.injections.at_ports(flow.s[None])[0]
    v = np.asarray(form.injections.merged.incidence @ flow.volts, dtype=np.complex128) / form.injections.merged.v
    own = _direct(form, v, s, form.injections.owner[moved].T.toarray())
    if kind == "taylor":
        di = _followed_by(form, *slopes(form, v, s), own)
    else:
        di = _followed_by(form, *_droops(form, v), own) if form.injections.has_droop else own
    dv = form.nodes_of(di) / feeder.base[:, None]
    return LinearFlow(feeder, kind, flow.v, dv[:, : moved.size], dv[:, moved.size :], flow.s[moved], moved)


def _positions(of: Sequence[int] | NDArray[np.intp] | None, count: int) -> NDArray[np.intp]:
    """The positions asked for, all of them if none are named."""
    if of is None:
        return np.arange(count)
    at = np.asarray(of)
    if at.ndim != 1 or (at.size and at.dtype.kind not in "iu") or not ((at >= 0) & (at < count)).all():
        raise ModelError(
            f"of: expected positions from 0 to {count - 1} of loads, then generators, in one row; got {of}."
        )
    return at.astype(np.intp)


def _direct(form: PortForm, v: Complexes, s: Complexes, share: NDArray[np.float64]) -> Complexes:
    """di of the ports in pu by p and by q of the owners at held voltages, shape (P, 2 columns); share: (P, columns)."""
    ports = form.injections.merged
    found = derivatives(ports, v * ports.v, s)
    by_p = (found.s + found.s_conj) * ports.v / POWER
    by_q = 1j * (found.s - found.s_conj) * ports.v / POWER
    return np.concatenate([by_p[:, None] * share, by_q[:, None] * share], axis=1)


def _droops(form: PortForm, v: Complexes) -> tuple[Complexes, Complexes]:
    """(di/dv, di/dconj(v)) of the droops alone in pu, shape (P,)."""
    ports = form.injections.merged
    beyond = np.abs(droop(ports, np.abs(v))) >= 1.0
    parts = zip(droop_slopes(ports, v * ports.v), droop_slopes(ports, v * ports.v, saturated=True), strict=True)
    straight, turned = (np.where(beyond, flat, steep) * (ports.v**2 / POWER + 0j) for steep, flat in parts)
    return straight, turned


def _followed_by(form: PortForm, straight: Complexes, turned: Complexes, direct: Complexes) -> Complexes:
    """The same with the voltages free to follow: dv = -K (direct + straight dv + turned conj(dv))."""
    right = -form.drop(direct.T).T
    dv = _followed(form, straight, turned, right) if form.K is not None else None
    dv = linear_solve(form, straight, turned, right) if dv is None else dv
    return np.asarray(direct + straight[:, None] * dv + turned[:, None] * dv.conj())


def _followed(form: PortForm, straight: Complexes, turned: Complexes, right: Complexes) -> Complexes | None:
    """dv = right - K (straight dv + turned conj(dv)) by the fixed point, which factors no matrix; None if it fails."""
    dv, before = right, np.inf
    for _ in range(_MOST):
        new = right - form.drop((straight[:, None] * dv + turned[:, None] * dv.conj()).T).T
        change, size = np.abs(new - dv).max(initial=0.0), np.abs(new).max(initial=0.0)
        if change <= _PRECISE * size:
            return np.asarray(new)
        if not change < before:
            break
        dv, before = new, change
    return None
