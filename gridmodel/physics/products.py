"""Products of voltages as variables: what the convex relaxations of one area have in common."""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gridmodel.grid.network import Network
from gridmodel.language.agent import Agent
from gridmodel.physics.flows import Flows, balances
from gridmodel.physics.generation import active_output, reactive_output
from gridmodel.physics.pieces import Piece, pick

__all__ = ["NARROW", "Products", "Window", "cones", "declare", "lifted_cuts", "pair_keys", "window"]

NARROW = np.radians(25)  # wider limits hardly ever make these bind, and rows cost time

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Window:
    """Which buses and pairs of buses one area has variables for.

    bus: positions in ``net.buses`` of the entries of w: the piece's own buses, its ghosts, then others. key: of every
    pair, see ``pair_keys``, rising. first, second: entries of w of a pair's two buses, the first with the smaller
    position in the network. pair: of every line of the piece. turn: +1 where the line runs from first to second.
    """

    piece: Piece
    bus: Indices
    key: Indices
    first: Indices
    second: Indices
    pair: Indices
    turn: Floats


@dataclass(frozen=True)
class Products:
    """The variables of one area: w = |v|^2 of the window's buses, c + js = v_first conj(v_second) of its pairs, in pu.

    cross: c and s, None without pairs. flows: what they make of the piece's lines.
    """

    window: Window
    w: cp.Expression
    cross: tuple[cp.Variable, cp.Variable] | None
    flows: Flows

    @property
    def c_and_s(self) -> tuple[cp.Variable, cp.Variable]:
        """The variables of the pairs, where there is one."""
        assert self.cross is not None
        return self.cross


def pair_keys(i: Indices, j: Indices, count: int) -> Indices:
    """A number for every unordered pair of positions i, j below ``count``."""
    return np.asarray(np.minimum(i, j) * count + np.maximum(i, j), dtype=np.intp)


def window(net: Network, piece: Piece, extra: Indices) -> Window:
    """The buses and pairs of a piece of kind "copies".

    Args:
        extra: keys of further pairs to hold, see ``pair_keys``.
    """
    count, lines = net.buses.number.size, piece.lines
    held = np.concatenate([piece.buses, piece.ghosts])
    further = np.unique(np.concatenate([extra // count, extra % count]))
    bus = np.concatenate([held, further[~np.isin(further, held)]])
    starts, ends = held[lines.start], held[lines.end]
    of_lines = pair_keys(starts, ends, count)
    key = np.unique(np.concatenate([of_lines, extra]))
    place = np.full(count, -1, dtype=np.intp)
    place[bus[::-1]] = np.arange(bus.size)[::-1]
    first, second = place[key // count], place[key % count]
    pair = np.searchsorted(key, of_lines)
    turn = np.where(starts < ends, 1.0, -1.0)
    # Where a bus has several ghosts, the lines know which one is theirs.
    first[pair], second[pair] = np.where(turn > 0, (lines.start, lines.end), (lines.end, lines.start))
    return Window(piece, bus, key, first, second, pair, turn)


def declare(net: Network, agent: Agent, view: Window) -> Products:
    """Declares one area: its products, generators, balances and limits, without the cone of the relaxation.

    Variables: ``w`` of the own buses and ``tie_w`` of the others, ``c`` and ``s`` of the pairs, in pu^2; ``p`` in MW
    and ``q`` in MVAr of the generators. Limits: ``balance`` (MW), ``reactive balance`` (MVAr), |S| <= rate at both
    ends of a line, and  tan(angle_min) c <= s <= tan(angle_max) c  where the angle's limits are below a right angle;
    where they are below 25 degrees, also the ``lifted_cuts``.
    """
    piece = view.piece
    low, high = net.buses.v_min[view.bus], net.buses.v_max[view.bus]
    own = piece.buses.size
    w: cp.Expression = agent.variable("w", own, bounds=(low[:own] ** 2, high[:own] ** 2), unit="pu^2")
    if view.bus.size > own:
        others = agent.variable("tie_w", view.bus.size - own, bounds=(low[own:] ** 2, high[own:] ** 2), unit="pu^2")
        w = cp.hstack([w, others])
    cross = None
    of_lines: list[cp.Expression | None] = [None, None]
    if view.key.size:
        # |c|, |s| <= |v_first| |v_second| at any point, so the bounds cut nothing off
        most = high[view.first] * high[view.second]
        c = agent.variable("c", view.key.size, bounds=(-most, most), unit="pu^2")
        s = agent.variable("s", view.key.size, bounds=(-most, most), unit="pu^2")
        cross = c, s
        if view.pair.size:
            of_lines = [pick(view.pair, view.key.size) @ c, pick(view.pair, view.key.size, view.turn) @ s]
    flows = Flows(piece, w if view.bus.size == piece.size else w[: piece.size], *of_lines)
    p = active_output(net, agent, piece.generators) if piece.generators.size else None
    q = reactive_output(net, agent, piece.generators) if piece.generators.size else None
    balances(agent, flows, p, q)
    products = Products(view, w, cross, flows)
    _thermal_limits(agent, products)
    _angle_limits(net, agent, products)
    return products


def cones(products: Products, pairs: Indices) -> cp.Constraint:
    """c^2 + s^2 <= w_first w_second of the chosen pairs, at least one, as second-order cones.

    |(2c, 2s, w_first - w_second)| <= w_first + w_second
    """
    view, count = products.window, products.window.key.size
    c, s = products.c_and_s
    first, second = (pick(side[pairs], view.bus.size) for side in (view.first, view.second))
    chosen = pick(pairs, count, 2.0)
    return cp.SOC(
        csr_array(first + second) @ products.w,
        cp.vstack([csr_array(first - second) @ products.w, chosen @ c, chosen @ s]),
        axis=0,
    )


def _thermal_limits(agent: Agent, products: Products) -> None:
    """|S| <= rate in pu at every end of a line that has a rating."""
    piece, lines = products.flows.piece, products.flows.piece.lines
    for end, rate in (("start", lines.rate_start), ("end", lines.rate_end)):
        line = np.flatnonzero(np.isfinite(rate))
        if line.size:
            cone = cp.SOC(cp.Constant(rate[line]), products.flows.in_pairs(line, end), axis=0)
            names = [piece.line_names[k] for k in line]
            agent.subject_to(cone, name=f"thermal limit at {end}", rows=names)


def _angle_limits(net: Network, agent: Agent, products: Products) -> None:
    """The tightest limits of the angle over every pair; the angle of a pair runs from first to second.

    Narrow ones also give ``lifted_cuts``.
    """
    view, lines = products.window, products.window.piece.lines
    low, high = np.full(view.key.size, -np.inf), np.full(view.key.size, np.inf)
    forward = view.turn > 0
    np.maximum.at(low, view.pair, np.where(forward, lines.angle_min, -lines.angle_max))
    np.minimum.at(high, view.pair, np.where(forward, lines.angle_max, -lines.angle_min))
    # lines in parallel share a pair; the last one speaks for all
    line = dict(zip(view.pair.tolist(), range(view.pair.size), strict=True))
    for name, sign, limit in (("upper angle limit", 1.0, high), ("lower angle limit", -1.0, low)):
        pair = np.flatnonzero(np.abs(limit) < np.pi / 2)
        if pair.size:
            c, s = products.c_and_s
            on_s = pick(pair, view.key.size, sign)
            on_c = pick(pair, view.key.size, sign * np.tan(limit[pair]))
            names = [view.piece.line_names[line[int(k)]] for k in pair]
            agent.subject_to(on_s @ s - on_c @ c <= 0.0, name=name, rows=names)
    narrow = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) < NARROW)
    if narrow.size:
        c, s = products.c_and_s
        i, j = view.first[narrow], view.second[narrow]
        names = [view.piece.line_names[line[int(k)]] for k in narrow]
        count, size = view.bus.size, view.key.size
        for by_c, by_s, by_i, by_j, least in lifted_cuts(net, view.bus[i], view.bus[j], low[narrow], high[narrow]):
            crossed = pick(narrow, size, by_c) @ c + pick(narrow, size, by_s) @ s
            own = csr_array(pick(i, count, by_i) + pick(j, count, by_j)) @ products.w
            agent.subject_to(crossed + own >= least, name="lifted cut", rows=names)


def lifted_cuts(
    net: Network, i: Indices, j: Indices, low: Floats, high: Floats
) -> list[tuple[Floats, Floats, Floats, Floats, Floats]]:
    """Two linear inequalities a pair that hold where the angle of v_i conj(v_j) = c + js lies in [low, high].

    s_i s_j (cos(phi) c + sin(phi) s) - b_j cos(d) s_j w_i - b_i cos(d) s_i w_j >= +-b_i b_j cos(d) (l_i l_j - u_i u_j)

    with |v| in [l, u], s = l + u, phi the middle of the angles, d half their width, and b = u (plus) or l (minus).
    Relaxations do not imply them.

    Args:
        low, high: rad, less than a right angle.

    Returns: for each the factors of c, s, w_i and w_j, and the right side, shape of ``i``.
    Source: Coffrin, Hijazi, Van Hentenryck (2017), eq. 15-16.
    """
    (l_i, u_i), (l_j, u_j) = ((net.buses.v_min[k], net.buses.v_max[k]) for k in (i, j))
    s_i, s_j = l_i + u_i, l_j + u_j
    middle, narrow = (high + low) / 2, np.cos((high - low) / 2)
    on_c, on_s, rest = s_i * s_j * np.cos(middle), s_i * s_j * np.sin(middle), l_i * l_j - u_i * u_j
    return [
        (on_c, on_s, -b_j * narrow * s_j, -b_i * narrow * s_i, sign * b_i * b_j * narrow * rest)
        for sign, b_i, b_j in ((1.0, u_i, u_j), (-1.0, l_i, l_j))
    ]
