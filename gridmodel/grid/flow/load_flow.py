"""The load flow of a feeder for one case or many scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, UnknownNameError
from gridmodel.grid.assemble import Taps
from gridmodel.grid.control import Regulation, regulation
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.injections import POWER
from gridmodel.grid.flow.port_form import PortForm
from gridmodel.grid.flow.result import LoadFlow
from gridmodel.grid.flow.scenarios import Powers, scenario_powers
from gridmodel.grid.flow.solve import MOST, solve

__all__ = ["load_flow"]


@dataclass(frozen=True)
class _Rows:
    """What was found for each scenario, arrays with the scenarios first."""

    v: NDArray[Any]
    converged: NDArray[np.bool_]
    status: NDArray[np.str_]
    iterations: NDArray[np.intp]
    mismatch: NDArray[np.float64]
    worst: NDArray[np.str_]
    drawn: NDArray[np.complex128]


def load_flow(
    feeder: Feeder,
    loads: Powers = None,
    generation: Powers = None,
    taps: Taps | Literal["auto"] | None = None,
    tolerance: float = 1e-8,
    dtype: Any = np.complex128,
    most: int = MOST,
) -> LoadFlow:
    """The voltages of a feeder: ``Feeder.load_flow``, where the arguments are explained."""
    if dtype not in (np.complex128, np.complex64, "complex128", "complex64"):
        shown = getattr(dtype, "__name__", dtype)
        raise ModelError(f"dtype is {shown}, expected complex128, or complex64 for half the time.")
    if not (isinstance(tolerance, Real) and tolerance > 0.0):
        raise ModelError(f"tolerance is {tolerance!r}, expected a positive voltage in pu such as 1e-8.")
    if not feeder.sources:
        raise ModelError(f"{feeder.name} has no source, so no voltage is given; add a Source to the feeder.")
    s, many = scenario_powers(feeder, loads, generation)
    each: tuple[Taps, ...]
    if isinstance(taps, str):
        if taps != "auto":
            raise ModelError(f"taps is {taps!r}, expected 'auto', turns ratios by (transformer, winding), or None.")
        rest = [_regulation(feeder, row, tolerance) for row in s]
        each, settled = tuple(one.taps for one in rest), np.array([one.settled for one in rest])
        found = _at_many_taps(feeder, each, s, tolerance, dtype, most)
    else:
        _check_taps(feeder, {} if taps is None else taps)
        each, settled = (taps or {},) * len(s), np.ones(len(s), dtype=np.bool_)
        found = _at_taps(feeder, form_of(feeder, taps), s, tolerance, dtype, most)
    fields = {"s": s, "settled": settled, **vars(found)}
    fields = fields if many else {name: x[0] for name, x in fields.items()}
    return LoadFlow(feeder=feeder, taps=each if many else each[0], **fields)


def _check_taps(feeder: Feeder, taps: Taps) -> None:
    windings = {unit.name: len(unit.windings) for unit in feeder.transformers}
    if not isinstance(taps, Mapping) or not all(isinstance(key, tuple) and len(key) == 2 for key in taps):
        raise ModelError(f"taps is {taps!r}, expected turns ratios such as {{('reg1a', 1): 1.05}}, by winding from 0.")
    switched = {f"capacitor {one.shunt}" for one in feeder.capacitor_controls}
    for (name, winding), tap in taps.items():
        if name in switched and winding == 0 and tap in (0, 1):
            continue
        if not (isinstance(winding, Integral) and 0 <= winding < windings.get(name, 0)):
            raise UnknownNameError(f"taps: {feeder.name} has no winding {winding} of a transformer {name!r}.")
        if not (isinstance(tap, Real) and np.isfinite(tap) and tap > 0.0):
            raise DataError(
                f"taps: the turns ratio of {name!r} is {tap!r}, expected a positive number in pu such as 1.05."
            )


def _regulation(feeder: Feeder, s: NDArray[np.complex128], tolerance: float) -> Regulation:
    """Where the regulators put the taps at these powers."""

    def volts(taps: Taps) -> NDArray[np.complex128]:
        found = _at_taps(feeder, form_of(feeder, taps), s[None], tolerance, np.complex128, MOST)
        return np.asarray(found.v[0] * feeder.base)

    return regulation(feeder, volts)


def _at_many_taps(
    feeder: Feeder, taps: tuple[Taps, ...], s: NDArray[np.complex128], tolerance: float, dtype: Any, most: int
) -> _Rows:
    """The scenarios of equal taps together."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k, one in enumerate(taps):
        groups.setdefault(tuple(sorted(one.items())), []).append(k)
    found = [
        _at_taps(feeder, form_of(feeder, dict(key)), s[rows], tolerance, dtype, most) for key, rows in groups.items()
    ]
    back = np.argsort(np.concatenate([np.array(rows) for rows in groups.values()]))
    return _Rows(**{name: np.concatenate([getattr(one, name) for one in found])[back] for name in vars(found[0])})


def _at_taps(
    feeder: Feeder, form: PortForm, s: NDArray[np.complex128], tolerance: float, dtype: Any, most: int
) -> _Rows:
    solved = solve(form, form.injections.at_ports(s), tolerance, dtype, most)
    points = solved.points
    failed = ~points.converged
    v = (form.nodes(points.i) / feeder.base).astype(dtype, copy=False)
    v[failed] = complex(np.nan, np.nan)
    total = points.i + form.injections.fixed * points.v
    drawn = (points.v * total.conj()).sum(axis=1).astype(np.complex128) * POWER
    drawn[failed] = complex(np.nan, np.nan)
    status = np.where(failed, "failed", np.where(solved.newton, "newton", "converged"))
    worst = np.where(failed, _buses(feeder, form)[points.worst], "") if form.injections.size else np.full(len(s), "")
    return _Rows(v, points.converged, status, points.iterations, points.change, worst, drawn)


def _buses(feeder: Feeder, form: PortForm) -> NDArray[np.str_]:
    """The bus of every port, shape (P,)."""
    A = form.injections.merged.incidence
    at = [A.indices[A.indptr[k] : A.indptr[k + 1]] for k in range(A.shape[0])]
    return np.array([feeder.nodes[nodes[0]].rpartition(".")[0] if nodes.size else "" for nodes in at])
