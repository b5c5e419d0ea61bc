"""The load flow as a function of torch tensors, with its gradient by the implicit adjoint.

The adjoint is solved by the same fixed point as the voltages: with di = a dv + c conj(dv), the cotangent m of the port
currents satisfies m = g - K^H (conj(a) m + c conj(m)), and that of the powers follows from m port by port.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gridmodel.errors import ModelError, NotApplicableError, ShapeError
from gridmodel.grid.assemble import Taps
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.forms import form_of
from gridmodel.grid.flow.injections import POWER, Complexes
from gridmodel.grid.flow.newton import slopes
from gridmodel.grid.flow.port_form import PortForm
from gridmodel.grid.flow.solve import solve
from gridmodel.grid.port_law import derivatives

if TYPE_CHECKING:
    import torch

__all__ = ["TorchFlow", "TorchLoadFlow"]

_MOST = 100


class TorchFlow(NamedTuple):
    """v: node voltages in pu, complex, shape (scenarios, nodes), NaN in failed scenarios, whose gradient is 0.

    converged: shape (scenarios,); index with it before anything is averaged.
    """

    v: torch.Tensor
    converged: torch.Tensor


class TorchLoadFlow:
    """The load flow of a feeder at fixed taps, differentiable in the powers of loads and generators.

    ``flow(loads, generation)`` takes complex tensors in VA of shape (scenarios, loads) and (scenarios, generators);
    None is the file's. Both precisions, complex64 and complex128, and any device of torch.

    Raises:
        ModelError: torch is not installed.
        NotApplicableError: the feeder has so many ports that K is not formed.
    """

    def __init__(self, feeder: Feeder, taps: Taps | None = None, tolerance: float = 1e-8) -> None:
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
        self._kept: dict[tuple[torch.dtype, torch.device], _Constants] = {}

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
        constants = self._constants(like.dtype, like.device)
        drawn = self._filled("loads", loads, [load.s for load in self.feeder.loads], like)
        given = self._filled("generation", generation, [unit.s for unit in self.feeder.generators], like)
        import torch

        s = torch.cat([drawn, -given], dim=1) / POWER @ constants.owner
        i, converged = _function().apply(s, constants, self.form, self.tolerance)
        return TorchFlow(constants.open - i @ constants.to_nodes, converged)

    def _filled(self, what: str, x: torch.Tensor | None, nominal: list[complex], like: torch.Tensor) -> torch.Tensor:
        import torch

        if x is None:
            return torch.tensor(nominal, dtype=like.dtype, device=like.device).expand(like.shape[0], len(nominal))
        if x.ndim != 2 or x.shape[1] != len(nominal) or x.shape[0] != like.shape[0]:
            raise ShapeError(f"{what}: shape {tuple(x.shape)}, expected ({like.shape[0]}, {len(nominal)}).")
        return x

    def _constants(self, dtype: torch.dtype, device: torch.device) -> _Constants:
        if (dtype, device) not in self._kept:
            self._kept[dtype, device] = _Constants(self.form, self.feeder.base, dtype, device)
        return self._kept[dtype, device]


class _Constants:
    """The form's matrices as tensors of one precision on one device."""

    def __init__(self, form: PortForm, base: Any, dtype: torch.dtype, device: torch.device) -> None:
        import torch

        assert form.K is not None
        assert form.to_nodes is not None
        real = torch.float64 if dtype == torch.complex128 else torch.float32
        ports = form.injections.merged

        def put(x: Any, kind: torch.dtype = dtype) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(x)).to(device=device, dtype=kind)

        self.b, self.KT, self.K_conj, self.fixed = (
            put(x) for x in (form.b, form.K.T, form.K.conj(), form.injections.fixed)
        )
        self.open, self.to_nodes = put(form.open / base), put((form.to_nodes / base[:, None]).T)
        self.owner = put(form.injections.owner.toarray())
        self.low, self.high = (put(x, real) for x in form.injections.clip(np.float64))
        self.lowest, self.highest = (put(x, real) for x in (form.injections.lowest, form.injections.highest))
        self.shares = [(put(ports.zip_p[:, k], real), put(ports.zip_q[:, k], real)) for k in range(3)]
        self.present = [bool(ports.zip_p[:, k].any() or ports.zip_q[:, k].any()) for k in range(3)]
        self.same = bool((ports.zip_p == ports.zip_q).all())


class _State(NamedTuple):
    """Where the iteration ended: i = y v, of which slope = u/2 dy/du."""

    v: torch.Tensor
    i: torch.Tensor
    y: torch.Tensor
    slope: torch.Tensor
    w: torch.Tensor
    good: torch.Tensor


def _forward(s: torch.Tensor, k: _Constants, tolerance: float) -> _State:
    """The fixed point with the fast law; good: the scenarios that converged to where that is the law."""
    import torch

    def part(kind: int) -> torch.Tensor | None:
        if not k.present[kind]:
            return None
        p, q = k.shares[kind]
        return s.conj() * p if k.same else torch.complex(s.real * p, -s.imag * q)

    z, steady, power = part(0), part(1), part(2)
    z = z - k.fixed if z is not None else None
    v = k.b.expand_as(s)
    y = change = v
    for _ in range(_MOST):
        w = torch.clamp(v.real**2 + v.imag**2, k.low, k.high)
        y = torch.zeros_like(s) if power is None else power * w.reciprocal()
        y = y if steady is None else y + steady * w.rsqrt()
        y = y if z is None else y + z
        i = y * v
        new = k.b - i @ k.KT
        change = torch.view_as_real(new - v).abs().amax(dim=(1, 2)) if s.shape[1] else s.real.new_zeros(len(s))
        v = new
        if not bool((change > tolerance).any()) or not bool(torch.isfinite(change).any()):
            break
    u = v.abs()
    good = (change <= tolerance) & ((u > k.lowest) & (u <= k.highest)).all(dim=1)
    w = torch.clamp(u * u, k.low, k.high)
    slope = torch.zeros_like(s) if power is None else power * -w.reciprocal()
    y = -slope
    if steady is not None:
        bend = steady * w.rsqrt()
        y, slope = y + bend, slope - bend / 2
    y = y if z is None else y + z
    slope = slope * ((u * u > k.low) & (u * u < k.high))
    return _State(v, i, y, slope, w, good)


def _adjoint(g: torch.Tensor, state: _State, k: _Constants, tolerance: float) -> torch.Tensor:
    """The cotangent m of the port currents; scenarios that are not good have none."""
    import torch

    turn = state.v / state.v.conj()
    straight, turned = (state.y + state.slope).conj(), state.slope * turn
    keep = state.good[:, None]
    straight, turned, g = (torch.where(keep, x, torch.zeros_like(x)) for x in (straight, turned, g))
    goal = tolerance * float(torch.view_as_real(g).abs().max()) if g.numel() else 0.0
    m = g
    for _ in range(_MOST):
        new = g - (straight * m + turned * m.conj()) @ k.K_conj
        change = float(torch.view_as_real(new - m).abs().max()) if g.numel() else 0.0
        m = new
        if not change > goal:
            break
    return m


def _powers(m: torch.Tensor, state: _State, k: _Constants) -> torch.Tensor:
    """The cotangent of the ports' powers."""
    import torch

    h = torch.where(state.good[:, None], state.v.conj() * m, torch.zeros_like(m))
    weights = (torch.ones_like(state.w), state.w.rsqrt(), state.w.reciprocal())
    p = sum(share[0] * weight for share, weight, on in zip(k.shares, weights, k.present, strict=True) if on)
    q = p if k.same else sum(share[1] * x for share, x, on in zip(k.shares, weights, k.present, strict=True) if on)
    return torch.complex(h.real * p, -h.imag * q)


def _whole_adjoint(form: PortForm, v: Complexes, s: Complexes, g: Complexes, tolerance: float) -> Complexes:
    """The cotangent of the ports' powers in pu with all zones of the law, shape (rows, P)."""
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
    return np.asarray((found.s.conj() * m + found.s_conj * m.conj()) * ports.v)


@cache
def _function() -> Any:
    """The autograd function, made when torch is there."""
    import torch

    class PortCurrents(torch.autograd.Function):  # type: ignore[misc]
        """Port currents in pu from port powers in pu."""

        @staticmethod
        def forward(ctx: Any, s: torch.Tensor, k: _Constants, form: PortForm, tolerance: float) -> Any:
            tolerance = max(tolerance, 1e-6) if s.dtype == torch.complex64 else tolerance
            state = _forward(s, k, tolerance)
            odd = torch.nonzero(~state.good).flatten().cpu().numpy()
            i, converged, found = state.i, state.good, None
            if odd.size:
                powers = s[odd].detach().cpu().numpy().astype(np.complex128) * POWER
                points = solve(form, powers, min(tolerance, 1e-8)).points
                solved = np.where(points.converged[:, None], points.i, complex(np.nan, np.nan))
                i, converged = i.clone(), state.good.clone()
                i[odd] = torch.as_tensor(solved).to(i)
                converged[odd] = torch.as_tensor(points.converged).to(converged)
                found = (odd, powers, points)
            ctx.kept = (state, k, form, tolerance, found)
            ctx.mark_non_differentiable(converged)
            return i, converged

        @staticmethod
        @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
        def backward(ctx: Any, g: torch.Tensor, _: Any) -> Any:
            state, k, form, tolerance, found = ctx.kept
            out = _powers(_adjoint(g, state, k, tolerance), state, k)
            if found is not None:
                odd, powers, points = found
                fine = points.converged
                there = g[odd[fine]].cpu().numpy().astype(np.complex128)
                own = _whole_adjoint(form, points.v[fine], powers[fine], there, tolerance)
                out[odd[fine]] = torch.as_tensor(own).to(out)
            return out, None, None, None

    return PortCurrents
