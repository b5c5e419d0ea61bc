"""Policies trained by every method on one model, one budget and the same seeds, judged on held-out days.

The first table has a row a method (mean over seeds, and their spread): cost of a day, share of node-steps outside the
limits, the worst and the 95th percentile of the excursions, savings over what perfect foresight without the network
would save; and rows to read them by: agents without policies, policies trained without the grid, the same with droops
at run time, policies trained with droops that are then switched off.
The second table is a race of two methods to pairs of cost and violation: savings on all held-out days together of so
much, with no more than so many node-steps outside the limits. Policies are set aside on the way and judged afterwards,
so that judging costs neither of them time; a pair counts from the first policies that meet it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from measure import report

import gridmodel as gm
from gridmodel.learning.certify import policies_of
from gridmodel.learning.judge import Judged, judge_days, require_days
from gridmodel.learning.policy import Policy
from gridmodel.learning.train import trainers
from gridmodel.passes.training.graph import training_graph
from gridmodel.runtime.environment import Environment
from gridmodel.runtime.policies import Policies
from gridmodel.runtime.training import AbstractTrainer, Round
from models.grid_edge import build


def model_of(options: argparse.Namespace, **changes: Any) -> gm.Model:
    """The model of a row."""
    given = {
        "agents": options.agents,
        "seed": options.model_seed,
        "days": options.days,
        "held_out": options.held_out,
        "droop": options.droop,
    }
    return build(**(given | changes))


def judged(policy: Policy | None, model: gm.Model) -> Judged:
    """A policy on the held-out days of a model with the same agents, though perhaps another network."""
    learn, held_out = require_days(model.scenarios, model.name)
    graph = training_graph(model, learn)
    if policy is None:
        return judge_days(graph, None, held_out)
    # What is seen is scaled as in training.
    kinds = tuple(replace(k, observed=o.observed) for k, o in zip(graph.kinds, policy.graph.kinds, strict=True))
    return judge_days(replace(graph, kinds=kinds), policies_of(policy), held_out)


def row(name: str, found: Sequence[Judged], room: tuple[float, float], seconds: Sequence[float], calls: float) -> Any:
    """One row: means over seeds, the spread of savings."""
    idle, best = room
    saved = [(idle - one.cost.mean()) / (idle - best) for one in found]
    return {
        "method": name, "seeds": len(found), "cost": float(np.mean([one.cost.mean() for one in found])),
        "savings %": 100 * float(np.mean(saved)), "spread": 100 * float(np.ptp(saved)),
        "outside %": 100 * float(np.mean([one.share for one in found])),
        "worst pu": float(np.max([one.worst for one in found])), "mean worst": float(np.mean([o.worst for o in found])),
        "p95 pu": float(np.mean([one.p95 for one in found])), "seconds": float(np.mean(seconds)) if seconds else 0.0,
        "calls": calls,
    }  # fmt: skip


def methods_table(options: argparse.Namespace, trained: dict[tuple[str, int], Policy]) -> list[Any]:
    """Every method, and the rows beside."""
    model = model_of(options)
    idle = judged(None, model)
    best = float(gm.foresight(model, require_days(model.scenarios, model.name)[1]).mean())
    room = (float(idle.cost.mean()), best)
    rows = [row("without policies", [idle], room, [], 0)]

    def add(name: str, on: gm.Model, made: Callable[[int], Policy]) -> None:
        policies = [made(seed) for seed in range(options.seeds)]
        found = [judged(policy, on) for policy in policies]
        seconds = [policy.seconds[-1] for policy in policies]
        rows.append(row(name, found, room, seconds, float(np.mean([p.history[-1].calls for p in policies]))))

    for method in options.methods:
        add(method, model, lambda seed, method=method: fit(options, trained, method, model, seed))
    plain, off = model_of(options, droop="none"), model_of(options, v_min=0.5, v_max=1.5)
    first = options.methods[0]
    blind = [fit(options, trained, first, off, seed, "blind") for seed in range(options.seeds)]
    add(f"{first}, grid-unaware", plain, blind.__getitem__)
    if options.droop != "none":
        rows.append(row("without policies, droop off", [judged(None, plain)], room, [], 0))
        add(f"{first}, grid-unaware + droop", model, blind.__getitem__)
        add(f"{first}, droop off", plain, lambda seed: trained[first, seed])
    rows.append({"method": "perfect foresight, no network", "seeds": 1, "cost": best, "savings %": 100.0})
    return rows


def fit(
    options: argparse.Namespace, trained: dict[tuple[str, int], Policy], method: str, model: gm.Model, seed: int,
    label: str = "",
) -> Policy:  # fmt: skip
    """A policy, the budget is the same for all."""
    key = (label + method, seed)
    if key not in trained:
        start = time.perf_counter()
        trained[key] = gm.train(model, method, seed=seed, minutes=options.seconds / 60.0)
        print(f"{label} {method} seed {seed}: {time.perf_counter() - start:.1f} s, {len(trained[key].history)} rounds")
    return trained[key]


class Watched(AbstractTrainer):
    """A trainer whose policies are set aside every few rounds."""

    def __init__(self, inner: AbstractTrainer, every: int) -> None:
        self.name, self.inner, self.every = inner.name, inner, every  # type: ignore[misc]
        self.kept: list[tuple[int, Policies]] = []
        self.rounds = 0

    def init(self, env: Environment, seed: int) -> dict[str, Any]:
        """As the trainer's."""
        return self.inner.init(env, seed)

    def step(
        self, state: dict[str, Any], env: Environment, days: gm.Scenarios, progress: float
    ) -> tuple[dict[str, Any], Round]:
        """As the trainer's."""
        new, seen = self.inner.step(state, env, days, progress)
        self.rounds += 1
        if self.rounds % self.every == 0:
            own = self.inner.policies(new, env)
            self.kept.append((self.rounds, own.like([x.clone() for x in own.tensors])))
        return new, seen

    def policies(self, state: dict[str, Any], env: Environment) -> Policies:
        """As the trainer's."""
        return self.inner.policies(state, env)


def course(model: gm.Model, method: str, seed: int, options: argparse.Namespace) -> list[tuple[float, ...]]:
    """(seconds, calls, cost, share) of the policies set aside, on the held-out days by the training's load flow."""
    trainer = Watched(trainers()[method](), options.every)
    policy = gm.train(model, trainer, seed=seed, minutes=options.seconds / 60.0)
    env = Environment(policy.graph)
    batch = env.batch(require_days(model.scenarios, model.name)[1])
    found = []
    with torch.no_grad():
        for k, own in trainer.kept:
            went = env.rollout(own, batch)
            share = 0.0 if env.lower is None else float((went.over(env.lower, env.upper) > 0).double().mean())
            found.append((policy.seconds[k - 1], float(policy.history[k - 1].calls), float(went.cost.mean()), share))
    print(f"race: {method} seed {seed}, {len(policy.history)} rounds, ends at {found[-1][2]:.1f}", flush=True)
    return found


def race(options: argparse.Namespace) -> list[Any]:
    """Two methods, seed by seed and side by side, to savings with hardly a voltage outside its limits."""
    model = model_of(options)
    held_out = require_days(model.scenarios, model.name)[1]
    idle, best = float(judged(None, model).cost.mean()), float(gm.foresight(model, held_out).mean())
    runs: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for seed in range(options.seeds):
        for method in options.race:
            runs[method, seed] = course(model, method, seed, options)
    rows = []
    for saved in options.savings:
        cost = idle - saved / 100.0 * (idle - best)
        first = {
            key: next(((s, c) for s, c, now, share in run if now <= cost and share <= options.share), None)
            for key, run in runs.items()
        }
        row: dict[str, Any] = {"savings %": saved, "outside % at most": 100 * options.share}
        for method in options.race:
            met = [first[method, seed] for seed in range(options.seeds)]
            times = [one for one in met if one is not None]
            row |= {f"{method} met": f"{len(times)}/{options.seeds}"}
            row |= {f"{method} {what}": float(np.mean([t[k] for t in times])) if times else "-"
                    for k, what in enumerate(("s", "calls"))}  # fmt: skip
        one, two = options.race
        pairs = [(first[one, seed], first[two, seed]) for seed in range(options.seeds)]
        for k, what in enumerate(("seconds", "calls")):
            ratios = [b[k] / a[k] for a, b in pairs if a is not None and b is not None]
            row[f"{what} {two}/{one}"] = float(np.mean(ratios)) if ratios else "-"
            row[f"{what} from-to"] = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-"
        rows.append(row)
    return rows


def main() -> None:
    """Reads the options and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--days", type=int, default=512, help="to learn from (default: 512)")
    parser.add_argument("--held-out", type=int, default=64)
    parser.add_argument("--model-seed", type=int, default=0, help="of days, sizes and places (default: 0)")
    parser.add_argument("--droop", choices=["devices", "all", "none"], default="devices")
    parser.add_argument("--methods", nargs="+", default=list(trainers()), help="default: all that are installed")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training, for every method (default: 30)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--race", nargs=2, default=["gradmap", "ssl"], help="default: gradmap ssl")
    parser.add_argument("--race-only", action="store_true", help="without the table of all methods")
    parser.add_argument("--savings", type=float, nargs="+", default=[80.0, 90.0, 93.0, 95.0], help="of the race, %%")
    parser.add_argument("--share", type=float, default=1e-5, help="of node-steps outside limits (default: 1e-5)")
    parser.add_argument("--every", type=int, default=4, help="rounds between policies set aside (default: 4)")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", metavar="FILE", help="cost and violation against time for all methods")
    options = parser.parse_args()
    trained: dict[tuple[str, int], Policy] = {}
    title = f"{options.agents} agents, droop {options.droop}, {options.seconds:g} s of training, held-out days"
    if not options.race_only:
        report(methods_table(options, trained), title, options.json)
    if options.plot:
        gm.plot({name: trained[name, 0] for name in options.methods}, options.plot)
    if options.race_only or set(options.race) <= set(options.methods):
        file = options.json and options.json.replace(".json", ".race.json")
        report(
            race(options), f"{' and '.join(options.race)}, {options.agents} agents: to savings on held-out days", file
        )


if __name__ == "__main__":
    main()
