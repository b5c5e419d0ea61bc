"""Loads and generators between two ports of a bus: how their powers are split over the ports, and their voltages."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.physics.multiphase.hanging import Hanging
from gridmodel.physics.multiphase.hermitian import basis, block, packed
from gridmodel.physics.multiphase.maps import parts, stacked
from gridmodel.physics.multiphase.work import Work, pair_range, port_range

__all__ = ["pair_supply", "pair_voltages"]

Floats = NDArray[np.float64]


def pair_supply(work: Work, k: int, bus: int, hanging: Hanging, p: cp.Expression, q: cp.Expression) -> cp.Expression:
    """What loads and generators between ports bring to the ports, which is minus what they draw.

    Exactly, with X = v i^H of the pairs' currents i: pair powers diag(A X), drawn diag(X A), [[V, X], [X^H, I]] >= 0;
    "balanced": v_k A_jk / (A v)_j of each pair's power at voltages without load.
    Source: Zhao, Dall'Anese, Low (2017), Optimal power flow in multiphase radial networks with delta connections.
    """
    A, d, count = hanging.A, hanging.A.shape[1], len(hanging.A)
    fed_p, fed_q = np.zeros((count, p.size)), np.zeros((count, q.size))
    for unit, pair in hanging.in_pairs:
        fed_p[pair, unit] = fed_q[pair, unit] = 1.0
    drawn: cp.Expression = cp.Constant(parts(hanging.between))
    if hanging.in_pairs:
        drawn = drawn - cp.hstack([fed_p @ p, fed_q @ q])
    rows = stacked((2 * work.ports, 2 * d), [(work.rows(bus), 0, -np.eye(2 * d))])
    given = bus in work.plan.stiff
    if given or not (work.limits.exact and work.limits.delta == "exact"):
        v = work.plan.v[bus] if given else work.plan.around[bus]
        B = v[:, None] * A.T / (A @ v)[None, :]
        return rows @ (np.block([[B.real, -B.imag], [B.imag, B.real]]) @ drawn)
    name = work.plan.frames[bus].bus
    X = work.agent.variable(f"delta {name}", 2 * d * count, unit="MW")
    squares = work.agent.variable(f"delta current {name}", count * count)
    numbers = packed(d, count)
    power = parts(np.einsum("ij,kji->ki", A, numbers)).T
    draw = parts(np.einsum("kij,ji->ki", numbers, A)).T
    start, n = int(work.at[k]), d + count
    x = cp.hstack([work.voltage[start : start + d * d], X, squares])
    maps = block(d, count)
    whole = sp.csr_array(maps) @ x + maps[:, : d * d] @ work.plan.still(bus)
    work.agent.subject_to(cp.reshape(whole, (2 * n, 2 * n), order="C") >> 0, name="delta cone")
    _pair_currents(work, k, bus, hanging, squares)
    work.agent.subject_to(power @ X == drawn, name="delta power")
    return rows @ (draw @ X)


def _pair_currents(work: Work, k: int, bus: int, hanging: Hanging, squares: cp.Variable) -> None:
    """|i|^2 <= s^2 (1 / low + 1 / high - u / (low high)), the chord of s^2 / u for u = |v|^2 in [low, high].

    Without it nothing bounds the currents, and X could share powers over the ports as it likes.
    """
    A = hanging.A
    low, high = pair_range(work.plan, bus, work.limits)
    most = np.abs(hanging.between)
    for unit, pair in hanging.in_pairs:
        most[pair] += np.hypot(max(np.abs(work.units[unit].p)), max(np.abs(work.units[unit].q)))
    start, numbers = int(work.at[k]), A.shape[1] ** 2
    u = np.einsum("ai,kij,aj->ak", A, basis(A.shape[1]), A).real
    slope = (most**2 / (low * high))[:, None] * u
    at_rest = most**2 * (1 / low + 1 / high) - slope @ work.plan.still(bus)
    chord = at_rest - slope @ work.voltage[start : start + numbers]
    work.agent.subject_to(squares[: len(A)] <= chord, name="delta current")


def pair_voltages(work: Work) -> None:
    """Limits of voltages between two ports of buses without ground; those of ports are bounds."""
    blocks: list[tuple[NDArray[np.intp], int, Floats]] = []
    low, high = list[float](), list[float]()
    for k, bus in enumerate(work.area.buses):
        d = work.plan.frames[bus].size
        if work.plan.frames[bus].grounded or d < 2 or bus in work.plan.stiff:
            continue
        row = np.array([1.0, -1.0])
        one = np.einsum("i,kij,j->k", row, basis(d), row).real[None, :]
        blocks.append((np.array([len(blocks)]), int(work.at[k]), one))
        least, most = port_range(work.plan, bus, work.limits)
        at_rest = float(one[0] @ work.plan.still(bus))
        low.append(least - at_rest)
        high.append(most - at_rest)
    if blocks:
        between = stacked((len(blocks), work.voltage.size), blocks) @ work.voltage
        work.agent.subject_to(between >= np.array(low), between <= np.array(high), name="voltage")
