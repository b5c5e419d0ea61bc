"""What a relaxation of optimal power flow proves, and how far it is from a point that exists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridmodel.grid.network import Network
from gridmodel.ir.result import Result
from gridmodel.physics.cliques import chordal_cliques
from gridmodel.physics.powerflow import PowerFlow, bus_powers, end_powers, power_flow
from gridmodel.physics.recover import Found, found_products, rank_ratio, recovered_voltages

__all__ = ["Relaxation", "relaxation"]

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.intp]


_ROUNDING = 1e-6


@dataclass(frozen=True)
class Relaxation:
    """How exact a relaxation came out.

    bound: its cost in $/h; no feasible point of the exact equations costs less. rank_ratio: the largest ratio of the
    second to the first eigenvalue of a block. mismatch: the largest power in pu that a bus lacks at the recovered
    voltages with the relaxation's generation. v: voltages in pu of a load flow from there, shape (buses,), that keeps
    the relaxation's active generation but at reference buses, and its |v| at generators. cost: of that load flow in
    $/h; violation: its largest violation of a limit in pu or rad. None where the load flow does not converge.
    gap: (c - bound) / |c| with c the cost of a feasible point: of the load flow where it violates no limit by more than
    ``tolerance``, of one that the caller knows where that is cheaper; None without either.
    """

    formulation: str
    bound: float
    rank_ratio: float
    mismatch: float
    v: Complex | None
    cost: float | None
    violation: float | None
    gap: float | None
    tolerance: float

    @property
    def exact(self) -> bool:
        """Whether the recovered voltages satisfy the exact equations, so that the bound is the optimum."""
        return max(self.rank_ratio, self.mismatch) <= self.tolerance

    @property
    def sentence(self) -> str:
        """The finding as a sentence."""
        if self.exact:
            return f"rank one: the {self.formulation.upper()} relaxation is exact (mismatch {self.mismatch:.1e} pu)"
        if self.rank_ratio > self.tolerance:
            start = f"not rank one: second over first eigenvalue {self.rank_ratio:.1e}"
        else:
            start = "not exact: the blocks have rank one, but their angles do not close around loops"
        start += f", the recovered voltages miss the powers by {self.mismatch:.1e} pu"
        if self.gap is not None:
            shown = 0.0 if -_ROUNDING < self.gap < 0 else self.gap
            return f"{start}; gap to a feasible point {100 * shown:.3g} %"
        if self.violation is None:
            return f"{start}; no gap: the load flow from there does not converge"
        return f"{start}; no gap: the load flow from there violates limits by {self.violation:.1e}"


def relaxation(result: Result, net: Network, tolerance: float = 1e-4, feasible_cost: float | None = None) -> Relaxation:
    """Recovers voltages from a relaxation's answer and measures how far they are from the exact equations.

    Args:
        result: of a model of ``opf(net, "soc")`` or ``opf(net, "sdp")``.
        tolerance: up to which ratio and mismatch (pu) the relaxation counts as exact, and limits as kept.
        feasible_cost: cost in $/h of a feasible point of the exact equations, e.g. of ``opf(net, "ac")``.

    Raises:
        ModelError: the result is not of a relaxation of this network, or has no answer.
    """
    found = found_products(result, net)
    formulation = result.model.layout.formulation
    if formulation == "sdp":
        edges = zip(net.branches.start.tolist(), net.branches.end.tolist(), strict=True)
        blocks = chordal_cliques(net.buses.number.size, edges)
    else:
        blocks = list(np.stack([found.first, found.second], axis=1))
    v = recovered_voltages(found, net)
    wanted = _injection(net, found)
    miss = np.abs(bus_powers(net, v) - wanted)
    flow = power_flow(net, wanted, v, _slack(net), np.unique(net.generators.bus))
    ratio, away = rank_ratio(found, blocks), float(miss.max())
    cost: float | None = None
    violation: float | None = None
    known: list[float] = [] if feasible_cost is None or not np.isfinite(feasible_cost) else [feasible_cost]
    if flow.converged:
        p, beyond = _generation(net, found, flow)
        cost, violation = net.costs.total(p), max(beyond, _limits(net, flow.v))
        known += [cost] if violation <= tolerance else []
    gap = (min(known) - result.value) / (abs(min(known)) or 1.0) if known else None
    v_flow = flow.v if flow.converged else None
    return Relaxation(formulation, result.value, ratio, away, v_flow, cost, violation, gap, tolerance)


def _slack(net: Network) -> Indices:
    """The reference buses, and the first bus of an island without one."""
    known = set(net.reference.tolist())
    return np.array([*known, *(int(part[0]) for part in net.islands if not known & set(part.tolist()))], dtype=np.intp)


def _load(net: Network, found: Found) -> Complex:
    return np.asarray(found.load_scale * (net.buses.p_load + 1j * net.buses.q_load), dtype=np.complex128)


def _injection(net: Network, found: Found) -> Complex:
    """Generation less load in pu, shape (buses,)."""
    total = -_load(net, found)
    np.add.at(total, net.generators.bus, found.p + 1j * found.q)
    return np.asarray(total / net.base_mva)


def _generation(net: Network, found: Found, flow: PowerFlow) -> tuple[Floats, float]:
    """Outputs in MW at a load flow, and how far they violate limits or fail to cover the powers, in pu.

    What a bus gives more or less than in the relaxation is spread over its generators by the room that they have.
    """
    units, count = net.generators, net.buses.number.size
    given = bus_powers(net, flow.v) * net.base_mva + _load(net, found)
    outputs, worst = [], 0.0
    for output, low, high, power in (
        (found.p, units.p_min, units.p_max, given.real),
        (found.q, units.q_min, units.q_max, given.imag),
    ):
        held = np.bincount(units.bus, output, count)
        more = power - held
        room = np.where(more[units.bus] > 0, high - output, output - low)
        room = np.clip(np.nan_to_num(room, posinf=1e6), 1e-9, None)
        moved = output + more[units.bus] * room / np.bincount(units.bus, room, count)[units.bus]
        outputs.append(moved)
        bare = np.setdiff1d(np.arange(count), units.bus)
        over = np.maximum(low - moved, moved - high).max(initial=0.0)
        worst = max(worst, float(over), float(np.abs(power[bare]).max(initial=0.0)))
    return outputs[0], worst / net.base_mva


def _limits(net: Network, v: Complex) -> float:
    """The largest violation of limits of |v| (pu), of |S| (pu) and of angle differences (rad)."""
    branches, buses = net.branches, net.buses
    start, end = end_powers(net, v)
    angle = np.angle(v[branches.start] * v[branches.end].conj())
    rate = branches.rate_a / net.base_mva
    away = (
        np.abs(v) - buses.v_max, buses.v_min - np.abs(v), np.abs(start) - rate, np.abs(end) - rate,
        angle - branches.angle_max, branches.angle_min - angle,
    )  # fmt: skip
    return max(float(part.max(initial=0.0)) for part in away)
