"""A transmission network as plain arrays: buses, branches, generators and their costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from gridmodel.grid.flow.balanced import BalancedFlow

__all__ = ["Branches", "Buses", "Costs", "Generators", "Network"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Buses:
    """The buses in service, arrays of shape (buses,).

    number: the file's own bus numbers. kind: 1 load (PQ), 2 generator (PV), 3 reference.
    p_load, q_load: demand in MW and MVAr. g_shunt, b_shunt: MW drawn and MVAr given at 1 pu.
    area, zone: numbers of the file. v_magnitude in pu, v_angle in rad: the file's starting point.
    base_kv in kV. v_max, v_min in pu. name: texts of the file, empty where it has none.
    """

    number: Indices
    kind: Indices
    p_load: Floats
    q_load: Floats
    g_shunt: Floats
    b_shunt: Floats
    area: Indices
    v_magnitude: Floats
    v_angle: Floats
    base_kv: Floats
    zone: Indices
    v_max: Floats
    v_min: Floats
    name: tuple[str, ...]


@dataclass(frozen=True)
class Branches:
    """The lines and transformers in service, arrays of shape (branches,).

    start, end: positions of the two buses in ``Buses``. r, x, b: series resistance and reactance, and the
    charging susceptance of the whole line, in pu. rate_a, rate_b, rate_c: MVA, inf where there is no limit.
    tap: voltage ratio at ``start``, 1 for a line. shift: phase shift at ``start`` in rad.
    angle_min, angle_max: limits of the angle difference start - end in rad, -inf and inf where there is none.
    row: the row of the file's table, from 1.
    """

    start: Indices
    end: Indices
    r: Floats
    x: Floats
    b: Floats
    rate_a: Floats
    rate_b: Floats
    rate_c: Floats
    tap: Floats
    shift: Floats
    angle_min: Floats
    angle_max: Floats
    row: Indices


@dataclass(frozen=True)
class Generators:
    """The generators (and dispatchable loads) in service, arrays of shape (generators,).

    bus: position in ``Buses``. p, q: the file's set points in MW and MVAr. p_min, p_max in MW and q_min,
    q_max in MVAr: limits, inf where there is none. v_set in pu. mva_base in MVA. row: of the file's table, from 1.
    """

    bus: Indices
    p: Floats
    q: Floats
    p_min: Floats
    p_max: Floats
    q_min: Floats
    q_max: Floats
    v_set: Floats
    mva_base: Floats
    row: Indices


@dataclass(frozen=True)
class Costs:
    """What generation costs an hour, convex in the output p in MW.

    cost_g(p) = quadratic_g p^2 + linear_g p + constant_g + max_k (slope_k p + intercept_k)

    quadratic in $/MW^2h, linear in $/MWh, constant in $/h: shape (generators,), zero where the cost is piecewise.
    piece_generator: position of the generator in ``Generators``; slope in $/MWh and intercept in $/h: shape
    (pieces,), the pieces k of that generator; a generator without pieces has no maximum in its cost.
    """

    quadratic: Floats
    linear: Floats
    constant: Floats
    piece_generator: Indices
    slope: Floats
    intercept: Floats

    def total(self, p: Floats) -> float:
        """The cost of the outputs p, shape (generators,) in MW, in $/h."""
        each = self.quadratic * p**2 + self.linear * p + self.constant
        if not self.piece_generator.size:
            return float(each.sum())
        highest = np.full(each.size, -np.inf)
        np.maximum.at(highest, self.piece_generator, self.slope * p[self.piece_generator] + self.intercept)
        return float(each.sum() + highest[np.isfinite(highest)].sum())


@dataclass(frozen=True)
class Network:
    """A transmission network: what a case file holds, in service only.

    name: of the case. base_mva: the power in MVA that is 1 pu. source: the name of the file it came from.
    """

    name: str
    base_mva: float
    buses: Buses
    branches: Branches
    generators: Generators
    costs: Costs
    source: str

    def __repr__(self) -> str:
        return (
            f"Network({self.name!r}, {self.buses.number.size} buses, {self.branches.x.size} branches, "
            f"{self.generators.bus.size} generators)"
        )

    @property
    def reference(self) -> Indices:
        """Positions of the reference buses (type 3)."""
        return np.flatnonzero(self.buses.kind == 3)

    @property
    def isolated(self) -> Indices:
        """Positions of the buses that no branch touches."""
        touched = np.zeros(self.buses.number.size, dtype=bool)
        touched[self.branches.start] = True
        touched[self.branches.end] = True
        return np.flatnonzero(~touched)

    @property
    def islands(self) -> list[Indices]:
        """The connected parts of the network as positions of their buses, the largest first."""
        n = self.buses.number.size
        ends = (self.branches.start, self.branches.end)
        count, label = connected_components(coo_array((np.ones(ends[0].size), ends), shape=(n, n)), directed=False)
        parts = [np.flatnonzero(label == k) for k in range(count)]
        return sorted(parts, key=lambda part: (-part.size, int(part[0])))

    @property
    def graph(self) -> nx.MultiGraph[int]:
        """The network as a graph: nodes are bus numbers, an edge a branch, its key the position in ``branches``,
        its data x in pu and rate in MVA."""
        graph: nx.MultiGraph[int] = nx.MultiGraph(name=self.name)
        graph.add_nodes_from(self.buses.number.tolist())
        numbers, branches = self.buses.number.tolist(), self.branches
        for k, (i, j) in enumerate(zip(branches.start, branches.end, strict=True)):
            graph.add_edge(numbers[i], numbers[j], key=k, x=float(branches.x[k]), rate=float(branches.rate_a[k]))
        return graph

    def load_flow(self, loads: ArrayLike | None = None, tolerance: float = 1e-8) -> BalancedFlow:
        """The voltages by Newton's method, with the conventions of MATPOWER for PQ, PV and reference buses.

        loads: complex MVA, shape ([scenarios,] buses); None takes the file's. tolerance: mismatch in pu.

        Raises:
            ModelError: loads of a wrong shape or not finite, or no reference bus with a generator.
        """
        from gridmodel.grid.flow.balanced import balanced_flow

        return balanced_flow(self, loads, tolerance)
