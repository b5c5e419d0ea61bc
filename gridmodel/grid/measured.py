"""Between which nodes the voltages of a feeder are meant: to ground, or between lines where nothing is grounded."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import scipy.sparse as sp

from gridmodel.grid.feeder import Feeder

__all__ = ["between_lines", "measured"]


def between_lines(feeder: Feeder) -> bool:
    """Whether all loads and generators stand between lines, so that voltages to ground say nothing."""
    found = [load.connection for load in feeder.loads] + [unit.connection for unit in feeder.generators]
    return bool(found) and set(found) == {"delta"}


def measured(feeder: Feeder) -> tuple[tuple[str, ...], sp.csr_array]:
    """Names of the voltages, and the matrix that gives them in pu from those of the nodes in pu.

    Phases 1 to 3 to ground as "bus.1", or, where all loads stand between lines, "bus.1-2" in pu of sqrt(3) times the
    base; shape (voltages, nodes).
    """
    names: list[str] = []
    rows: list[int] = []
    columns: list[int] = []
    data: list[float] = []
    lines = between_lines(feeder)
    for bus in feeder.buses:
        phases = [node for node in bus.nodes if node <= 3]
        groups = [*combinations(phases, 2)] if lines and len(phases) > 1 else [(node,) for node in phases]
        for group in groups:
            size = 1.0 if len(group) == 1 else 1.0 / np.sqrt(3.0)
            for node, sign in zip(group, (1.0, -1.0), strict=False):
                rows.append(len(names))
                columns.append(feeder.position[f"{bus.name}.{node}"])
                data.append(sign * size)
            names.append(f"{bus.name}." + "-".join(map(str, group)))
    return tuple(names), sp.csr_array((data, (rows, columns)), shape=(len(names), len(feeder.nodes)))
