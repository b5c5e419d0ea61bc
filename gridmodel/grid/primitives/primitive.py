"""The admittance matrix of one element, tied to the nodes where it is connected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError
from gridmodel.grid.elements import Terminal

__all__ = ["Primitive", "ends", "inverse"]


@dataclass(frozen=True)
class Primitive:
    """i = y v: the currents into an element at its conductors, which lie at ``nodes``.

    nodes: (bus, number) of each conductor, k of them; number 0 is the ground; a node may stand twice.
    y: S, shape (k, k).
    """

    nodes: tuple[tuple[str, int], ...]
    y: NDArray[np.complex128]


def ends(*terminals: Terminal) -> tuple[tuple[str, int], ...]:
    """The conductors of the terminals, one terminal after another, as (bus, number)."""
    return tuple((terminal.bus, number) for terminal in terminals for number in terminal.nodes)


def inverse(z: NDArray[np.complex128], what: str) -> NDArray[np.complex128]:
    """The inverse of an impedance matrix in ohm, in S.

    Raises:
        DataError: it has none, so the element is a short circuit, or a number in it is not finite.
    """
    if not np.all(np.isfinite(z)):
        raise DataError(f"{what} has an impedance that is not finite; give every entry a number in ohm.")
    try:
        return np.asarray(np.linalg.inv(z), dtype=np.complex128)
    except np.linalg.LinAlgError as error:
        raise DataError(
            f"{what} has a singular series impedance, the admittance of which is infinite; "
            "give it a small resistance (1e-4 ohm for a switch), or join its two buses into one."
        ) from error
