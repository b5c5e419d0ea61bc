"""The load flow as a function of torch tensors, with its gradient by the implicit adjoint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridmodel.errors import ModelError, NotApplicableError, ShapeError, UnknownNameError
from gridmodel.grid.assemble import Taps
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.cells import cells
from gridmodel.grid.flow.droop import LoopGain, splitting_of
from gridmodel.grid.flow.fixed_point import Points
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.injections import POWER, Complexes
from gridmodel.grid.flow.newton import slopes
from gridmodel.grid.flow.port_form import PortForm
from gridmodel.grid.flow.solve import solve
from gridmodel.grid.port_law import derivatives

if TYPE_CHECKING:
    import torch

    from gridmodel.grid.flow.batched import Batched

__all__ = ["TorchFlow", "TorchLoadFlow"]

_MOST = 100
_SINGLE = 5e-7  # pu; the smallest tolerance in complex64
_EXACT = 1e-8  # pu; of scenarios that are solved in numpy


class TorchFlow(NamedTuple):
    """v: node voltages in pu, complex, shape (scenarios, nodes), NaN in failed scenarios, whose gradient is 0.

    converged: shape (scenarios,); index with it before anything is averaged.
    """

    v: torch.Tensor
    converged: torch.Tensor


class TorchLoadFlow:
    """The load flow of a feeder at fixed taps, differentiable in the powers of loads and generators.

    ``flow(loads, generation)`` takes complex tensors in VA of shape (scenarios, loads) and (scenarios, generators);
    None is the file's. Both precisions, complex64 and complex128, and any device of torch. Volt-var droops of the
    generators are part of it.

    nodes: names "bus.number" of those whose voltages are wanted, in this order; None takes all. Fewer cost less.
    gain, notes: the loop gain at nominal power where the feeder has droops, else None, and warnings about it.

    Raises:
        ModelError: torch is not installed.
        UnknownNameError: a node that is none.
        NotApplicableError: the feeder has so many ports that K is not formed.
    """

    def __init__(
        self, feeder: Feeder, taps: Taps | None = None, tolerance: float = 1e-8, nodes: Sequence[str] | None = None
    ) -> None:
        try:
            import torch  # noqa: F401
        except ImportError as error:
            raise ModelError("A differentiable load flow needs torch: pip install 'gridmodel[learn]'.") from error
        self.feeder, self.tolerance, self.form = feeder, tolerance, form_of(feeder, taps)
        if self.form.K is None:
            raise NotApplicableError(
                f"{feeder.name} has {self.form.injections.size} distinct ports, too many for the dense form that the "
                "adjoint needs; use Feeder.load_flow."
            )
        self.nodes = feeder.nodes if nodes is None else tuple(nodes)
        if unknown := [name for name in self.nodes if name not in feeder.position]:
            raise UnknownNameError(
                f"nodes: {feeder.name} has no node {unknown[0]!r}; its nodes are named like {feeder.nodes[0]!r}."
            )
        self._at = np.array([feeder.position[name] for name in self.nodes], dtype=np.intp)
        self._cells = cells(self.form, feeder.base, self._at)
        self.gain: LoopGain | None = splitting_of(self.form).gain if self.form.injections.has_droop else None
        self.notes: tuple[str, ...] = (f"{feeder.name}: {self.gain.note}",) if self.gain and self.gain.note else ()
        self._kept: dict[tuple[torch.dtype, torch.device], Batched] = {}

    def __call__(self, loads: torch.Tensor | None = None, generation: torch.Tensor | None = None) -> TorchFlow:
        """The voltages at these powers.

        Raises:
            ModelError: neither loads nor generation is a tensor, or one is not complex.
            ShapeError: not a column for every load or generator, or unequal numbers of scenarios.
        """
        like = next((x for x in (loads, generation) if x is not None), None)
        if like is None or not like.is_complex():
            raise ModelError(
                "Give loads or generation as complex tensors in VA; feeder.load_flow() is for the file's own."
            )
        parts = [(None, None) if x is None else (x.real, x.imag) for x in (loads, generation)]
        return self._solved(*parts[0], *parts[1])

    def injected(self, p: torch.Tensor, q: torch.Tensor | None = None, loads: torch.Tensor | None = None) -> TorchFlow:
        """The voltages where generators inject p (W) and q (var; None for 0), real, shape (scenarios, generators).

        It spares the imaginary halves of ``flow(loads, generation)``. loads: complex in VA of shape (scenarios, loads),
        or (1, loads) for all scenarios; None is the file's.

        Raises:
            ModelError: p or q is complex.
            ShapeError: not a column for every generator, or unequal numbers of scenarios.
        """
        if p.is_complex() or (q is not None and q.is_complex()):
            raise ModelError("injected(p, q): expected real tensors in W and var; flow(loads, generation) is complex.")
        drawn = (None, None) if loads is None else (loads.real, loads.imag)
        return self._solved(*drawn, p, p.new_zeros((1, p.shape[-1])) if q is None else q)

    def _solved(self, *owners: torch.Tensor | None) -> TorchFlow:
        import torch

        like = next(x for x in owners[::-1] if x is not None)
        counts = {x.shape[0] for x in owners if x is not None and x.ndim == 2} - {1}
        count = counts.pop() if counts else 1
        sizes = (len(self.feeder.loads), len(self.feeder.generators))
        for k, (what, x) in enumerate(zip(("loads", "loads", "generation", "generation"), owners, strict=True)):
            if x is not None and (x.ndim != 2 or x.shape[1] != sizes[k // 2] or x.shape[0] not in (1, count)):
                raise ShapeError(f"{what}: shape {tuple(x.shape)}, expected ({count}, {sizes[k // 2]}).")
        batched = self._batched(like.dtype, like.device)
        nominal = [[load.s for load in self.feeder.loads], [unit.s for unit in self.feeder.generators]]

        def filled(k: int, x: torch.Tensor | None) -> torch.Tensor:
            if x is not None:
                return x.to(like)
            s = np.array(nominal[k // 2], dtype=np.complex128)
            return torch.tensor(s.imag if k % 2 else s.real).to(like)[None]

        full = [filled(k, x) for k, x in enumerate(owners)]
        flat, converged = _function().apply(self, batched, count, *full)
        return TorchFlow(torch.view_as_complex(flat.view(count, self._at.size, 2)), converged)

    def _batched(self, dtype: torch.dtype, device: torch.device) -> Batched:
        import torch

        from gridmodel.grid.flow.batched import Batched

        if (dtype, device) not in self._kept:
            tolerance = max(self.tolerance, _SINGLE) if dtype == torch.float32 else self.tolerance
            owners = len(self.feeder.loads), len(self.feeder.generators)
            self._kept[dtype, device] = Batched(self._cells, owners, tolerance, dtype, device)
        return self._kept[dtype, device]

    def _in_numpy(self, owners: Sequence[torch.Tensor], rows: NDArray[np.intp]) -> tuple[Complexes, Points]:
        """The powers at the ports in VA of some scenarios and where they are solved in float64, by Newton at last."""
        numbers = [x.detach().double().cpu().numpy() for x in owners]
        lp, lq, gp, gq = (x[rows] if x.shape[0] > 1 else x.repeat(len(rows), 0) for x in numbers)
        s = self.form.injections.at_ports(np.concatenate([lp + 1j * lq, -(gp + 1j * gq)], axis=1))
        return s, solve(self.form, s, min(self.tolerance, _EXACT)).points

    def _nodes(self, points: Points) -> NDArray[np.float64]:
        """Voltages of the nodes, real and imaginary parts in turn, NaN where it failed."""
        v = (self.form.nodes(points.i) / self.feeder.base)[:, self._at]
        v[~points.converged] = complex(np.nan, np.nan)
        return np.ascontiguousarray(v).view(np.float64)

    def _owner_gradients(self, s: Complexes, v: Complexes, g: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The gradients by p and q of loads and of generators; g: of the nodes' real and imaginary parts in turn."""
        assert self.form.to_nodes is not None
        at_nodes = np.ascontiguousarray(g).view(np.complex128) / self.feeder.base[self._at]
        at_ports = -at_nodes @ self.form.to_nodes[self._at].conj()
        found = _whole_adjoint(self.form, v.astype(np.complex128), s, at_ports, self.tolerance)
        own = np.asarray((self.form.injections.owner @ found.T).T)
        count = len(self.feeder.loads)
        return [own[:, :count].real, own[:, :count].imag, -own[:, count:].real, -own[:, count:].imag]


def _whole_adjoint(form: PortForm, v: Complexes, s: Complexes, g: Complexes, tolerance: float) -> Complexes:
    """The cotangent of the ports' powers in VA with all zones of the law, shape (rows, P); g: of the port currents.

    With di = a dv + c conj(dv), that of the port currents satisfies m = g - K^H (conj(a) m + c conj(m)).
    """
    assert form.K is not None
    ports, straight, turned = form.injections.merged, *slopes(form, v, s)
    back, m, left = form.K.conj(), g.copy(), np.arange(len(g))
    for _ in range(_MOST):
        with np.errstate(all="ignore"):
            new = g[left] - (straight[left].conj() * m[left] + turned[left] * m[left].conj()) @ back
            change = np.abs(new - m[left]).max(axis=1, initial=0.0)
        m[left] = new
        left = left[~(change <= tolerance * np.abs(g[left]).max(axis=1, initial=0.0))]
        if not left.size:
            break
    for k in left:
        own, other = np.eye(ports.v.size) + back.T * straight[k].conj(), back.T * turned[k]
        J = np.block([[(own + other).real, (other - own).imag], [(own + other).imag, (own - other).real]])
        x = np.linalg.solve(J, np.concatenate([g[k].real, g[k].imag]))
        m[k] = x[: ports.v.size] + 1j * x[ports.v.size :]
    found = derivatives(ports, v * ports.v, s)
    return np.asarray((found.s.conj() * m + found.s_conj * m.conj()) * ports.v / POWER)


@cache
def _function() -> Any:
    """The autograd function, made when torch is there."""
    import torch

    class NodeVoltages(torch.autograd.Function):  # type: ignore[misc]
        """Node voltages from the powers of loads and generators."""

        @staticmethod
        def forward(ctx: Any, flow: TorchLoadFlow, batched: Batched, count: int, *owners: torch.Tensor) -> Any:
            keep = any(ctx.needs_input_grad)
            nodes, state, kept = batched.solve(owners, count, keep)
            odd = torch.nonzero(~state.good).flatten()
            converged, found = state.good, None
            if odd.numel():
                s, points = flow._in_numpy(owners, odd.cpu().numpy())
                nodes[odd] = torch.as_tensor(flow._nodes(points)).to(nodes)
                converged = state.good.clone()
                converged[odd] = torch.as_tensor(points.converged).to(converged)
                found = (odd, s, points)
            if keep:
                ctx.kept = (flow, batched, state, kept, found)
                ctx.save_for_backward(*owners)
            ctx.mark_non_differentiable(converged)
            return nodes, converged

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, g: torch.Tensor, _: Any) -> Any:
            flow, batched, state, kept, found = ctx.kept
            owners, whole = ctx.saved_tensors, g.contiguous()
            g = whole if found is None else torch.where(state.good[:, None], whole, torch.zeros_like(whole))
            out, fine = batched.gradients(g, state, kept, ctx.needs_input_grad[3:])
            exact = [] if found is None else [found]
            if not bool(fine.all()):
                rows = torch.nonzero(~fine).flatten()
                exact.append((rows, *flow._in_numpy(owners, rows.cpu().numpy())))
            for rows, s, points in exact:
                ends = points.converged
                own = flow._owner_gradients(s[ends], points.v[ends], whole[rows].double().cpu().numpy()[ends])
                rows = rows[torch.as_tensor(ends).to(rows.device)]
                for y, part in zip(out, own, strict=True):
                    if y is not None:
                        y[rows] = torch.as_tensor(np.ascontiguousarray(part)).to(y)
            summed = [y if y is None or x.shape[0] == len(y) else y.sum(dim=0, keepdim=True)
                      for x, y in zip(owners, out, strict=True)]  # fmt: skip
            return None, None, None, *summed

    return NodeVoltages
