"""Facts that the matrices show: curvature, kinds of coupling, who is tied to whom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import NotApplicableError
from gridmodel.ir.links import Links
from gridmodel.ir.properties import BlockFacts, NetworkFacts, Properties, RowFacts, SharedFacts
from gridmodel.ir.separable import CouplingInfo, Separable
from gridmodel.ir.stack import Stack
from gridmodel.language.topology import Topology
from gridmodel.runtime.agreed import agreed_columns, roughness
from gridmodel.runtime.curvature import response_norm, step_norm
from gridmodel.runtime.reduced import reduce

__all__ = ["find_properties", "network_facts"]

_PAIRS_SHOWN = 3


def find_properties(problem: Separable, topology: Topology | None, curvature: bool = True) -> Properties:
    """Everything that algorithms' verdicts rest on.

    Args:
        problem: the model as matrices.
        topology: who may talk to whom, None where everyone may.
        curvature: False leaves out how blocks respond to prices, as if no response were smooth.
    """
    blocks = tuple(_block(stack, curvature) for stack in problem.stacks)
    jumps = any(facts.response is None for facts in blocks)
    agreement = _agreement_rows(problem)
    rows = problem.couplings
    return Properties(
        blocks=blocks,
        couplings=tuple(_rows(problem, info, agreement) for info in rows.infos if len(info.rows)),
        agents=problem.blocks,
        columns=problem.offsets[-1],
        coupling_rows=rows.size,
        copies=rows.size - sum(len(info.rows) for info in rows.infos),
        is_qp=problem.is_qp,
        is_lp=problem.is_qp and not any(stack.P.data.any() for stack in problem.stacks),
        step_norm=None if jumps else step_norm(problem),
        most_participants=int(problem.participants.max(initial=0)),
        all_agreement=bool(rows.size) and bool(agreement.all()),
        coordinator=topology is None or topology.coordinator,
        strangers=_strangers(problem, topology),
        components=None if topology is None else len(topology.components),
        network=network_facts(problem.links),
        shared=_shared(problem) if rows.size and agreement.all() else None,
    )


def network_facts(links: Links | None) -> NetworkFacts | None:
    """The topology in words and numbers; None without one."""
    if links is None:
        return None
    count, part = links.components
    names = np.asarray(links.nodes, dtype=object)
    parts = () if count == 1 else tuple(tuple(sorted(names[part == k])) for k in range(count))
    directed = bool((links.opposite < 0).any())
    return NetworkFacts(links.size, links.edges, directed, parts, links.present is not None)


def _shared(problem: Separable) -> SharedFacts:
    try:
        columns = agreed_columns(problem)
    except NotApplicableError as error:
        return SharedFacts(0, refusal=str(error))
    parts = [(stack, reduce(stack, own)) for stack, own in zip(problem.stacks, columns, strict=True)]
    why = ((stack.labels[0], roughness(stack, part)) for stack, part in parts)
    tied = (stack.labels[0] for stack, part in parts if part is not None and part.hessian.ndim > 2)
    rough = next((f"{who} {text}" for who, text in why if text), None)
    return SharedFacts(columns[0].shape[1], rough=rough, tied=next(tied, None))


def _block(stack: Stack, curvature: bool) -> BlockFacts:
    diagonal = stack.P.diagonal() if stack.P.nnz else np.zeros((1, max(stack.columns, 1)))
    if stack.cones:
        kind = "conic"
    elif not stack.P.data.any():
        kind = "LP"
    else:
        kind = "QP" if stack.A.shape[0] else "box"
    return BlockFacts(
        agents=stack.size,
        example=stack.labels[0],
        kind=kind,
        columns=stack.columns,
        equations=stack.A.shape[0],
        cones=str(stack.cones),
        equal=stack.A.is_shared and stack.P.is_shared,
        curvature=(float(diagonal.min(initial=np.inf)), float(diagonal.max(initial=0.0)))
        if stack.columns
        else (0.0, 0.0),
        response=response_norm(stack) if curvature else None,
    )


def _rows(problem: Separable, info: CouplingInfo, agreement: NDArray[np.bool_]) -> RowFacts:
    count = problem.participants[info.rows]
    kind = "agreement" if agreement[info.rows].all() else "neighbour" if count.max() <= 2 else "resource"
    sense = "==" if problem.couplings.equality[info.rows].all() else "<="
    return RowFacts(info.name, kind, sense, len(info.rows), (int(count.min()), int(count.max())), info.unit)


def _agreement_rows(problem: Separable) -> NDArray[np.bool_]:
    """Rows a x - a y = 0 of two columns."""
    matrix = problem.matrix
    count = np.diff(matrix.indptr)
    total = np.asarray(matrix.sum(axis=1)).ravel()
    size = np.asarray(abs(matrix).sum(axis=1)).ravel()
    zero = (problem.couplings.lower == 0) & (problem.couplings.upper == 0)
    return np.asarray((count == 2) & zero & (np.abs(total) <= 1e-12 * size))


def _strangers(problem: Separable, topology: Topology | None) -> tuple[tuple[str, str], ...]:
    """Pairs of agents that share a row of two, but no edge of the topology: a few of them."""
    if topology is None:
        return ()
    found: list[tuple[str, str]] = []
    for one, other in _pairs(problem):
        if not topology.are_neighbours(one, other) and (one, other) not in found:
            found.append((one, other))
            if len(found) == _PAIRS_SHOWN:
                break
    return tuple(found)


def _pairs(problem: Separable) -> Iterator[tuple[str, str]]:
    two = problem.participants == 2
    first: dict[int, str] = {}
    for stack in problem.stacks:
        for label, rows in zip(stack.labels, stack.rows, strict=True):
            for row in rows[two[rows]]:
                if int(row) in first:
                    yield first[int(row)], label
                else:
                    first[int(row)] = label
