"""The port forms of a feeder, built once for every setting of its taps."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.grid.assemble import Taps, assemble
from gridmodel.grid.elements import Generator, Load
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.injections import Injections, merge
from gridmodel.grid.flow.port_form import PortForm, port_form
from gridmodel.grid.ports import ports
from gridmodel.grid.primitives import Primitive, shunt, transformer
from gridmodel.grid.system import NodeSystem

__all__ = ["form_of", "injections_of"]

_KEPT = 64  # settings of the taps; the regulators of a feeder visit few
_ENTRIES = 20_000_000  # of all kept matrices of a feeder together


@dataclass(frozen=True)
class _Built:
    """What a feeder has had built: its matrix and ports at its own taps, and the forms by taps, the last used last."""

    system: NodeSystem
    injections: Injections
    forms: OrderedDict[tuple[object, ...], PortForm] = field(default_factory=OrderedDict)


_BUILT: dict[int, _Built] = {}


def form_of(feeder: Feeder, taps: Taps | None = None) -> PortForm:
    """The port form at these turns ratios, from what was built before where there is one."""
    if id(feeder) not in _BUILT:
        _BUILT[id(feeder)] = _Built(assemble(feeder), injections_of(feeder))
        weakref.finalize(feeder, _BUILT.pop, id(feeder), None)
    built, key = _BUILT[id(feeder)], tuple(sorted((taps or {}).items()))
    if key not in built.forms:
        built.forms[key] = port_form(_tapped(feeder, built.system, taps or {}), built.injections)
        entries = built.injections.size * (built.injections.size + len(feeder.nodes))
        if len(built.forms) > max(2, min(_KEPT, _ENTRIES // max(entries, 1))):
            built.forms.popitem(last=False)
    built.forms.move_to_end(key)
    return built.forms[key]


def injections_of(feeder: Feeder) -> Injections:
    """The merged ports of a feeder."""
    owners: list[Load | Generator] = [*feeder.loads, *feeder.generators]
    phases = np.array([owner.phases for owner in owners], dtype=np.intp)
    return merge(ports(feeder), phases)


def _tapped(feeder: Feeder, system: NodeSystem, taps: Taps) -> NodeSystem:
    """The network with other turns ratios: only what their elements add to the matrix is exchanged."""
    changes: list[tuple[Primitive, NDArray[np.complex128]]] = []
    for unit in feeder.transformers:
        own = {winding: tap for (name, winding), tap in taps.items() if name == unit.name}
        if own:
            changes.append((transformer(unit), transformer(unit, own).y))
    changes += [
        (shunt(old), new.y) for old, new in zip(feeder.shunts, feeder.switched(taps), strict=True) if new is not old
    ]
    rows, columns, values = [], [], []
    for before, y in changes:
        at = np.array([feeder.position[f"{bus}.{number}"] if number else -1 for bus, number in before.nodes])
        live = at >= 0
        rows.append(np.repeat(at[live], live.sum()))
        columns.append(np.tile(at[live], live.sum()))
        values.append((y - before.y)[np.ix_(live, live)].ravel())
    if not values:
        return system
    change = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return replace(system, Y=sp.csc_array(system.Y + sp.csc_array(sp.coo_array(change, shape=system.Y.shape))))
