"""One call of the environment: days under the policies, and the gradient of the loss by every raw action.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gridmodel.runtime.environment import Batch, Environment, Outcome
from gridmodel.runtime.policies import Policies

__all__ = ["Called", "Gradient", "call", "stakes"]

Gradient = Literal["open-loop", "through"]


@dataclass(frozen=True)
class Called:
    """raw, seen: of each kind, as of ``Course``. gradients: of the loss by raw actions, shape of raw."""

    raw: Sequence[Tensor]
    seen: Sequence[Tensor]
    gradients: Sequence[Tensor]
    outcome: Outcome


def call(
    env: Environment, policies: Policies, batch: Batch, loss: Callable[[Outcome], Tensor], gradient: Gradient
) -> Called:
    """Rolls out without gradient, then differentiates the actions that were taken.

    gradient: "open-loop" leaves out that later policies see what earlier actions did; "through" is exact, equal to
    back-propagation through time, at the cost of the policies' slopes.
    """
    count = range(len(env.graph.kinds))
    with torch.no_grad():
        courses = env.rollout(policies, batch, flow=False).courses
        answers = None
        if gradient == "through":
            answers = [policies.answer(k, courses[k].seen, env) if policies.layers[k] else None for k in count]
    raw = [course.raw.detach().requires_grad_(course.raw.shape[-1] > 0) for course in courses]
    with torch.enable_grad():
        outcome = env.replay(raw, batch, courses=courses, answers=answers)
        value = loss(outcome)
    acting = [k for k in count if raw[k].requires_grad]
    found = dict(zip(acting, _gradients(value, [raw[k] for k in acting]), strict=True))
    gradients = [found.get(k, torch.zeros_like(raw[k])) for k in count]
    return Called([one.detach() for one in raw], [course.seen for course in courses], gradients, outcome)


def stakes(env: Environment, policies: Policies, batch: Batch) -> float:
    """What is at stake on a day: what agents pay without policies, the mean over days of sum |cost|.

    It gives penalties on volts a unit that no currency and no number of agents changes. Where agents pay nothing
    without policies, it is what their actions are worth, sum |d cost / d raw action|; 1 where they cost nothing either.
    """
    with torch.no_grad():
        paid = sum(float(course.cost.abs().sum()) for course in env.baseline(batch, flow=False).courses)
        courses = env.rollout(policies, batch, flow=False).courses
    if paid > 0:
        return paid / batch.days
    raw = [course.raw.detach().requires_grad_(course.raw.shape[-1] > 0) for course in courses]
    with torch.enable_grad():
        cost = env.replay(raw, batch, flow=False, courses=courses).cost.sum()
    total = sum(float(g.abs().sum()) for g in _gradients(cost, [one for one in raw if one.requires_grad]))
    return total / batch.days or 1.0


def _gradients(value: Tensor, by: Sequence[Tensor]) -> list[Tensor]:
    if not value.requires_grad:
        return [torch.zeros_like(one) for one in by]
    found = torch.autograd.grad(value, list(by), allow_unused=True)
    return [torch.zeros_like(one) if g is None else g for one, g in zip(by, found, strict=True)]
