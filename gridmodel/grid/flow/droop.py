"""The fixed point with the real-linear part of the port currents taken out of it, which volt-var droops need.

With i(v) = a v + c conj(v) + d(v) the equation v = b - K i(v) reads v = N (b - K d(v)), N the inverse over the real
numbers of I + K (a . + c conj .). A droop whose loop gain exceeds one makes the plain fixed point diverge; this one
contracts by how far the slopes are from a and c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, eigs

from gridmodel.errors import NotApplicableError
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.injections import POWER, Complexes
from gridmodel.grid.flow.newton import newton
from gridmodel.grid.flow.port_form import PortForm
from gridmodel.grid.port_law import derivatives, droop_slopes

if TYPE_CHECKING:
    from gridmodel.grid.assemble import Taps
    from gridmodel.grid.feeder import Feeder

__all__ = ["CLOSE_TO_ONE", "LoopGain", "Splitting", "loop_gain", "real_form", "splitting_of"]

Floats = NDArray[np.float64]

CLOSE_TO_ONE = 0.95  # loop gain above which many scenarios need Newton
_DENSE = 400  # entries of a side; above, the largest eigenvalue is found by Krylov iterations


@dataclass(frozen=True)
class LoopGain:
    """Spectral radii at nominal power of the plain fixed point, v <- b - K i(v), and of the one that is ``used``.

    Above 1 an iteration diverges. Both are the larger one of droops all between and all beyond their corners; without
    droops nothing of the nominal slopes is left to the one that is used.
    """

    plain: float
    used: float

    @property
    def note(self) -> str:
        """A warning, where the one that is used comes close to 1; else empty."""
        if self.used < CLOSE_TO_ONE:
            return ""
        return (
            f"the load flow's loop gain is {self.used:.2f} at nominal power ({self.plain:.2f} for the plain fixed "
            "point): scenarios may need Newton, or fail. Flatter droops or smaller ratings (share, s_max) lower it."
        )


@dataclass(frozen=True)
class Splitting:
    """v <- constant - M (i(v) - a v - c conj(v)), M = N K: the same solutions as v = b - K i(v).

    a, c: shape (P,), di/dv and di/dconj(v) at the point ``v`` in pu with the whole slope of every droop. With a loop
    gain g a droop beyond its corners, without slope, still contracts by g / (1 + g); half the slope would leave g / 2
    over 1 + g / 2 to both, and three times the iterations where droops are at work.
    M: real, shape (2P, 2P), real parts first. constant: N b, (P,). flat: slopes with all droops beyond their corners.
    """

    form: PortForm
    v: NDArray[np.complex128]
    a: NDArray[np.complex128]
    c: NDArray[np.complex128]
    M: Floats
    constant: NDArray[np.complex128]
    flat: tuple[Complexes, Complexes]

    @cached_property
    def _transposed(self) -> dict[Any, NDArray[Any]]:
        return {}

    def step(self, v: Complexes, i: Complexes) -> tuple[Complexes, Complexes]:
        """The next voltages, shape (scenarios, P), and the currents with which they satisfy v = b - K i exactly."""
        real, size, kind = v.real.dtype, v.shape[1], v.dtype
        if real not in self._transposed:
            self._transposed[real] = np.ascontiguousarray(self.M.T.astype(real))
        a, c = self.a.astype(kind), self.c.astype(kind)
        d = i - a * v - c * v.conj()
        move = np.concatenate([d.real, d.imag], axis=1) @ self._transposed[real]
        new = np.empty_like(v)
        new.real, new.imag = move[:, :size], move[:, size:]
        np.subtract(self.constant.astype(kind), new, out=new)
        return new, d + a * new + c * new.conj()

    @cached_property
    def gain(self) -> LoopGain:
        """Of this splitting."""
        assert self.form.K is not None
        K = real_form(self.form.K, np.zeros_like(self.form.K))
        plain = max(_radius(_scaled(K, *slopes)) for slopes in ((self.a, self.c), self.flat))
        return LoopGain(plain, _radius(_scaled(self.M, self.flat[0] - self.a, self.flat[1] - self.c)))


def splitting_of(form: PortForm) -> Splitting:
    """The splitting of a dense port form at its nominal powers; formed once."""
    kept = form.kept.get("splitting")
    if kept is None:
        kept = form.kept["splitting"] = _split(form)
    assert isinstance(kept, Splitting)
    return kept


def loop_gain(feeder: Feeder, taps: Taps | None = None) -> LoopGain:
    """How strongly port voltages and port currents act on each other; its ``note`` warns where that is too much.

    Raises:
        NotApplicableError: the feeder has so many ports that K is not formed.
    """
    form = form_of(feeder, taps)
    if form.K is None:
        raise NotApplicableError(
            f"The loop gain needs K over all {form.injections.size} ports of {feeder.name}, which is not formed above "
            "1000 of them; leave out ports without power."
        )
    return splitting_of(form).gain


def _split(form: PortForm) -> Splitting:
    assert form.K is not None
    ports, s = form.injections.merged, form.injections.merged.s
    found = newton(form, s[None], 1e-10)
    v = found.v[0] if found.converged[0] else form.b
    still = replace(ports, droop=ports.droop * np.array([1.0, 1.0, 0.0]))
    base, scale = derivatives(still, v * ports.v, s), ports.v**2 / POWER
    live = np.abs(form.b) > 0.0

    def slopes(saturated: bool) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        own, turned = droop_slopes(ports, v * ports.v, saturated)
        straight = (base.v + own) * scale - form.injections.fixed
        return np.where(live, straight, 0.0) + 0j, np.where(live, (base.v_conj + turned) * scale, 0.0) + 0j

    a, c = slopes(False)
    size = form.b.size
    K = real_form(form.K, np.zeros_like(form.K))
    N = np.linalg.inv(np.eye(2 * size) + real_form(form.K * a, form.K * c))
    constant = N @ np.concatenate([form.b.real, form.b.imag])
    return Splitting(form, v, a, c, N @ K, constant[:size] + 1j * constant[size:], slopes(True))


def real_form(own: Complexes, turned: Complexes) -> Floats:
    """The real matrix, real parts first, of x -> own x + turned conj(x)."""
    return np.block([[(own + turned).real, (turned - own).imag], [(own + turned).imag, (own - turned).real]])


def _scaled(M: Floats, own: Complexes, turned: Complexes) -> Floats:
    """M times the diagonal map x -> own x + turned conj(x), M real over (real parts, imaginary parts)."""
    size = own.size
    left, right = M[:, :size], M[:, size:]
    return np.concatenate(
        [
            left * (own + turned).real + right * (own + turned).imag,
            left * (turned - own).imag + right * (own - turned).real,
        ],
        axis=1,
    )


def _radius(M: Floats) -> float:
    """The largest modulus of an eigenvalue."""
    if M.shape[0] <= _DENSE:
        return float(np.abs(np.linalg.eigvals(M)).max(initial=0.0))
    try:
        found: Any = eigs(M, k=4, which="LM", return_eigenvectors=False, v0=np.ones(M.shape[0]))
    except ArpackNoConvergence as error:
        found = error.eigenvalues if error.eigenvalues.size else np.linalg.eigvals(M)
    return float(np.abs(found).max())
