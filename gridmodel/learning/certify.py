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

_PROBLEMS = 16_000  # days times agents of which the bound is computed


def policies_of(policy: Policy) -> Policies:
    """The networks in double precision."""
    return Policies.of_arrays(Environment(policy.graph, torch.float64), policy.weights)


def certify(policy: Policy, optimum: bool = True) -> PolicyCertificate:
    """Judges policies on their model's held-out days, beside agents without policies and perfect foresight.

    optimum: whether the lower bound is computed, one convex problem a day; of many agents on the first days only, on
    which the savings then are.

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
    some = max(1, min(len(held_out), _PROBLEMS // policy.graph.agents)) if optimum else 0
    bound = float(foresight(policy.model, held_out.take(slice(some))).mean()) if some else None
    room = None if bound is None else float(idle.cost[:some].mean()) - bound
    saved = float((idle.cost - learned.cost)[:some].mean()) / room if room is not None and room > 0 else None
    notes = _notes(learned)
    if some and some < len(held_out):
        notes += (f"The lower bound and the savings are of the first {some} days, on which the policies cost "
                  f"{learned.cost[:some].mean():.6g}, and doing without {idle.cost[:some].mean():.6g}.",)  # fmt: skip
    return PolicyCertificate(
        learned.share, learned.worst, learned.p95, saved, float(learned.cost.mean()), bound, float(idle.cost.mean()),
        idle.share, idle.worst, len(held_out), learned.unsolved, policy.graph.currency, notes,
    )  # fmt: skip


def _notes(learned: Judged) -> tuple[str, ...]:
    if learned.u is None:
        return ("The model has no network: no voltage was judged.",)
    return ()
