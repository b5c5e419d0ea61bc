"""What one area of a feeder pays: energy and generation, or losses."""

from __future__ import annotations

from itertools import pairwise

import cvxpy as cp
import numpy as np

from gridmodel.physics.multiphase.hermitian import packed
from gridmodel.physics.multiphase.maps import positions
from gridmodel.physics.multiphase.work import Work

__all__ = ["add_cost"]


def add_cost(work: Work, flow: cp.Variable | None, current: cp.Variable | None) -> None:
    """$/h, or losses in kW.

    Each area pays the substation's price for what it receives and is paid it for what it sends on: this adds up to
    nothing, and the prices of agreements are what differs from it.
    """
    agent, limits = work.agent, work.limits
    if limits.objective == "loss":
        agent.minimize(1000.0 * _loss(work, flow, current))
        return
    total: cp.Expression = cp.Constant(0.0)
    if "p" in agent.variables:
        total += np.array([u.cost for u in work.units]) @ agent.variables["p"]
    if "substation" in agent.variables:
        d = work.plan.frames[0].size
        total += limits.price * cp.sum(agent.variables["substation"][:d])
    if "received" in agent.variables:
        received = agent.variables["received"]
        total += limits.price * cp.sum(received[: received.size // 2])
    if "sent" in agent.variables:
        sizes = positions(2 * work.plan.frames[bus].size for bus, _ in work.area.cuts)
        active = np.concatenate([np.arange(a, a + (b - a) // 2) for a, b in pairwise(sizes)])
        total -= limits.price * cp.sum(agent.variables["sent"][active])
    agent.minimize(total)


def _loss(work: Work, flow: cp.Variable | None, current: cp.Variable | None) -> cp.Expression:
    """Heat of the branches in MW."""
    if flow is None:
        return cp.Constant(0.0)
    if current is not None:
        return np.concatenate([m.heat for m in work.maps]) @ current
    f_at = positions(m.draw.shape[1] for m in work.maps)
    total: cp.Expression = cp.Constant(0.0)
    for k, bus in enumerate(b for b in work.area.buses if b):
        branch = work.plan.branches[bus - 1]
        if branch.series.ideal:
            continue
        ends = branch.series.R @ work.plan.around[branch.parent]
        root = np.linalg.cholesky((branch.series.z + branch.series.z.conj().T) / 2).conj().T
        i = (root / ends.conj()[None, :]) @ (packed(1, len(ends))[:, 0, :].conj().T)
        both = np.concatenate([i.real, i.imag])
        total += cp.sum_squares(both @ flow[f_at[k] : f_at[k + 1]])
    return total
