"""Penalties, in units of the model, of the algorithms that agree on the coupling rows' multipliers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.links import Links
from gridmodel.ir.spectrum import laplacian_spectrum
from gridmodel_solvers.dispatch.offers import Offers

__all__ = ["check_rho", "residue", "row_rho"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def check_rho(rho: float | None) -> None:
    """Raises ModelError: a penalty that is no positive number."""
    if rho is not None and not (rho > 0 and np.isfinite(rho)):
        raise ModelError(f"rho={rho!r} cannot be a penalty; use a number above 0, or None to have one found.")


def row_rho(offers: Offers, links: Links, rho: float | None) -> Floats:
    """The penalty rho_r of disagreement about row r's multiplier, shape (m,), in units of the row squared per cost.

    rho_r = rho h_r,  h_r = n_r / N  range_r^2 / cost_r

    h_r is how strongly the row's numbers react to its multiplier: its n_r participants move a range when the
    multiplier moves by what a range costs, the other agents do not react at all. With rho None the round that follows
    a disagreement along the graph's slowest mode is damped critically: the mean weight rho d of a node is 2 t h_r (2
    as costs with a slope make h_r too small), 8 t^2 delta + 4 t delta = 1, delta = 1 - the second eigenvalue of the
    random walk on the graph.

    Source: derived here for equal quadratics on a regular graph.
    """
    share = np.maximum(offers.touches.mean(axis=0), 1.0 / offers.size)
    react = share / offers.penalty
    if rho is not None:
        return np.asarray(rho * react)
    degree = float(np.mean(links.into)) if links.edges else 1.0
    gap = _gap(links)
    return np.asarray((np.sqrt(1.0 + 2.0 / gap) - 1.0) / 2.0 / max(degree, 1.0) * react)


def residue(offers: Offers, mu: Floats, present: Flags) -> Floats:
    """sum_i p_i = 0 near p_i = C_i x_i - y_i of an earlier run's end, shape (N, m): what agents begin with.

    Args:
        mu: multipliers of that end, shape (m,). Rows at zero of inequalities begin with nothing.
    """
    y = offers.problem.couplings
    rest = np.where((mu == 0) & ~y.equality, 0.0, offers.reported() - offers.side(np.broadcast_to(mu, offers.shape)))
    takes = offers.touches & present[:, None]
    rest = np.where(takes, rest, 0.0)
    return np.asarray(rest - takes * (rest.sum(axis=0) / np.maximum(takes.sum(axis=0), 1)))


def _gap(links: Links) -> float:
    """The Laplacian's second eigenvalue over the mean degree; on a regular graph 1 - that of the random walk."""
    if links.size < 2 or not links.edges:
        return 1.0
    return float(np.clip(laplacian_spectrum(links)[0] / links.into.mean(), 1e-12, 2.0))
