"""Separable models from dense arrays, and their central optimum, for tests of algorithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.ir.separable import Couplings, Separable
from gridmodel.ir.stack import Stack

Floats = NDArray[np.float64]
INF = np.inf


def stack(
    P: Any,
    q: Any,
    C: Any,
    rows: Any,
    lower: Any = -INF,
    upper: Any = INF,
    A: Any = None,
    b: Any = None,
    G: Any = None,
    h: Any = None,
    cones: Cones | None = None,
    labels: Sequence[str] | None = None,
) -> Stack:
    """A stack from dense arrays: P of one or two dimensions holds diagonals; other matrices of two are shared."""
    q = np.atleast_2d(np.asarray(q, dtype=float))
    size, n = q.shape
    P = np.asarray(P, dtype=float)
    if P.ndim < 3:
        P = np.stack([np.diag(row) for row in np.atleast_2d(P)])
    return Stack(
        labels=labels or [f"a{i}" for i in range(size)],
        P=batch(P, (n, n), size),
        q=q,
        offset=np.zeros(size),
        A=batch(A, (0, n), size),
        b=np.zeros((size, 0)) if b is None else np.broadcast_to(np.asarray(b, dtype=float), (size, np.shape(b)[-1])),
        lower=np.broadcast_to(np.asarray(lower, dtype=float), q.shape),
        upper=np.broadcast_to(np.asarray(upper, dtype=float), q.shape),
        G=batch(G, (0, n), size),
        h=np.zeros((size, 0)) if h is None else np.broadcast_to(np.asarray(h, dtype=float), (size, np.shape(h)[-1])),
        cones=cones or Cones(),
        C=batch(C, (0, n), size),
        rows=np.broadcast_to(np.asarray(rows, dtype=np.intp), (size, np.shape(rows)[-1])),
        group=np.arange(n),
    )


def batch(values: Any, empty: tuple[int, int], size: int) -> Batch:
    """A batch from one dense matrix or one a block; zeros in all blocks are left out."""
    if values is None:
        return Batch.empty(*empty, size)
    full = np.asarray(values, dtype=float)
    full = full[None] if full.ndim == 2 else full
    row, col = np.nonzero((full != 0).any(axis=0))
    return Batch.build(full.shape[1:], row, col, full[:, row, col], size)


def separable(stacks: Sequence[Stack], lower: Any, upper: Any) -> Separable:
    """Stacks and coupling rows  lower <= sum C_i x_i <= upper."""
    bounds = [np.atleast_1d(np.asarray(side, dtype=float)) for side in (lower, upper)]
    return Separable(tuple(stacks), Couplings(bounds[0], bounds[1], ()))


def dispatch(demand: float = 4.1) -> Separable:
    """Economic dispatch of three generators: cost (p - alpha)^2 / (2 beta), sum p = demand, cost at p=0 left out."""
    beta = np.array([3.0, 2.0, 2.0])
    made = stack((1 / beta)[:, None], (1 / beta)[:, None], [[1.0]], [0], lower=0.0, upper=[[2.1], [1.0], [5.0]],
                 labels=["g1", "g2", "g3"])  # fmt: skip
    return separable([made], demand, demand)


def dispatch_cost(value: float) -> float:
    """The cost with its constant part sum alpha^2 / (2 beta), alpha = -1."""
    return value + 1 / 6 + 1 / 4 + 1 / 4


@dataclass(frozen=True)
class Optimum:
    """The central optimum: cost, columns of each stack, multipliers of coupling rows, equations and cone rows."""

    value: float
    x: list[Floats]
    mu: Floats
    nu: list[Floats]
    zeta: list[Floats]


def central(problem: Separable) -> Optimum:
    """Solves the assembled matrices with Clarabel."""
    stacks = problem.stacks
    P = sp.block_diag([s.P.diagonal_blocks for s in stacks], format="csc")
    q = problem.join([s.q for s in stacks])
    lower, upper = (problem.join([getattr(s, side) for s in stacks]) for side in ("lower", "upper"))
    one = sp.eye_array(len(q), format="csr")
    A = sp.block_diag([s.A.diagonal_blocks for s in stacks], format="csr")
    b = problem.join([s.b for s in stacks])
    y, same = problem.couplings, problem.couplings.equality
    C = problem.matrix
    above, below = np.isfinite(y.upper) & ~same, np.isfinite(y.lower) & ~same
    up, down = np.isfinite(upper), np.isfinite(lower)
    parts = [A, C[same], C[above], -C[below], one[up], -one[down]]
    right = [b, y.upper[same], y.upper[above], -y.lower[below], upper[up], -lower[down]]
    zero, nonneg = len(b) + int(same.sum()), int(above.sum() + below.sum() + up.sum() + down.sum())
    listed: list[Any] = [clarabel.ZeroConeT(zero), clarabel.NonnegativeConeT(nonneg)]
    for s, start in zip(stacks, problem.offsets, strict=False):
        for i in range(s.size):
            first = start + i * s.columns
            parts.append(-s.G.sparse(i) @ one[first : first + s.columns])
            right.append(s.h[i])
            listed += cone_list(s.cones)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    data = (sp.triu(P, format="csc"), q, sp.csc_matrix(sp.vstack(parts)), np.concatenate(right), listed)
    answer = clarabel.DefaultSolver(*data, settings).solve()
    assert str(answer.status) in ("Solved", "AlmostSolved"), answer.status
    x, z = np.asarray(answer.x), np.asarray(answer.z)
    mu = np.zeros(y.size)
    at = np.cumsum([len(b), int(same.sum()), int(above.sum()), int(below.sum())])
    mu[same] = z[at[0] : at[1]]
    mu[above] += z[at[1] : at[2]]
    mu[below] -= z[at[2] : at[3]]
    parts_x = problem.split(x)
    nu, zeta = z[: at[0]], z[len(z) - sum(s.h.size for s in stacks) :]
    return Optimum(
        problem.cost(parts_x), parts_x, mu,
        _parts(nu, [s.b for s in stacks]), _parts(zeta, [s.h for s in stacks]),
    )  # fmt: skip


def _parts(vector: Floats, like: list[Floats]) -> list[Floats]:
    ends = np.cumsum([part.size for part in like])[:-1]
    return [part.reshape(shape.shape) for part, shape in zip(np.split(vector, ends), like, strict=True)]


def cone_list(cones: Cones) -> list[Any]:
    """Clarabel's list of a block's cones."""
    listed: list[Any] = [clarabel.NonnegativeConeT(cones.nonneg)] if cones.nonneg else []
    listed += [clarabel.SecondOrderConeT(k) for k in cones.soc]
    listed += [clarabel.PSDTriangleConeT(k) for k in cones.psd]
    listed += [clarabel.ExponentialConeT() for _ in range(cones.exp)]
    return listed + [clarabel.PowerConeT(a) for a in cones.pow3d]
