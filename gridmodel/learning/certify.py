"""The certificate of policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gridmodel.errors import DataError, ModelError, NotApplicableError
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import TrainingGraph
from gridmodel.language.model import Model
from gridmodel.learning.certificate import Baseline, PolicyCertificate, PolicyCertificates
from gridmodel.learning.foresight import bounds
from gridmodel.learning.judge import Judged, judge_days
from gridmodel.learning.policy import Policy
from gridmodel.passes.training.graph import training_days
from gridmodel.passes.training.network import FeederNetwork
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies

__all__ = ["certify", "certify_together", "policies_of"]

Floats = NDArray[np.float64]

_PROBLEMS = 16_000  # days times agents of which the bound is computed
_NAMED = 8
_IDLE = "without policies"


def policies_of(policy: Policy) -> Policies:
    """The networks in double precision."""
    return Policies.of_arrays(Environment(policy.graph, torch.float64), policy.weights)


def certify(policy: Policy, optimum: bool = True, network_days: int = 0) -> PolicyCertificate:
    """Judges policies on their model's held-out days, beside agents without policies and perfect foresight.

    Args:
        optimum: whether the lower bound is computed, one convex problem a day; of many agents on the first days only,
            on which the savings then are. Days without a plan are left out of both, and noted.
        network_days: of how many days, from the first, the optimum within the network's limits is computed too.

    Raises:
        ModelError: the policy has no model, or no load flow of a day was solved. NotApplicableError: ``network_days``
            of a model without a network.
    """
    return certify_together([policy], optimum, network_days).certificates[0]


def certify_together(policies: Sequence[Policy], optimum: bool = True, network_days: int = 0) -> PolicyCertificates:
    """Judges several policies of one model, that of the first, with bound and baselines computed once.

    Raises:
        ModelError: as ``certify``, or the policies are of different models.
    """
    model = _one_model(policies)
    graph, held_out = policies[0].graph, training_days(model)[1]
    if network_days < 0:
        raise DataError(f"network_days={network_days}: a number of held-out days is expected, 0 for none.")
    if network_days and not isinstance(graph.network, FeederNetwork):
        raise NotApplicableError(f"model {model.name!r} has no network: leave network_days out.")
    learned = [judge_days(graph, policies_of(one), held_out) for one in policies]
    for one in learned:
        if one.u is not None and not np.isfinite(one.u).any():
            raise ModelError(
                "no load flow of the held-out days was solved: the policies ask for more than the network carries."
            )
    baselines = {name: judge_days(own, None, held_out) for name, own in _baselines(graph).items()}
    some = max(1, min(len(held_out), _PROBLEMS // graph.agents)) if optimum else 0
    free = _Optimum.free(model, held_out, some)
    held = _Optimum.held(model, held_out, min(network_days, len(held_out)))
    found = tuple(_certificate(graph, one, baselines, free, held) for one in learned)
    return PolicyCertificates(_labels(policies), found)


class _Optimum(NamedTuple):
    """Least costs of days, NaN where there is none or none was sought. worst: pu by which limits are left."""

    cost: Floats
    worst: float
    notes: tuple[str, ...]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Days that have one."""
        return np.isfinite(self.cost)

    @property
    def mean(self) -> float | None:
        """Of the days that have one; None where none has."""
        return float(self.cost[self.known].mean()) if self.known.any() else None

    def saved(self, idle: Judged, learned: Judged) -> float | None:
        """(idle - learned) / (idle - optimum) on the days that have one."""
        if self.mean is None:
            return None
        room = float(idle.cost[self.known].mean()) - self.mean
        return float((idle.cost - learned.cost)[self.known].mean()) / room if room > 0 else None

    def told(self, what: str, idle: Judged, learned: Judged) -> tuple[str, ...]:
        """The days that it is of, where these are not all, and what they cost."""
        known = self.known
        if not known.any() or known.all():
            return self.notes
        count = int(known.sum())
        days = f"{count} of {len(known)} days"
        if known[:count].all():
            days = "the first day" if count == 1 else f"the first {count} days"
        return (*self.notes, f"{what} are of {days}, on which the policies cost {learned.cost[known].mean():.6g}, and "
                f"doing without {idle.cost[known].mean():.6g}.")  # fmt: skip

    @classmethod
    def free(cls, model: Model, days: Scenarios, reach: int) -> _Optimum:
        """Without the network's limits."""
        cost, failed = bounds(model, days.take(slice(reach))) if reach else (np.empty(0), {})
        return cls(_padded(cost, len(days)), 0.0, _failures("perfect foresight", failed))

    @classmethod
    def held(cls, model: Model, days: Scenarios, reach: int) -> _Optimum:
        """Within them."""
        from gridmodel.learning.network_optimum import foresight_on_network

        cost, worst, failed = np.full(reach, np.nan), 0.0, dict[int, str]()
        for k in range(reach):
            try:
                found = foresight_on_network(model, days, k)
            except ModelError as error:
                failed[k] = str(error)
                continue
            cost[k], worst = found.cost, max(worst, found.worst)
        return cls(_padded(cost, len(days)), worst, _failures("the network", failed))


def _certificate(
    graph: TrainingGraph, learned: Judged, baselines: dict[str, Judged], free: _Optimum, held: _Optimum
) -> PolicyCertificate:
    idle = baselines[_IDLE]
    nodes = 0 if graph.network is None else len(graph.network.nodes)
    notes = (
        *(() if nodes else ("The model has no network: no voltage was judged.",)),
        *free.told("The lower bound and the savings", idle, learned),
        *held.told("The optimum with network and the savings on it", idle, learned),
    )
    return PolicyCertificate(
        learned.share, learned.worst, learned.p95, free.saved(idle, learned), float(learned.cost.mean()), free.mean,
        float(idle.cost.mean()), len(learned.cost), learned.unsolved, nodes, graph.currency,
        {
            name: Baseline(float(one.cost.mean()), one.share, one.worst, one.p95, one.unsolved)
            for name, one in baselines.items()
        },
        learned.states, held.mean, held.saved(idle, learned), int(held.known.sum()), held.worst, notes,
    )  # fmt: skip


def _baselines(graph: TrainingGraph) -> dict[str, TrainingGraph]:
    """The same agents without policies, in ways that differ from doing what the model says they do otherwise."""
    found = {_IDLE: graph}
    if any(action.otherwise is not None for kind in graph.kinds for action in kind.actions):
        kinds = tuple(
            replace(kind, actions=tuple(replace(action, otherwise=None) for action in kind.actions))
            for kind in graph.kinds
        )
        found["nearest to zero"] = replace(graph, kinds=kinds)
    if isinstance(graph.network, FeederNetwork) and graph.network.droops:
        found["droops off"] = replace(graph, network=graph.network.without_droops())
    return found


def _one_model(policies: Sequence[Policy]) -> Model:
    """The model of the first.

    Raises:
        ModelError: it has none, or others are of another.
    """
    first = policies[0]
    for one in policies:
        if one.graph.fingerprint != first.graph.fingerprint:
            raise ModelError(
                f"policies are judged together where they are of one model: {first!r} and {one!r} differ (fingerprints "
                f"{first.graph.fingerprint} and {one.graph.fingerprint}). Judge each by itself: gm.verify(policy)."
            )
    if first.model is None:
        raise ModelError("the policy carries no model; load it with Policy.load(path, model).")
    return first.model


def _labels(policies: Sequence[Policy]) -> tuple[str, ...]:
    methods = {one.method for one in policies}
    return tuple(f"seed {one.seed}" if len(methods) == 1 else f"{one.method}, seed {one.seed}" for one in policies)


def _padded(cost: Floats, days: int) -> Floats:
    return np.concatenate([cost, np.full(days - len(cost), np.nan)])


def _failures(what: str, failed: dict[int, str]) -> tuple[str, ...]:
    if not failed:
        return ()
    named = [str(k) for k in failed][:_NAMED]
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    why = next(iter(failed.values())).rstrip(".")
    return (f"No optimum with {what} on day{'' if len(failed) == 1 else 's'} {', '.join(named)}{more}: {why}.",)
