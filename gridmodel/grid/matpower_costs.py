"""The cost table of a MATPOWER case: polynomials up to degree 2 and piecewise linear costs, convex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.mfile import MFile
from gridmodel.grid.network import Costs

__all__ = ["read_costs"]

Floats = NDArray[np.float64]


def read_costs(file: MFile, rows: NDArray[np.intp], declared: int) -> Costs:
    """The costs of the generators in service.

    Args:
        file: holds the table gencost.
        rows: rows of the table gen, from 1, whose costs are wanted.
        declared: the number of rows of the table gen; as many rows may follow for reactive power, unused.

    Raises:
        NetworkFileError: too few rows, another cost model than 1 or 2, or a cost that is not convex.
    """
    table = file.tables["gencost"]
    if table.lines.size not in (declared, 2 * declared):
        raise file.error(
            int(table.lines[-1]),
            f"mpc.gencost ends after {table.lines.size} rows, expected {declared}, one a row of mpc.gen "
            f"(or {2 * declared} with reactive costs). Add the missing rows.",
        )
    polynomial = np.zeros((3, rows.size))
    pieces: list[tuple[int, float, float]] = []
    for k, row in enumerate(rows):
        line = int(table.lines[row - 1])
        kind, count, data = _row(file, table.values[row - 1], line, int(row))
        if kind == 2:
            polynomial[:, k] = _polynomial(file, data[:count], line, int(row))
            continue
        slopes, intercepts = _pieces(file, data[: 2 * count], line, int(row))
        if slopes.size == 1:
            polynomial[1:, k] = slopes[0], intercepts[0]
        else:
            pieces.extend((k, float(a), float(b)) for a, b in zip(slopes, intercepts, strict=True))
    owner, slope, intercept = zip(*pieces, strict=True) if pieces else ((), (), ())
    return Costs(
        quadratic=polynomial[0],
        linear=polynomial[1],
        constant=polynomial[2],
        piece_generator=np.array(owner, dtype=np.intp),
        slope=np.array(slope, dtype=np.float64),
        intercept=np.array(intercept, dtype=np.float64),
    )


def _row(file: MFile, values: Floats, line: int, row: int) -> tuple[int, int, Floats]:
    """The model (1 or 2), the number of points or coefficients, and the data of a row."""
    kind, count, data = values[0], values[3], values[4:]
    if kind not in (1, 2):
        raise file.error(
            line,
            f"row {row} of mpc.gencost has cost model {kind:g}, expected 1 (piecewise linear) or 2 (polynomial).",
        )
    least = 2 if kind == 1 else 0
    if not np.isfinite(count) or count != np.floor(count) or count < least:
        raise file.error(
            line, f"row {row} of mpc.gencost has n = {count:g} (column 4), expected a whole number of at least {least}."
        )
    needed = int(count) * (2 if kind == 1 else 1)
    if needed > data.size:
        raise file.error(
            line,
            f"row {row} of mpc.gencost has {data.size} numbers after column 4, expected {needed} for n = {count:g}.",
        )
    if not np.isfinite(data[:needed]).all():
        raise file.error(line, f"row {row} of mpc.gencost holds NaN or Inf, expected finite numbers.")
    return int(kind), int(count), data


def _polynomial(file: MFile, coefficients: Floats, line: int, row: int) -> Floats:
    """Coefficients of degree 2, 1 and 0; the file gives the highest degree first."""
    highest = coefficients[: max(0, coefficients.size - 3)]
    if highest.any():
        degree = coefficients.size - 1 - int(np.flatnonzero(highest)[0])
        raise file.error(
            line,
            f"the cost of generator {row} is a polynomial of degree {degree}, expected at most 2. "
            "Approximate it by a quadratic or a piecewise linear cost.",
        )
    lowest = coefficients[-3:]
    full = np.concatenate([np.zeros(3 - lowest.size), lowest])
    if full[0] < 0:
        raise file.error(
            line,
            f"the cost of generator {row} is not convex: its quadratic coefficient is {full[0]:g}, expected >= 0. "
            "Correct the sign, or approximate the cost by a linear one.",
        )
    return full


def _pieces(file: MFile, data: Floats, line: int, row: int) -> tuple[Floats, Floats]:
    """Slopes and intercepts of the lines through neighbouring points (p, cost)."""
    p, cost = data[0::2], data[1::2]
    if (np.diff(p) <= 0).any():
        raise file.error(
            line, f"the cost of generator {row} has points at p = {_list(p)} MW, expected rising p. Sort the points."
        )
    slopes = np.diff(cost) / np.diff(p)
    if (np.diff(slopes) < -1e-9 * (1 + np.abs(slopes[1:]))).any():
        raise file.error(
            line,
            f"the cost of generator {row} is not convex: its slopes are {_list(slopes)} $/MWh, expected rising slopes. "
            "Replace it by its lower convex hull.",
        )
    return slopes, cost[:-1] - slopes * p[:-1]


def _list(values: Floats) -> str:
    return ", ".join(f"{value:g}" for value in values)
