"""When the load flow has exactly one solution near a known one: a proof by contraction in the space of the ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.grid.flow.injections import Complexes
from gridmodel.grid.flow.port_form import PortForm

__all__ = ["FlowCertificate", "certify"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FlowCertificate:
    """Existence and uniqueness of the voltages in the ball |v_p - w_p| <= radius |b_p| at every port p.

    w: the known solution, the voltages b without current unless one was given. xi: size of the power that is new
    against w, shape (scenarios,); with constant powers only and w = b, xi < 1/4 is the condition. margin: at least 0
    where it holds; xi times a factor f of all powers is certified up to about f = xi_max / xi. holds: whether the
    condition does. radius: of the ball, NaN where it does not. within_limits: whether no voltage in the ball reaches a
    port's v_max, above which its law is another; then the proof is one for the whole law.
    """

    xi: Any
    margin: Any
    holds: Any
    radius: Any
    within_limits: Any

    def row(self, k: int) -> FlowCertificate:
        """That of one scenario, numbers for arrays."""
        return FlowCertificate(**{name: x[k] for name, x in vars(self).items()})

    @staticmethod
    def joined(parts: Sequence[FlowCertificate]) -> FlowCertificate:
        """Those of several groups of scenarios, one after another."""
        return FlowCertificate(*(np.concatenate([getattr(one, name) for one in parts]) for name in vars(parts[0])))


@dataclass(frozen=True)
class _Norms:
    """Infinity norms of the maps from 1/conj(u), u/|u| and u to the drop of voltage, per scenario."""

    power: Floats
    current: Floats
    impedance: Floats


def certify(form: PortForm, s: Complexes, known: tuple[Complexes, Complexes] | None = None) -> FlowCertificate:
    """Certifies the scenarios s, shape (N, P), VA at the ports, around the voltages w of ``known``.

    With u = v / b the load flow is u = 1 - M_c 1/conj(u) - M_i u/|u| - M_z u; xi_c, xi_i, xi_z are the infinity norms
    of the three matrices, which hold K and the powers, for the new part s - s_w; hat xi those for s_w. With m the least
    and U the largest |w / b|, a ball of radius rho maps into itself where

        (1 - xi_z - hat xi_z) rho^2 + (hat xi_c / m + hat xi_i + (xi_z + hat xi_z - 1) m - xi_i - xi_z U) rho
            + xi_c + m (xi_i + xi_z U) <= 0,

    and the map contracts where its slope there, at most (xi_c + hat xi_c) / (m - rho)^2 + (xi_i + hat xi_i) / (m - rho)
    + xi_z + hat xi_z, is below 1. For constant powers and w = b that is xi_c < 1/4.

    known: (w, s_w), port voltages in pu, shape (P,), and the powers in VA for which they are the solution, shape (P,).

    Raises:
        NotApplicableError: K is not formed above so many ports, or the feeder has volt-var droops.
    Source: Bernstein, Wang, Dall'Anese, Le Boudec, Zhao (2018), Load flow in multiphase distribution networks.
    """
    if form.injections.has_droop:
        raise NotApplicableError("The certificate's condition does not cover volt-var droops; leave them out for it.")
    if form.K is None:
        raise NotApplicableError(
            f"The certificate needs K over all {form.injections.size} ports; build the form with "
            "port_form(..., dense=N)."
        )
    w, before = (form.b, np.zeros(form.b.size, dtype=complex)) if known is None else known
    live = np.abs(form.b) > 0.0
    ratio = np.abs(w[live] / form.b[live])
    m, U = float(ratio.min(initial=1.0)), float(ratio.max(initial=1.0))
    new = _norms(form, s - before, live, known is not None)
    old = _norms(form, before[None], live, False)
    a = 1.0 - new.impedance - old.impedance
    middle = m * a + new.current + new.impedance * U - old.current - old.power / m
    last = new.power + m * (new.current + new.impedance * U)
    margin = middle**2 - 4.0 * a * last
    with np.errstate(all="ignore"):
        rho = (middle - np.sqrt(margin)) / (2.0 * a)
        slope = (new.power + old.power) / (m - rho) ** 2 + (new.current + old.current) / (m - rho)
        slope = slope + new.impedance + old.impedance
        holds = (margin > 0.0) & (a > 0.0) & (rho >= 0.0) & (rho < m) & (slope < 1.0)
        rho = np.where(holds, rho, np.nan)
        reach = np.abs(w[live]) + rho[:, None] * np.abs(form.b[live])
    drawing = s[:, live] != 0.0
    within = (~drawing | (reach <= form.injections.merged.v_max[live])).all(axis=1)
    return FlowCertificate(last, margin, holds, rho, within & holds)


def _norms(form: PortForm, s: Complexes, live: NDArray[np.bool_], difference: bool) -> _Norms:
    """The three norms for powers s; for a difference of powers what of the impedance is within Y cancels."""
    assert form.K is not None
    parts = form.injections.coefficients(s, whole=difference)
    b = form.b[live]
    size = np.abs(form.K[np.ix_(live, live)]) / np.abs(b)[:, None]

    def norm(part: Any, weight: Floats) -> Floats:
        if part is None:
            return np.zeros(len(s))
        rows: Floats = (np.abs(part[:, live]) * weight) @ size.T
        return np.asarray(rows.max(axis=1, initial=0.0))

    away = np.abs(b)
    return _Norms(norm(parts.power, 1.0 / away), norm(parts.current, np.ones(b.size)), norm(parts.impedance, away))
