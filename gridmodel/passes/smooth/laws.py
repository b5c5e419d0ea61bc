"""Smooth functions of one number, entry by entry, with two derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAWS", "Law", "power"]

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Law:
    """phi, phi' and phi'', each of an array of any shape."""

    value: Function
    first: Function
    second: Function


def power(p: float) -> Law:
    """phi(u) = u^p."""
    if p == 2:
        return Law(np.square, lambda u: 2.0 * u, lambda u: np.full_like(u, 2.0))
    return Law(lambda u: u**p, lambda u: p * u ** (p - 1), lambda u: p * (p - 1) * u ** (p - 2))


def _logistic(u: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-u)))


LAWS: dict[str, Law] = {
    "sin": Law(np.sin, np.cos, lambda u: -np.sin(u)),
    "cos": Law(np.cos, lambda u: -np.sin(u), lambda u: -np.cos(u)),
    "tan": Law(np.tan, lambda u: 1 / np.cos(u) ** 2, lambda u: 2 * np.tan(u) / np.cos(u) ** 2),
    "sinh": Law(np.sinh, np.cosh, np.sinh),
    "tanh": Law(np.tanh, lambda u: 1 / np.cosh(u) ** 2, lambda u: -2 * np.tanh(u) / np.cosh(u) ** 2),
    "asinh": Law(np.arcsinh, lambda u: (1 + u**2) ** -0.5, lambda u: -u * (1 + u**2) ** -1.5),
    "atanh": Law(np.arctanh, lambda u: 1 / (1 - u**2), lambda u: 2 * u / (1 - u**2) ** 2),
    "exp": Law(np.exp, np.exp, np.exp),
    "log": Law(np.log, lambda u: 1 / u, lambda u: -1 / u**2),
    "log1p": Law(np.log1p, lambda u: 1 / (1 + u), lambda u: -1 / (1 + u) ** 2),
    "xexp": Law(lambda u: u * np.exp(u), lambda u: (1 + u) * np.exp(u), lambda u: (2 + u) * np.exp(u)),
    "entr": Law(lambda u: -u * np.log(u), lambda u: -np.log(u) - 1, lambda u: -1 / u),
    "logistic": Law(lambda u: np.logaddexp(0.0, u), _logistic, lambda u: _logistic(u) * (1 - _logistic(u))),
}
"""By the name of cvxpy's atom."""
