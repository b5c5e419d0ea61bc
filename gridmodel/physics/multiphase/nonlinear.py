"""The optimal power flow of a feeder in voltages and currents themselves, by Ipopt: a second witness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ipopt import solve_ipopt
from gridmodel.language.model import Model
from gridmodel.physics.multiphase.opf import FeederLayout
from gridmodel.physics.multiphase.plan import Plan

__all__ = ["NonlinearOptimum", "nonlinear_optimum"]

Complexes = NDArray[np.complex128]
Pair = tuple[Any, Any]


@dataclass(frozen=True)
class NonlinearOptimum:
    """A stationary point of the exact problem.

    value: cost in $/h, or losses in kW. v: port voltages of every bus, pu. p, q: of generators, MW and Mvar.
    status, solver: as in ``gridmodel.ipopt.Ending``.
    """

    value: float
    v: tuple[Complexes, ...]
    p: NDArray[np.float64]
    q: NDArray[np.float64]
    status: str
    solver: str


@dataclass(frozen=True)
class _Unknowns:
    """v by bus and port, i by branch and port, as (real, imaginary) variables."""

    v: dict[tuple[int, int], Pair]
    i: dict[tuple[int, int], Pair]


def nonlinear_optimum(model: Model, tolerance: float = 1e-9) -> NonlinearOptimum:
    """The optimum of the problem whose relaxation ``feeder_model`` made, over rectangular voltages and currents.

    v_child = R v_parent - z i,  currents add up to zero at every port,  (row v) conj(i_pair) = s of every load and
    generator,  v_min <= |row v| <= v_max

    Raises:
        ModelError: not a model of ``feeder_model``, or Ipopt or Pyomo is not installed.
    """
    layout = model.layout
    if not isinstance(layout, FeederLayout):
        raise ModelError(f"{model.name!r} is not of feeder_model(...), so it has no feeder to be exact about.")
    try:
        import pyomo.environ as pyo
    except ImportError:
        raise ModelError(
            "Pyomo is not installed, which the exact problem needs: pip install 'gridmodel[acopf]'."
        ) from None
    program: Any = pyo.ConcreteModel()
    program.rows = pyo.ConstraintList()
    plan = layout.plan
    units = range(len(plan.units))
    program.p = pyo.Var(units, bounds=lambda _, k: plan.units[k].p, initialize=lambda _, k: sum(plan.units[k].p) / 2)
    program.q = pyo.Var(units, bounds=lambda _, k: plan.units[k].q, initialize=lambda _, k: sum(plan.units[k].q) / 2)
    for k in units:
        if np.isfinite(plan.units[k].s_max):
            program.rows.add(program.p[k] ** 2 + program.q[k] ** 2 <= plan.units[k].s_max ** 2)
    unknown = _unknowns(program, plan)
    _drops(program, plan, unknown)
    source = _currents(program, plan, unknown, layout.limits.delta == "balanced")
    _ranges(program, plan, unknown, layout)
    v0 = [(float(x.real), float(x.imag)) for x in plan.v[0]]
    given_p = sum(v[0] * i[0] + v[1] * i[1] for v, i in zip(v0, source, strict=True))
    given_q = sum(v[1] * i[0] - v[0] * i[1] for v, i in zip(v0, source, strict=True))
    for value, (low, high) in ((given_p, layout.limits.substation_p), (given_q, layout.limits.substation_q)):
        if np.isfinite(low):
            program.rows.add(value >= low)
        if np.isfinite(high):
            program.rows.add(value <= high)
    program.cost = pyo.Objective(expr=_objective(program, plan, unknown, layout, given_p))
    ending = solve_ipopt(program, tolerance)
    v = tuple(
        np.array([complex(*map(pyo.value, unknown.v[bus, k])) for k in range(frame.size)])
        for bus, frame in enumerate(plan.frames)
    )
    p, q = (np.array([pyo.value(side[k]) for k in units], dtype=np.float64) for side in (program.p, program.q))
    return NonlinearOptimum(float(pyo.value(program.cost)), v, p, q, ending.status, ending.solver)


def _unknowns(program: Any, plan: Plan) -> _Unknowns:
    import pyomo.environ as pyo

    ports = [(bus, k) for bus, frame in enumerate(plan.frames) for k in range(frame.size)]
    program.v = pyo.Var(ports, (0, 1), initialize=lambda _, bus, k, c: (plan.v[bus][k].real, plan.v[bus][k].imag)[c])
    for k, value in enumerate(plan.v[0]):
        program.v[0, k, 0].fix(float(value.real))
        program.v[0, k, 1].fix(float(value.imag))
    v = {
        key: (program.v[(*key, 0)], program.v[(*key, 1)])
        if key[0]
        else (plan.v[0][key[1]].real, plan.v[0][key[1]].imag)
        for key in ports
    }
    wires = [(b, k) for b, branch in enumerate(plan.branches) for k in range(branch.series.R.shape[0])]
    program.i = pyo.Var(wires, (0, 1), initialize=0.0)
    return _Unknowns(v, {key: (program.i[(*key, 0)], program.i[(*key, 1)]) for key in wires})


def _times(factor: complex, pair: Pair) -> Pair:
    a, b = float(np.real(factor)), float(np.imag(factor))
    return a * pair[0] - b * pair[1], b * pair[0] + a * pair[1]


def _sum(terms: list[tuple[complex, Pair]]) -> Pair:
    """The sum of factors times complex unknowns."""
    made = [_times(factor, pair) for factor, pair in terms if factor]
    return sum(one[0] for one in made), sum(one[1] for one in made)


def _drops(program: Any, plan: Plan, unknown: _Unknowns) -> None:
    for b, branch in enumerate(plan.branches):
        R, z = branch.series.R, branch.series.z
        d, n = R.shape
        for k in range(d):
            terms: list[tuple[complex, Pair]] = [(-1.0, unknown.v[branch.child, k])]
            terms += [(complex(R[k, j]), unknown.v[branch.parent, j]) for j in range(n)]
            terms += [(-complex(z[k, j]), unknown.i[b, j]) for j in range(d)]
            for side in _sum(terms):
                program.rows.add(side == 0)


def _hanging(program: Any, plan: Plan, unknown: _Unknowns, shared: bool) -> dict[int, list[tuple[list[Any], Pair]]]:
    """(row, current) of all loads and generators by bus; where powers are shared by fixed parts, one a port."""
    owners = [(load.bus, np.array(load.row), load.s.real, load.s.imag) for load in plan.loads]
    owners += [(unit.bus, np.array(unit.row), -program.p[k], -program.q[k]) for k, unit in enumerate(plan.units)]
    found: dict[int, list[tuple[list[Any], Pair]]] = {}
    parts: list[tuple[int, Any, Any, Any]] = []
    for bus, row, p, q in owners:
        if not shared or bus in plan.stiff or np.count_nonzero(row) == 1:
            parts.append((bus, row, p, q))
            continue
        for port in np.flatnonzero(row):
            share = complex(plan.around[bus][port] * row[port] / (row @ plan.around[bus]))
            parts.append((bus, np.eye(len(row))[port], *_times(share, (p, q))))
    program.pair = _pairs(len(parts))
    for k, (bus, row, p, q) in enumerate(parts):
        i = program.pair[k, 0], program.pair[k, 1]
        v = _sum([(complex(value), unknown.v[bus, port]) for port, value in enumerate(row)])
        program.rows.add(v[0] * i[0] + v[1] * i[1] == p)
        program.rows.add(v[1] * i[0] - v[0] * i[1] == q)
        found.setdefault(bus, []).append((row.tolist(), i))
    return found


def _pairs(count: int) -> Any:
    import pyomo.environ as pyo

    return pyo.Var(range(count), (0, 1), initialize=0.0)


def _currents(program: Any, plan: Plan, unknown: _Unknowns, shared: bool) -> list[Pair]:
    """Currents add up at every port; returns what the source gives at its own."""
    hanging = _hanging(program, plan, unknown, shared)
    source: list[Pair] = []
    for bus, frame in enumerate(plan.frames):
        Y = plan.shunts[bus]
        for k in range(frame.size):
            out: list[tuple[complex, Pair]] = [(complex(Y[k, j]), unknown.v[bus, j]) for j in range(frame.size)]
            out += [(row[k], i) for row, i in hanging.get(bus, [])]
            for child in plan.children[bus]:
                R = plan.branches[child - 1].series.R
                out += [(complex(R[j, k]), unknown.i[child - 1, j]) for j in range(R.shape[0])]
            total = _sum(out)
            if bus == 0:
                source.append(total)
                continue
            program.rows.add(unknown.i[bus - 1, k][0] == total[0])
            program.rows.add(unknown.i[bus - 1, k][1] == total[1])
    return source


def _ranges(program: Any, plan: Plan, unknown: _Unknowns, layout: FeederLayout) -> None:
    """Limits of voltages and currents."""
    limits = layout.limits
    for bus, frame in enumerate(plan.frames):
        if bus in plan.stiff:
            continue
        rows = [np.eye(frame.size)[k] for k in range(frame.size)]
        if not frame.grounded and frame.size > 1:
            rows.append(np.array([1.0, -1.0]))
        for row in rows:
            v = _sum([(complex(value), unknown.v[bus, k]) for k, value in enumerate(row)])
            program.rows.add((limits.v_min**2, v[0] ** 2 + v[1] ** 2, limits.v_max**2))
    for b, branch in enumerate(plan.branches):
        for k in np.flatnonzero(np.isfinite(branch.series.rating)):
            K = branch.series.K[k]
            i = _sum([(complex(value), unknown.i[b, j]) for j, value in enumerate(K)])
            program.rows.add(i[0] ** 2 + i[1] ** 2 <= float(branch.series.rating[k]) ** 2)


def _objective(program: Any, plan: Plan, unknown: _Unknowns, layout: FeederLayout, given: Any) -> Any:
    if layout.objective == "cost":
        return layout.limits.price * given + sum(unit.cost * program.p[k] for k, unit in enumerate(plan.units))
    total: Any = 0.0
    for b, branch in enumerate(plan.branches):
        z = (branch.series.z + branch.series.z.conj().T) / 2
        for j, k in zip(*np.nonzero(z), strict=True):
            one, other = unknown.i[b, j], unknown.i[b, k]
            total += float(z[j, k].real) * (one[0] * other[0] + one[1] * other[1])
            total += float(z[j, k].imag) * (one[1] * other[0] - one[0] * other[1])
    return 1000.0 * total
