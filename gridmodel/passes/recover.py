"""From columns and multipliers of blocks back to the shapes that the user wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.reductions.cvx_attr2constr import recover_value_for_leaf
from numpy.typing import NDArray

__all__ = ["limit_dual", "shaped"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def shaped(variable: cp.Variable, rows: Floats, size: int | None) -> Any:
    """Columns of one variable in its declared shape; a scalar becomes a float.

    Args:
        variable: as declared.
        rows: shape (N, columns of a row). size: N of a fleet, None for a single agent.
    """
    if size is None:
        flat = rows[0]
        if any(variable.attributes[key] for key in ("symmetric", "PSD", "NSD")):
            return np.asarray(recover_value_for_leaf(variable, flat[:, None], project=False))
        return float(flat[0]) if variable.shape == () else flat.reshape(variable.shape, order="F")
    inner = variable.shape[1:]
    backwards = rows.reshape((size, *inner[::-1]))
    return backwards.transpose(0, *range(len(inner), 0, -1)).copy()


def limit_dual(
    label: str, row_of: Ints, places: tuple[Ints, Ints], limits: Sequence[Mapping[str, tuple[Ints, float]]],
    nu: Sequence[Floats],
) -> Floats:  # fmt: skip
    """cvxpy's dual of one named limit of an agent or fleet, entries column by column.

    Args:
        label: of the limit. row_of: for each entry, the row of the fleet that it belongs to.
        places: stack and position of each row's block.
        limits: for each stack, {label: (rows of A, sign of the dual)}, rows in the order of the block's entries.
        nu: multipliers of each stack's equations, shape (N, rows).
    """
    order = np.argsort(row_of, kind="stable")
    start = np.searchsorted(row_of[order], np.arange(len(places[0])))
    out = np.empty(len(row_of))
    for k in np.unique(places[0]):
        if label not in limits[k]:  # a limit on some rows only
            continue
        blocks = np.flatnonzero(places[0] == k)
        rows, sign = limits[k][label]
        entries = order[start[blocks][:, None] + np.arange(len(rows))]
        out[entries] = sign * nu[k][places[1][blocks]][:, rows]
    return out
