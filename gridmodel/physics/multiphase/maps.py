"""The branch flow equations of one series block as real linear maps of the numbers of V, W = v i^H and L = i i^H."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.physics.multiphase.hermitian import basis, block, packed, to_numbers
from gridmodel.physics.multiphase.plan import Branch, Plan

__all__ = ["BranchMaps", "branch_maps", "linear_maps", "parts", "positions", "shunt_map", "stacked"]

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class BranchMaps:
    """What one branch does: v, f, l are the numbers of V at its start, of its flow, and of L.

    V at its end has the numbers  keep v - drop f + rise l;  it draws  draw f  from the ports at its start and brings
    arrive f - lost l  to those at its end, both (p, q) stacked: active first. heat l is what turns into heat.
    current l <= rating^2. cone (v, f, l) is the real form of a matrix that must be positive semidefinite, row by row;
    None where nothing is to be said. side: of that real form.
    """

    keep: Floats
    drop: Floats
    rise: Floats
    draw: Floats
    arrive: Floats
    lost: Floats
    heat: Floats
    current: Floats
    rating: Floats
    cone: Floats | None
    side: int = 0


def branch_maps(plan: Plan, bus: int) -> BranchMaps:
    """The exact equations of the branch that feeds a bus, but for rank W = 1; X, F with V = lift X lift^H, W = lift F.

    V_end = R V R^H - R W z^H - z W^H R^H + z L z^H,  draw = diag(W conj(R)),  arrive = diag(R W - z L),
    [[X, F], [F^H, L]] >= 0.  A mere ratio has W = diag only and no L.

    Raises:
        ModelError: a ratio without impedance that mixes conductors.
    Source: Gan and Low (2014), Convex relaxations and linear approximation for optimal power flow in multiphase
        radial networks, with R the identity.
    """
    branch = plan.branches[bus - 1]
    lift, series = plan.lift(branch.parent), branch.series
    R, z = series.R, series.z
    m, n = R.shape[0], lift.shape[1]
    start = R @ lift
    keep = to_numbers(np.einsum("ij,kjl,ml->kim", start, basis(n), start.conj())).T
    if series.ideal:
        return _given(R, lift) if branch.parent in plan.stiff else _ratio(branch, keep)
    F, L = packed(n, m), basis(m)
    W = lift @ F
    RW = R @ W
    RWz = RW @ z.conj().T
    zL = z @ L
    limited = np.isfinite(series.rating)
    K = series.K[limited]
    return BranchMaps(
        keep=keep,
        drop=to_numbers(RWz + RWz.conj().transpose(0, 2, 1)).T,
        rise=to_numbers(zL @ z.conj().T).T,
        draw=parts(np.einsum("kij,ji->ki", W, R.conj())).T,
        arrive=parts(np.einsum("kii->ki", RW)).T,
        lost=parts(np.einsum("kii->ki", zL)).T,
        heat=np.einsum("kii->k", zL).real,
        current=np.einsum("ai,kij,aj->ak", K, L, K.conj()).real,
        rating=series.rating[limited],
        cone=block(n, m),
        side=2 * (n + m),
    )


def _given(R: Complexes, lift: Complexes) -> BranchMaps:
    """A branch without impedance from a given voltage, whose end has a given voltage too."""
    W = lift @ packed(1, len(R))
    m = len(R)
    empty = np.zeros((2 * m, 0))
    return BranchMaps(
        np.ones((1, 1)), np.zeros((1, 2 * m)), np.zeros((1, 0)), parts(np.einsum("kij,ji->ki", W, R.conj())).T,
        parts(np.einsum("kii->ki", R @ W)).T, empty, empty[0], np.zeros((0, 0)), np.zeros(0), None,
    )  # fmt: skip


def _ratio(branch: Branch, keep: Floats) -> BranchMaps:
    """A branch without impedance: its flow numbers are the powers it carries."""
    pick = np.abs(branch.series.R) > 0
    if pick.sum(axis=1).max() > 1 or pick.sum(axis=0).max() > 1:
        raise ModelError(f"{branch.name} mixes conductors without an impedance; give it one, or lower negligible.")
    m, both = len(pick), np.eye(2)
    empty = np.zeros((2 * m, 0))
    return BranchMaps(
        keep, np.zeros((m * m, 2 * m)), np.zeros((m * m, 0)), np.kron(both, pick.T).astype(np.float64),
        np.kron(both, np.eye(m)).astype(np.float64), empty, empty[0], np.zeros((0, 0)), np.zeros(0), None,
    )  # fmt: skip


def linear_maps(plan: Plan, bus: int) -> BranchMaps:
    """The linear equations of the branch that feeds a bus, around port voltages v: no losses, flow numbers of lam.

    W_kl = v_k / (R v)_l lam_l

    Source: Gan and Low (2014), section IV, with R the identity.
    """
    exact = branch_maps(plan, bus)
    if exact.cone is None:
        return exact
    branch = plan.branches[bus - 1]
    lift, v = plan.lift(branch.parent), plan.around[branch.parent]
    R = branch.series.R
    m = R.shape[0]
    ends = R @ v
    lam = packed(1, m)[:, 0, :]
    # F = (lift^+ v) (lam / ends)': the source's lift is v itself
    F = (np.linalg.pinv(lift) @ v)[None, :, None] * (lam / ends[None, :])[:, None, :]
    flow = np.concatenate([F.real.reshape(2 * m, -1), F.imag.reshape(2 * m, -1)], axis=1).T
    return BranchMaps(
        exact.keep, exact.drop @ flow, exact.rise[:, :0], exact.draw @ flow, exact.arrive @ flow, exact.lost[:, :0],
        exact.heat[:0], np.zeros((0, 0)), np.zeros(0), None,
    )  # fmt: skip


def shunt_map(Y: Complexes, lift: Complexes) -> Floats:
    """What an admittance between ports draws, active first: diag(V Y^H) over the numbers of X, V = lift X lift^H."""
    V = lift @ basis(lift.shape[1]) @ lift.conj().T
    return parts(np.einsum("kij,ij->ki", V, Y.conj())).T


def parts(values: Complexes) -> Floats:
    """Real parts, then imaginary parts, along the last axis."""
    return np.concatenate([values.real, values.imag], axis=-1)


def stacked(shape: tuple[int, int], blocks: Iterable[tuple[NDArray[np.intp], int, Floats]]) -> sp.csr_array:
    """A sparse matrix of dense blocks: (its rows, the first of its columns, values); overlapping blocks add up."""
    rows, columns, values = [], [], []
    for at, start, part in blocks:
        i, j = np.nonzero(part)
        rows.append(at[i])
        columns.append(start + j)
        values.append(part[i, j])
    if not rows:
        return sp.csr_array(shape)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_array(sp.coo_array(entries, shape=shape))


def positions(sizes: Iterable[int]) -> NDArray[np.intp]:
    """Where each of a row of pieces starts, and at last their total length."""
    return np.concatenate([[0], np.cumsum(list(sizes), dtype=np.intp)]).astype(np.intp)
