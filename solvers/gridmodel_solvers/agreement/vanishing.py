"""Steps that vanish."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError

__all__ = ["at_round", "check_power"]

Floats = NDArray[np.float64]


def at_round(eta: Floats, k: int, power: float, halves: bool) -> Floats:
    """eta / (k + 1)^power in round k, counted from 0.

    Args:
        eta: first step, shape (d,).
        halves: only halve it, so that what was prepared for a step serves for many rounds.
    """
    if power == 0:
        return eta
    share = (k + 1.0) ** power
    return np.asarray(eta / (2.0 ** np.floor(np.log2(share)) if halves else share))


def check_power(name: str, power: float) -> None:
    """Refuses powers with which the steps would grow, or with which they would end before the optimum is reached."""
    if not 0 <= power <= 1:
        raise ModelError(
            f"{name}: power={power!r} must be in [0, 1]: 0 keeps the step, and beyond 1 the steps eta / (k + 1)^power "
            "sum to a finite number, so that the agents stop anywhere."
        )
