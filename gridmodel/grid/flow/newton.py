"""Newton's method on the port form in float64, for what the fixed point does not solve."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.grid.flow.fixed_point import Points
from gridmodel.grid.flow.injections import POWER, Complexes
from gridmodel.grid.flow.port_form import PortForm, columns
from gridmodel.grid.port_law import derivatives

__all__ = ["linear_solve", "newton", "slopes"]

_SHORTEST = 2.0**-12  # of a Newton step; no progress at such a length means that there is none to be made


def newton(form: PortForm, s: Complexes, tolerance: float, most: int = 40) -> Points:
    """Solves v = b - K i(v) scenario by scenario by Newton with halved steps, from the voltages without any current.

    s: at the ports, VA, shape (N, P). The whole law with its zones is used.
    """
    count = s.shape[0]
    out = Points.empty(np.repeat(form.b[None], count, axis=0))
    for k in range(count):
        v, iterations = form.b, 0
        gap = _gap(form, v, s[k])
        for iterations in range(1, most + 1):  # noqa: B007
            if np.abs(gap).max(initial=0.0) <= tolerance:
                break
            step, length = linear_solve(form, *slopes(form, v, s[k]), gap), 1.0
            while length > _SHORTEST:
                tried = _gap(form, v + length * step, s[k])
                if np.linalg.norm(tried) < (1.0 - 1e-4 * length) * np.linalg.norm(gap):
                    break
                length /= 2.0
            else:
                break
            v, gap = v + length * step, tried
        size = np.abs(gap)
        out.i[k] = form.injections.exact(s[k], v)
        out.v[k], out.change[k], out.iterations[k] = v + gap, size.max(initial=0.0), iterations
        out.worst[k], out.converged[k] = int(np.argmax(size)) if size.size else 0, out.change[k] <= tolerance
    return out


def slopes(form: PortForm, v: Complexes, s: Complexes) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """(di/dv, di/dconj(v)) of the ports in pu at v, both of v's shape."""
    ports = form.injections.merged
    found, scale = derivatives(ports, v * ports.v, s), ports.v**2 / POWER
    return np.asarray(found.v * scale - form.injections.fixed), np.asarray(found.v_conj * scale)


def linear_solve(form: PortForm, straight: Complexes, turned: Complexes, right: Complexes) -> NDArray[np.complex128]:
    """The dv of dv + K (straight dv + turned conj(dv)) = right, shape (P,) or, for several, (P, columns)."""
    many = right.reshape(right.shape[0], -1)
    dv = _dense(form, straight, turned, many) if form.K is not None else _sparse(form, straight, turned, many)
    return dv.reshape(right.shape)


def _gap(form: PortForm, v: Complexes, s: Complexes) -> NDArray[np.complex128]:
    return np.asarray(form.b - form.drop(form.injections.exact(s, v)[None])[0] - v)


def _dense(form: PortForm, straight: Complexes, turned: Complexes, right: Complexes) -> NDArray[np.complex128]:
    """As one real system of twice the size."""
    assert form.K is not None
    size = form.b.size
    own, other = np.eye(size) + form.K * straight, form.K * turned
    J = np.block([[(own + other).real, (other - own).imag], [(own + other).imag, (own - other).real]])
    x = np.linalg.solve(J, np.concatenate([right.real, right.imag]))
    return np.asarray(x[:size] + 1j * x[size:])


def _sparse(form: PortForm, straight: Complexes, turned: Complexes, right: Complexes) -> NDArray[np.complex128]:
    """Over nodes and ports together: Y dn + A' scale (straight dv + turned conj(dv)) = 0, dv - A dn / v = right."""
    ports, live = form.injections.merged, form.system.connected
    A = sp.csr_array(ports.incidence[:, live])
    into = A.T @ sp.diags_array(POWER / ports.v)
    # With dv = A dn / v + right: (Y + into straight A/v) dn + into turned conj(A dn / v) = -into (the same of right).
    across = sp.diags_array(1.0 / ports.v) @ A
    own = form.admittance + into @ sp.diags_array(straight) @ across
    other = into @ sp.diags_array(turned) @ across
    J = sp.block_array([[(own + other).real, (other - own).imag], [(own + other).imag, (own - other).real]])
    load = -(into @ (straight[:, None] * right + turned[:, None] * right.conj()))
    x = columns(splu(sp.csc_matrix(J)), np.concatenate([load.real, load.imag]))
    half = x.shape[0] // 2
    return np.asarray(across @ (x[:half] + 1j * x[half:]) + right)
