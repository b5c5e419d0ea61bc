"""Hides the values of the user's variables while cvxpy works on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import cvxpy as cp

__all__ = ["without_values"]


@contextmanager
def without_values(variables: Iterable[cp.Variable]) -> Iterator[None]:
    """Takes the variables' values away, and gives them back in the end.

    cvxpy computes starting values of auxiliary variables from them and refuses to canonicalise where a value is
    outside its bounds by rounding, as a solver's answer may be.
    """
    kept = [(variable, variable.value) for variable in variables]
    for variable, _ in kept:
        variable.save_value(None)
    try:
        yield
    finally:
        for variable, value in kept:
            variable.save_value(value)
