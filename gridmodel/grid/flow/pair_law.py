"""What loads, generators and droops draw at pairs of nodes, in torch: currents at a voltage, and their derivatives.

d(v) = i - a v - c conj(v) with i = y(w) v, w = |v|^2; voltages and currents of shape (2G, rows), real parts first, a
column a scenario. Needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gridmodel.grid.flow.cells import Cells

__all__ = ["Law", "Laws", "Space", "Tangent"]

_DEAD = 1e-12
Pair = tuple[Tensor, Tensor]
"""Real and imaginary parts."""


class Laws:
    """The laws of ``Cells`` as tensors of one precision on one device.

    owners: numbers of loads, which draw, and of generators, which inject.
    """

    def __init__(self, cells: Cells, owners: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
        self.size, self.dtype, self.device = cells.M.shape[0] // 2, dtype, device
        loads, self.owners = owners[0], (owners[0], owners[0], owners[1], owners[1])
        self.kinds = [(block.kind, block.layer) for block in cells.blocks]
        sign = {False: 1.0, True: -1.0}
        self.maps = [
            [
                (self.put(sign[k > 1] * x[part].T) if x[part].any() else None)
                for block in cells.blocks
                for x in ((block.by_q if k % 2 else block.by_p),)
            ]
            for k, part in enumerate([slice(loads)] * 2 + [slice(loads, None)] * 2)
        ]
        own = -(cells.a + cells.fixed)  # y - fixed - a, c taken along: what multiplies v in d
        self.own, self.c = ((self._column(x.real), self._column(x.imag)) for x in (own, cells.c))
        used = range(1 + max((layer for _, layer in self.kinds), default=-1))
        self.edges = [(self._column(cells.low[k]), self._column(cells.high[k])) for k in used]
        self.below = {
            (block.kind, block.layer): tuple(self._column(x) for x in block.below)
            for block in cells.blocks
            if block.below is not None
        }
        self.droops = [
            tuple(self._column(x) for x in (-center / width, 1 / width, rating))
            for center, width, rating in cells.droop
        ]
        zones = bool((cells.lowest > 0).any() or np.isfinite(cells.highest).any())
        self.zones = (self._column(cells.lowest), self._column(cells.highest)) if zones else None

    def put(self, x: Any) -> Tensor:
        """As a tensor of these."""
        return torch.as_tensor(np.ascontiguousarray(x)).to(device=self.device, dtype=self.dtype)

    def _column(self, x: Any) -> Tensor:
        return self.put(np.minimum(x, 1e30)[:, None])

    def coefficients(self, owners: tuple[Tensor | None, ...], rows: slice | Any) -> list[Pair]:
        """Of every block, each part of shape (G, rows); owners: p, q of loads, p, q of generation."""

        def total(k: int, pair: tuple[int, int]) -> Tensor:
            found = None
            for j in pair:
                x, map_ = owners[j], self.maps[j][k]
                if x is not None and map_ is not None:
                    part = map_ @ (x[rows] if x.shape[0] > 1 else x).T
                    found = part if found is None else found + part
            return self.c[0].new_zeros(self.size, 1) if found is None else found

        return [(total(k, (0, 2)), total(k, (1, 3))) for k in range(len(self.kinds))]

    def hold(self, x: Tensor) -> Tensor | None:
        """The rows in which these are the laws at voltages x; None where they are at all."""
        if self.zones is None:
            return None
        u = torch.hypot(x[: self.size], x[self.size :])
        return ((u > self.zones[0]) & (u <= self.zones[1])).all(dim=0)

    def weights(self, w: Tensor, space: Space) -> dict[tuple[str, int], Tensor]:
        """w^-1 and w^-1/2 of the layers that need them, within their edges and as they fall off below."""
        out = {}
        if self.below:
            inverse = torch.clamp(w, min=_DEAD, out=space.spare[0]).rsqrt_()
        for k, (kind, layer) in enumerate(self.kinds):
            if kind == "impedance":
                continue
            low, high = self.edges[layer]
            weight = torch.maximum(w, low, out=space.weights[k])
            torch.minimum(weight, high, out=weight)
            weight = weight.reciprocal_() if kind == "power" else weight.rsqrt_()
            if (kind, layer) in self.below:
                rise, fall, floor = self.below[kind, layer]
                line = torch.mul(fall, inverse, out=space.spare[1]).add_(rise)
                torch.minimum(weight, line.clamp_(min=floor), out=weight)
            out[kind, layer] = weight
        return out

    def bends(self, w: Tensor, weights: dict[tuple[str, int], Tensor]) -> dict[tuple[str, int], Tensor]:
        """w times the derivatives of the weights by w."""
        out = {}
        inverse = w.clamp_min(_DEAD).rsqrt_()
        for (kind, layer), weight in weights.items():
            bend = torch.where(w == w.clamp(*self.edges[layer]), weight * (-1.0 if kind == "power" else -0.5), 0.0)
            if (kind, layer) in self.below:
                rise, fall, floor = self.below[kind, layer]
                # As in ``weights``, to the last bit: where the line is what holds, both are equal.
                line = torch.mul(fall, inverse).add_(rise)
                sloping = torch.where(line > floor, (rise - line).mul_(0.5), 0.0)
                bend = torch.where(weight >= line.clamp_(min=floor), sloping, bend)
            out[kind, layer] = bend
        return out


class Space:
    """Arrays for one chunk, written over in every iteration, so that they stay in the cache."""

    def __init__(self, laws: Laws, rows: int) -> None:
        def empty(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=laws.dtype, device=laws.device)

        size, self.rows = laws.size, rows
        self.x, self.d = (empty(2 * size, rows), empty(2 * size, rows)), empty(2 * size, rows)
        self.w, self.y = empty(size, rows), (empty(size, rows), empty(size, rows))
        self.spare = empty(size, rows), empty(size, rows)
        self.weights = tuple(empty(size, rows) for _ in laws.kinds)


class Law:
    """d(v) of one chunk of rows with its coefficients."""

    def __init__(self, laws: Laws, coefficients: Sequence[Pair], space: Space, rows: int) -> None:
        self.laws, self.coefficients = laws, coefficients
        self.space = space if space.rows == rows else Space(laws, rows)
        self.own = laws.own
        for (kind, _), (p, q) in zip(laws.kinds, coefficients, strict=True):
            if kind == "impedance":
                self.own = (p + self.own[0], q + self.own[1])

    def __call__(self, x: Tensor) -> Tensor:
        """The currents, overwritten by the next call."""
        size, d, (cr, ci) = self.laws.size, self.space.d, self.laws.c
        re, im = x[:size], x[size:]
        w = torch.mul(re, re, out=self.space.w).addcmul_(im, im)
        yr, yi = self.admittance(w, self.laws.weights(w, self.space))
        torch.mul(yr, re, out=d[:size]).addcmul_(yi, im, value=-1.0).addcmul_(cr, re, value=-1.0)
        torch.mul(yr, im, out=d[size:]).addcmul_(yi, re).addcmul_(ci, re, value=-1.0)
        d[:size].addcmul_(ci, im, value=-1.0)
        d[size:].addcmul_(cr, im)
        return d

    def admittance(self, w: Tensor, weights: dict[tuple[str, int], Tensor]) -> Pair:
        """y - a, each part of shape (G, rows)."""
        laws, space = self.laws, self.space
        yr, yi = self.own
        for key, (p, q) in zip(laws.kinds, self.coefficients, strict=True):
            if key in weights:
                yr = torch.addcmul(yr, p, weights[key], out=space.y[0])
                yi = torch.addcmul(yi, q, weights[key], out=space.y[1])
        if laws.droops:
            safe = torch.clamp(w, min=_DEAD, out=space.spare[0])
        for shift, rise, rating in laws.droops:
            part = torch.sqrt(safe, out=space.spare[1]).mul_(rise).add_(shift)
            yi = torch.addcdiv(yi, part.clamp_(-1.0, 1.0).mul_(rating), safe, value=-1.0, out=space.y[1])
        return yr, yi


class Tangent:
    """The derivatives of d(v) at voltages x, by them and by what owners draw; as long as the law is not called."""

    def __init__(self, law: Law, x: Tensor) -> None:
        self.law, size = law, law.laws.size
        self.re, self.im = x[:size], x[size:]
        self.w = (self.re * self.re).addcmul_(self.im, self.im)
        self.weights = law.laws.weights(self.w, law.space)

    def transposed(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four parts of (D - a - c)', D that of the currents i by v."""
        laws, law, re, im, w = self.law.laws, self.law, self.re, self.im, self.w
        yr, yi = law.admittance(w, self.weights)
        sr, si = torch.zeros_like(w), torch.zeros_like(w)  # w dy/dw
        bends = laws.bends(w, self.weights)
        for key, (p, q) in zip(laws.kinds, law.coefficients, strict=True):
            if key in bends:
                sr, si = sr.addcmul_(p, bends[key]), si.addcmul_(q, bends[key])
        safe = w.clamp_min(_DEAD)
        for shift, rise, rating in laws.droops:
            u = safe.sqrt()
            part = torch.addcmul(shift, u, rise)
            rising = torch.where(part.abs() < 1.0, u.mul_(rise).mul_(0.5), 0.0)
            slope = rising.sub_(part.clamp_(-1.0, 1.0)).mul_(rating)
            si = si.addcdiv_(slope, safe, value=-1.0)
        turn_r, turn_i = (re * re).addcmul_(im, im, value=-1.0).div_(safe), (re * im).mul_(2.0).div_(safe)
        tr = (sr * turn_r).addcmul_(si, turn_i, value=-1.0).sub_(laws.c[0])
        ti = (sr * turn_i).addcmul_(si, turn_r).sub_(laws.c[1])
        yr, yi = yr + sr, yi + si
        return yr + tr, yi + ti, ti.sub_(yi), yr.sub_(tr)

    def add_by_owners(self, m: Tensor, out: Sequence[Tensor | None]) -> None:
        """Adds the gradients by the owners' p and q from those by the currents, m, to rows of out, as far as wanted."""
        laws, (mr, mi) = self.law.laws, m.tensor_split(2)
        both = (self.re * mr).addcmul_(self.im, mi), (self.re * mi).addcmul_(self.im, mr, value=-1.0)
        for which, y in enumerate(out):
            for key, map_ in zip(laws.kinds, laws.maps[which], strict=True):
                if y is not None and map_ is not None:
                    h = both[which % 2]
                    y.addmm_((h * self.weights[key] if key in self.weights else h).T, map_)
