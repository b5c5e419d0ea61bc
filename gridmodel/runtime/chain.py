"""The gradient through a day of agents, by one recursion over adjoints instead of a tape of every operation.

With x_t+1 = n(x_t, u_t), u_t = f(x_t, a_t) and, where policies answer, a_t = pi(o_t), o_t linear in x_t and u_t-1:

    G_t     = f_a' (g_u + mu_t+1 + n_u' lam_t+1)                        of the raw action a_t
    lam_t   = g_x + f_x' (g_u + mu_t+1) + (n_x + n_u f_x)' lam_t+1 + o_x' pi_o' G_t
    mu_t    = o_u' pi_o' G_t                                            of the action before, u_t-1

Agents and days are apart, and what a step does is known from the day as it went, so that all Jacobians come from one
evaluation of all steps at once. Without the terms in pi_o, G is the gradient at given actions (open-loop); with them,
it is dJ/da with the policies' later answers, and sum_t pi_theta' G_t is the exact gradient of a roll-out. Needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from gridmodel.ir.training import Leaf
from gridmodel.runtime.feasible import Motion
from gridmodel.runtime.limits import at_step
from gridmodel.runtime.walk import Walk

__all__ = ["Answer", "linked"]

_WHOLE = slice(None)


@dataclass(frozen=True)
class Answer:
    """How policies answer what they see of themselves.

    leaves: states and last actions that they see. slopes: of raw actions by each, in the units of the model, shape
    (T, B, N, A, leaves).
    """

    leaves: Sequence[Leaf]
    slopes: Tensor


def linked(motion: Motion, raw: Tensor, walk: Walk, answer: Answer | None) -> Walk:
    """Days as they went, their states and actions as functions of the raw actions.

    Args:
        raw: shape (T, N, B, A), with gradient.
        answer: of policies, None for the open-loop gradient.
    """
    count = len(walk.states)
    found = _Linked.apply(motion, answer, count, raw, *walk.states.values(), *walk.actions.values())
    states = dict(zip(walk.states, found[:count], strict=True))
    return replace(walk, states=states, actions=dict(zip(walk.actions, found[count:], strict=True)))


class _Linked(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, motion: Motion, answer: Answer | None, count: int, raw: Tensor, *values: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.motion, ctx.answer, ctx.count, ctx.shape = motion, answer, count, raw.shape
        ctx.save_for_backward(raw, *values)
        ctx.set_materialize_grads(False)
        return tuple(value.view_as(value) for value in values)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        raw, *values = ctx.saved_tensors
        states, actions = values[: ctx.count], values[ctx.count :]
        slopes = _Slopes(ctx.motion, raw, states, actions)
        found = slopes.back(gradients[: ctx.count], gradients[ctx.count :], ctx.answer)
        return (None, None, None, torch.stack(found, dim=-1).transpose(1, 2), *([None] * len(values)))


class _Slopes:
    """Jacobians of all steps, each entry of shape (T, B, N) or None where it is zero.

    fx[i][s], fa[i][j]: of action i by state s and raw action j. n[s][r], nu[s][i]: of the next state s by state r and
    action i, actions held.
    """

    def __init__(self, motion: Motion, raw: Tensor, states: Sequence[Tensor], actions: Sequence[Tensor]) -> None:
        self.kind, self.like = motion.of.kind, actions[0]
        self.names = [Leaf("state", one.name) for one in self.kind.states]
        with torch.enable_grad():
            x = [value[:-1].detach().requires_grad_() for value in states]
            a = [raw[..., i].detach().transpose(1, 2).contiguous().requires_grad_() for i in range(raw.shape[-1])]
            here = dict(zip(self.names, x, strict=True))
            u = [motion.action(i, _WHOLE, a[i], here) for i in range(len(a))]
        self.fx: list[list[Tensor | None]] = []
        self.fa: list[Tensor] = []
        for own, value in zip(a, u, strict=True):
            found = torch.autograd.grad(value, [own, *x], torch.ones_like(value), allow_unused=True)
            self.fa.append(found[0])
            self.fx.append(list(found[1:]))
        self.n = [[motion.steps[leaf].terms.get(other) for other in self.names] for leaf in self.names]
        moved = [{one.state: one for one in own} for own in motion.of.moved]
        self.nu = [
            [moved[i][leaf].slope(actions[i]) if leaf in moved[i] else None for i in range(len(a))]
            for leaf in self.names
        ]

    def back(self, gx: Sequence[Tensor | None], gu: Sequence[Tensor | None], answer: Answer | None) -> list[Tensor]:
        """Gradients of the raw actions, shape (T, B, N) each, from those of states and actions."""
        T, count, many = len(self.like), len(self.names), len(self.fa)
        zero = torch.zeros_like(self.like[0])
        direct = [torch.zeros_like(self.like) if g is None else g for g in gu]
        out = [torch.empty_like(self.like) for _ in range(many)]
        lam = [zero if g is None else g[T] for g in gx]
        mu = [zero] * many
        for t in range(T - 1, -1, -1):
            whole = []  # of every action: all that comes of it
            for i in range(many):
                total = direct[i][t] + mu[i] if answer is not None else direct[i][t]
                for s in range(count):
                    slope = self.nu[s][i]
                    if slope is not None:
                        total = torch.addcmul(total, at_step(slope, t), lam[s])
                whole.append(total)
                torch.mul(self.fa[i][t], total, out=out[i][t])
            new = []
            for r in range(count):
                g = gx[r]
                total = zero if g is None else g[t]
                for s in range(count):
                    keep = self.n[s][r]
                    if keep is not None:
                        total = torch.addcmul(total, at_step(keep, t), lam[s])
                for i in range(many):
                    slope = self.fx[i][r]
                    if slope is not None:
                        total = torch.addcmul(total, slope[t], whole[i])
                new.append(total)
            lam = new
            if answer is not None:
                self._answered(answer, t, out, lam, mu)
        return out

    def _answered(self, answer: Answer, t: int, out: list[Tensor], lam: list[Tensor], mu: list[Tensor]) -> None:
        """Adds what policies do at this step because of the states and the actions before it."""
        names = [one.name for one in self.kind.actions]
        for i in range(len(mu)):
            mu[i] = torch.zeros_like(lam[0]) if lam else torch.zeros_like(out[0][t])
        for c, leaf in enumerate(answer.leaves):
            total = sum((out[j][t] * answer.slopes[t, :, :, j, c] for j in range(len(out))), torch.zeros_like(mu[0]))
            if leaf.sort == "state":
                lam[self.names.index(leaf)] = lam[self.names.index(leaf)] + total
            else:
                mu[names.index(leaf.name)] = mu[names.index(leaf.name)] + total
