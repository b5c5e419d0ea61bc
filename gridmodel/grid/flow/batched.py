"""The fixed point over pairs of nodes and its adjoint in torch, a column a scenario, in chunks that stay in the cache.

v <- constant - M d(v), d = i - a v - c conj(v); nodes = open - to_nodes d; v and d of shape (2G, scenarios), real parts
first, so that real and imaginary parts are each in one piece. With D = di/dv over the real numbers, the adjoint of the
currents is m <- to_nodes' g - M' (D - a - c)' m. Needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from gridmodel.grid.flow.cells import Cells
from gridmodel.grid.flow.convergence import Convergence
from gridmodel.grid.flow.pair_law import Law, Laws, Space, Tangent

__all__ = ["Batched", "State"]

_FIRST, _MOST = 10, 100  # iterations before the rows left are collected from all chunks, and at all
_CHUNK, _LARGE = 384, 1 << 16  # rows at once in a processor's cache, and on a GPU


class State(NamedTuple):
    """Where the rows ended: port voltages x by chunk, shape (2G, rows), and those that satisfy the law, (rows,)."""

    x: list[torch.Tensor]
    good: torch.Tensor


class Batched:
    """The network of ``Cells`` as tensors of one precision on one device, and the iterations with it.

    owners: numbers of loads, which draw, and of generators, which inject.
    """

    def __init__(
        self, cells: Cells, owners: tuple[int, int], tolerance: float, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.laws = laws = Laws(cells, owners, dtype, device)
        self.size, self.tolerance, self.dtype, self.device = laws.size, tolerance, dtype, device
        # A GPU waits for its next operation, not for rows that are over: there all go on until the last one is.
        self.chunk, self.first, self.again = (_CHUNK, _FIRST, _MOST) if device.type == "cpu" else (_LARGE, _MOST, 0)
        self.x0, self.constant, self.M, self.MT, self.open, self.against, self.to_nodesT = (
            laws.put(x)
            for x in (cells.v[:, None], cells.constant[:, None], cells.M, cells.M.T, cells.open, -cells.to_nodes.T,
                      cells.to_nodes.T)
        )  # fmt: skip

    def solve(self, owners: tuple[Any, ...], count: int, keep: bool) -> tuple[torch.Tensor, State, Any]:
        """(nodes, shape (rows, 2 nodes), where it ended, coefficients by chunk, if kept)."""
        nodes = torch.empty((count, self.to_nodesT.shape[1]), dtype=self.dtype, device=self.device)
        good = torch.zeros(count, dtype=torch.bool, device=self.device)
        x, kept = [], []
        space = Space(self.laws, min(count, self.chunk))
        for rows in self._chunks(count):
            law = Law(self.laws, self.laws.coefficients(owners, rows), space, rows.stop - rows.start)
            found, good[rows] = self._iterate(law, self.first)
            torch.sub(self.open, torch.mm(law(found).T, self.to_nodesT, out=nodes[rows]), out=nodes[rows])
            if keep:
                x.append(found.clone())
                kept.append(law.coefficients)
        late = torch.nonzero(~good).flatten()
        for part in late.split(self.chunk) if late.numel() else ():
            law = Law(self.laws, self.laws.coefficients(owners, part), space, part.numel())
            found, done = self._iterate(law, self.again)
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

    def _iterate(self, law: Law, most: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The voltages after convergence or ``most`` steps, and the rows that converged to where this is the law."""
        x, new = self.x0.expand(-1, law.space.rows), law.space.x[0]
        test = Convergence(law.space.rows, self.tolerance, self.x0)
        for k in range(most):
            # not addmm: in single precision the sum would be rounded at the size of the constant, term by term
            torch.sub(self.constant, torch.mm(self.M, law(x), out=new), out=new)
            if k and test.over(new, x, law.space.d):  # the first step never suffices
                x = new
                break
            x, new = new, law.space.x[(k + 1) % 2]
        holds = self.laws.hold(x)
        return x, test.done if holds is None else test.done & holds

    def gradients(
        self, g: torch.Tensor, state: State, kept: list[Any], wanted: Sequence[bool]
    ) -> tuple[list[torch.Tensor | None], torch.Tensor]:
        """The gradients by the owners' p and q as far as wanted, a row each, and the rows whose adjoint converged.

        g: of the nodes' real and imaginary parts in turn, shape (rows, 2 nodes).
        """
        count = g.shape[0]
        out = [
            g.new_zeros((count, sizes)) if want else None for sizes, want in zip(self.laws.owners, wanted, strict=True)
        ]
        fine = torch.ones(count, dtype=torch.bool, device=self.device)
        space = Space(self.laws, min(count, self.chunk))
        for rows, coefficients in zip(self._chunks(count), kept, strict=True):
            law = Law(self.laws, coefficients, space, rows.stop - rows.start)
            tangent = Tangent(law, state.x[rows.start // self.chunk])
            m, fine[rows] = self._adjoint(self.against @ g[rows].T, tangent.transposed())
            tangent.add_by_owners(m, [None if y is None else y[rows] for y in out])
        return out, fine

    def _adjoint(self, start: torch.Tensor, slopes: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """m = start - ((D - a - c)' m) M, and the rows in which it converged."""
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
