"""Voltages out of the semidefinite relaxation, and how true they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.elements import Generator, Load, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.ir.result import Result
from gridmodel.physics.multiphase.hermitian import from_numbers
from gridmodel.physics.multiphase.maps import branch_maps, positions
from gridmodel.physics.multiphase.opf import FeederLayout
from gridmodel.physics.multiphase.plan import Plan

__all__ = ["Recovery", "dispatched", "feeder_prices", "recover"]

Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Recovery:
    """Voltages v of rank one along the tree.

    v: port voltages of every bus, pu. i: currents of every branch, pu. rank: second over first eigenvalue of each
    branch's block, by name; 0 is rank one. mismatch: by port label, what v and the generators leave of the powers there
    in MVA. p, q: of generators, MW and Mvar.
    """

    plan: Plan
    v: tuple[Complexes, ...]
    i: tuple[Complexes, ...]
    rank: Mapping[str, float]
    mismatch: Mapping[str, float]
    p: NDArray[np.float64]
    q: NDArray[np.float64]

    @property
    def largest_rank(self) -> float:
        """The largest ratio of eigenvalues."""
        return max(self.rank.values(), default=0.0)

    @property
    def largest_mismatch(self) -> float:
        """The largest power that is left at a port, MVA."""
        return max(self.mismatch.values(), default=0.0)

    def magnitudes(self) -> dict[str, float]:
        """|v| by port label, pu; between conductors of their nominal voltage."""
        out: dict[str, float] = {}
        for frame, v in zip(self.plan.frames, self.v, strict=True):
            out.update(zip(frame.labels, np.abs(v).tolist(), strict=True))
        return out


def recover(result: Result) -> Recovery:
    """Voltages from the source outwards:  i = W^H v / |v|^2,  v_child = R v - z i.

    Raises:
        ModelError: not a result of ``feeder_model(formulation="sdp")``.
    Source: Gan and Low (2014), algorithm 2.
    """
    layout = _layout(result)
    if layout.formulation != "sdp":
        raise ModelError(f'voltages are recovered from formulation "sdp", this is {layout.formulation!r}.')
    plan = layout.plan
    p, q = np.zeros(len(plan.units)), np.zeros(len(plan.units))
    v: list[Complexes] = [plan.v[0]] * len(plan.frames)
    i: list[Complexes] = [np.zeros(0, np.complex128)] * len(plan.branches)
    rank = {}
    for area in layout.areas:  # the upper ones first
        held = result[area.name]
        own = set(area.buses)
        mine = [k for k, unit in enumerate(plan.units) if unit.bus in own]
        if mine:
            p[mine], q[mine] = held["p"], held["q"]
        matrices = _voltages(plan, area.buses, area.upstream, held)
        children = [bus for bus in area.buses if bus]
        maps = [branch_maps(plan, bus) for bus in children]
        f_at = positions(m.draw.shape[1] for m in maps)
        l_at = positions(m.rise.shape[1] for m in maps)
        for k, bus in enumerate(children):
            branch = plan.branches[bus - 1]
            R, z = branch.series.R, branch.series.z
            near = v[branch.parent]
            numbers = held["flow"][f_at[k] : f_at[k + 1]]
            given = branch.parent in plan.stiff
            if branch.series.ideal:
                s = numbers[: len(R)] + 1j * numbers[len(R) :]
                i[bus - 1], v[bus] = np.conj(s if given else s / (R @ near)), R @ near
                continue
            # the matrix of a given voltage is the number one
            start, turned = (np.ones(1), R @ near[:, None]) if given else (near, R)
            d, n = turned.shape
            W = (numbers[: n * d] + 1j * numbers[n * d :]).reshape(n, d)
            L = from_numbers(held["current"][l_at[k] : l_at[k + 1]])
            V = matrices[branch.parent]
            values = np.linalg.eigvalsh(np.block([[V, W], [W.conj().T, L]]))
            rank[branch.name] = float(abs(values[-2]) / values[-1])
            i[bus - 1] = W.conj().T @ start / np.vdot(start, start).real
            v[bus] = turned @ start - z @ i[bus - 1]
    return Recovery(plan, tuple(v), tuple(i), rank, _mismatch(plan, v, i, p, q), p, q)


def _voltages(
    plan: Plan, buses: tuple[int, ...], upstream: int | None, held: Mapping[str, Any]
) -> dict[int, Complexes]:
    at = positions(plan.moving(bus) for bus in buses)
    out = {bus: from_numbers(plan.still(bus)) for bus in [*buses, upstream or 0] if bus in plan.stiff}
    for k, bus in enumerate(buses):
        if bus not in out:
            out[bus] = from_numbers(plan.still(bus) + held["voltage"][at[k] : at[k + 1]])
    if upstream is not None and upstream not in out:
        out[upstream] = from_numbers(plan.still(upstream) + held["upstream"])
    return out


def _mismatch(plan: Plan, v: list[Complexes], i: list[Complexes], p: Any, q: Any) -> dict[str, float]:
    """|v conj(i_in - i_out - Y v - currents of loads and generators)| at every port but the source's."""
    owners = [(load.bus, load.row, load.s) for load in plan.loads]
    owners += [(unit.bus, unit.row, -complex(p[k], q[k])) for k, unit in enumerate(plan.units)]
    left = [-Y @ one for Y, one in zip(plan.shunts, v, strict=True)]
    for bus, row, s in owners:
        across = np.array(row)
        left[bus] = left[bus] - across * np.conj(s / (across @ v[bus]))
    for k, branch in enumerate(plan.branches):
        left[branch.child] = left[branch.child] + i[k]
        left[branch.parent] = left[branch.parent] - branch.series.R.T @ i[k]
    out: dict[str, float] = {}
    for frame, current, one in zip(plan.frames[1:], left[1:], v[1:], strict=True):
        out.update(zip(frame.labels, np.abs(one * np.conj(current)).tolist(), strict=True))
    return out


def dispatched(result: Result) -> Feeder:
    """The feeder at the answer: loads as the optimal power flow saw them, each phase of a generator at its power.

    ``dispatched(result).load_flow()`` gives the voltages to which the answer leads.

    Raises:
        ModelError: not a result of ``feeder_model``, or one with loads="zip".
    """
    layout = _layout(result)
    p, q = np.zeros(len(layout.plan.units)), np.zeros(len(layout.plan.units))
    for area in layout.areas:
        mine = [k for k, unit in enumerate(layout.plan.units) if unit.bus in set(area.buses)]
        if mine:
            p[mine], q[mine] = result[area.name]["p"], result[area.name]["q"]
    s = iter((1e6 * (p + 1j * q)).tolist())
    feeder = layout.feeder
    units = [_phase(unit, k, next(s)) for unit in feeder.generators for k in range(unit.phases)]
    scale = layout.load_scale
    return replace(feeder, loads=tuple(_constant(load, scale) for load in feeder.loads), generators=tuple(units))


def _constant(load: Load, scale: float) -> Load:
    fixed = (0.0, 0.0, 1.0)
    return replace(load, s=scale * load.s, zip_p=fixed, zip_q=fixed, v_min=0.0, v_max=np.inf, v_low=0.0)


def _phase(unit: Generator, k: int, s: complex) -> Generator:
    """One phase of a generator as a generator of its own."""
    nodes, n = unit.terminal.nodes, unit.phases
    if unit.connection == "delta":
        pair, v = (nodes[k], nodes[(k + 1) % len(nodes)]), unit.v
    else:
        pair = nodes[k], nodes[n] if len(nodes) > n else 0
        v = unit.v / float(np.sqrt(3.0)) if n > 1 else unit.v
    return replace(
        unit, name=f"{unit.name}.{k + 1}", terminal=Terminal(unit.terminal.bus, pair), phases=1, s=s, v=v,
        v_min=0.0, v_max=np.inf,
    )  # fmt: skip


def feeder_prices(result: Result) -> dict[str, tuple[float, float]]:
    """The price of active and of reactive power at every port, $/MWh and $/Mvarh, by its label.

    Raises:
        ModelError: not a result of ``feeder_model``, or its algorithm gave no prices of local constraints.
    """
    layout = _layout(result)
    out: dict[str, tuple[float, float]] = {}
    for area, labels in layout.ports.items():
        try:
            p, q = result.price[f"{area}.balance"], result.price[f"{area}.reactive balance"]
        except KeyError:
            raise ModelError(f"the result of {result.algorithm} has no price {area}.balance.") from None
        out.update(zip(labels, zip(np.atleast_1d(p).tolist(), np.atleast_1d(q).tolist(), strict=True), strict=True))
    return out


def _layout(result: Result) -> FeederLayout:
    layout = getattr(result.model, "layout", None)
    if not isinstance(layout, FeederLayout):
        raise ModelError(f"the result of {result.model_name!r} is not of the optimal power flow of a feeder.")
    return layout
