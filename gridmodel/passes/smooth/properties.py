"""Facts about a model that need not be convex."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.properties import BlockFacts, Properties, RowFacts
from gridmodel.ir.separable import CouplingInfo
from gridmodel.ir.smooth import SmoothProblem
from gridmodel.language.topology import Topology
from gridmodel.passes.properties import network_facts

__all__ = ["smooth_properties"]


def smooth_properties(problem: SmoothProblem, topology: Topology | None) -> Properties:
    """What algorithms' verdicts rest on: sizes, kinds of coupling, who is tied to whom."""
    count = np.zeros(problem.couplings.size, dtype=np.intp)
    for block in problem.blocks:
        count[block.rows] += 1
    agreement = _agreements(problem, count)
    return Properties(
        blocks=tuple(
            BlockFacts(
                agents=1, example=block.label, kind="smooth", columns=block.functions.columns,
                equations=block.functions.equations, cones=f"{block.functions.inequalities} inequalities",
                equal=True, curvature=(0.0, np.inf), response=None,
            )
            for block in problem.blocks
        ),
        couplings=tuple(_rows(problem, info, count, agreement) for info in problem.couplings.infos if len(info.rows)),
        agents=len(problem.blocks),
        columns=sum(block.functions.columns for block in problem.blocks),
        coupling_rows=problem.couplings.size,
        copies=0,
        is_qp=False,
        is_lp=False,
        step_norm=None,
        most_participants=int(count.max(initial=0)),
        all_agreement=bool(count.size) and bool(agreement.all()),
        coordinator=topology is None or topology.coordinator,
        strangers=_strangers(problem, count, topology),
        components=None if topology is None else len(topology.components),
        network=network_facts(problem.links),
        convex=False,
    )  # fmt: skip


def _rows(problem: SmoothProblem, info: CouplingInfo, count: NDArray[Any], agreement: NDArray[Any]) -> RowFacts:
    own = count[info.rows]
    kind = "agreement" if agreement[info.rows].all() else "neighbour" if own.max() <= 2 else "resource"
    sense = "==" if problem.couplings.equality[info.rows].all() else "<="
    return RowFacts(info.name, kind, sense, len(info.rows), (int(own.min()), int(own.max())), info.unit)


def _agreements(problem: SmoothProblem, count: NDArray[Any]) -> NDArray[Any]:
    """Rows a x - a y = 0 of two agents' columns."""
    terms, total, size = (np.zeros(problem.couplings.size) for _ in range(3))
    for block in problem.blocks:
        np.add.at(terms, block.rows, np.diff(block.C.indptr))
        np.add.at(total, block.rows, np.asarray(block.C.sum(axis=1)).ravel())
        np.add.at(size, block.rows, np.asarray(abs(block.C).sum(axis=1)).ravel())
    zero = (problem.couplings.lower == 0) & (problem.couplings.upper == 0)
    return np.asarray((terms == 2) & (count == 2) & zero & (np.abs(total) <= 1e-12 * size))


def _strangers(problem: SmoothProblem, count: NDArray[Any], topology: Topology | None) -> tuple[tuple[str, str], ...]:
    if topology is None:
        return ()
    holders: dict[int, str] = {}
    found: dict[tuple[str, str], None] = {}
    for block in problem.blocks:
        for row in block.rows[count[block.rows] == 2].tolist():
            other = holders.setdefault(row, block.label)
            if other != block.label and not topology.are_neighbours(other, block.label):
                found[other, block.label] = None
    return tuple(found)[:3]
