"""Steps, sizes and signs of the prices that a coordinator sets."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.separable import Separable
from gridmodel.runtime.curvature import largest_eigenvalue, response, response_matrix

__all__ = ["nearest_price", "relative_change", "step_lengths"]

Floats = NDArray[np.float64]


def step_lengths(problem: Separable, step_size: float | None, pace: float = 1.0, most: float = 2.0) -> Floats:
    """The price change per unit of residual of each row, shape (m,).

    Args:
        problem: stacks and coupling rows.
        step_size: the user's, the same for all rows; None takes pace / L in rows scaled to their own response.
        pace, most: the share of 1/L that is taken, and the share from which on prices do not settle.

    Raises:
        NotApplicableError: an agent's answer to prices jumps.
        ModelError: a step that does not converge.
    """
    matrix = response_matrix(problem)
    if matrix is None:
        who = next(stack.labels[0] for stack in problem.stacks if response(stack) is None)
        raise NotApplicableError(
            f"dual: the response of {who} to prices jumps (no strong convexity along the couplings), so prices "
            "would never settle. Use 'admm', or give the cost a quadratic term in what the agent reports."
        )
    own = matrix.diagonal()
    own = np.where(own > 0, own, 1.0)
    if step_size is None:
        root = sp.diags_array(1 / np.sqrt(own))
        norm = largest_eigenvalue(sp.csr_array(root @ matrix @ root)) or 1.0
        return np.asarray(pace / (norm * own))
    norm = largest_eigenvalue(matrix)
    if not 0 < step_size * norm < most:
        bound, better = (most / norm, pace / norm) if norm else (np.inf, np.inf)
        raise ModelError(
            f"step_size={step_size:g} does not converge on this model: it must lie between 0 and "
            f"{most:.3g}/L = {bound:g}. Leave it out to have {pace:.3g}/L = {better:g} taken."
        )
    return np.full(len(own), step_size)


def relative_change(change: Floats, mu: Floats, step: Floats, energy: float) -> float:
    """The largest change of a price over the largest price, each over the root of its step.

    Prices over the roots of their steps share one unit, the root of a cost. Where all are next to zero they are noise:
    then the change counts against a small share of ``energy``, the size of costs.
    """
    root = np.sqrt(step)
    size = max(float(np.abs(mu / root).max(initial=0)), 1e-2 * float(np.sqrt(energy)), np.finfo(float).tiny)
    return float(np.abs(change / root).max(initial=0)) / size


def nearest_price(mu: Floats, problem: Separable) -> Floats:
    """Prices with the sign that their row's finite sides allow."""
    y = problem.couplings
    return np.clip(mu, np.where(np.isfinite(y.lower), -np.inf, 0.0), np.where(np.isfinite(y.upper), np.inf, 0.0))
