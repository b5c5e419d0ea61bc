"""Which columns all agents agree on, found from the coupling rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridmodel.errors import NotApplicableError
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.reduced import Reduced

__all__ = ["agreed_columns", "all_agreements", "roughness"]

Ints = NDArray[np.intp]


def all_agreements(problem: Separable) -> bool:
    """Whether every coupling row reads a (x_p - x_q) = 0."""
    matrix, couplings = problem.matrix, problem.couplings
    if not (couplings.equality & (couplings.lower == 0)).all() or not np.isfinite(couplings.lower).all():
        return False
    filled = sp.csr_array(matrix)
    filled.eliminate_zeros()
    two = bool((np.diff(filled.indptr) == 2).all())
    return two and bool((np.abs(np.asarray(matrix.sum(axis=1))) <= 1e-12 * abs(matrix).max()).all())


def agreed_columns(problem: Separable) -> list[Ints]:
    """For each stack the column of every number that all agents share, shape (N, d).

    The numbers are in the order of the first agent's columns.

    Raises:
        NotApplicableError: a coupling is no agreement, or an agent does not hold every agreed number once.
    """
    if not problem.couplings.size or not all_agreements(problem):
        raise NotApplicableError("a coupling is no agreement of two variables")
    links = abs(problem.matrix.T) @ abs(problem.matrix)
    label = connected_components(links, directed=False)[1]
    coupled = np.zeros(problem.offsets[-1], dtype=bool)
    coupled[problem.matrix.indices] = True
    first = problem.stacks[0]
    groups = label[np.flatnonzero(coupled[: first.columns])]
    out = []
    for stack, start in zip(problem.stacks, problem.offsets, strict=False):
        of = np.where(coupled, label, -1)[start : start + stack.q.size].reshape(stack.q.shape)
        columns = np.zeros((stack.size, len(groups)), dtype=np.intp)
        for k, group in enumerate(groups):
            hit = of == group
            alone = hit.sum(axis=1) == 1
            if not alone.all():
                who = stack.labels[int(np.argmin(alone))]
                raise NotApplicableError(f"{who} does not hold every agreed number once, as all agents must")
            columns[:, k] = hit.argmax(axis=1)
        if int((of >= 0).sum()) != stack.size * len(groups):
            raise NotApplicableError(f"{stack.labels[0]} agrees on numbers that {first.labels[0]} does not hold")
        out.append(columns)
    return out


def roughness(stack: Stack, reduced: Reduced | None) -> str | None:
    """Why the blocks' cost is no quadratic of the agreed columns alone; None where it is.

    Args:
        reduced: what ``reduce`` made of the blocks.
    """
    if reduced is not None:
        return None
    if stack.cones:
        return f"has {stack.cones}"
    if np.isfinite(stack.lower).any() or np.isfinite(stack.upper).any():
        return "has bounds or inequalities"
    return "has equations of its own that hold its agreed numbers, or too many variables besides them"
