"""The certificate of policies."""

from __future__ import annotations

import numpy as np
import torch

from gridmodel.errors import ModelError
from gridmodel.learning.foresight import foresight
from gridmodel.learning.judge import Judged, judge_days, require_days
from gridmodel.learning.policy import Policy, PolicyCertificate
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies

__all__ = ["certify", "policies_of"]


def policies_of(policy: Policy) -> Policies:
    """The networks in double precision."""
    return Policies.of_arrays(Environment(policy.graph, torch.float64), policy.weights)


def certify(policy: Policy, optimum: bool = True) -> PolicyCertificate:
    """Judges policies on their model's held-out days, beside agents without policies and perfect foresight.

    optimum: whether the lower bound is computed, one convex problem a day.

    Raises:
        ModelError: the policy has no model, or no load flow of a day was solved.
    """
    if policy.model is None:
        raise ModelError("the policy carries no model; load it with Policy.load(path, model).")
    held_out = require_days(policy.model.scenarios, policy.model.name)[1]
    learned, idle = (judge_days(policy.graph, own, held_out) for own in (policies_of(policy), None))
    if learned.u is not None and not np.isfinite(learned.u).any():
        raise ModelError(
            "no load flow of the held-out days was solved: the policies ask for more than the network carries."
        )
    bound = float(foresight(policy.model, held_out).mean()) if optimum else None
    cost, cost_idle = float(learned.cost.mean()), float(idle.cost.mean())
    room = None if bound is None else cost_idle - bound
    saved = (cost_idle - cost) / room if room is not None and room > 0 else None
    return PolicyCertificate(
        learned.share, learned.worst, learned.p95, saved, cost, bound, cost_idle, idle.share, idle.worst,
        len(held_out), learned.unsolved, policy.graph.currency, _notes(learned),
    )  # fmt: skip


def _notes(learned: Judged) -> tuple[str, ...]:
    if learned.u is None:
        return ("The model has no network: no voltage was judged.",)
    return ()
