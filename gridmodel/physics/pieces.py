"""A balanced network cut into areas: every area with its own buses and lines, and its halves or copies of the ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network

__all__ = ["Lines", "Neighbour", "Piece", "bus_names", "check_load_scale", "cut", "line_names", "pick"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
Complex = NDArray[np.complex128]
_TIES = ("midpoint", "copies")


@dataclass(frozen=True)
class Lines:
    """Lines and transformers of one piece, arrays of shape (lines,), in pu.

    start current = (y + j b_start) / tap^2 v_start - y / (tap e^(-j shift)) v_end
    end current   = (y + j b_end) v_end - y / (tap e^(j shift)) v_start,  y = 1 / (r + jx)

    branch: position in ``net.branches``. start, end: positions among the piece's buses, ghosts included. r, x: series
    impedance; b_start, b_end: charging at the two ends. tap, shift (rad): of the ideal transformer at ``start``.
    rate_start, rate_end: limits of |S| in pu at the two ends, inf where none holds or another piece keeps it.
    angle_min, angle_max: limits of the angle difference start - end in rad, -inf and inf where there is none.
    """

    branch: Indices
    start: Indices
    end: Indices
    r: Floats
    x: Floats
    b_start: Floats
    b_end: Floats
    tap: Floats
    shift: Floats
    rate_start: Floats
    rate_end: Floats
    angle_min: Floats
    angle_max: Floats

    @property
    def admittances(self) -> tuple[Complex, Complex, Complex, Complex]:
        """Y_ss, Y_se, Y_es, Y_ee with start current = Y_ss v_s + Y_se v_e, end current = Y_es v_s + Y_ee v_e, in pu."""
        y = np.asarray(1.0 / (self.r + 1j * self.x), dtype=np.complex128)
        turn = np.asarray(self.tap * np.exp(1j * self.shift), dtype=np.complex128)
        start = np.asarray((y + 1j * self.b_start) / self.tap**2, dtype=np.complex128)
        end = np.asarray(y + 1j * self.b_end, dtype=np.complex128)
        return start, -y / turn.conj(), -y / turn, end


@dataclass(frozen=True)
class Neighbour:
    """What a piece shares with one other; the other piece lists the same ties in the same order.

    area: position of the other piece. ties: slice of the piece's ties. ghosts: slice of the piece's ghosts that stand
    for buses of the other ("copies"), or for the middles of their ties ("midpoint"). owned: positions of these ghosts
    among the other's own buses ("copies"), empty for "midpoint".
    """

    area: int
    ties: slice
    ghosts: slice
    owned: Indices


@dataclass(frozen=True)
class Piece:
    """One area's part of a network.

    Its buses are its own ones, then its ghosts: for "midpoint" the middle of every tie in the order of the ties, for
    "copies" a copy of every foreign bus at the other end of a tie, by neighbour, then by position.

    name: of the area. ties: "midpoint" or "copies". base_mva: MVA of 1 pu. buses: positions in ``net.buses`` of the
    own ones. ghosts: for "copies" positions in ``net.buses``, for "midpoint" of the ties in ``net.branches``.
    lines: inner ones, then ties by neighbour; within, as in the file. inner: how many are no ties.
    near, ghost: the own bus and the ghost of each tie, positions among the piece's buses, shape (ties,).
    outward: where the own bus is the tie's start. generators: positions in ``net.generators``; at: their buses.
    p_load, q_load (MW, MVAr), g_shunt, b_shunt (MW drawn and MVAr given at 1 pu): shape (own buses,), loads scaled.
    v_min, v_max in pu, shape (all buses,); at a midpoint they cut nothing off. reference: positions of own reference
    buses. neighbours: the pieces with which it has ties, by area. bus_names, line_names: what texts call the own
    buses and the lines.
    """

    name: str
    ties: str
    base_mva: float
    buses: Indices
    ghosts: Indices
    lines: Lines
    inner: int
    near: Indices
    ghost: Indices
    outward: Flags
    generators: Indices
    at: Indices
    p_load: Floats
    q_load: Floats
    g_shunt: Floats
    b_shunt: Floats
    v_min: Floats
    v_max: Floats
    reference: Indices
    neighbours: tuple[Neighbour, ...]
    bus_names: tuple[str, ...]
    line_names: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of buses, ghosts included."""
        return self.buses.size + self.ghosts.size

    @property
    def tie_branch(self) -> Indices:
        """Positions of the ties in ``net.branches``."""
        return self.lines.branch[self.inner :]


def cut(net: Network, areas: Mapping[str, Indices], ties: str, load_scale: float = 1.0) -> list[Piece]:
    """Cuts a network into one piece an area.

    - "midpoint": a tie is cut in its middle, half of its series impedance on either side; tap, shift and the start's
      charging stay at the start, the end's charging at the end, each with the limit of |S| of its end. This is exact.
      The start's half keeps the limits of the whole tie's angle difference.
    - "copies": both areas hold the whole tie with all its limits, and a copy of its foreign bus.

    Args:
        areas: positions of the buses of every area, rising, by name; every bus in one of them.
        load_scale: factor on the loads.

    Raises:
        ModelError: another kind of ties, or a load_scale that is not a number >= 0.
    """
    if ties not in _TIES:
        raise ModelError(f"ties={ties!r} is not known; available: {', '.join(_TIES)}.")
    check_load_scale(load_scale)
    area = np.empty(net.buses.number.size, dtype=np.intp)
    place = np.empty(net.buses.number.size, dtype=np.intp)
    for k, own in enumerate(areas.values()):
        area[own], place[own] = k, np.arange(own.size)
    return [_piece(net, name, own, area, place, k, ties, load_scale) for k, (name, own) in enumerate(areas.items())]


def check_load_scale(load_scale: float) -> None:
    """
    Raises:
        ModelError: not a finite number >= 0.
    """
    if not isinstance(load_scale, Real) or not 0 <= load_scale < np.inf:
        raise ModelError(
            f"load_scale={load_scale!r}: expected a finite number of at least 0; 1 is the load of the file."
        )


def pick(columns: Indices, size: int, factors: Floats | float = 1.0) -> csr_array:
    """The sparse matrix whose row k holds factors[k] in column columns[k]; shape (columns, size)."""
    data = np.broadcast_to(np.asarray(factors, dtype=np.float64), columns.shape)
    return csr_array((data, (np.arange(columns.size), columns)), shape=(columns.size, size))


def _piece(
    net: Network, name: str, own: Indices, area: Indices, place: Indices, k: int, ties: str, load_scale: float
) -> Piece:
    start, end = net.branches.start, net.branches.end
    inner = np.flatnonzero((area[start] == k) & (area[end] == k))
    line = np.flatnonzero((area[start] == k) != (area[end] == k))
    far = np.where(area[start[line]] == k, end[line], start[line])
    order = np.argsort(area[far], kind="stable")
    line, far = line[order], far[order]
    outward = np.asarray(area[start[line]] == k)
    near = place[np.where(outward, start[line], end[line])]
    if ties == "copies":
        ghosts = np.unique(far)
        ghosts = ghosts[np.argsort(area[ghosts], kind="stable")]
        column = {int(bus): own.size + m for m, bus in enumerate(ghosts)}
        ghost = np.array([column[int(bus)] for bus in far], dtype=np.intp)
        owner = area[ghosts]
        v_min, v_max = net.buses.v_min[ghosts], net.buses.v_max[ghosts]
    else:
        ghosts, ghost, owner = line, own.size + np.arange(line.size), area[far]
        v_min, v_max = _middle(net, line)
    lines = _lines(net, inner, line, place, near, ghost, outward, ties)
    neighbours = tuple(
        Neighbour(
            int(j), _span(area[far] == j), _span(owner == j), place[ghosts[owner == j]] if ties == "copies" else _NONE
        )
        for j in np.unique(area[far])
    )
    supply = np.flatnonzero(area[net.generators.bus] == k)
    buses = net.buses
    return Piece(
        name, ties, net.base_mva, own, ghosts, lines, inner.size, near, ghost, outward, supply,
        place[net.generators.bus[supply]], load_scale * buses.p_load[own], load_scale * buses.q_load[own],
        buses.g_shunt[own], buses.b_shunt[own], np.concatenate([buses.v_min[own], v_min]),
        np.concatenate([buses.v_max[own], v_max]), np.flatnonzero(buses.kind[own] == 3), neighbours,
        bus_names(net, own), line_names(net, lines.branch),
    )  # fmt: skip


def bus_names(net: Network, buses: Indices) -> tuple[str, ...]:
    """What buses are called in texts, by their positions."""
    return tuple(f"bus {number}" for number in net.buses.number[buses])


def line_names(net: Network, branch: Indices) -> tuple[str, ...]:
    """What lines and transformers are called in texts, by their positions."""
    start, end = net.buses.number[net.branches.start[branch]], net.buses.number[net.branches.end[branch]]
    return tuple(f"branch {i}-{j}" for i, j in zip(start, end, strict=True))


_NONE: Indices = np.empty(0, dtype=np.intp)


def _lines(
    net: Network, inner: Indices, tie: Indices, place: Indices, near: Indices, ghost: Indices, outward: Flags, ties: str
) -> Lines:
    """The inner lines as they are, then the ties as halves or whole."""
    branches = net.branches
    branch = np.concatenate([inner, tie])
    halved = np.zeros(branch.size, dtype=bool)
    halved[inner.size :] = ties == "midpoint"
    at_start = np.concatenate([np.ones(inner.size, dtype=bool), outward])
    has_start, has_end = ~halved | at_start, ~halved | ~at_start  # the ends that are the piece's own
    share = np.where(halved, 0.5, 1.0)
    charging, rate = branches.b[branch] / 2.0, branches.rate_a[branch] / net.base_mva
    return Lines(
        branch,
        np.concatenate([place[branches.start[inner]], np.where(outward, near, ghost)]),
        np.concatenate([place[branches.end[inner]], np.where(outward, ghost, near)]),
        share * branches.r[branch],
        share * branches.x[branch],
        np.where(has_start, charging, 0.0),
        np.where(has_end, charging, 0.0),
        np.where(has_start, branches.tap[branch], 1.0),
        np.where(has_start, branches.shift[branch], 0.0),
        np.where(has_start, rate, np.inf),
        np.where(has_end, rate, np.inf),
        np.where(has_start, branches.angle_min[branch], -np.inf),
        np.where(has_start, branches.angle_max[branch], np.inf),
    )


def _middle(net: Network, line: Indices) -> tuple[Floats, Floats]:
    """Bounds of |v| in the middle of lines in pu that no feasible point attains.

    The middle is the mean of the voltages v_start / (tap e^(j shift)) and v_end, no larger than the mean of their
    sizes; the lower bound holds where these are at most a right angle apart, and is 0 where they may lie further.
    """
    branches, buses = net.branches, net.buses
    start, end, tap = branches.start[line], branches.end[line], branches.tap[line]
    high = (buses.v_max[start] / tap + buses.v_max[end]) / 2.0
    apart = np.maximum(np.abs(branches.angle_min[line]), np.abs(branches.angle_max[line])) + np.abs(
        branches.shift[line]
    )
    smaller = np.minimum(buses.v_min[start] / tap, buses.v_min[end])
    low = np.where(apart <= np.pi / 2, smaller * np.cos(np.minimum(apart, np.pi / 2) / 2.0), 0.0)
    return 0.9 * low, 1.1 * high


def _span(flags: Flags) -> slice:
    """The slice of the true entries, which lie side by side."""
    at = np.flatnonzero(flags)
    return slice(int(at[0]), int(at[-1]) + 1)
