"""Which lines to open, by trying: open one, close one, or exchange one for another, while that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from gridmodel.grid.feeder import Feeder
from gridmodel.grid.port_law import ports
from gridmodel.physics.carriers import Carrier, carriers, nodes_of
from gridmodel.physics.reconfiguration import Layout, dispatchable, injection

__all__ = ["Feeds", "Lines", "Openings", "exchanged", "openings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Lines = frozenset[str]
_SINGULAR = 1e-9
"""Of the largest entry of H or R, what is none."""
_GAIN = 1e-6


@dataclass(frozen=True)
class Openings:
    """What opening lines costs where currents share for least losses.

    H is the upper left block of the inverse of [[2 R, B'], [B, 0]], R the resistances and B the balances. Without
    current in the rows S, losses rise by 1/2 xi_S' H_SS^+ xi_S and currents change by -H_:S H_SS^+ xi_S: a candidate
    takes a small inverse, and no network is solved anew.

    names: of the lines that may be opened. rows: those of each line, shape (lines, K), padded by n, a row of zeros.
    H: A^2/kW, shape (n + 1, n + 1), over the conductors of these lines and those with a rating. xi: A, shape
    (n + 1, 2), real and imaginary, with all lines closed. losses: kW, with all lines closed. rating: A, shape
    (n + 1,). least: A, a current that is none.
    """

    names: tuple[str, ...]
    rows: Ints
    H: Floats
    xi: Floats
    losses: float
    rating: Floats
    least: float

    def each(self, opened: Lines) -> tuple[Floats, Floats]:
        """Losses in kW and overload in A with these lines open and one more, by line; infinite if no way is left."""
        H, xi, losses = self._without(opened)
        if not np.isfinite(losses):
            return np.full(len(self.names), np.inf), np.full(len(self.names), np.inf)
        blocks = H[self.rows[:, :, None], self.rows[:, None, :]]
        pull, rise, lost = self._forced(blocks, xi[self.rows])
        limited = np.flatnonzero(np.isfinite(self.rating))
        left = xi[limited] - np.einsum("mlk,lkc->lmc", H[limited][:, self.rows], pull)
        return np.where(lost, np.inf, losses + rise), self._over(left, limited)

    def score(self, opened: Lines, weight: float) -> tuple[float, float]:
        """Overload in A and losses + weight * closed lines in kW with these lines open; less is better."""
        _, xi, losses = self._without(opened)
        limited = np.flatnonzero(np.isfinite(self.rating))
        return float(self._over(xi[limited], limited)), losses + weight * (len(self.names) - len(opened))

    def _without(self, opened: Lines) -> tuple[Floats, Floats, float]:
        """H, xi and losses once these lines are open."""
        S = np.unique(self.rows[[self.names.index(name) for name in opened]])
        both, rise, lost = self._forced(self.H[np.ix_(S, S)], np.hstack([self.xi[S], self.H[S]]))
        change = self.H[:, S] @ both
        return self.H - change[:, 2:], self.xi - change[:, :2], np.inf if lost else self.losses + float(rise)

    def _forced(self, H: Floats, xi: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """H^+ xi, the rise of losses, and whether currents are left all the same, for one block or a stack of them."""
        values, vectors = np.linalg.eigh(H)
        live = values > _SINGULAR * self.H.max()
        inverse = np.where(live, 1.0, 0.0) / np.where(live, values, 1.0)
        pull = np.asarray(vectors @ (inverse[..., None] * (np.swapaxes(vectors, -1, -2) @ xi)))
        currents = slice(0, 2)
        rise = 0.5 * (xi[..., currents] * pull[..., currents]).sum(axis=(-1, -2))
        left = np.abs(xi[..., currents] - H @ pull[..., currents]).max(axis=(-1, -2), initial=0.0)
        return pull, rise, left > self.least

    def _over(self, xi: Floats, limited: Ints) -> Floats:
        over = np.linalg.norm(xi, axis=-1) - self.rating[limited]
        return np.asarray(np.where(over > self.least, over, 0.0).sum(axis=-1))


def openings(layout: Layout, powers: Mapping[str, complex], least: float) -> Openings:
    """What opening the switchable lines of a layout costs, with what generators with limits inject in VA.

    Args:
        least: A, a current that is none.
    """
    feeder, own = layout.feeder, [one for part in layout.carriers.values() for one in part]
    drawn = layout.drawn.copy()
    for unit in filter(dispatchable, feeder.generators):
        power = powers[unit.name] / 1000
        drawn -= injection(feeder, unit, layout.v) @ np.array([power.real, power.imag])
    balanced = np.flatnonzero(nodes_of(feeder, carriers(feeder)).balanced)
    B = sp.csr_array(sp.hstack([_takes(one, len(feeder.nodes)) for one in own]))[balanced]
    R: Any = sp.block_diag([one.r / 1000 for one in own], format="csc")
    ridge = _SINGULAR * max(float(R.diagonal().max(initial=0.0)), 1e-9)
    m, n = B.shape
    factor = splu(sp.csc_array(sp.block_array([[2 * (R + ridge * sp.eye_array(n)), B.T], [B, None]])))
    needs = -np.stack([drawn[balanced].real, drawn[balanced].imag], axis=1)
    xi = factor.solve(np.vstack([np.zeros((n, 2)), needs]))[:n]
    ends = np.cumsum([one.size for one in own])
    span = {one.name: np.arange(end - one.size, end) for one, end in zip(own, ends, strict=True)}
    spans = [span[f"line {name}"] for name in layout.switchable]
    ratings = np.concatenate([np.full(one.size, one.rating) for one in own])
    kept = np.unique(np.concatenate([*spans, np.flatnonzero(np.isfinite(ratings))]))
    columns = np.zeros((n + m, len(kept)))
    columns[kept, np.arange(len(kept))] = 1.0
    H = factor.solve(columns)[kept]
    rows = np.full((len(spans), max(map(len, spans))), len(kept))
    for k, own_columns in enumerate(spans):
        rows[k, : len(own_columns)] = np.searchsorted(kept, own_columns)
    losses = float(np.sum(xi * (R @ xi)))
    return Openings(
        layout.switchable, rows, np.pad((H + H.T) / 2, (0, 1)), np.pad(xi[kept], ((0, 1), (0, 0))), losses,
        np.append(ratings[kept], np.inf), least,
    )  # fmt: skip


def _takes(one: Carrier, nodes: int) -> Any:
    at, column = np.repeat(one.nodes, one.size), np.tile(np.arange(one.size), len(one.nodes))
    return sp.csr_array((one.takes.ravel(), (at, column)), shape=(nodes, one.size))


@dataclass(frozen=True)
class Feeds:
    """Whether all loads keep a source. feeder: with all lines closed that may be."""

    feeder: Feeder
    load_scale: float = 1.0

    def __call__(self, opened: Lines) -> bool:
        """Whether all loads have a source with these lines open."""
        return self._dead(opened)[0] == 0

    def mended(self, idle: Sequence[str]) -> Lines:
        """Those of these lines that may be open without an island; the first ones are closed first."""
        opened, dead = Lines(idle), self._dead(Lines(idle))
        while dead[0]:
            fewer = ((name, self._dead(opened - {name})) for name in idle if name in opened)
            found = next(((name, then) for name, then in fewer if then[1] < dead[1]), None)
            if found is None:
                break
            opened, dead = opened - {found[0]}, found[1]
        return opened

    def _dead(self, opened: Lines) -> tuple[int, int]:
        """How many nodes of loads, and how many at all, nothing feeds."""
        names = {f"line {name}" for name in opened}
        elements = tuple(one for one in self._elements if one.name not in names)
        dead = ~nodes_of(self.feeder, elements).fed
        return int((dead & self._loaded).sum()), int(dead.sum())

    @cached_property
    def _elements(self) -> tuple[Carrier, ...]:
        return carriers(self.feeder)

    @cached_property
    def _loaded(self) -> NDArray[np.bool_]:
        table = ports(self.feeder)
        own = np.arange(len(table.s)) < sum(load.phases for load in self.feeder.loads)
        return np.asarray(abs(table.incidence).T @ (own & (table.s * self.load_scale != 0)).astype(np.float64)) > 0


def exchanged(
    costs: Openings, start: Lines, weight: float, feeds: Callable[[Lines], bool], among: Lines | None = None
) -> Lines:
    """The opened lines where nothing is gained by one line opened, closed, or exchanged for another.

    Every step takes the best of these by losses + weight * closed lines, after the least overload. A heuristic: there
    may be better sets of lines further off, and the end depends on the start.

    Args:
        start: opened lines.
        weight: kW a closed line.
        feeds: whether all loads keep a source with these lines open.
        among: the lines that may be opened, if not all.
    Source: Baran and Wu (1989), Network reconfiguration in distribution systems for loss reduction and load balancing.
    """
    here = costs.score(start, weight)
    while True:
        bar = here[1] - _GAIN * costs.losses
        better = [
            (score, tuple(sorted(then)))
            for score, then in _steps(costs, start, weight)
            if (among is None or then <= among)
            and np.isfinite(score[1])
            and (score[0] < here[0] or (score[0] == here[0] and score[1] < bar))
        ]
        taken = next((one for one in sorted(better) if feeds(Lines(one[1]))), None)
        if taken is None:
            return start
        here, start = taken[0], Lines(taken[1])


def _steps(costs: Openings, opened: Lines, weight: float) -> Iterator[tuple[tuple[float, float], Lines]]:
    """The scores and the opened lines one step away."""
    for back in (None, *sorted(opened)):
        base = opened - {back}
        if back is not None:
            yield costs.score(base, weight), base
        rent = weight * (len(costs.names) - len(base) - 1)
        for name, losses, over in zip(costs.names, *map(np.ndarray.tolist, costs.each(base)), strict=True):
            if name not in opened:
                yield (over, losses + rent), base | {name}
