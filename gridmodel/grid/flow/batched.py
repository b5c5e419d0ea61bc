"""The fixed point over pairs of nodes and its adjoint in torch, a column a scenario, in chunks that stay in the cache.

v <- constant - M d(v), d = i - a v - c conj(v); nodes = open - to_nodes d; v and d of shape (2G, scenarios), real parts
first, so that real and imaginary parts are each in one piece. With D = di/dv over the real numbers, the adjoint of the
currents is m <- to_nodes' g - M' (D - a - c)' m.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridmodel.grid.flow.cells import Cells
from gridmodel.grid.flow.convergence import Convergence

if TYPE_CHECKING:
    import torch

__all__ = ["Batched", "State"]

_FIRST, _MOST = 10, 100  # iterations before the rows left are collected from all chunks, and at all
_CHUNK = 384
_DEAD = 1e-12


class State(NamedTuple):
    """Where the rows ended: port voltages x by chunk, shape (2G, rows), and those that satisfy the law, (rows,)."""

    x: list[torch.Tensor]
    good: torch.Tensor


class Batched:
    """The constants of ``Cells`` as tensors of one precision on one device, and the iterations with them.

    owners: numbers of loads, which draw, and of generators, which inject.
    """

    def __init__(
        self, cells: Cells, owners: tuple[int, int], tolerance: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        import torch

        def put(x: Any) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(x)).to(device=device, dtype=dtype)

        self.size, self.tolerance, self.dtype, self.device = cells.M.shape[0] // 2, tolerance, dtype, device
        self.chunk = _CHUNK if device.type == "cpu" else 1 << 30
        self.x0, self.constant, self.open = put(cells.v[:, None]), put(cells.constant[:, None]), put(cells.open)
        self.M, self.MT, self.against, self.to_nodesT = (
            put(x) for x in (cells.M, cells.M.T, -cells.to_nodes.T, cells.to_nodes.T)
        )
        loads, self.owners = owners[0], (owners[0], owners[0], owners[1], owners[1])
        self.kinds = [(block.kind, block.layer) for block in cells.blocks]
        sign = {False: 1.0, True: -1.0}
        self.maps = [
            [
                (put(sign[k > 1] * x[part].T) if x[part].any() else None)
                for block in cells.blocks
                for x in ((block.by_q if k % 2 else block.by_p),)
            ]
            for k, part in enumerate([slice(loads)] * 2 + [slice(loads, None)] * 2)
        ]
        a, c, fixed = cells.a, cells.c, cells.fixed
        own = -(a + fixed)  # y - fixed - a, c taken along: what multiplies v in d
        self.own = put(own.real[:, None]), put(own.imag[:, None])
        self.c = put(c.real[:, None]), put(c.imag[:, None])
        used = range(1 + max((layer for _, layer in self.kinds), default=-1))
        self.edges = [(put(cells.low[k][:, None]), put(np.minimum(cells.high[k], 1e30)[:, None])) for k in used]
        self.below = {
            (block.kind, block.layer): tuple(put(x[:, None]) for x in block.below)
            for block in cells.blocks
            if block.below is not None
        }
        self.droops = [
            tuple(put(x[:, None]) for x in (-curve[0] / curve[1], 1 / curve[1], curve[2])) for curve in cells.droop
        ]
        zones = bool((cells.lowest > 0).any() or np.isfinite(cells.highest).any())
        self.zones = (put(cells.lowest[:, None]), put(np.minimum(cells.highest, 1e30)[:, None])) if zones else None

    def coefficients(self, owners: tuple[torch.Tensor | None, ...], rows: slice | Any) -> list[Any]:
        """(real, imaginary) of every block, each of shape (G, rows); owners: p, q of loads, p, q of generation."""
        out = []
        for k in range(len(self.kinds)):
            parts = []
            for pair in ((0, 2), (1, 3)):
                total = None
                for j in pair:
                    x, map_ = owners[j], self.maps[j][k]
                    if x is None or map_ is None:
                        continue
                    x = x[rows] if x.shape[0] > 1 else x
                    part = map_ @ x.T
                    total = part if total is None else total + part
                parts.append(self.x0.new_zeros(self.size, 1) if total is None else total)
            out.append(tuple(parts))
        return out

    def solve(self, owners: tuple[Any, ...], count: int, keep: bool) -> tuple[torch.Tensor, State, Any]:
        """(nodes, shape (rows, 2 nodes), where it ended, coefficients by chunk, if kept)."""
        import torch

        nodes = torch.empty((count, self.to_nodesT.shape[1]), dtype=self.dtype, device=self.device)
        good = torch.zeros(count, dtype=torch.bool, device=self.device)
        x, kept = [], []
        space = _Space(self, min(count, self.chunk))
        for rows in self._chunks(count):
            law = _Law(self, self.coefficients(owners, rows), space, rows.stop - rows.start)
            found, good[rows] = self._iterate(law, _FIRST)
            torch.sub(self.open, torch.mm(law(found).T, self.to_nodesT, out=nodes[rows]), out=nodes[rows])
            if keep:
                x.append(found.clone())
                kept.append(law.coefficients)
        late = torch.nonzero(~good).flatten()
        for part in late.split(self.chunk) if late.numel() else ():
            law = _Law(self, self.coefficients(owners, part), space, part.numel())
            found, done = self._iterate(law, _MOST)
            good[part] = done
            nodes[part] = self.open - law(found).T @ self.to_nodesT
            if keep:
                found = torch.where(done, found, self.x0)
                for k in (part // self.chunk).unique().tolist():
                    here = part // self.chunk == k
                    x[k][:, part[here] - k * self.chunk] = found[:, here]
        return nodes, State(x, good), kept

    def _chunks(self, count: int) -> list[slice]:
        return [slice(k, min(k + self.chunk, count)) for k in range(0, count, self.chunk)]

    def _iterate(self, law: _Law, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The voltages after convergence or ``most`` steps, and the rows that converged to where this is the law."""
        import torch

        x, new = self.x0.expand(-1, law.space.rows), law.space.x[0]
        test = Convergence(law.space.rows, self.tolerance, self.x0)
        for k in range(most):
            # not addmm: in single precision the sum would be rounded at the size of the constant, term by term
            torch.sub(self.constant, torch.mm(self.M, law(x), out=new), out=new)
            if k and test.over(new, x, law.space.d):  # the first step never suffices
                x = new
                break
            x, new = new, law.space.x[(k + 1) % 2]
        done = test.done
        if self.zones is not None:
            u = torch.hypot(x[: self.size], x[self.size :])
            done = done & ((u > self.zones[0]) & (u <= self.zones[1])).all(dim=0)
        return x, done

    def weights(self, w: torch.Tensor, space: _Space | None = None) -> dict[tuple[str, int], torch.Tensor]:
        """w^-1 and w^-1/2 of the layers that need them, within their edges and as they fall off below."""
        import torch

        out = {}
        spare = (torch.empty_like(w), torch.empty_like(w)) if space is None else space.spare
        if self.below:
            inverse = torch.clamp(w, min=_DEAD, out=spare[0]).rsqrt_()
        for k, (kind, layer) in enumerate(self.kinds):
            if kind == "impedance":
                continue
            low, high = self.edges[layer]
            weight = torch.maximum(w, low, out=None if space is None else space.weights[k])
            torch.minimum(weight, high, out=weight)
            weight = weight.reciprocal_() if kind == "power" else weight.rsqrt_()
            if (kind, layer) in self.below:
                rise, fall, floor = self.below[kind, layer]
                torch.minimum(weight, torch.mul(fall, inverse, out=spare[1]).add_(rise).clamp_(min=floor), out=weight)
            out[kind, layer] = weight
        return out

    def _bends(self, w: torch.Tensor, weights: dict[tuple[str, int], torch.Tensor]) -> Any:
        """w times the derivatives of the weights by w."""
        import torch

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

    def gradients(
        self, g: torch.Tensor, state: State, kept: list[Any], wanted: Sequence[bool]
    ) -> tuple[list[torch.Tensor | None], torch.Tensor]:
        """The gradients by the owners' p and q as far as wanted, a row each, and the rows whose adjoint converged.

        g: of the nodes' real and imaginary parts in turn, shape (rows, 2 nodes).
        """
        import torch

        count = g.shape[0]
        out = [g.new_zeros((count, sizes)) if want else None for sizes, want in zip(self.owners, wanted, strict=True)]
        fine = torch.ones(count, dtype=torch.bool, device=self.device)
        space = _Space(self, min(count, self.chunk))
        for rows, coefficients in zip(self._chunks(count), kept, strict=True):
            law, x = _Law(self, coefficients, space, rows.stop - rows.start), state.x[rows.start // self.chunk]
            re, im = x[: self.size], x[self.size :]
            w = (re * re).addcmul_(im, im)
            weights = self.weights(w)
            m, fine[rows] = self._adjoint(self.against @ g[rows].T, self._slopes(re, im, w, law, weights))
            mr, mi = m[: self.size], m[self.size :]
            both = (re * mr).addcmul_(im, mi), (re * mi).addcmul_(im, mr, value=-1.0)
            for which, y in enumerate(out):
                for key, map_ in zip(self.kinds, self.maps[which], strict=True):
                    if y is not None and map_ is not None:
                        h = both[which % 2]
                        y[rows].addmm_((h * weights[key] if key in weights else h).T, map_)
        return out, fine

    def _slopes(self, re: Any, im: Any, w: Any, law: _Law, weights: Any) -> tuple[torch.Tensor, ...]:
        """The four parts of (D - a - c)', D the derivative of the currents at v."""
        import torch

        yr, yi = law.admittance(w)
        sr, si = torch.zeros_like(w), torch.zeros_like(w)  # w dy/dw
        bends = self._bends(w, weights)
        for key, (p, q) in zip(self.kinds, law.coefficients, strict=True):
            if key in bends:
                sr, si = sr.addcmul_(p, bends[key]), si.addcmul_(q, bends[key])
        safe = w.clamp_min(_DEAD)
        for shift, rise, rating in self.droops:
            u = safe.sqrt()
            part = torch.addcmul(shift, u, rise)
            rising = torch.where(part.abs() < 1.0, u.mul_(rise).mul_(0.5), 0.0)
            slope = rising.sub_(part.clamp_(-1.0, 1.0)).mul_(rating)
            si = si.addcdiv_(slope, safe, value=-1.0)
        turn_r, turn_i = (re * re).addcmul_(im, im, value=-1.0).div_(safe), (re * im).mul_(2.0).div_(safe)
        tr = (sr * turn_r).addcmul_(si, turn_i, value=-1.0).sub_(self.c[0])
        ti = (sr * turn_i).addcmul_(si, turn_r).sub_(self.c[1])
        yr, yi = yr + sr, yi + si
        return yr + tr, yi + ti, ti.sub_(yi), yr.sub_(tr)

    def _adjoint(self, start: torch.Tensor, slopes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """m = start - ((D - a - c)' m) M, and the rows in which it converged."""
        import torch

        rr, ir, ri, ii = slopes
        size, e = self.size, torch.empty_like(start)
        m, new, other = start, torch.empty_like(start), torch.empty_like(start)
        test = Convergence(start.shape[1], self.tolerance, self.x0, start.abs().amax(dim=0) if start.numel() else None)
        for k in range(_MOST):
            mr, mi = m[:size], m[size:]
            torch.mul(rr, mr, out=e[:size]).addcmul_(ir, mi)
            torch.mul(ri, mr, out=e[size:]).addcmul_(ii, mi)
            torch.sub(start, torch.mm(self.MT, e, out=new), out=new)
            over = k > 0 and test.over(new, m, e)
            m, new, other = new, other, new
            if over:
                break
        return m, test.done


class _Space:
    """Arrays for one chunk, written over in every iteration, so that they stay in the cache."""

    def __init__(self, batched: Batched, rows: int) -> None:
        import torch

        def empty(*shape: int) -> torch.Tensor:
            return torch.empty(shape, dtype=batched.dtype, device=batched.device)

        size = batched.size
        self.rows = rows
        self.x, self.d = (empty(2 * size, rows), empty(2 * size, rows)), empty(2 * size, rows)
        self.w, self.y = empty(size, rows), (empty(size, rows), empty(size, rows))
        self.spare = empty(size, rows), empty(size, rows)
        self.weights = tuple(empty(size, rows) for _ in batched.kinds)


class _Law:
    """d(v) = i - a v - c conj(v) of one chunk of rows with its coefficients."""

    def __init__(self, batched: Batched, coefficients: list[Any], space: _Space, rows: int) -> None:
        self.batched, self.coefficients, self.space = batched, coefficients, space
        if space.rows != rows:
            self.space = _Space(batched, rows)
        self.own = batched.own
        for (kind, _), (p, q) in zip(batched.kinds, coefficients, strict=True):
            if kind == "impedance":
                self.own = (p + self.own[0], q + self.own[1])

    def admittance(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """y of i = y v, less a, real and imaginary parts, shape (G, rows)."""
        import torch

        batched, space = self.batched, self.space
        weights = batched.weights(w, space)
        yr, yi = self.own
        for key, (p, q) in zip(batched.kinds, self.coefficients, strict=True):
            if key in weights:
                yr = torch.addcmul(yr, p, weights[key], out=space.y[0])
                yi = torch.addcmul(yi, q, weights[key], out=space.y[1])
        if batched.droops:
            safe = torch.clamp(w, min=_DEAD, out=space.spare[0])
        for shift, rise, rating in batched.droops:
            part = torch.sqrt(safe, out=space.spare[1]).mul_(rise).add_(shift)
            yi = torch.addcdiv(yi, part.clamp_(-1.0, 1.0).mul_(rating), safe, value=-1.0, out=space.y[1])
        return yr, yi

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        import torch

        size, d, (cr, ci) = self.batched.size, self.space.d, self.batched.c
        re, im = x[:size], x[size:]
        yr, yi = self.admittance(torch.mul(re, re, out=self.space.w).addcmul_(im, im))
        torch.mul(yr, re, out=d[:size]).addcmul_(yi, im, value=-1.0).addcmul_(cr, re, value=-1.0)
        torch.mul(yr, im, out=d[size:]).addcmul_(yi, re).addcmul_(ci, re, value=-1.0)
        d[:size].addcmul_(ci, im, value=-1.0)
        d[size:].addcmul_(cr, im)
        return d
