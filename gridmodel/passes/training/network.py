"""A feeder with devices as a differentiable function of what they draw."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError, UnknownNameError
from gridmodel.grid.checks import check_feeder
from gridmodel.grid.elements import Generator, Terminal, VoltVar
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.differentiable import TorchLoadFlow
from gridmodel.grid.measured import between_lines, measured
from gridmodel.ir.training import AbstractNetwork, Flow

__all__ = ["FeederNetwork", "Site", "feeder_network"]

Floats = NDArray[np.float64]
_VA = 1e3
_DEAD = 1e-3  # pu


@dataclass(frozen=True)
class Site:
    """Where one agent draws power: place such as "60.1", kVA of its inverter, a droop or None; who, for errors."""

    place: str
    rating: float
    droop: Any
    who: str


@final
class FeederNetwork(AbstractNetwork):
    """Ports of devices as generators of a feeder, one for all devices of a place and a droop.

    feeder: with these generators last. first: position of the first of them.
    """

    def __init__(
        self, feeder: Feeder, first: int, watched: tuple[tuple[str, ...], sp.csr_array], v_min: float, v_max: float
    ) -> None:
        self.feeder, self.first, self._limits = feeder, first, (v_min, v_max)
        self.nodes, self.matrix = watched
        self.lower, self.upper = np.full(len(self.nodes), v_min), np.full(len(self.nodes), v_max)
        self.ports = tuple(unit.name for unit in feeder.generators[first:])
        # Every voltage with limits is that of a node, or the difference of two.
        single = bool((np.diff(self.matrix.indptr) == 1).all())
        self._across = None if single else self.matrix.T.toarray()
        self._layer = TorchLoadFlow(feeder, nodes=[feeder.nodes[k] for k in self.matrix.indices] if single else None)
        for note in self._layer.notes:
            warnings.warn(note, stacklevel=2)

    @property
    def droops(self) -> bool:
        """Whether any inverter has one."""
        return any(unit.droop is not None for unit in self.feeder.generators)

    def without_droops(self) -> FeederNetwork:
        """The same network with every inverter's droop switched off, the file's own too."""
        plain = tuple(replace(unit, droop=None) for unit in self.feeder.generators)
        feeder = replace(self.feeder, generators=plain)
        return FeederNetwork(feeder, self.first, (self.nodes, self.matrix), *self._limits)

    def flow(self, p: Any, q: Any, loads: Any) -> Flow:
        """Magnitudes in pu at the nodes with limits."""
        import torch

        active, reactive = -_VA * p, None if q is None else -_VA * q
        if self.first:
            own = torch.tensor([[unit.s.real, unit.s.imag] for unit in self.feeder.generators[: self.first]]).to(p)
            active = torch.cat([own[:, 0].expand(len(p), -1), active], dim=1)
            zero = torch.zeros_like(p) if reactive is None else reactive
            reactive = torch.cat([own[:, 1].expand(len(p), -1), zero], dim=1)
        found = self._layer.injected(active, reactive, loads)
        if self._across is None:
            return Flow(found.v.abs(), found.converged)
        return Flow((found.v @ torch.as_tensor(self._across).to(found.v)).abs(), found.converged)

    def exact(self, p: Floats, q: Floats | None, loads: NDArray[np.complex128] | None) -> Flow:
        """Magnitudes in pu at the nodes with limits, of ``Feeder.load_flow``."""
        found = self.feeder.load_flow(loads, self.generation(p, q))
        return Flow(np.abs((self.matrix @ found.v.T).T), found.converged)

    def generation(self, p: Floats, q: Floats | None) -> NDArray[np.complex128]:
        """What all generators of the feeder inject in VA where devices draw this, shape (rows, generators)."""
        drawn = -_VA * (p + 1j * (0.0 if q is None else q))
        own = np.array([unit.s for unit in self.feeder.generators[: self.first]], dtype=np.complex128)
        return np.concatenate([np.broadcast_to(own, (len(p), self.first)), drawn], axis=1)


def feeder_network(
    feeder: Feeder, sites: Sequence[Site], v_min: float, v_max: float
) -> tuple[FeederNetwork, NDArray[np.intp]]:
    """The network with ports for devices, and the port of each site.

    Raises:
        UnknownNameError: a place on a bus or phase that the feeder does not have.
        NotApplicableError: a place between a phase and the ground of a feeder whose loads all stand between lines.
        ModelError: not a place, or not a droop.
    """
    made: dict[tuple[str, Any], Generator] = {}
    keys = [(site.place, site.droop) for site in sites]
    for site, key in zip(sites, keys, strict=True):
        unit = made.get(key)
        if unit is None:
            unit = _port(feeder, site, f"devices at {site.place}" + (f" {len(made)}" if site.droop is not None else ""))
        made[key] = replace(unit, s_max=(unit.s_max if key in made else 0.0) + site.rating * _VA)
    order = {key: k for k, key in enumerate(made)}
    whole = replace(feeder, generators=(*feeder.generators, *made.values()))
    network = FeederNetwork(whole, len(feeder.generators), _watched(feeder), v_min, v_max)
    return network, np.array([order[key] for key in keys], dtype=np.intp)


def _port(feeder: Feeder, site: Site, name: str) -> Generator:
    bus, _, text = site.place.partition(".")
    known = {one.name: one for one in feeder.buses}
    if bus not in known:
        raise UnknownNameError(f"{site.who} draws power at {site.place!r}: {feeder.name} has no bus {bus!r}.")
    phases = tuple(node for node in known[bus].nodes if 1 <= node <= 3)
    parts = text.split("-") if text else [str(node) for node in phases]
    if not all(part.isdigit() for part in parts) or (text and len(parts) > 2):
        raise ModelError(f'{site.who} draws power at {site.place!r}; write "60", "60.1", or "60.1-2" between phases.')
    nodes = tuple(int(part) for part in parts)
    if not set(nodes) <= set(phases):
        raise UnknownNameError(
            f"{site.who} draws power at {site.place!r}: bus {bus} has phases {', '.join(map(str, phases)) or 'none'}."
        )
    if site.droop is not None and not isinstance(site.droop, VoltVar):
        raise ModelError(f"{site.who}: droop is {site.droop!r}, expected a law such as gm.VoltVar().")
    # Without a ground, what a device draws from one phase has no way back.
    lines = between_lines(feeder)
    if lines and len(nodes) == 1:
        pairs = " or ".join(f'"{bus}.{a}-{b}"' for a, b in combinations(phases, 2)) or "another bus"
        raise NotApplicableError(
            f"{site.who} draws power at {site.place!r}, from a phase to the ground; all loads of {feeder.name} stand "
            f"between lines, so devices do too: write {pairs}."
        )
    base, delta = known[bus].base, len(nodes) > 1 and (lines or bool(text))
    count = 1 if delta and len(nodes) == 2 else len(nodes)
    terminal = Terminal(bus, nodes if delta else (*nodes, 0))
    between = delta or count > 1
    droop: dict[str, Any] = {} if site.droop is None else {"droop": site.droop, "s_max": 0.0}
    return Generator(
        name, terminal, count, "delta" if delta else "wye", 0j, base * (np.sqrt(3.0) if between else 1.0), **droop
    )


def _watched(feeder: Feeder) -> tuple[tuple[str, ...], sp.csr_array]:
    """Names and matrix of the voltages with limits: those of parts that are fed and tied to the ground."""
    flow = feeder.load_flow()
    if not np.all(flow.converged):
        raise ModelError(f"{feeder.name}: the load flow without devices does not converge; training starts from it.")
    names, matrix = measured(feeder)
    loose = {finding.element for finding in check_feeder(feeder) if finding.kind in ("floating", "unfed", "island")}
    fed = np.abs(matrix @ flow.v) > _DEAD
    keep = [k for k, name in enumerate(names) if fed[k] and f"bus {name.rpartition('.')[0]}" not in loose]
    return tuple(names[k] for k in keep), sp.csr_array(matrix[keep])
