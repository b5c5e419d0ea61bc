"""A lower bound of the optimal cost from any multipliers: the Lagrangian dual, evaluated without a local solve.

For multipliers mu of the couplings, nu of the local equations and zeta of the cones, and any point x,

    bound = sum_j min over lower_j <= s <= upper_j of (1/2 P_jj s^2 + c_j s)  -  nu'b - zeta'h - sum_k max(mu_k y_k)
    c = q + C'mu + A'nu - G'zeta,       y_k over [lower_k, upper_k]

(a quadratic that is not diagonal is linearised at x). Weak duality makes it valid for every choice; mu and zeta are
first projected onto their cones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import Separable
from gridmodel.ir.stack import Stack
from gridmodel.runtime.dual_cone import project_dual
from gridmodel.runtime.implied import implied_bounds
from gridmodel.runtime.interface import Iterate
from gridmodel.runtime.scale import Scale

__all__ = ["Bound", "Bounder"]

Floats = NDArray[np.float64]
Entries = tuple[NDArray[np.intp], NDArray[np.intp], Floats]

_ROUNDING = 1e-13
_REACH = 100.0


@dataclass(frozen=True)
class Bound:
    """A lower bound of the cost of all points with no unbounded column beyond its reach.

    value: the bound; -inf where the multipliers prove nothing.
    paid: what unbounded columns whose marginal cost is not exactly zero took off it: |c_j| times the reach of the
        column, a hundred times the larger of its range and its value. Zero makes the bound hold without "beyond".
    """

    value: float
    paid: float = 0.0


@dataclass(frozen=True)
class Bounder:
    """Evaluates bounds for one problem; what does not depend on the multipliers is computed once."""

    problem: Separable
    scale: Scale

    def __call__(self, iterate: Iterate, costs: bool = True) -> Bound:
        """The bound at an iterate's multipliers.

        Args:
            iterate: multipliers, and the point at which quadratics are linearised.
            costs: False leaves out the cost: a value above zero then proves that no feasible point exists.
        """
        couplings = self.problem.couplings
        mu = np.where(np.isinf(couplings.upper), np.minimum(iterate.mu, 0.0), iterate.mu)
        mu = np.where(np.isinf(couplings.lower), np.maximum(mu, 0.0), mu)
        side = np.where(mu > 0, couplings.upper, couplings.lower)
        total = -float(np.sum(np.where(mu != 0, mu * np.where(mu != 0, side, 0.0), 0.0)))
        pull = self.problem.split(self.problem.matrix.T @ mu)
        paid = 0.0
        for k, stack in enumerate(self.problem.stacks):
            part = self._stack(k, stack, iterate.x[k], pull[k], iterate.nu[k], iterate.zeta[k], costs)
            total += part.value
            paid += part.paid
        return Bound(total, paid) if np.isfinite(total) else Bound(-np.inf, paid)

    def _stack(self, k: int, stack: Stack, x: Floats, pull: Floats, nu: Floats, zeta: Floats, costs: bool) -> Bound:
        curve = np.zeros((1, stack.columns))
        linear, value = pull, 0.0
        if costs:
            linear = linear + stack.q
            value = float(stack.offset.sum())
            if stack.P.diagonal_only:
                curve = stack.P.diagonal()
            else:
                px = stack.P.dot(x)
                linear = linear + px
                value -= 0.5 * float(np.sum(px * x))
        if stack.cones:
            zeta = project_dual(stack.cones, self._settle_cones(k, linear, zeta))
            linear = linear - stack.G.tdot(zeta)
            value -= float(np.sum(zeta * stack.h))
        nu = self._settle_slacks(k, linear, nu)
        nu = self._settle_free(k, linear, nu)
        c = linear + stack.A.tdot(nu)
        value -= float(np.sum(nu * stack.b))
        paid = 0.0
        magnitude = np.abs(linear) + 1e-300
        part = _least(c, curve, stack.lower, stack.upper, _ROUNDING * magnitude)
        if np.isneginf(part).any():
            lower, upper = self._implied[k]
            part = _least(c, curve, lower, upper, _ROUNDING * magnitude)
            open_ = np.isneginf(part)
            if open_.any():
                reach = _REACH * np.maximum(np.abs(x), np.broadcast_to(self.scale.columns[k], x.shape))
                part = np.where(open_, -np.abs(c) * reach, part)
                paid = -float(part[open_].sum())
        return Bound(value + float(part.sum()), paid=paid)

    @cached_property
    def _implied(self) -> list[tuple[Floats, Floats]]:
        lower, upper = implied_bounds(self.problem)
        return list(zip(self.problem.split(lower), self.problem.split(upper), strict=True))

    @cached_property
    def _epigraphs(self) -> list[Entries]:
        """Unbounded columns that one cone row alone holds: (columns, rows, entries)."""
        out = []
        for stack in self.problem.stacks:
            unbounded = (np.isinf(stack.lower) | np.isinf(stack.upper)).all(axis=0)
            out.append(_held_alone(stack, stack.G, (stack.A, stack.P), unbounded))
        return out

    def _settle_cones(self, k: int, linear: Floats, zeta: Floats) -> Floats:
        """Multipliers of cone rows that take the cost off the columns which they alone hold."""
        col, row, a = self._epigraphs[k]
        if not len(col):
            return zeta
        stack = self.problem.stacks[k]
        c = (linear - stack.G.tdot(zeta))[:, col]
        wrong = (np.isinf(stack.upper[:, col]) & (c < 0)) | (np.isinf(stack.lower[:, col]) & (c > 0))
        zeta = zeta.copy()
        zeta[:, row] = np.where(wrong, linear[:, col] / a, zeta[:, row])
        return zeta

    @cached_property
    def _slacks(self) -> list[Entries]:
        """Columns without cost that one equation alone holds, with one infinite side: (columns, rows, entries)."""
        out = []
        for stack in self.problem.stacks:
            one_sided = np.logical_xor(np.isinf(stack.lower), np.isinf(stack.upper)).all(axis=0)
            out.append(_held_alone(stack, stack.A, (stack.C, stack.G, stack.P), one_sided))
        return out

    def _settle_slacks(self, k: int, linear: Floats, nu: Floats) -> Floats:
        """Moves multipliers of equations with a one-sided slack so that the slack's cost has the finite sign."""
        col, row, a = self._slacks[k]
        if not len(col):
            return nu
        stack = self.problem.stacks[k]
        wanted = -linear[:, col] / a
        up = np.isinf(stack.upper[:, col])
        # c = linear + a nu must be >= 0 where the column has no upper bound, <= 0 where it has no lower one.
        at_least = (a > 0) == up
        nu = nu.copy()
        held = nu[:, row]
        nu[:, row] = np.where(at_least, np.maximum(held, wanted), np.minimum(held, wanted))
        return nu

    @cached_property
    def _free(self) -> list[tuple[NDArray[np.intp], Floats] | None]:
        """Columns free on both sides and without curvature, and the pseudo-inverse of A' over them."""
        out: list[tuple[NDArray[np.intp], Floats] | None] = []
        for stack in self.problem.stacks:
            free = np.atleast_1d((np.isneginf(stack.lower) & np.isposinf(stack.upper)).any(axis=0))
            if stack.P.nnz:
                free[stack.P.col] = False
            columns = np.flatnonzero(free)
            if not len(columns) or not stack.A.nnz or stack.A.shape[0] * len(columns) > 4_000_000:
                out.append(None)
            elif stack.A.is_shared:
                out.append((columns, np.asarray(np.linalg.pinv(stack.A.dense()[:, columns].T)[None], dtype=np.float64)))
            elif stack.size * stack.A.shape[0] * len(columns) <= 20_000_000:
                dense = np.stack([stack.A.dense(i)[:, columns].T for i in range(stack.size)])
                out.append((columns, np.asarray(np.linalg.pinv(dense), dtype=np.float64)))
            else:
                out.append(None)
        return out

    def _settle_free(self, k: int, linear: Floats, nu: Floats) -> Floats:
        """The least change of nu that takes the cost off free columns."""
        plan = self._free[k]
        if plan is None:
            return nu
        columns, inverse = plan
        c = (linear + self.problem.stacks[k].A.tdot(nu))[:, columns]
        return np.asarray(nu - np.einsum("imj,ij->im", np.broadcast_to(inverse, (len(c), *inverse.shape[1:])), c))


def _held_alone(stack: Stack, holder: Batch, others: tuple[Batch, ...], wanted: Any) -> Entries:
    """Columns of which ``holder`` has the only entry, one a row: (columns, rows, entries).

    One a row, because two would pull the row's multiplier in turn.
    """
    used = np.bincount(holder.col, minlength=stack.columns)
    for other in others:
        used[other.col] += 2
    chosen = np.atleast_1d(wanted) & (used == 1)
    entry = np.flatnonzero(chosen[holder.col] & (holder.data != 0).all(axis=0))
    _, first = np.unique(holder.row[entry], return_index=True)
    entry = entry[first]
    return holder.col[entry], holder.row[entry], holder.data[:, entry]


def _least(c: Floats, curve: Floats, lower: Floats, upper: Floats, rounding: Floats) -> Floats:
    """min over [lower, upper] of 1/2 curve s^2 + c s, entry by entry; c within rounding counts as zero."""
    c = np.where(np.abs(c) <= rounding, 0.0, c)
    with np.errstate(invalid="ignore"):
        out = c * np.where(c > 0, lower, upper)
    out[c == 0] = 0.0
    bent = np.flatnonzero((curve > 0).any(axis=0))
    if len(bent):
        curve, part = np.broadcast_to(curve, c.shape)[:, bent], c[:, bent]
        at = np.divide(-part, curve, out=np.zeros_like(part), where=curve > 0)
        at = np.clip(at, lower[:, bent], upper[:, bent])
        out[:, bent] = np.where(curve > 0, 0.5 * curve * at**2 + part * at, out[:, bent])
    return out
